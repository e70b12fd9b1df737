// The wall screen: a clock that shows the page lives, ages that count, and a display that stays on.
(() => {
  let base, now = 0, since = 0;

  // The service's clock, not this machine's: nobody sets the clock of a screen on a wall.
  function read() {
    base = document.getElementById("wall-now");
    now = Date.parse(base.dataset.now);
    since = performance.now();
  }

  function show() {
    const at = now + performance.now() - since;
    base.textContent = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: base.dataset.zone }).format(at);
    for (const part of document.querySelectorAll("[data-since], [data-until]")) {
      const until = part.dataset.until !== undefined;
      const seconds = Math.max(0, Math.round((until ? Date.parse(part.dataset.until) - at : at - Date.parse(part.dataset.since)) / 1000));
      const minutes = Math.floor(seconds / 60);
      const hours = Math.floor(minutes / 60);
      const two = (number) => String(number).padStart(2, "0");
      part.textContent = hours ? `${hours}:${two(minutes % 60)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
    }
  }

  async function stayAwake() {
    try {
      if (document.visibilityState === "visible") await navigator.wakeLock?.request("screen");
    } catch { /* the battery is low or the browser does not do it: the display's own setting decides */ }
  }

  // A page for signing in would hang here in silence: better the old page under a loud "connection lost".
  document.addEventListener("signedout", (event) => event.preventDefault());
  document.addEventListener("swapped", () => { read(); show(); });
  document.addEventListener("visibilitychange", stayAwake);
  read();
  show();
  setInterval(show, 1000);
  stayAwake();
})();

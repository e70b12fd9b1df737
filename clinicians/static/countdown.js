// Counts what has passed ([data-since]) and what is left ([data-until]) second by second, by the service's clock ([data-now]):
// nobody sets the clock of a screen on a wall, nor of a phone that was given away.
(() => {
  const two = (number) => String(number).padStart(2, "0");
  let now = Date.now(), read = 0;

  function synchronise() {
    const told = document.querySelector("[data-now]");
    if (told) now = Date.parse(told.dataset.now);
    read = performance.now();
  }

  function show() {
    const at = now + performance.now() - read;
    for (const clock of document.querySelectorAll("[data-zone]")) {
      clock.textContent = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: clock.dataset.zone }).format(at);
    }
    for (const part of document.querySelectorAll("[data-since], [data-until]")) {
      const milliseconds = "until" in part.dataset ? Date.parse(part.dataset.until) - at : at - Date.parse(part.dataset.since);
      const seconds = Math.max(0, Math.floor(milliseconds / 1000));
      const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
      part.textContent = hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
    }
  }

  document.addEventListener("swapped", () => { synchronise(); show(); });
  synchronise();
  show();
  setInterval(show, 1000);
})();

// The wall screen: a display that stays on, and that never gives way to a page for signing in.
(() => {
  async function stayAwake() {
    try {
      if (document.visibilityState === "visible") await navigator.wakeLock?.request("screen");
    } catch { /* the battery is low or the browser does not do it: the display's own setting decides */ }
  }

  // A page for signing in would hang here in silence: better the old page under a loud "connection lost".
  document.addEventListener("signedout", (event) => event.preventDefault());
  document.addEventListener("visibilitychange", stayAwake);
  stayAwake();
})();

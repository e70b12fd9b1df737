// Keeps a page true. Told that something changed, it fetches the page again and swaps the parts marked data-live.
(() => {
  const lost = document.getElementById("lost");
  let source, heard = Date.now(), loaded = heard, pause = 1000, busy = false, again = false;

  function swap(fresh) {
    document.title = fresh.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      const writing = [...part.querySelectorAll("textarea, input[type=text]")].some((field) => field.value !== field.defaultValue);
      const choosing = [...part.querySelectorAll("option")].some((option) => option.selected !== option.defaultSelected);
      if (!next || writing || choosing || part.querySelector("select:focus, input:checked")) continue;
      for (const open of part.querySelectorAll("details[open][id]")) fresh.getElementById(open.id)?.setAttribute("open", "");
      if (part.isEqualNode(next)) continue;
      const focus = part.contains(document.activeElement) && document.activeElement.id;
      part.className = next.className;
      part.replaceChildren(...next.childNodes);
      if (focus) document.getElementById(focus)?.focus();
    }
    document.dispatchEvent(new Event("swapped"));
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { "X-Live": "1" }, signal: AbortSignal.timeout?.(20000) });
      if (answer.redirected || answer.status === 401) {
        if (document.dispatchEvent(new Event("signedout", { cancelable: true }))) return location.reload();
        loaded = 0; // nothing here is renewed any more
      }
      if (answer.ok) {
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
        loaded = Date.now();
      }
    } catch { /* away just now: the next beat tries again, and the banner says so */ }
    busy = false;
    if (again) { again = false; refresh(); }
  }

  function listen() {
    source = new EventSource("/live");
    source.onopen = refresh;
    source.addEventListener("change", refresh);
    source.addEventListener("beat", () => {
      heard = Date.now();
      pause = 1000;
      if (heard - loaded > 50000) refresh(); // ages grow even when nothing happens
    });
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return; // the browser reopens it by itself
      setTimeout(listen, pause);
      pause = Math.min(pause * 2, 30000);
    };
  }

  setInterval(() => document.querySelector("[data-soon]") && refresh(), 2000); // something is being worked out
  // The stream may live while the page itself cannot be had: what stands here is then as old as the last answer.
  setInterval(() => { lost.hidden = Date.now() - heard < 40000 && Date.now() - loaded < 90000; }, 1000);
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  listen();
})();

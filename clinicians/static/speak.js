// Reads the page aloud when asked; once asked, also what is new and pressing.
(() => {
  if (!("speechSynthesis" in window)) return;
  let wanted = false, last = "";

  function say(button) {
    const words = new SpeechSynthesisUtterance(button.dataset.speak);
    words.lang = document.documentElement.lang;
    words.rate = 0.85;
    speechSynthesis.cancel();
    speechSynthesis.speak(words);
    last = button.dataset.speak;
  }

  function show() {
    const button = document.querySelector("[data-speak]");
    if (!button) return;
    button.hidden = false;
    if (wanted && "pressing" in button.dataset && button.dataset.speak !== last) say(button);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-speak]");
    if (!button) return;
    wanted = true;
    say(button);
  });
  document.addEventListener("swapped", show);
  show();
})();

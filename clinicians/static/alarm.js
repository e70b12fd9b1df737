// Sounds while something visible on the page asks for it ([data-alarm]), and says so when it cannot.
// Browsers let a page sound only after somebody has touched it; until then the part #sound-off is shown.
(() => {
  // Pulses as IEC 60601-1-8 has them for high priority: 3 and 2, twice, then a pause. Times in seconds, pitch in hertz.
  const HIGH = [0, 0.2, 0.4, 0.75, 0.95, 1.7, 1.9, 2.1, 2.45, 2.65];
  const SOUNDS = {
    exhausted: { starts: HIGH, pitch: 880, every: 5 },
    lost: { starts: [0, 0.5, 1], pitch: 330, every: 15 },
    waiting: { starts: HIGH, pitch: 523, every: 10 },
  };
  const RANK = Object.keys(SOUNDS);
  const offSign = document.getElementById("sound-off");
  const always = offSign?.hasAttribute("data-always"); // a screen that is there to sound says at once when it does not
  let context, wave, due = 0, last = "";

  function open() {
    context = new AudioContext();
    // At least four harmonics of like strength are found by an ear that has lost the high ones.
    wave = context.createPeriodicWave(new Float32Array(6), new Float32Array([0, 1, 0.8, 0.7, 0.6, 0.5]));
    context.addEventListener("statechange", show);
  }

  function pulse(at, pitch) {
    const tone = new OscillatorNode(context, { type: "custom", periodicWave: wave, frequency: pitch });
    const volume = new GainNode(context, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.9, at + 0.03);
    volume.gain.setValueAtTime(0.9, at + 0.12);
    volume.gain.linearRampToValueAtTime(0, at + 0.15);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + 0.16);
  }

  function wanted() {
    const asked = [...document.querySelectorAll("[data-alarm]")].filter((part) => part.getClientRects().length);
    return RANK.find((name) => asked.some((part) => part.dataset.alarm === name)) ?? "";
  }

  function show() {
    const silent = context?.state !== "running";
    if (offSign) offSign.hidden = !silent || !(always || wanted());
    for (const sign of document.querySelectorAll("[data-sound-on]")) sign.hidden = silent;
  }

  function tick() {
    show();
    const name = wanted();
    if (name !== last) due = 0;
    last = name;
    if (!name || context?.state !== "running" || performance.now() < due) return;
    const { starts, pitch, every } = SOUNDS[name];
    for (const start of starts) pulse(context.currentTime + 0.05 + start, pitch);
    due = performance.now() + every * 1000;
  }

  async function allow(event) {
    if (!context) open();
    if (context.state !== "running") await context.resume();
    if (event.target.closest?.("[data-sound-try]")) for (const start of [0, 0.25]) pulse(context.currentTime + start, 660);
    show();
  }

  for (const touch of ["click", "keydown"]) document.addEventListener(touch, allow);
  document.addEventListener("swapped", tick);
  setInterval(tick, 500);
  if (always || navigator.userActivation?.hasBeenActive) open();
  show();
})();

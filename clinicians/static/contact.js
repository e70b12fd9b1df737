// Lets messages into this browser. Everything else on the page works without it.
(() => {
  const here = document.getElementById("push-here");
  if (!here) return;
  const by = (id) => document.getElementById(id);
  const only = (id) => ["push-unable", "push-denied", "push-failed", "push-allow"].forEach((one) => { by(one).hidden = one !== id; });

  function bytes(text) {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (c) => c.charCodeAt(0));
  }

  const same = (key) => key && btoa(String.fromCharCode(...new Uint8Array(key))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "") === here.dataset.key;

  async function keep(subscription) {
    const { endpoint, keys } = subscription.toJSON();
    const form = new URLSearchParams({ endpoint, p256dh: keys.p256dh, auth: keys.auth });
    const answer = await fetch("/contact/push", { method: "POST", body: form, headers: { "X-CSRF-Token": here.dataset.csrf } });
    if (!answer.ok) throw new Error(answer.status);
  }

  async function subscribed(registration) {
    const old = await registration.pushManager.getSubscription();
    if (old && same(old.options.applicationServerKey)) return old;
    if (old) await old.unsubscribe(); // made for a key that the service has no longer
    return registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(here.dataset.key) });
  }

  async function allow() {
    try {
      if (await Notification.requestPermission() !== "granted") return only("push-denied");
      const registration = await navigator.serviceWorker.register("/static/messages.js");
      await keep(await subscribed(registration));
      location.assign("/contact?told=subscribed#push");
    } catch {
      only("push-failed");
    }
  }

  async function look() {
    if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) return only("push-unable");
    if (Notification.permission === "denied") return only("push-denied");
    only("push-allow");
    by("push-allow").addEventListener("click", allow);
  }

  look();
})();

// The browser's part of Web Push: shows a message, says that it has, and takes an alert or passes it on from there.
const PAUSES_MS = [0, 1000, 4000];

async function post(path, body) {
  for (const pause of PAUSES_MS) {
    await new Promise((done) => setTimeout(done, pause));
    try {
      const answer = await fetch(path, { method: "POST", body, headers: body ? { "Content-Type": "application/json" } : {} });
      if (answer.ok || answer.status < 500) return answer;
    } catch { /* away just now: once more */ }
  }
  return null;
}

async function show(message) {
  await self.registration.showNotification(message.title, {
    body: message.body,
    lang: message.language,
    tag: message.tag,
    renotify: true,
    requireInteraction: message.urgent,
    vibrate: message.urgent ? [400, 150, 400, 150, 800] : [200],
    icon: "/static/icon.svg",
    actions: message.buttons.map((title, place) => ({ action: String(place + 1), title })),
    data: message,
  });
  await post(`${message.answer}/shown`);
}

async function press(message, key) {
  const answer = await post(`${message.answer}/${key}`);
  if (!answer || !answer.ok) return open();
  const { said } = await answer.json();
  await self.registration.showNotification(message.title, { body: said, lang: message.language, tag: message.tag, icon: "/static/icon.svg" });
}

async function open() {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (pages.length) return pages[0].focus();
  return self.clients.openWindow("/");
}

// The push service has moved this browser: whoever knows the old secret is the same browser.
async function renew({ oldSubscription, newSubscription }) {
  if (!oldSubscription) return; // the page lets it in anew
  const old = oldSubscription.toJSON();
  const fresh = (newSubscription || await self.registration.pushManager.subscribe(oldSubscription.options)).toJSON();
  const told = { old_endpoint: old.endpoint, old_auth: old.keys.auth, endpoint: fresh.endpoint, ...fresh.keys };
  await post("/push/renewed", JSON.stringify(told));
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));
self.addEventListener("push", (event) => event.waitUntil(show(event.data.json())));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const message = event.notification.data;
  event.waitUntil(event.action && message ? press(message, event.action) : open());
});

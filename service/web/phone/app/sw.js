// The service worker: the app opens without a network. Its files come from the network while that
// answers, and from the cache else; nothing but the app's own files is ever kept, and its language.
//
// A message by push says that there is something to look for, and nothing else. An app that is seen
// looks; else there is a notification, in the person's language.
'use strict';

const cache = 'tandem-phone';
const files = ['./', 'app.css', 'app.js', 'app.webmanifest', 'dom.js', 'icon-192.png', 'pad.js', 'phone.js', 'phone.json', 'phone.wasm', 'scan.js', 'store.js', 'texts.js',
  'texts/en.json', 'texts/et.json', 'texts/lt.json', 'texts/lv.json', 'vendor/qr/decode.js', 'vendor/qr/index.js', 'wake.js',
  'wasm_exec.js', 'worker.js',
  '/assets/style.css', '/assets/icon.svg'];
const own = new Set(files.map(name => new URL(name, self.registration.scope).href));

self.addEventListener('install', event => {
  event.waitUntil(caches.open(cache).then(c => c.addAll(files)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', event => {
  const url = event.request.url.split('#')[0];
  if (event.request.method !== 'GET' || !own.has(url)) return;
  event.respondWith((async () => {
    const kept = await caches.open(cache);
    try {
      const answer = await fetch(event.request);
      if (answer.ok) await kept.put(url, answer.clone());
      return answer;
    } catch (e) {
      const found = await kept.match(url);
      if (found) return found;
      throw e;
    }
  })());
});

// pages are the app's own: the service has others.
const pages = async () => (await self.clients.matchAll({ type: 'window', includeUncontrolled: true })).filter(page => page.url.startsWith(self.registration.scope));

// words are the texts of the language that the app has.
async function words() {
  const kept = await caches.open(cache);
  const language = await (await kept.match('language'))?.text() ?? 'en';
  const name = `texts/${language}.json`;
  return { language, texts: await (await kept.match(name) ?? await fetch(name)).json() };
}

async function pushed() {
  if ((await pages()).some(page => page.visibilityState === 'visible')) return; // it has heard by itself
  const { language, texts } = await words();
  await self.registration.showNotification(texts['push.title'], { body: texts['push.body'], lang: language, icon: 'icon-192.png', tag: 'look', renotify: true });
}

// opens shows the app: the one that is open, or another.
async function opens() {
  const [page] = await pages();
  await (page ? page.focus() : self.clients.openWindow('./'));
}

self.addEventListener('push', event => event.waitUntil(pushed()));

self.addEventListener('notificationclick', event => {
  event.notification.close();
  event.waitUntil(opens());
});

// The service is told by the app, which has the phone's token: at once if it is open, else when it is
// opened next.
self.addEventListener('pushsubscriptionchange', event => event.waitUntil((async () => {
  for (const page of await pages()) page.postMessage('subscribe');
})()));

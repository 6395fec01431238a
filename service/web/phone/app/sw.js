// The service worker: the app opens without a network. Its files come from the network while that
// answers, and from the cache else; nothing but the app's own files is ever kept.
'use strict';

const cache = 'tandem-phone';
const files = ['./', 'app.css', 'app.js', 'app.webmanifest', 'dom.js', 'icon-192.png', 'pad.js', 'phone.js', 'phone.json', 'phone.wasm', 'scan.js', 'store.js', 'texts.js',
  'texts/en.json', 'texts/et.json', 'texts/lt.json', 'texts/lv.json', 'vendor/qr/decode.js', 'vendor/qr/index.js', 'wasm_exec.js', 'worker.js',
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

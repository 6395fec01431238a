// What the phone stores in a browser: self.tandemHost, for the worker's program.
//
// Values are in IndexedDB. save resolves when the transaction is complete, with the durability
// "strict": then the browser has synced the disk, and a crash takes nothing back. The values are
// sealed by the program, under what a key of WebCrypto computes that no script can export. The
// disk does have that key: see docs/threats.md.
'use strict';

self.tandemHost = (() => {
  let account = '', opened;

  const request = r => new Promise((ok, bad) => { r.onsuccess = () => ok(r.result); r.onerror = () => bad(r.error); });

  function start(name) {
    if (typeof name !== 'string' || !/^[a-z0-9-]{1,32}$/.test(name)) throw Error('start: no name of an account');
    account = name;
    const r = indexedDB.open('tandem ' + name, 1);
    r.onupgradeneeded = () => { r.result.createObjectStore('values'); r.result.createObjectStore('keys'); };
    opened = request(r);
    return opened;
  }

  async function read(store, key) {
    const db = await opened;
    return request(db.transaction(store).objectStore(store).get(key));
  }

  // write resolves when the change is on the disk.
  async function write(store, change) {
    const db = await opened;
    return new Promise((ok, bad) => {
      const t = db.transaction(store, 'readwrite', { durability: 'strict' });
      t.oncomplete = () => ok();
      t.onabort = t.onerror = () => bad(t.error ?? Error('the browser did not store it'));
      change(t.objectStore(store));
    });
  }

  // key returns the key of a name; another tab may make it at the same time.
  async function key(name, make) {
    const found = await read('keys', name);
    if (found) return found;
    const fresh = await make();
    await write('keys', store => {
      const r = store.get(name);
      r.onsuccess = () => { if (!r.result) store.put(fresh, name); };
    });
    return read('keys', name);
  }

  const sealing = () => key('storage', () => crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256', length: 256 }, false, ['sign']));
  const signing = () => key('request', () => crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']));

  // ask makes a request, and reads no more than most bytes of the answer, and some.
  async function ask(url, options, most) {
    const r = await self.fetch(url, options);
    const parts = [];
    let length = 0;
    for (const reader = r.body?.getReader(); reader && length <= most;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
    }
    const body = new Uint8Array(length);
    length = 0;
    for (const part of parts) { body.set(part, length); length += part.length; }
    return { status: r.status, mediaType: r.headers.get('Content-Type') ?? '', body };
  }

  // stream makes a request, and gives each piece of the answer as it comes.
  async function stream(url, options, piece) {
    const r = await self.fetch(url, options);
    for (const reader = r.body?.getReader(); reader;) {
      const { done, value } = await reader.read();
      if (done) break;
      piece(value);
    }
    return { status: r.status, mediaType: r.headers.get('Content-Type') ?? '' };
  }

  return {
    start,
    fetch: ask,
    stream,
    load: name => read('values', name),
    save: (name, value) => write('values', store => value.length ? store.put(value, name) : store.delete(name)),
    storageKey: async () => new Uint8Array(await crypto.subtle.sign('HMAC', await sealing(), new TextEncoder().encode('tandem storage key'))),
    requestKey: async () => new Uint8Array(await crypto.subtle.exportKey('raw', (await signing()).publicKey)),
    signRequest: async message => new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, (await signing()).privateKey, message)),
    // lock waits for the account's lock, and resolves to what gives it back. A tab that is closed or
    // killed gives it back, too.
    lock: () => new Promise((ok, bad) => {
      navigator.locks.request('tandem ' + account, () => new Promise(release => ok(release))).catch(bad);
    }),
  };
})();

import { Phone } from './phone.js';

window.makePhone = start => new Phone(start);

const database = () => new Promise((ok, bad) => {
  const r = indexedDB.open('tandem phone');
  r.onsuccess = () => ok(r.result);
  r.onerror = () => bad(r.error);
});
const all = (db, store, what) => new Promise(ok => { const r = db.transaction(store).objectStore(store)[what](); r.onsuccess = () => ok(r.result); });
const hex = bytes => [...bytes].map(b => b.toString(16).padStart(2, '0')).join('');

window.scripts = {
  // What is stored: names, and bytes in hexadecimal.
  async values() {
    const db = await database();
    const [names, values] = [await all(db, 'values', 'getAllKeys'), await all(db, 'values', 'getAll')];
    return Object.fromEntries(names.map((n, i) => [n, hex(values[i])]));
  },
  // Whether a script of the page can have the keys.
  async keys() {
    const db = await database();
    const out = {};
    const [names, values] = [await all(db, 'keys', 'getAllKeys'), await all(db, 'keys', 'getAll')];
    for (const [i, name] of names.entries()) {
      const key = values[i].privateKey ?? values[i];
      out[name] = await crypto.subtle.exportKey(key.type === 'secret' ? 'raw' : 'pkcs8', key).then(() => 'exported', e => e.name);
    }
    return out;
  },
};

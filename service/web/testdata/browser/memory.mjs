// What stays in memory, and on the disk, of a login with a phone in a browser: see memory_test.go,
// which searches what this writes into the folder input.out.

import { writeFileSync, openSync, writeSync, closeSync } from 'node:fs';
import { input, launchIn, watch, check, done } from './browser.mjs';
import { Tab, register, bankPage, inBank, pin1 } from './tab.mjs';

// Target is the page, or its worker, by the protocol of Chromium's developer tools.
class Target {
  constructor(name, send, on) { Object.assign(this, { name, send, on }); }

  // dump writes a heap snapshot, which collects garbage first, and the memory of WebAssembly, which a
  // snapshot does not have. What other array buffers hold the protocol does not give.
  async dump(when) {
    const snapshot = openSync(`${input.out}/${when}-${this.name}.heapsnapshot`, 'w');
    this.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => { writeSync(snapshot, chunk); });
    await this.send('HeapProfiler.enable');
    await this.send('HeapProfiler.collectGarbage');
    await this.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
    closeSync(snapshot);
    const wasm = openSync(`${input.out}/${when}-${this.name}.wasm`, 'w');
    const sizes = await this.memories(function () { return this.map(m => m.buffer.byteLength); });
    for (const [i, size] of sizes.entries()) {
      for (let from = 0; from < size; from += 1 << 20) {
        const text = await this.memories(function (i, from, to) {
          let s = '';
          for (; from < to; from += 4096) s += String.fromCharCode(...new Uint8Array(this[i].buffer, from, Math.min(4096, to - from)));
          return btoa(s);
        }, i, from, Math.min(size, from + (1 << 20)));
        writeSync(wasm, Buffer.from(text, 'base64'));
      }
    }
    closeSync(wasm);
  }

  // memories calls a function with all memories of WebAssembly as this.
  async memories(f, ...args) {
    const { result: prototype } = await this.send('Runtime.evaluate', { expression: 'WebAssembly.Memory.prototype' });
    const { objects } = await this.send('Runtime.queryObjects', { prototypeObjectId: prototype.objectId });
    const { result, exceptionDetails: e } = await this.send('Runtime.callFunctionOn', {
      objectId: objects.objectId, functionDeclaration: String(f), arguments: args.map(value => ({ value })), returnByValue: true,
    });
    check(`the memory of the ${this.name} is read: ${e?.exception?.description}`, !e);
    await this.send('Runtime.releaseObject', { objectId: objects.objectId });
    return result.value;
  }
}

// targets returns the page, and its workers as they come and go.
async function targets(page) {
  const cdp = await page.context().newCDPSession(page);
  const workers = new Map();
  cdp.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type !== 'worker') return;
    let id = 0;
    const waiting = new Map(), listeners = new Map();
    const send = (method, params = {}) => new Promise((ok, bad) => {
      waiting.set(++id, { ok, bad });
      cdp.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method, params }) }).catch(bad);
    });
    const worker = new Target('worker', send, (event, f) => listeners.set(event, f));
    worker.receive = ({ id, result, error, method, params }) => {
      if (method) return listeners.get(method)?.(params);
      const { ok, bad } = waiting.get(id);
      waiting.delete(id);
      return error ? bad(Error(error.message)) : ok(result);
    };
    workers.set(sessionId, worker);
  });
  cdp.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => workers.get(sessionId)?.receive(JSON.parse(message)));
  cdp.on('Target.detachedFromTarget', ({ sessionId }) => workers.delete(sessionId));
  await cdp.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  let listener = () => {};
  cdp.on('HeapProfiler.addHeapSnapshotChunk', e => listener(e));
  return { page: new Target('page', (method, params) => cdp.send(method, params), (_, f) => { listener = f; }), workers };
}

const context = await launchIn(input.profile, '--ignore-certificate-errors');
const page = watch(await context.newPage());
await page.goto(`${input.url}/phone/`);
const tab = new Tab(page, 'en');
await tab.press('welcome.code');
await page.getByLabel(tab.t('enrol.code')).fill(await register());
await tab.press('continue');
await tab.choosePINs();
await tab.press('revocation.noted');
await tab.title('home.title');
await tab.text('card.document');
const all = await targets(page);
const until = async (what, f) => { for (let n = 0; !f(); n++) { check(what, n < 2400); await page.waitForTimeout(50); } };
await until('a worker', () => all.workers.size > 0);
const signing = [...all.workers.keys()];
const bank = await bankPage(await context.newPage());
await page.bringToFront();
await tab.title('confirm.login');
await tab.digits(pin1);
await tab.text('login.done');
await inBank(bank);

// The worker that had the PIN has ended, and its memory with it. Another one works.
await until('the worker that had the PIN has ended', () => signing.every(session => !all.workers.has(session)) && all.workers.size > 0);
await tab.text('card.document');
const [worker] = all.workers.values();
await all.page.dump('after');
await worker.dump('after');

// The search finds what is there: a PIN that is kept in a global of the page or the worker, or in the
// program's memory.
await page.evaluate(pin => { window.kept = pin; }, pin1);
await worker.send('Runtime.evaluate', { expression: `self.kept = '${pin1}'` });
await worker.memories(function (pin) { new Uint8Array(this[0].buffer).set(Array.from(pin, c => c.charCodeAt(0)), this[0].buffer.byteLength - 64); }, pin1);
await all.page.dump('planted');
await worker.dump('planted');

const stored = await page.evaluate(async () => {
  const ask = r => new Promise((ok, bad) => { r.onsuccess = () => ok(r.result); r.onerror = () => bad(r.error); });
  const hex = bytes => [...new Uint8Array(bytes)].map(b => b.toString(16).padStart(2, '0')).join('');
  const db = await ask(indexedDB.open('tandem phone'));
  const read = (store, key) => ask(db.transaction(store).objectStore(store).get(key));
  const key = await crypto.subtle.sign('HMAC', await read('keys', 'storage'), new TextEncoder().encode('tandem storage key'));
  return { storageKey: hex(key), authentication: hex(await read('values', 'authentication')) };
});
check('the phone has a key', stored.authentication.length > 1000);
writeFileSync(`${input.out}/stored.json`, JSON.stringify(stored));
await context.close();
done();

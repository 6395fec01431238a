// The phone for pages: starts its workers, queues what changes it.
//
//   import { Phone, pin } from './phone.js';
//   const phone = new Phone({ name: 'phone', config: await (await fetch('phone.json')).text() });
//   const { outcome, result } = await phone.call('poll', { wait: 0 });
//   await phone.call('sign', { session, pin: pin('4917') });
//
// worker.js lists the operations. call throws where the phone has a defect or the browser fails:
// after that, call status.
//
// After each operation with a PIN the worker ends, and its memory with it; the next one starts at
// once. What had only been asked of the old worker, as a poll, is asked of the new one.
//
// onlook, if it is set, is called while listen goes on, whenever there may be something to poll for.

const withPIN = new Set(['enrol', 'resumeEnrolment', 'approve', 'changePIN', 'sign', 'checkPIN']);
const reads = new Set(['poll', 'home', 'readHistory', 'checkPIN', 'listen', 'hush', 'subscribe']);
const secrets = ['pin', 'pin1', 'pin2', 'oldPIN', 'newPIN', 'other'];

// pin returns the digits of a PIN pad as the phone takes them.
export const pin = digits => new TextEncoder().encode(digits);

// The program is compiled once for all workers.
const program = WebAssembly.compileStreaming(fetch(new URL('phone.wasm', import.meta.url)));
program.catch(() => {}); // each call says it

export class Phone {
  onlook = null;
  #start; #worker; #calls = new Map(); #id = 0; #last = Promise.resolve();

  // options are the arguments of start.
  constructor(options) {
    this.#start = options;
    this.#spawn();
  }

  // call calls an operation, after those that change the phone and were called before.
  call(op, args = {}) {
    if (op === 'cancel' || (reads.has(op) && op !== 'checkPIN')) return this.#send(op, args);
    const next = this.#last.then(() => this.#send(op, args));
    this.#last = next.catch(() => {});
    return next;
  }

  // close ends the worker. A page that is left does so by itself.
  close() {
    this.#failed('the phone was closed');
  }

  #send(op, args) {
    return new Promise((ok, bad) => {
      const call = { id: ++this.#id, op, args, ok, bad };
      this.#calls.set(call.id, call);
      if (!this.#worker) this.#spawn();
      this.#post(call);
    });
  }

  #post({ id, op, args }) {
    const given = secrets.map(name => args[name]).filter(v => v instanceof Uint8Array).map(v => v.buffer);
    const worker = this.#worker;
    program.then(() => worker.postMessage({ id, op, args }, given), () => {}); // after start
  }

  #spawn() {
    const worker = new Worker(new URL('worker.js', import.meta.url));
    this.#worker = worker;
    worker.onmessage = ({ data }) => {
      if (worker !== this.#worker) return;
      if (data.look) { this.onlook?.(); return; }
      if (data.id === 0) { if (!data.ok) this.#failed(data.error); return; }
      const call = this.#calls.get(data.id);
      if (!call) return;
      this.#calls.delete(data.id);
      if (withPIN.has(call.op) || !data.ok) this.#again();
      if (data.ok) call.ok({ outcome: data.outcome, result: data.result });
      else call.bad(Error(data.error));
    };
    worker.onerror = event => { if (worker === this.#worker) this.#failed(event.message); };
    program.then(module => worker.postMessage({ id: 0, op: 'start', args: this.#start, module }), e => this.#failed(e.message));
  }

  // again starts the next worker, and asks it what the old one was only asked to read.
  #again() {
    this.#worker.terminate();
    this.#spawn();
    for (const c of this.#calls.values()) this.#post(c);
  }

  // failed ends all calls: the worker did not start, or has died.
  #failed(message) {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#worker?.terminate();
    this.#worker = null; // the next call starts another one
    for (const c of calls) c.bad(Error(message ?? 'the phone has died'));
  }
}

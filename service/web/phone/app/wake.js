// How the app hears of requests: by the service's stream while it is seen, and by Web Push, which the
// service worker gets, while it is not.
import { language } from './texts.js';

const seen = () => (document.hidden ? new Promise(ok => document.addEventListener('visibilitychange', ok, { once: true })).then(seen) : undefined);
const pause = seconds => new Promise(ok => setTimeout(ok, seconds * 1000));

// Stream keeps one stream open while the page is seen. open says whether it is; next is a promise of
// the next moment to look.
export class Stream {
  open = false;
  #call; #runs = false; #wake; #next;

  constructor(phone, call) {
    this.#call = call;
    this.look();
    const hush = () => { if (document.hidden) call('hush'); };
    phone.onlook = () => { this.open = true; this.look(); hush(); };
    document.addEventListener('visibilitychange', hush);
  }

  next() { return this.#next; }

  look() {
    this.#wake?.();
    this.#next = new Promise(ok => { this.#wake = ok; });
  }

  // run goes on until the account is none any more.
  async run() {
    if (this.#runs) return;
    this.#runs = true;
    for (let outcome = ''; !['fresh', 'account_ended', 'unauthorized', 'destroyed', 'copied', 'damaged', 'failed'].includes(outcome);) {
      await seen();
      ({ outcome } = await this.#call('listen'));
      this.open = false;
      this.look();
      // Another tab listens now, or the service has no place: it is asked for a while.
      if (outcome !== 'cancelled') await pause(outcome === 'ok' ? 60 : 15);
    }
    this.#runs = false;
  }
}

const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

// Push has the service wake the app. key is push_key of phone.json.
export class Push {
  #call; #key; #done = false;

  constructor(call, key) {
    this.#call = call;
    this.#key = key && bytes(key);
    navigator.serviceWorker?.addEventListener('message', event => { if (event.data === 'subscribe') { this.#done = false; this.subscribe(); } });
  }

  // may is "granted", "denied", or "default" if the person was not asked; "" where there is none.
  get may() {
    return this.#key && 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window ? Notification.permission : '';
  }

  async ask() { return await Notification.requestPermission() === 'granted' && this.subscribe(); }

  // subscribe does it once, and each time that the app is opened. It reports whether it is done.
  async subscribe() {
    if (this.#done || this.may !== 'granted') return this.#done;
    try {
      const { pushManager } = await navigator.serviceWorker.ready;
      let s = await pushManager.getSubscription();
      if (s && !same(new Uint8Array(s.options.applicationServerKey), this.#key)) {
        await s.unsubscribe();
        s = null;
      }
      s ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: this.#key });
      await (await caches.open('tandem-phone')).put('language', new Response(language)); // for the notification
      const { outcome } = await this.#call('subscribe', { kind: 'web', address: JSON.stringify(s) });
      this.#done = outcome === 'ok';
    } catch (e) {
      console.warn('push', e); // without it the person opens the app, and taps
    }
    return this.#done;
  }

  // end is for an account that is forgotten.
  async end() {
    this.#done = false;
    if (!this.may) return;
    const registration = await navigator.serviceWorker.getRegistration();
    await (await registration?.pushManager.getSubscription())?.unsubscribe();
  }
}

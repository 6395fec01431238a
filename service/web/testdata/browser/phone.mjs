// The phone in a browser, from its first screen to the last, with the bank and the
// self-service beside it. See browser.mjs.

import decode from 'qr/decode.js';
import { pixels } from './png.mjs';
import { input, launch, open, look, phone as ask, check, done, desktop, small } from './browser.mjs';
import { Tab, start, register, enrolled, bankLogin, inBank, forget, pin1, pin2 } from './tab.mjs';

const other = '6083';

async function enrolment(browser) {
  const tab = await start(browser, 'en-GB');
  await tab.title('welcome.title');
  await look(tab.page, 'phone-welcome-en');
  await tab.press('welcome.code');
  await look(tab.page, 'phone-enrol-en');
  await tab.page.getByLabel(tab.t('enrol.code')).fill('AAAA-BBBB-CCCC');
  await tab.press('continue');
  await tab.title('choose.title', 'PIN1');
  await tab.digits('1234');
  await tab.text('out.weak_pin');
  await look(tab.page, 'phone-weakpin-en');
  // By keyboard, and with a mistake in the repetition.
  await tab.page.keyboard.type(pin1 + '0');
  await tab.page.keyboard.press('Backspace');
  await tab.press('pad.ok');
  await tab.title('repeat.title', 'PIN1');
  await tab.digits('4918');
  await tab.text('repeat.differ');
  await tab.digits(pin1);
  await tab.title('repeat.title', 'PIN1');
  await tab.digits(pin1);
  await tab.title('choose.title', 'PIN2');
  await tab.digits(pin1);
  await tab.text('out.same_pin');
  await tab.digits(pin2);
  await tab.title('repeat.title', 'PIN2');
  await tab.digits(pin2);
  await tab.text('out.no_such_code');
  await look(tab.page, 'phone-nosuchcode-en');
  await tab.page.getByLabel(tab.t('enrol.code')).fill(await register());
  await tab.press('continue');
  await tab.choosePINs();
  await tab.title('revocation.title');
  await look(tab.page, 'phone-revocation-en', [tab.page.locator('.secret')]);
  await tab.press('revocation.noted');
  await tab.title('home.title');
  await tab.text('card.document');
  await look(tab.page, 'phone-home-en', [tab.page.locator('dd')]);
  await tab.press('home.look');
  await tab.text('out.none');
  await look(tab.page, 'phone-none-en', [tab.page.locator('dd')]);
  return tab;
}

// byCode: a login with the code on both screens, a wrong PIN, then the right one.
async function byCode(browser, tab) {
  const bank = await bankLogin(browser);
  await tab.title('confirm.login');
  check('both show one code', await tab.page.textContent('.code') === await bank.textContent('.code output'));
  await look(tab.page, 'phone-pin-en', [tab.page.locator('.code'), tab.page.locator('.left')]);
  await tab.digits('9999');
  await tab.text('out.wrong_pin', 2);
  await look(tab.page, 'phone-wrongpin-en', [tab.page.locator('.code'), tab.page.locator('.left')]);
  const had = tab.page.workers();
  check('a worker signs', had.length > 0);
  await tab.digits(pin1);
  await tab.text('login.done');
  // What had the PIN has ended, and another one polls.
  await Promise.all(had.filter(w => tab.page.workers().includes(w)).map(w => w.waitForEvent('close')));
  await inBank(bank);

  // A transfer: of three codes the wrong one, then the right one, and PIN2.
  const transfer = async () => {
    await bank.fill('[name=to]', 'Jüri Kask');
    await bank.fill('[name=amount]', '12.50');
    await bank.click('form[action="/bank/transfer"] button');
    const code = await bank.textContent('.code output');
    await tab.title('codes.title');
    return code;
  };
  let right = await transfer();
  await look(tab.page, 'phone-codes-en', [tab.page.locator('.codes'), tab.page.locator('.left')]);
  await tab.page.locator('.codes button').filter({ hasNotText: right }).first().click();
  await tab.text('out.wrong_code');
  await inBank(bank);
  right = await transfer();
  await tab.page.locator('.codes').getByRole('button', { name: right }).click();
  await tab.title('confirm.sign');
  await tab.text('pin.enter', 'PIN2');
  await tab.digits(pin2);
  await tab.text('sign.done');
  await inBank(bank);
  check('the money has left', (await bank.textContent('.balance')).includes('987.50'));

  // A file.
  await bank.setInputFiles('form[action="/bank/document"] [type=file]', { name: 'letter.txt', mimeType: 'text/plain', buffer: Buffer.from('Yes.\n') });
  await bank.click('form[action="/bank/document"] button');
  right = await bank.textContent('.code output');
  await tab.title('confirm.sign');
  check('both show one code', await tab.page.textContent('.code') === right);
  await look(tab.page, 'phone-sign-en', [tab.page.locator('.code'), tab.page.locator('.left')]);
  await tab.press('confirm.go');
  await tab.text('pin.enter', 'PIN2');
  await tab.digits(pin2);
  await tab.text('sign.done');
  await inBank(bank);
  const [download] = await Promise.all([bank.waitForEvent('download'), bank.click('a[href="/bank/document/0"]')]);
  await download.saveAs(input.file);
  await bank.context().close();

  // Cancelled on the PIN pad.
  const again = await bankLogin(browser);
  await tab.title('confirm.login');
  await tab.press('cancel');
  await tab.text('refuse.done');
  await again.waitForSelector('[role=alert]');
  await again.context().close();
}

// byLink: a QR code, and the app on the same device with its way back.
async function byLink(browser, tab) {
  const bank = await open(browser, 'en-GB', desktop, 'light');
  for (let outdated = true; outdated;) {
    await tab.press('home.scan');
    await tab.title('scan.title');
    if (await bank.locator('svg.qr').count() === 0) { // at first, and when its time is up
      await bank.goto(`${input.url}/bank/login`);
      const end = bank.locator('form[action$="/cancel"] button');
      if (await end.count() > 0) await end.click();
      await bank.click('form[action$="/qr"] button');
      await bank.waitForSelector('svg.qr:not(.stale)');
    }
    await tab.page.getByLabel(tab.t('scan.text')).fill(decode(pixels(await bank.locator('svg.qr').screenshot())));
    await tab.press('continue');
    const seen = tab.page.locator('h1');
    await seen.filter({ hasText: new RegExp(`^(${tab.t('confirm.login').replace('?', '\\?')}|${tab.t('home.title')})$`) }).waitFor();
    outdated = await seen.textContent() === tab.t('home.title');
  }
  await tab.digits(pin1);
  await tab.text('login.done');
  await inBank(bank);
  await bank.context().close();

  // An old code.
  await tab.press('home.scan');
  await tab.page.getByLabel(tab.t('scan.text')).fill(`${input.url}/device-link?deviceLinkType=QR`);
  await look(tab.page, 'phone-scan-en', [tab.page.locator('video')]);
  await tab.press('continue');
  await tab.text('out.wrong_link');

  const here = await tab.page.context().newPage();
  await here.goto(`${input.url}/bank/`);
  await here.click('form[action$="/device"] button');
  await here.click('a.button');
  await here.getByRole('link', { name: 'Open it in this browser' }).click();
  const second = new Tab(here, 'en');
  await second.title('confirm.login');
  await second.digits(pin1);
  await second.title('finished.title');
  await look(here, 'phone-finished-en');
  await here.getByRole('link', { name: second.t('finished.back', 'Tree Bank') }).click();
  await inBank(here);
  await here.close();
}

// rest: what there is besides.
async function rest(tab) {
  await tab.press('home.pin');
  await look(tab.page, 'phone-change-en');
  await tab.press('change.pin', 'PIN1');
  await tab.digits(pin1);
  await tab.title('choose.title', 'PIN1');
  await tab.digits(other);
  await tab.digits(other);
  await tab.text('change.done', 'PIN1');
  await tab.press('home.history');
  await tab.page.getByText(tab.t('kind.signature')).first().waitFor();
  await look(tab.page, 'phone-history-en', [tab.page.locator('small')]);
  await tab.press('back');
  await tab.title('home.title');
  // Without a network the app opens, and says so.
  await tab.page.evaluate(() => navigator.serviceWorker.ready);
  await tab.page.reload();
  await tab.title('home.title');
  await tab.page.context().setOffline(true);
  await tab.page.reload();
  await tab.title('home.title');
  await tab.text('out.offline');
  await look(tab.page, 'phone-offline-en');
  await tab.page.context().setOffline(false);
  forget(/ERR_INTERNET_DISCONNECTED|Failed to fetch|ERR_FAILED/);
}

// locked: three wrong PINs, small and dark, in Latvian.
async function locked(browser) {
  const tab = await enrolled(browser, 'lv-LV', small, 'dark');
  await look(tab.page, 'phone-home-lv', [tab.page.locator('dd')]);
  const bank = await bankLogin(browser);
  for (const left of [2, 1]) {
    await tab.digits('9999');
    await tab.text('out.wrong_pin', left);
  }
  await tab.digits('9998');
  await tab.title('locked.title', 'PIN1');
  await look(tab.page, 'phone-locked-lv', [tab.page.locator('.error')]);
  await tab.press('ok');
  await tab.title('home.title');
  await tab.page.getByText(/^PIN1 ir bloķēts vēl [23]:\d\d:\d\d\.$/).waitFor();
  await look(tab.page, 'phone-homelocked-lv', [tab.page.locator('dd'), tab.page.locator('.note')]);
  await bank.context().close();
  await tab.press('home.delete');
  await look(tab.page, 'phone-delete-lv');
  await tab.press('delete.go');
  await tab.title('welcome.title');
  await tab.page.context().close();
}

// moved: a new phone in the place of the old one, in Estonian and Lithuanian.
async function moved(browser) {
  const old = await enrolled(browser, 'et-EE');
  await look(old.page, 'phone-home-et', [old.page.locator('dd')]);
  const fresh = await start(browser, 'lt-LT');
  await fresh.press('welcome.move');
  await fresh.page.getByLabel(fresh.t('enrol.label')).fill('Naujas');
  await fresh.press('continue');
  await fresh.page.waitForSelector('svg.qr');
  await look(fresh.page, 'phone-ask-lt', [fresh.page.locator('svg.qr')]);
  const request = decode(pixels(await fresh.page.locator('svg.qr').screenshot()));
  await old.press('home.newphone');
  await old.page.getByLabel(old.t('newphone.text')).fill(request);
  await old.press('continue');
  await old.title('approve.title');
  await old.page.getByText('Naujas', { exact: true }).waitFor();
  await look(old.page, 'phone-approve-et');
  await old.digits(pin2);
  await old.title('approve.done');
  await fresh.press('ask.approved');
  await fresh.choosePINs();
  await fresh.press('revocation.noted');
  await fresh.title('home.title');
  await look(fresh.page, 'phone-home-lt', [fresh.page.locator('dd')]);
  await old.press('continue');
  await old.title('dead.title');
  await look(old.page, 'phone-dead-et');
  await old.press('dead.forget');
  await old.title('welcome.title');
  await old.page.context().close();
  await fresh.press('home.delete');
  await fresh.press('delete.go');
  await fresh.title('welcome.title');
  await fresh.page.context().close();
}

// subscribing stands for a push service, which this browser has none of: it subscribes as one does.
function subscribing() {
  let kept = null;
  PushManager.prototype.getSubscription = async () => kept;
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (!userVisibleOnly || new Uint8Array(applicationServerKey).length !== 65) throw Error('not a subscription');
    const text = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
    const keys = { p256dh: text(await crypto.subtle.exportKey('raw', pair.publicKey)), auth: text(crypto.getRandomValues(new Uint8Array(16))) };
    const value = { endpoint: `https://push.example.com/${crypto.randomUUID()}`, expirationTime: null, keys };
    kept = { options: { applicationServerKey }, toJSON: () => value, unsubscribe: async () => { kept = null; return true; } };
    return kept;
  };
}

// woken: while the app is seen it shows what comes by itself; once it is closed there is a message, a notification in the person's language, and the app opens.
async function woken(browser) {
  const tab = await start(browser, 'et-EE');
  const context = tab.page.context();
  await context.grantPermissions(['notifications'], { origin: input.url });
  await context.addInitScript(subscribing);
  let subscribed = '', streams = 0;
  const requests = request => {
    const path = new URL(request.url()).pathname;
    if (path === '/device/v1/push') subscribed = request.postDataJSON().address;
    if (path === '/device/v1/events') streams++;
  };
  context.on('request', requests);
  const until = async (what, f) => { for (let n = 0; !f(); n++) { check(what, n < 1200); await tab.page.waitForTimeout(100); } };
  await tab.page.reload();
  await tab.press('welcome.code');
  await tab.page.getByLabel(tab.t('enrol.code')).fill(await register());
  await tab.press('continue');
  await tab.choosePINs();
  const opened = tab.page.waitForResponse(r => new URL(r.url()).pathname === '/device/v1/events');
  await tab.press('revocation.noted');
  await tab.title('home.title');
  await opened;
  await until('the app subscribes', () => subscribed !== '');
  check('it can be sent to', JSON.parse(subscribed).keys.auth.length === 22);

  // By the stream alone: who asks and waits hears nothing.
  await context.route(/timeoutMs=/, route => route.abort());
  await tab.page.reload();
  await tab.title('home.title');
  await until('the stream opens again', () => streams > 1);
  let bank = await bankLogin(browser);
  await tab.title('confirm.login');
  await tab.press('cancel');
  await tab.text('refuse.done');
  await bank.context().close();

  // A message that comes all the same shows nothing: the app is seen.
  const cdp = await context.newCDPSession(tab.page);
  const registered = new Promise(ok => cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => { if (registrations[0]) ok(registrations[0].registrationId); }));
  await cdp.send('ServiceWorker.enable');
  const registrationId = await registered;
  const deliver = session => session.send('ServiceWorker.deliverPushMessage', { origin: input.url, registrationId, data: 'look' });
  const worker = context.serviceWorkers()[0] ?? await context.waitForEvent('serviceworker');
  await worker.evaluate(() => {
    self.handled = 0;
    self.addEventListener('push', () => { self.handled++; });
  });
  const notified = () => worker.evaluate(async () => [self.handled, (await self.registration.getNotifications()).map(n => [n.title, n.body, n.lang])]);
  await deliver(cdp);
  while ((await notified())[0] === 0) await tab.page.waitForTimeout(50);
  check('no notification while the app is seen', (await notified())[1].length === 0);

  // Another subscription is told to the service by the app.
  const before = subscribed;
  await tab.page.evaluate(async () => (await (await navigator.serviceWorker.ready).pushManager.getSubscription()).unsubscribe());
  await worker.evaluate(() => { self.dispatchEvent(new ExtendableEvent('pushsubscriptionchange')); });
  await until('the app subscribes anew', () => subscribed !== before);

  // Closed.
  const other = await context.newPage();
  await other.goto(`${input.url}/`);
  await tab.page.close();
  bank = await bankLogin(browser);
  // Messages before that are for an app that was slow.
  while ((await ask({ do: 'pushed' })).address !== subscribed);
  const second = await context.newCDPSession(other);
  await second.send('ServiceWorker.enable');
  await deliver(second);
  let shown = [];
  while ((shown = (await notified())[1]).length === 0) await other.waitForTimeout(50);
  check('in the person\'s language, and of nobody', JSON.stringify(shown) === JSON.stringify([[tab.t('push.title'), tab.t('push.body'), 'et']]));
  const went = await worker.evaluate(async () => {
    let to = '';
    self.clients.openWindow = async url => { to = String(url); };
    const [notification] = await self.registration.getNotifications();
    self.dispatchEvent(new NotificationEvent('notificationclick', { notification }));
    while (to === '') await new Promise(ok => setTimeout(ok, 10));
    return to;
  });
  check('a click opens the app', went === './');
  const again = new Tab(other, 'et');
  await other.goto(`${input.url}/phone/`);
  await again.title('confirm.login');
  await again.press('cancel');
  await again.text('refuse.done');
  await bank.context().close();
  await again.press('home.delete');
  await again.press('delete.go');
  await again.title('welcome.title');
  await context.close();
  forget(/ERR_FAILED|Failed to fetch/);
}

async function screens(browser) {
  const tab = await enrolment(browser);
  await byCode(browser, tab);
  await byLink(browser, tab);
  await rest(tab);
  await tab.press('home.delete');
  await tab.press('delete.go');
  await tab.title('welcome.title');
  await tab.page.context().close();
  await moved(browser);
  await locked(browser);
}

const browser = await launch('--ignore-certificate-errors', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream');
try {
  await (input.push ? woken : screens)(browser);
} catch (e) {
  // What was on the screens.
  let n = 0;
  for (const c of browser.contexts()) for (const p of c.pages()) await p.screenshot({ path: `${input.shots}/failed-${n++}.png` });
  throw e;
}
await browser.close();
done();

// The bank and the self-service, from the first page to the last. See browser.mjs.

import { readFileSync } from 'node:fs';
import decode from 'qr/decode.js';
import { pixels } from './png.mjs';
import { input, launch, open, tab, look, findings, phone, check, done, desktop, small, problems } from './browser.mjs';

// shown returns the text of the QR code that the page shows, from its picture.
const shown = async page => decode(pixels(await page.locator('svg.qr').screenshot()));

// byQR logs a person in. A code that is outdated when the phone has it is scanned again, and
// a login whose time is up begins anew, as a person would do it; on a busy machine both
// happen.
async function byQR(page, who) {
  for (;;) {
    await page.goto(`${input.url}/bank/login`);
    if (await page.locator('form[action$="/cancel"]').count() > 0) await page.click('form[action$="/cancel"] button');
    await page.click('form[action$="/qr"] button');
    await page.waitForSelector('svg.qr:not(.stale)');
    while (await page.locator('svg.qr').count() > 0) {
      try {
        await phone({ do: 'link', phone: who, link: await shown(page) });
        return at(page, '/bank/');
      } catch (e) {
        if (!/outdated_link|not_found|gone/.test(e.message)) throw e;
      }
    }
  }
}

// forget drops what the browser notes of answers that the test has asked for.
function forget(what) {
  problems.splice(0, problems.length, ...problems.filter(p => !what.test(p)));
}

const seconds = link => Number(new URL(link).searchParams.get('elapsedSeconds'));
const at = (page, path) => page.waitForURL(url => url.pathname === path);

async function byNumber(page, site, number) {
  await page.goto(`${input.url}/${site}/`);
  await page.selectOption('[name=country]', 'EE');
  await page.fill('[name=number]', number);
  await page.click('form[action$="/id"] button');
  return page.textContent('.code output');
}

// bankEnglish: by QR code, a transfer with three codes, a file that is signed.
async function bankEnglish(browser) {
  const page = await open(browser, 'en-GB', desktop, 'light');
  await page.goto(`${input.url}/`);
  await look(page, 'home-en');
  await page.click('a[href="/bank/"]');
  await look(page, 'bank-login-en');

  // By keyboard: first the link that skips the header, then on to the button.
  await page.keyboard.press('Tab');
  check('the first Tab leads to the skip link', await page.evaluate(() => document.activeElement.className) === 'skip');
  await page.keyboard.press('Enter');
  check('the skip link leads to the content', await page.evaluate(() => document.activeElement.id) === 'main');
  await page.keyboard.press('Tab');
  check('the focus is seen', await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle) === 'solid');
  await page.keyboard.press('Enter');
  await page.waitForSelector('svg.qr');
  const first = await shown(page);
  const drawn = await page.getAttribute('svg.qr path', 'd');
  await page.waitForFunction(d => document.querySelector('svg.qr path').getAttribute('d') !== d, drawn);
  const next = await shown(page);
  check(`the QR code changes: ${first} ${next}`, first !== next && seconds(next) > seconds(first));
  await look(page, 'bank-qr-en');
  // Without answers of the service the code is outdated soon, and not shown any more.
  await page.route('**/bank/login/state', () => {});
  await page.waitForSelector('svg.qr.stale', { state: 'attached' });
  await look(page, 'bank-stale-en');
  await page.unroute('**/bank/login/state');
  await byQR(page, 'mari');
  await look(page, 'bank-account-en');

  await page.fill('[name=to]', 'Jüri Kask');
  await page.fill('[name=amount]', '12.50');
  await page.click('form[action="/bank/transfer"] button');
  await look(page, 'bank-transfer-en');
  await phone({ do: 'answer', phone: 'mari', code: await page.textContent('.code output'), text: 'Transfer 12.50 € to Jüri Kask' });
  await at(page, '/bank/');
  check('the money has left', (await page.textContent('.balance')).includes('987.50'));

  // The wrong one of three codes ends it.
  await page.fill('[name=to]', 'Jüri Kask');
  await page.fill('[name=amount]', '1');
  await page.click('form[action="/bank/transfer"] button');
  await phone({ do: 'wrongcode', phone: 'mari', code: await page.textContent('.code output') });
  await at(page, '/bank/');
  await page.waitForSelector('[role=alert]');
  await look(page, 'bank-wrongcode-en');

  await page.setInputFiles('form[action="/bank/document"] [type=file]', { name: 'contract.txt', mimeType: 'text/plain', buffer: Buffer.from('I owe you one.\n') });
  await page.click('form[action="/bank/document"] button');
  await look(page, 'bank-sign-en');
  await phone({ do: 'answer', phone: 'mari', code: await page.textContent('.code output'), text: 'Sign the file contract.txt' });
  await at(page, '/bank/');
  await look(page, 'bank-signed-en');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('a[href="/bank/document/0"]')]);
  check(download.suggestedFilename(), download.suggestedFilename() === 'contract.txt.asice');
  await download.saveAs(input.file);

  await page.click('a[href="/bank/verify"]');
  await page.setInputFiles('[type=file]', input.file);
  await page.click('form[action="/bank/verify"] button');
  await look(page, 'bank-verified-en');
  check('the signature verifies', (await page.textContent('.done')).includes('valid'));
  await page.setInputFiles('[type=file]', { name: 'x.asice', mimeType: 'application/zip', buffer: readFileSync(input.file).subarray(1) });
  await page.click('form[action="/bank/verify"] button');
  await page.waitForSelector('[role=alert]');
  await look(page, 'bank-notverified-en');
  await page.context().close();
}

// bankEstonian: on the same device, small and dark.
async function bankEstonian(browser) {
  let page = await open(browser, 'et-EE', small, 'dark');
  await page.goto(`${input.url}/bank/`);
  check('Estonian', await page.getAttribute('html', 'lang') === 'et');
  await look(page, 'bank-login-et');
  await page.click('form[action$="/device"] button');
  await look(page, 'bank-device-et');
  // A device link is opened within a minute: this one is new.
  await page.click('form[action$="/cancel"] button');
  await page.click('form[action$="/device"] button');
  const { callback } = await phone({ do: 'link', phone: 'mari', link: await page.getAttribute('a.button', 'href') });
  // In another browser it leads nowhere.
  const thief = await open(browser, 'et-EE', small, 'dark');
  await thief.goto(callback);
  check('another browser is not let in', new URL(thief.url()).pathname === '/bank/login/return');
  await look(thief, 'bank-otherbrowser-et');
  forget(/status of 403/);
  await thief.context().close();
  // The app opens it in a tab of its own. The one that waits goes on by itself.
  const waiting = page;
  page = await tab(waiting.context());
  await page.goto(callback);
  await at(page, '/bank/');
  await at(waiting, '/bank/');
  await waiting.close();
  await look(page, 'bank-account-et');
  await page.fill('[name=to]', 'Jüri Kask');
  await page.fill('[name=amount]', '3');
  await page.click('form[action="/bank/transfer"] button');
  await look(page, 'bank-transfer-et');
  await page.click('form[action="/bank/sign/cancel"] button');
  await at(page, '/bank/');
  await phone({ do: 'refuse', phone: 'mari', screen: 'codes' });
  // Another language, by the link in the header.
  await page.click('nav a[lang=en]');
  await at(page, '/bank/');
  check('English', await page.getAttribute('html', 'lang') === 'en');
  await page.context().close();
}

// refused: a login that the person cancels, in Lithuanian, and a device link without an app.
async function refused(browser) {
  const page = await open(browser, 'lt-LT', small, 'light');
  await page.goto(`${input.url}/`);
  await look(page, 'home-lt');
  const code = await byNumber(page, 'bank', '40504040001');
  check('a code', /^\d{4}$/.test(code));
  await look(page, 'bank-code-lt');
  await phone({ do: 'refuse', phone: 'mari', screen: 'pin' });
  await page.waitForSelector('[role=alert]');
  await look(page, 'bank-refused-lt');
  await page.goto(`${input.url}/device-link?deviceLinkType=Web2App`);
  await look(page, 'link-lt');
  const answer = await page.goto(`${input.url}/phone/`);
  if (answer.status() === 404) {
    await look(page, 'nophone-lt');
    forget(/status of 404/);
  }
  await page.context().close();
}

// selfLatvian: accounts, a lock, the history, the end of a lost phone's account.
async function selfLatvian(browser) {
  const page = await open(browser, 'lv-LV', desktop, 'dark');
  await page.goto(`${input.url}/self/`);
  await look(page, 'self-login-lv');
  const code = await byNumber(page, 'self', '30303030303');
  await phone({ do: 'answer', phone: 'new', code });
  await at(page, '/self/');
  await phone({ do: 'lock', phone: 'lost' });
  await page.reload();
  check('a lock is shown', await page.locator('.tag.warn').count() === 1);
  await look(page, 'self-accounts-lv');
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('a[href^="/self/certificate/"]').first().click()]);
  check(download.suggestedFilename(), download.suggestedFilename().endsWith('-authentication.cer'));
  await page.click('a[href="/self/history"]');
  await look(page, 'self-history-lv');
  const all = await page.locator('tbody tr').count();
  await page.selectOption('[name=kind]', 'logins');
  await page.click('form.filter button');
  const logins = await page.locator('tbody tr').count();
  check(`the filter leaves fewer lines: ${logins} of ${all}`, logins > 0 && logins < all);
  await page.click('a[href="/self/"]');
  await page.locator('section', { hasText: 'Lost phone' }).locator('a.button').click();
  await look(page, 'self-end-lv');
  await page.click('button.danger');
  await at(page, '/self/');
  check('it has ended', (await page.textContent('tbody')).includes('Lost phone'));
  await look(page, 'self-ended-lv');
  await page.context().close();
}

// selfEnglish: the revocation code, without a login.
async function selfEnglish(browser) {
  const page = await open(browser, 'en-GB', small, 'light');
  await page.goto(`${input.url}/self/code`);
  await look(page, 'self-code-en');
  await page.fill('[name=code]', (await phone({ do: 'code', phone: 'last' })).code);
  await page.click('button.danger');
  await page.waitForSelector('.done');
  await look(page, 'self-codedone-en');
  await page.context().close();
}

// sabotage: axe-core finds what it is there for.
async function sabotage(browser) {
  const page = await open(browser, 'en-GB', desktop, 'light');
  await page.goto(`${input.url}/`);
  await page.evaluate(() => document.querySelector('main').append(document.createElement('button')));
  check('axe-core finds a button without a name', (await findings(page)).some(f => f.startsWith('button-name')));
  await page.context().close();
}

const browser = await launch();
try {
  for (const part of [bankEnglish, bankEstonian, refused, selfLatvian, selfEnglish, sabotage]) await part(browser);
  done();
} finally {
  await browser.close();
}

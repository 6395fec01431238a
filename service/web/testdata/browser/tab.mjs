// A phone in a tab, for scripts that drive one.

import { input, open, phone as ask, problems, desktop } from './browser.mjs';

const tall = { width: 360, height: 740 };
const words = JSON.parse(input.texts);
export const pin1 = input.pin1 || '4917', pin2 = '830264';

export const forget = what => problems.splice(0, problems.length, ...problems.filter(p => !what.test(p)));

// Tab is a phone in a tab, in a language.
export class Tab {
  constructor(page, language) { this.page = page; this.t = (key, ...args) => words[language][key].replace(/\{(\d)\}/g, (_, i) => args[i]); }
  async title(key, ...args) { await this.page.getByRole('heading', { level: 1, name: this.t(key, ...args), exact: true }).waitFor(); }
  async press(key, ...args) { await this.page.locator('main').getByRole('button', { name: this.t(key, ...args), exact: true }).click(); }
  async text(key, ...args) { await this.page.getByText(this.t(key, ...args), { exact: true }).first().waitFor(); }
  async digits(pin) {
    for (const d of pin) await this.page.locator('.pad').getByRole('button', { name: d, exact: true }).click();
    await this.press('pad.ok');
  }
  async choosePINs() {
    await this.title('choose.title', 'PIN1');
    await this.digits(pin1);
    await this.title('repeat.title', 'PIN1');
    await this.digits(pin1);
    await this.title('choose.title', 'PIN2');
    await this.digits(pin2);
    await this.title('repeat.title', 'PIN2');
    await this.digits(pin2);
  }
}

export async function start(browser, locale, viewport = tall, scheme = 'light') {
  const page = await open(browser, locale, viewport, scheme);
  await page.goto(`${input.url}/phone/`);
  return new Tab(page, locale.slice(0, 2));
}

export const register = async () => (await ask({ do: 'register' })).code;

export async function enrolled(browser, locale, viewport, scheme) {
  const tab = await start(browser, locale, viewport, scheme);
  await tab.press('welcome.code');
  await tab.page.getByLabel(tab.t('enrol.code')).fill(await register());
  await tab.press('continue');
  await tab.choosePINs();
  await tab.press('revocation.noted');
  await tab.title('home.title');
  return tab;
}

// bankLogin asks for a login by the person's number; the answer is the page that waits.
export const bankLogin = async browser => bankPage(await open(browser, 'en-GB', desktop, 'light'));

export async function bankPage(page) {
  await page.goto(`${input.url}/bank/`);
  await page.selectOption('[name=country]', 'EE');
  await page.fill('[name=number]', input.number);
  await page.click('form[action$="/id"] button');
  await page.waitForSelector('.code output');
  return page;
}

export const inBank = page => page.waitForURL(url => url.pathname === '/bank/');

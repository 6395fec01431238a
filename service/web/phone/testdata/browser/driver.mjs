// Drives phones in Chromium for browser_test.go: commands as lines of JSON on stdin, {id, do, ...},
// and an answer to each, {id, value} or {id, error}, when it is done: not in order.
//
//   open {url, start}      a phone in a browser profile of its own -> its number
//   tab {phone}            another tab of the same profile -> its number
//   call {phone, op, args} as phone.js has it; an argument {bytes: base64} is a PIN
//   reload {phone}         the page anew
//   close {phone}          the tab, at once
//   run {phone, script}    a function's body, in the page
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const patience = 120_000; // Playwright's own is 30 seconds
const browser = await chromium.launch({ executablePath: process.argv[2], timeout: patience, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
const phones = [];

async function load(phone) {
  await phone.page.goto(phone.url);
  await phone.page.waitForFunction(() => window.makePhone);
  await phone.page.evaluate(start => { window.phone = window.makePhone(start); }, phone.start);
}

async function open(context, { url, start }) {
  const phone = { context, url, start, page: await context.newPage() };
  phone.page.on('console', m => console.error('page:', m.text()));
  phone.page.on('pageerror', e => console.error('page:', e));
  await load(phone);
  return phones.push(phone) - 1;
}

const commands = {
  async open(c) {
    const context = await browser.newContext();
    context.setDefaultTimeout(patience);
    return open(context, c);
  },
  async tab({ phone }) { return open(phones[phone].context, phones[phone]); },
  async call({ phone, op, args }) {
    return phones[phone].page.evaluate(([op, args]) => {
      for (const [name, v] of Object.entries(args)) if (v?.bytes !== undefined) args[name] = Uint8Array.from(atob(v.bytes), c => c.charCodeAt(0));
      return window.phone.call(op, args);
    }, [op, args]);
  },
  async reload({ phone }) { await load(phones[phone]); },
  async close({ phone }) { await phones[phone].page.close(); },
  async run({ phone, script }) { return phones[phone].page.evaluate(s => new Promise(ok => ok(window.scripts[s]())), script); },
};

for await (const line of createInterface({ input: process.stdin })) {
  const c = JSON.parse(line);
  commands[c.do](c).then(value => ({ id: c.id, value: value ?? null }), e => ({ id: c.id, error: String(e.message ?? e) }))
    .then(answer => process.stdout.write(JSON.stringify(answer) + '\n'));
}
await browser.close();

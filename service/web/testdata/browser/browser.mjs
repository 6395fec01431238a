// Chromium, as persons use the pages: in light and dark, on a phone and a desktop, in four
// languages. Each screen is looked at by axe-core, must fit its window, and is left as a
// picture in shots/.
//
// Usage: node pages.mjs < {"url": ..., "phones": ..., "chromium": ..., "shots": ..., "file": ...}
//
// phones is an address where the test plays persons' phones: a POST of {"do": ...} has one
// answer. Nothing is asserted about time: each wait is for something to happen.

import { readFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const input = JSON.parse(readFileSync(0, 'utf8'));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const patience = 120_000;

export const desktop = { width: 1280, height: 900 }, small = { width: 320, height: 640 };
export const problems = [];
let screens = 0;

export function check(what, ok) {
  if (!ok) throw new Error(what);
}

export async function phone(order) {
  const answer = await fetch(input.phones, { method: 'POST', body: JSON.stringify(order) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`phone: ${JSON.stringify(order)}: ${text}`);
  return JSON.parse(text);
}

// launch starts the browser, with more of its flags.
export async function launch(...flags) {
  mkdirSync(input.shots, { recursive: true });
  return chromium.launch(options(flags));
}

const options = flags => ({
  executablePath: input.chromium,
  timeout: patience,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...flags],
});

// launchIn starts it with a profile on the disk, and returns its one context.
export async function launchIn(profile, ...flags) {
  const context = await chromium.launchPersistentContext(profile, { ...options(flags), ignoreHTTPSErrors: true, locale: 'en-GB' });
  context.setDefaultTimeout(patience);
  return context;
}

// open opens a page with a clean profile, in a language.
export async function open(browser, language, viewport, colorScheme) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language, viewport, colorScheme, acceptDownloads: true, reducedMotion: 'reduce' });
  context.setDefaultTimeout(patience);
  return tab(context);
}

// tab opens another page of the same browser.
export const tab = async context => watch(await context.newPage());

// watch notes what no page may do.
export function watch(page) {
  const origin = new URL(input.url).origin;
  page.on('request', r => { if (new URL(r.url()).origin !== origin) problems.push(`a request to ${r.url()}`); });
  page.on('console', m => { if (m.type() === 'error') problems.push(`${page.url()}: ${m.text()}`); });
  page.on('pageerror', e => problems.push(`${page.url()}: ${e}`));
  return page;
}

// look looks at the screen as it is: in the mode and size of the page, and in the others.
export async function look(page, name, mask = []) {
  const own = { size: page.viewportSize(), scheme: await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light') };
  for (const [size, scheme] of [[desktop, 'light'], [small, 'dark'], [small, 'light'], [desktop, 'dark']]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) problems.push(`${name}: ${wide} pixels too wide at ${size.width}`);
    const both = size === desktop ? scheme === 'light' : scheme === 'dark';
    if (!both) continue;
    for (const v of await findings(page)) problems.push(`${name}, ${size.width}, ${scheme}: ${v}`);
    await page.screenshot({ path: `${input.shots}/${name}-${size.width}-${scheme}.png`, fullPage: true, mask });
    screens++;
  }
  await page.setViewportSize(own.size);
  await page.emulateMedia({ colorScheme: own.scheme });
}

export async function findings(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
  return result.violations.map(v => `${v.id} (${v.impact}): ${v.nodes.map(n => n.html).join(' ')}`);
}

export function done() {
  if (problems.length > 0) throw new Error(problems.join('\n'));
  console.log(JSON.stringify({ screens }));
}

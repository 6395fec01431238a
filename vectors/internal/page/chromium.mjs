// Chromium for the tests of pages that are one file: in light and dark, on a phone and a desktop.
// Each screen must fit its window, axe-core must find nothing, and it is left as a picture in
// shots/, which git ignores.

import { existsSync, readFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';

// The pages of the service are tested with the same packages.
const folder = 'service/web/testdata/browser';
const require = createRequire(new URL(`../../../${folder}/`, import.meta.url));
let chromium, axe;
try {
  ({ chromium } = require('playwright-core'));
  axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
} catch (e) {
  console.error(`packages of npm are missing: npm ci --ignore-scripts --prefix ${folder}\n${e.message}`);
  process.exit(1);
}
const program = process.env.PATH.split(delimiter).map(dir => join(dir, 'chromium')).find(existsSync);
if (!program) {
  console.error('chromium is missing: apt-get install chromium');
  process.exit(1);
}

export const desktop = { width: 1280, height: 900 }, phone = { width: 320, height: 640 };
export const problems = [];

export function check(what, ok) {
  if (!ok) throw Error(what);
}

// open opens a page with a clean profile. It may load nothing but itself and what is beside it.
export async function open(browser, url) {
  const context = await browser.newContext({ viewport: desktop, colorScheme: 'light', reducedMotion: 'reduce' });
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  page.on('request', r => { if (new URL(r.url()).protocol !== 'file:') problems.push(`a request to ${r.url()}`); });
  page.on('console', m => { if (m.type() === 'error') problems.push(m.text()); });
  page.on('pageerror', e => problems.push(String(e)));
  await page.goto(url);
  return page;
}

// look looks at a page in each size and mode. No part of it is wider than its room, not even
// with a bar of its own.
export async function look(page, shots, name, { fullPage = true } = {}) {
  mkdirSync(shots, { recursive: true });
  for (const viewport of [desktop, phone]) for (const colorScheme of ['light', 'dark']) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    const which = `${name}, ${viewport.width} wide, ${colorScheme}`;
    const wide = await page.evaluate(() => [...document.querySelectorAll('html, body *')].filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline' && !e.closest('svg')
      && !['INPUT', 'SELECT', 'TITLE'].includes(e.tagName)).map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`));
    if (wide.length > 0) problems.push(`${which}: too wide are ${wide.slice(0, 3).join('; ')}`);
    // Each size and each mode once: it takes most of the time.
    const violations = (viewport === desktop) === (colorScheme === 'light') ? await findings(page) : [];
    for (const v of violations) problems.push(`${which}: ${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(' ')}`);
    await page.screenshot({ path: join(shots, `${name}-${viewport.width}-${colorScheme}.png`), fullPage });
  }
  await page.setViewportSize(desktop);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function findings(page) {
  await page.evaluate(axe);
  return (await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }))).violations;
}

// background is how light what is behind the text is, from 0 to 255, in a mode.
export async function background(page, colorScheme) {
  await page.emulateMedia({ colorScheme });
  return page.evaluate(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number); return (r + g + b) / 3; });
}

// run starts the browser, has a test drive it, and ends the process.
export async function run(name, test) {
  const browser = await chromium.launch({ executablePath: program, timeout: 120_000,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  let status = 0;
  try {
    const said = await test(browser);
    if (problems.length > 0) throw Error(problems.join('\n'));
    console.log(`${name}: ${said}`);
  } catch (e) { console.error(`${name}: ${e.stack}`); status = 1; }
  await browser.close();
  process.exit(status);
}

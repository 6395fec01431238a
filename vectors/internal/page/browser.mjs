// Loads vectors/verify.html in headless Chromium, through chromedriver's WebDriver interface, and
// shows that it agrees with good files and finds one changed digit in the step where it stands.
//
//   node vectors/internal/page/browser.mjs [screenshot.png]
//
// It needs chromium and chromedriver (Debian: chromium, chromium-driver), and nothing from npm.

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

const vectors = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const scratch = mkdtempSync(join(tmpdir(), 'tandem-page-'));
const port = 20000 + process.pid % 20000;
const driver = spawn('chromedriver', ['--port=' + port], { stdio: 'ignore' });
const driverFailed = new Promise((_, no) => driver.on('error', e => no(Error('chromedriver: ' + e.message + ' (apt-get install chromium chromium-driver)'))));
let session = '';

async function call(method, path, body) {
  const r = await fetch(`http://127.0.0.1:${port}${session}${path}`, { method, body: body && JSON.stringify(body) });
  const { value } = await r.json();
  if (!r.ok) throw Error(`${path}: ${value.error}: ${value.message}`);
  return value;
}
const run = (script, ...args) => call('POST', '/execute/sync', { script, args });
async function until(what, script, ...args) {
  for (let i = 0; i < 1200; i++) { const v = await run(script, ...args); if (v) return v; await sleep(100); }
  throw Error('waited two minutes for ' + what);
}
async function element(css) { return Object.values(await call('POST', '/element', { using: 'css selector', value: css }))[0]; }
// open gives the page a file, and waits until its first test is shown.
async function open(path, { junk = false } = {}) {
  const before = await run('return document.getElementById("detail").dataset.shown || ""');
  await call('POST', `/element/${await element('#file')}/value`, { text: path });
  if (!junk) await until(path, 'return document.getElementById("detail").dataset.shown !== arguments[0]', before);
}
async function key(css, k) { await call('POST', `/element/${await element(css)}/value`, { text: k }); }

const red = () => run('return [...document.querySelectorAll(".step.bad")].map(e => e.dataset.name)');
const shown = n => until('test ' + n, 'const v = document.querySelector("#verdict, #detail h2 + p + p"); return document.querySelector("#detail h2")?.textContent.includes(", test " + arguments[0] + ":") && v && v.textContent', n);
const fail = message => { throw Error(message); };

// changed writes a copy of a file with one hex digit of one field of one test, or of its group, changed.
function changed(file, field, { group = false, type } = {}) {
  const f = JSON.parse(readFileSync(join(vectors, file)));
  const g = f.testGroups.find(g => !type || g.type === type);
  const path = field.split('.'), last = path.pop();
  let o = group ? g : g.tests[0];
  for (const k of path) o = o[k];
  const s = o[last], i = s.length >> 1;
  o[last] = s.slice(0, i) + (s[i] === '0' ? '1' : '0') + s.slice(i + 1);
  f.testGroups = [g]; f.numberOfTests = g.tests.length;
  const out = join(scratch, file);
  writeFileSync(out, JSON.stringify(f));
  return [out, g.tests[0].tcId];
}

// One changed digit turns this step red, and no other: every value is computed from the seed, so an error does not spread.
const changes = [
  ['complete_composite.json', 'y', ['y']],
  ['complete_composite.json', 's1', ['s1']],
  ['complete_composite.json', 's2', ['s2']],
  ['complete_composite.json', 'sig', ['S']],
  ['complete_composite.json', 'ds', ['d_s'], { group: true, type: 'Complete' }],
  ['complete_composite.json', 'key.lambda', ['client key: λ'], { group: true, type: 'Complete' }],
  ['split_multiplicative_2048.json', 'x', ['x']],
  ['split_additive_2048.json', 'ds', ['d_s'], { type: 'Split' }],
  ['partial.json', 'y', ['y'], { type: 'Partial' }],
  ['encode_pss.json', 'em', ['EM']],
  ['lockbox.json', 'keystream', ['keystream']],
  ['verification_code.json', 'h', ['h']],
  ['limiter.json', 'steps.0.counterEnc', ['counter after attempt 1']],
];

async function main() {
  for (let i = 0; ; i++) { try { await call('GET', '/status'); break; } catch (e) { if (i > 100) throw e; await sleep(100); } }
  const { sessionId } = await call('POST', '/session', { capabilities: { alwaysMatch: { browserName: 'chrome', 'goog:chromeOptions': {
    args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--window-size=1300,1500', '--user-data-dir=' + join(scratch, 'profile')] } } } });
  session = '/session/' + sessionId;
  await call('POST', '/url', { url: pathToFileURL(join(vectors, 'verify.html')).href });

  // The samples that the page carries with it.
  const samples = await until('the samples', 'const n = document.querySelectorAll("#sample option").length; return n');
  let steps = 0;
  for (let i = 0; i < samples; i++) {
    await run('const s = document.getElementById("sample"); s.selectedIndex = arguments[0]; s.onchange({target: s})', i);
    await run('document.getElementById("all").click()');
    const summary = await until('a sample', 'const t = document.getElementById("summary").textContent; return t.endsWith("Done.") && t');
    if (!/ 0 differ/.test(summary) || /: 0 agree/.test(summary)) fail(`sample ${i}: ${summary}`);
  }

  // Whole files. (The others take minutes in a browser; check.mjs does them.)
  for (const file of ['verification_code.json', 'limiter.json', 'lockbox.json', 'lockbox_malformed.json']) {
    await open(join(vectors, file));
    await until(file, 'return document.getElementById("summary").textContent.startsWith(arguments[0])', file.replace('.json', ''));
    await run('document.getElementById("all").click()');
    const summary = await until(file, 'const t = document.getElementById("summary").textContent; return t.endsWith("Done.") && t');
    const n = JSON.parse(readFileSync(join(vectors, file))).numberOfTests;
    if (!summary.includes(`: ${n} agree, 0 differ`)) fail(summary);
    steps += n;
  }

  for (const [file, field, want, where] of changes) {
    // First the file as it is: nothing is red.
    await open(join(vectors, file));
    await until(file, 'return document.getElementById("summary").textContent.startsWith(arguments[0])', file.replace('.json', ''));
    const [path, tcId] = changed(file, field, where);
    await open(path);
    await shown(tcId);
    const got = await red();
    if (JSON.stringify(got) !== JSON.stringify(want)) fail(`${file}, ${field} changed: red are ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
    if (!await run('return document.querySelectorAll(".step.bad mark").length >= 2')) fail('the changed digit is not marked');
  }

  // By keyboard: End goes to the last test, Home to the first, R to the next red one.
  const [path] = changed('verification_code.json', 'code');
  await open(path); await shown(1);
  await key('#list', '\uE010');
  const last = JSON.parse(readFileSync(path)).testGroups[0].tests.at(-1).tcId;
  await shown(last);
  if ((await red()).length) fail('the last test is red');
  await key('#list', 'r'); await shown(1);
  if ((await red())[0] !== 'code') fail('R did not lead to the red test');
  await key('#list', '\uE015'); await shown(2);

  // What is no vector file says so, and breaks nothing.
  const junk = join(scratch, 'junk.json'); writeFileSync(junk, '{"a":');
  await open(junk, { junk: true }); await until('an error', 'return document.getElementById("summary").textContent.includes("is not a vector file")');

  if (process.argv[2]) {
    const [p, id] = changed('complete_composite.json', 's1');
    await open(p); await shown(id);
    writeFileSync(process.argv[2], Buffer.from(await call('GET', '/screenshot'), 'base64'));
  }
  console.log(`verify.html: ${samples} samples and ${steps} tests of whole files agree; ${changes.length} changed digits, each found in its step`);
}

let status = 0;
try { await Promise.race([main(), driverFailed]); } catch (e) { console.error('verify.html: ' + e.message); status = 1; }
try { if (session) await call('DELETE', ''); } catch { /* it is gone */ }
driver.kill();
for (let i = 0; i < 10; i++) { try { rmSync(scratch, { recursive: true, force: true }); break; } catch { await sleep(200); } }
process.exit(status);

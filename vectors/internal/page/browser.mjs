// Loads vectors/verify.html in headless Chromium, and shows that it agrees with good files and finds one
// changed digit in the step where it stands; what it does with files that are renamed, or none; and how
// it looks.
//
//   node vectors/internal/page/browser.mjs

import { readFileSync, readdirSync, writeFileSync, mkdtempSync, rmSync, copyFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { run, open, look, background, check } from './chromium.mjs';

const here = dirname(fileURLToPath(import.meta.url)), vectors = resolve(here, '../..'), shots = join(here, 'shots');
const scratch = mkdtempSync(join(tmpdir(), 'tandem-page-'));
const fail = message => { throw Error(message); };
const vectorFile = file => JSON.parse(readFileSync(join(vectors, file)));

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

// Page is the page, and what one does with it.
class Page {
  constructor(page) { this.page = page; }
  text(id) { return this.page.textContent('#' + id); }
  // choose gives the page a file, and waits until its first test is shown, or the file refused.
  async choose(path) {
    await this.page.evaluate(() => { document.getElementById('detail').dataset.shown = 'before'; document.getElementById('summary').textContent = ''; });
    await this.page.setInputFiles('#file', path);
    await this.page.waitForFunction(() => document.getElementById('summary').textContent !== '' && (document.getElementById('summary').className === 'badtext' || document.getElementById('detail').dataset.shown > 0));
  }
  async checkAll() {
    await this.page.click('#all');
    await this.page.waitForFunction(() => document.getElementById('summary').textContent.endsWith('Done.'));
    return this.text('summary');
  }
  shown(n) { return this.page.waitForFunction(n => document.querySelector('#detail h2')?.textContent.includes(`, test ${n}:`) && document.getElementById('detail').dataset.shown > 0, n); }
  red() { return this.page.$$eval('.step.bad', all => all.map(e => e.dataset.name)); }
}

async function samples(p) {
  const n = await p.page.locator('#sample option').count();
  check('there are samples', n >= 4);
  for (let i = 0; i < n; i++) {
    await p.page.selectOption('#sample', { index: i });
    const summary = await p.checkAll();
    if (!/ 0 differ/.test(summary) || /: 0 agree/.test(summary)) fail(`sample ${i}: ${summary}`);
    check('a sample is no renamed file', await p.text('renamed') === '');
  }
  return n;
}

// wholeFiles has the page compute some. (The others take minutes in a browser; check.mjs does them.)
async function wholeFiles(p) {
  let tests = 0;
  for (const file of ['verification_code.json', 'limiter.json', 'lockbox.json', 'lockbox_malformed.json']) {
    await p.choose(join(vectors, file));
    const summary = await p.checkAll(), n = vectorFile(file).numberOfTests;
    if (!summary.startsWith(`${file.replace('.json', '')}: ${n} agree, 0 differ. Done`)) fail(summary);
    tests += n;
  }
  return tests;
}

// notRecomputed: every test of every file is recomputed, or the page says at once that it is not, how many are not, and why.
async function notRecomputed(p) {
  const said = await p.page.$$eval('#nothere li', all => all.map(e => e.textContent));
  for (const file of readdirSync(vectors).filter(f => f.endsWith('.json'))) {
    const f = vectorFile(file), base = file.replace('.json', '');
    const got = await p.page.evaluate(({ schema, algorithm, testGroups }) => {
      const f = { schema, algorithm, testGroups };
      f.name = nameOf(f);
      return { name: f.name, groups: testGroups.map(g => ({ type: g.type, why: why(f, g), computed: Object.hasOwn(recompute, g.type) })) };
    }, { schema: f.schema, algorithm: f.algorithm, testGroups: f.testGroups.map(g => ({ type: g.type, key: g.key && { n: g.key.n } })) });
    check(`the page takes ${file} for ${got.name}`, got.name === base);
    for (const g of got.groups) {
      check(`${file}, ${g.type}: neither recomputed nor a reason`, g.why ? g.why.length > 8 : g.computed);
      if (g.why) check(`${file}, ${g.type}: the page says so nowhere`, said.some(line => line.includes(`, ${g.type}: `) && line.endsWith(g.why)));
    }
  }
  const f = vectorFile('partial.json'), i = f.testGroups.findIndex(g => g.type === 'PartialRefused'), id = f.testGroups[i].tests[0].tcId;
  const none = f.testGroups.filter(g => g.type === 'PartialRefused').reduce((n, g) => n + g.tests.length, 0);
  await p.choose(join(vectors, 'partial.json'));
  check('the number of tests that are not recomputed', (await p.text('summary')).includes(`${f.numberOfTests} tests, ${none} of them not recomputed here`));
  await p.page.click(`#list li:has-text("${id} ${f.testGroups[i].tests[0].comment}")`);
  await p.shown(id);
  check('why this test is not recomputed', /PartialRefused.*check\.py.*refused while they are read/.test(await p.text('why')));
  check('no step is shown', await p.page.locator('.step').count() === 0);
}

// found: one changed digit turns one step red, marks the digit, and all else stays folded.
async function found(p) {
  for (const [file, field, want, where] of changes) {
    // First the file as it is: nothing is red, and all is folded.
    await p.choose(join(vectors, file));
    check(`${file}: red`, (await p.red()).length === 0);
    check(`${file}: open steps`, await p.page.locator('.step[open]').count() === 0 && await p.page.locator('.step').count() > 0);
    const [path, tcId] = changed(file, field, where);
    await p.choose(path);
    await p.shown(tcId);
    const got = await p.red();
    if (JSON.stringify(got) !== JSON.stringify(want)) fail(`${file}, ${field} changed: red are ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
    check('the changed digit is marked on both sides', await p.page.locator('.step.bad mark:visible').count() >= 2);
    check('what differs is open, and nothing else', (await p.page.$$eval('.step[open]', all => all.map(e => e.dataset.name))).join() === want.join());
  }
  await p.page.click('#fold');
  check('all steps unfold', await p.page.locator('.step:not([open])').count() === 0);
  check('an equal value is there once', await p.page.locator('.step.ok').first().locator('code').count() === 1);
  await p.page.click('#fold');
  check('all steps fold', await p.page.locator('.step[open]').count() === 0);
}

// keyboard: End goes to the last test, Home to the first, R to the next red one.
async function keyboard(p) {
  const [path] = changed('verification_code.json', 'code');
  await p.choose(path);
  await p.shown(1);
  await p.page.press('#list', 'End');
  const last = JSON.parse(readFileSync(path)).testGroups[0].tests.at(-1).tcId;
  await p.shown(last);
  check('the last test is red', (await p.red()).length === 0);
  await p.page.press('#list', 'r');
  await p.shown(1);
  check('R did not lead to the red test', (await p.red())[0] === 'code');
  await p.page.press('#list', 'ArrowDown');
  await p.shown(2);
}

// renamed: a file under another name is explained, and agrees.
async function renamed(p) {
  const other = join(scratch, 'downloaded (1).json');
  copyFileSync(join(vectors, 'verification_code.json'), other);
  await p.choose(other);
  check('a renamed file is explained', /You chose downloaded \(1\)\.json\..* it is verification_code\.json under another name/.test(await p.text('renamed')));
  const summary = await p.checkAll();
  check(`a renamed file: ${summary}`, summary.startsWith('verification_code: ') && summary.includes(' 0 differ'));
  // The name of another one explains nothing away: a file of splits is still of its own size and sharing.
  const wrong = join(scratch, 'split_additive_3072.json');
  copyFileSync(join(vectors, 'split_additive_2048.json'), wrong);
  await p.choose(wrong);
  check('a file under the name of another', (await p.text('renamed')).includes('it is split_additive_2048.json'));
  check('it agrees', (await p.red()).length === 0 && await p.page.locator('.step.ok').count() > 0);
}

// wrong: what is no vector file says so, and of the file before it nothing stays.
async function wrong(p) {
  for (const [text, says] of [['{"a":', 'not a vector file'], ['{"a": 1}', 'no testGroups'], ['{"testGroups": [{}]}', 'no testGroups'], ['{"testGroups": [], "schema": "schemas/other.json"}', 'its schema is'], ['null', 'not a vector file']]) {
    await p.choose(join(vectors, 'verification_code.json'));
    check('there are tests', await p.page.locator('#list li').count() > 40 && await p.page.locator('.step').count() > 0);
    const junk = join(scratch, 'junk.json');
    writeFileSync(junk, text);
    await p.choose(junk);
    const summary = await p.text('summary');
    check(`${text}: ${summary}`, summary.startsWith('junk.json is not a vector file: ') && summary.includes(says));
    check('no earlier test stays', await p.page.locator('#list li').count() === 0 && await p.text('detail') === '' && await p.text('renamed') === '');
    check('nothing to check', await p.page.locator('#all').isDisabled());
  }
  await p.choose(join(vectors, 'verification_code.json'));
  check('a good file is taken again', (await p.checkAll()).includes(' 0 differ'));
}

// looks: no part is cut off on a phone, and there is a dark mode.
async function looks(p) {
  check('dark mode', await background(p.page, 'light') > 200 && await background(p.page, 'dark') < 60);
  const [path, id] = changed('complete_composite.json', 's1');
  await p.choose(path);
  await p.shown(id);
  await look(p.page, shots, 'verify-difference', { fullPage: false });
  await p.page.click('#fold');
  await p.page.click('details.about summary');
  await look(p.page, shots, 'verify-unfolded');
  await p.page.click('details.about summary');
  const junk = join(scratch, 'junk.json');
  writeFileSync(junk, '{"a":');
  await p.choose(junk);
  await look(p.page, shots, 'verify-wrong');
}

await run('verify.html', async browser => {
  try {
    const p = new Page(await open(browser, pathToFileURL(join(vectors, 'verify.html')).href));
    const n = await samples(p), tests = await wholeFiles(p);
    for (const part of [notRecomputed, found, keyboard, renamed, wrong, looks]) await part(p);
    for (const [readme, link] of [['../README.md', '](vectors/verify.html)'], ['README.md', '](verify.html)']])
      check(`${readme} leads to the page`, readFileSync(join(vectors, readme), 'utf8').includes(link));
    return `${n} samples and ${tests} tests of whole files agree; ${changes.length} changed digits, each found in its step`;
  } finally { rmSync(scratch, { recursive: true, force: true }); }
});

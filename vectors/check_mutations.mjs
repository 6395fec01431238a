#!/usr/bin/env node
// check_mutations.mjs: does check.mjs notice a change of any one digit? No packages.
//
//     node check_mutations.mjs [N [SEED [FILE...]]]     N changes (default 200), chosen by SEED (default 1)
//
// Each time: one file, one of its groups, one of the group's tests or what the group has in common, one of its values
// (comments are left out: they are prose), one hexadecimal digit of a hex string or decimal digit of anything else, set to another
// one. Then check.mjs, imported as a module, checks the file's header, the group's common values and that test (all
// tests of the group, if the change is in the common values and has not been found). Exit status 0 only if each change is found, and none is
// reported for the file as it is.

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkText } from './check.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const [count = '200', seed = '1', ...named] = process.argv.slice(2);
const paths = named.length ? named : readdirSync(HERE).filter((f) => f.endsWith('.json')).sort().map((f) => join(HERE, f));
const files = paths.map((path) => ({ name: basename(path).replace(/\.json$/, ''), text: readFileSync(path, 'utf8') }));

let drawn = 0;
const random = (n) => Number(createHash('sha256').update(`${seed}/${drawn++}`).digest().readBigUInt64BE() % BigInt(n));
const pick = (list) => list[random(list.length)];

function leaves(v, out = []) { // places of values with a digit: [object, key]
  for (const k of Object.keys(v)) {
    if (k === 'comment' || k === 'tests') continue;
    if (v[k] !== null && typeof v[k] === 'object') leaves(v[k], out);
    else if (/[0-9]/.test(String(v[k])) || /^([0-9a-f]{2})+$/.test(String(v[k]))) out.push([v, k]);
  }
  return out;
}
function change(place) { // gives what was changed, for the report
  const [object, key] = place, old = object[key], text = String(old), hex = typeof old === 'string' && /^([0-9a-f]{2})+$/.test(old);
  const digits = [...text].flatMap((c, i) => ((hex ? /[0-9a-f]/ : /[0-9]/).test(c) ? [i] : [])), i = pick(digits);
  const leading = typeof old === 'number' && text.length > 1 && /^-?$/.test(text.slice(0, i)); // no number begins with 0
  const others = [...(hex ? '0123456789abcdef' : leading ? '123456789' : '0123456789')].filter((c) => c !== text[i]);
  const now = text.slice(0, i) + pick(others) + text.slice(i + 1);
  object[key] = typeof old === 'number' ? Number(now) : now;
  return `${key}: character ${i}, ${text[i]} to ${now[i]}`;
}

let missed = 0, wrong = 0;
const perFile = {}, start = Date.now();
for (let i = 0; i < Number(count); i++) {
  const file = pick(files), data = JSON.parse(file.text), group = random(data.testGroups.length), g = data.testGroups[group];
  const common = random(4) === 0, test = common ? -1 : random(g.tests.length);
  const what = change(pick(leaves(common ? g : g.tests[test])));
  const text = JSON.stringify(data, null, 1) + '\n';
  let { errors } = checkText(file.name, text, { group, test });
  if (!errors.length && common) ({ errors } = checkText(file.name, text, { group }));
  const where = `${file.name}.json, group ${group} (${g.type})${common ? '' : `, test ${test} of it`}: ${what}`;
  if (!errors.length) { missed++; console.log(`MISSED: ${where}`); }
  const before = checkText(file.name, file.text, { group, test }).errors;
  if (before.length) { wrong++; console.log(`an error without a change: ${before[0]}`); }
  (perFile[file.name] ??= [0, 0])[errors.length ? 0 : 1]++;
}
for (const [name, [found, not]] of Object.entries(perFile).sort()) console.log(`${name}.json: ${found} of ${found + not} changes found`);
console.log(`node: ${Number(count) - missed} of ${count} changes found (seed ${seed}), ${wrong} errors without a change, ${Math.round((Date.now() - start) / 1000)} s`);
process.exitCode = missed || wrong ? 1 : 0;

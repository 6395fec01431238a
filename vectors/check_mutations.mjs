#!/usr/bin/env node
// check_mutations.mjs: do check.mjs and the vectors hold each other? No packages.
//
//     node check_mutations.mjs [N [SEED [FILE...]]]     N changes (default 200), chosen by SEED (default 1)
//
// 1. Do the vectors notice every change of check.mjs? Each step of the server in docs/protocol.md, section 5, is left out, turned round or put in
// another place, one at a time (STEPS, at the end), and so is what concerns key documents: then the transcript must not come out as it stands in the file;
// and of each rule by which a device takes a key document (DOCUMENT_STEPS) key_document.json must not.
// 2. Does check.mjs notice a change of any one digit of the vectors? Each time: one file, one of its groups, one of the group's tests or what the group has in common, one of its values
// (comments are left out: they are prose), one hexadecimal digit of a hex string or decimal digit of anything else, set to another
// one. Then check.mjs, imported as a module, checks the file's header, the group's common values and that test (all
// tests of the group, if the change is in the common values and has not been found). Exit status 0 only if each change of both kinds is found,
// and none is reported for the file as it is.

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
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

async function main() {
  const unseen = await steps('transcript', STEPS) + await steps('key_document', DOCUMENT_STEPS);
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
  process.exitCode = missed || wrong || unseen ? 1 : 0;
}

// ------------------------------------------------------------------------------------------------ changes of check.mjs

// A changed check.mjs is a module of its own. Functions of its arithmetic, which no change is about, remember their results for all of them.
const remembered = new Map();
globalThis.rememberedForMutations = (name, f) => (...args) => {
  const key = name + JSON.stringify(args, (_, v) => (typeof v === 'bigint' ? v.toString(16) : v?.type === 'Buffer' ? Buffer.from(v.data).toString('base64') : v));
  if (!remembered.has(key)) remembered.set(key, f(...args));
  return remembered.get(key);
};
const ARITHMETIC = ['power', 'timesP256', 'signP256', 'verifyP256', 'hybridEncaps', 'kemDecrypt', 'kemEncaps', 'kemKey'];
// Each test is compared at once, so that a group ends with its first difference.
const AT_ONCE = ['try { list.push(one(t)); }', `try {
  const want = one(t), found = [];
  differences({ tcId: t.tcId, comment: t.comment, ...want, flags: [...want.flags].sort() }, t, '', found);
  if (found.length) throw new Error(found[0]);
  list.push(want);
}`];

async function steps(name, rows) { // gives how many of the changes the file of this name does not show
  const folder = mkdtempSync(join(tmpdir(), 'check-')), text = readFileSync(join(HERE, `${name}.json`), 'utf8'), start = Date.now();
  const original = readFileSync(join(HERE, 'check.mjs'), 'utf8').replace('dirname(fileURLToPath(import.meta.url))', JSON.stringify(HERE)).replace(...AT_ONCE)
    + ARITHMETIC.map((f) => `${f} = globalThis.rememberedForMutations('${f}', ${f});\n`).join('');
  const errors = async (source, i) => {
    const path = join(folder, `changed-${i}.mjs`);
    writeFileSync(path, source);
    return (await import(pathToFileURL(path))).checkText(name, text).errors;
  };
  let unseen = 0, i = 0;
  const before = await errors(original, i++);
  if (before.length) { unseen++; console.log(`an error without a change: ${before[0]}`); }
  for (const [what, ...edits] of rows) {
    let changed = original;
    for (let j = 0; j < edits.length; j += 2) {
      const count = changed.split(edits[j]).length - 1;
      if (count !== 1) console.log(`step ${what}: check.mjs has this ${count} times: ${edits[j]}`);
      changed = count === 1 ? changed.replace(edits[j], () => edits[j + 1]) : '';
    }
    const [error] = changed ? await errors(changed, i++) : [];
    if (!error) { unseen++; console.log(`MISSED: step ${what}`); } else if (process.env.VERBOSE) console.log(`${what}: ${error}`);
  }
  rmSync(folder, { recursive: true });
  console.log(`node: ${rows.length - unseen} of ${rows.length} changed steps found by ${name}.json, ${Math.round((Date.now() - start) / 1000)} s`);
  return unseen;
}

const STEPS = [ // what is wrong, with the number of the step; what check.mjs has, once; what it has then
  ['1: any version of the envelope', 'request[0] === 2 && request[1] >= 1', 'request[1] >= 1'],
  ['1: any id of an HPKE key', 'must(this.hpkeKeys.find((k) => hpkeKeyId(k.bytes).equals(request.subarray(2, 10))))', '(this.hpkeKeys.find((k) => hpkeKeyId(k.bytes).equals(request.subarray(2, 10))) ?? this.hpkeKeys[0])'],
  ['1: ML-KEM takes any ciphertext that it decrypts', 'return again.c.equals(c) ? again.secret : shake(Buffer.concat([z, c]), 32);', 'return again.secret;'],
  ['2: any version of the plaintext', 'must(r.number(1) === 2);', 'r.number(1);'],
  ['2: any operation in the plaintext', "must(r.number(1) === OPERATIONS.indexOf(operation) + 1);", 'r.number(1);'],
  ['2: the number 0', 'else must(p.number >= 1);', ''],
  ['2: a Report with a token', 'must(p.number === 0 && [p.token, p.chain, p.commitment].every((b) => b.equals(ZERO32)));', 'must(p.number === 0);'],
  ['2: a hash function not to sign', ': hash === 0 && padding === 0);', ': padding === 0);'],
  ['1: the current HPKE key only', 'this.hpkeKeys = [hpke, ...this.hpkeKeys];', 'this.hpkeKeys = [hpke];'],
  ['1: the retiring HPKE key only', 'this.hpkeKeys = [hpke, ...this.hpkeKeys];', ''],
  ['2: 65 documents', 'must(sign ? count >= 1 && count <= 64', 'must(sign ? count >= 1 && count <= 65'],
  ['2: 63 documents at most', 'must(sign ? count >= 1 && count <= 64', 'must(sign ? count >= 1 && count <= 63'],
  ['2: 255 documents', 'must(sign ? count >= 1 && count <= 64', 'must(sign ? count >= 1'],
  ['answer: the key document to everybody', 'return names.equals(encryptedTo) ? NOTHING : this.document;', 'return this.document;'],
  ['answer: the key document to those who have it', 'return names.equals(encryptedTo) ?', 'return !names.equals(encryptedTo) ?'],
  ['answer: no key document', 'return names.equals(encryptedTo) ? NOTHING : this.document;', 'return NOTHING;'],
  ['answer: no key document to one that enrols', 'return names.equals(encryptedTo) ? NOTHING', 'return names.equals(encryptedTo) || request[1] === 1 ? NOTHING'],
  ['answer: a key document with signatures only', 'answer.document = server.documentFor(of.request);', 'answer.document = answer.code === 3 ? server.documentFor(of.request) : NOTHING;'],
  ['answer: a key document once', 'return names.equals(encryptedTo) ? NOTHING : this.document;', 'const { document } = this; if (!names.equals(encryptedTo)) this.document = NOTHING; return names.equals(encryptedTo) ? NOTHING : document;'],
  ['answer: the key document before the body', 'short(challenge), longer(body), long(document));', 'short(challenge), long(document), longer(body));'],
  ['answer: the signatures in another order', 'return code(3, byte(list.length), i2osp(list.length ? G.k : 0, 2), ...list);', 'return code(3, byte(list.length), i2osp(list.length ? G.k : 0, 2), ...list.reverse());'],
  ['device: takes no key document', 'if (heard?.document.length) device.takeDocument', 'if (false) device.takeDocument'],
  ['2: no documents to sign', 'must(sign ? count >= 1 && count <= 64', 'must(sign ? count <= 64'],
  ['2: a salt with PKCS #1 v1.5', 'must(padding === 2 ? saltLength <= 1024 : saltLength === 0);', ''],
  ['2: something after the MAC', 'p.mac = r.take(32);\n  r.end();', 'p.mac = r.take(32);'],
  ['3: any purpose to enroll', 'enroll: [1], confirm', 'enroll: [1, 2, 3], confirm'],
  ['3: any purpose to confirm', 'confirm: [3]', 'confirm: [1, 2, 3]'],
  ['3: any purpose to sign', 'sign: [2], refresh', 'sign: [1, 2, 3], refresh'],
  ['3: any purpose to refresh', 'refresh: [3]', 'refresh: [1, 2, 3]'],
  ['3: any purpose to change the PIN', "'change pin': [3]", "'change pin': [1, 2, 3]"],
  ['3: any purpose to cancel', 'cancel: [2, 3]', 'cancel: [1, 2, 3]'],
  ['3: Cancel without the purpose to sign', 'cancel: [2, 3]', 'cancel: [3]'],
  ['3: any purpose to report', 'report: [2, 3]', 'report: [1, 2, 3]'],
  ["3: another challenge than the ticket's", ' && c.subarray(0, TICKET).equals(ticket));', ');'],
  ["3: a challenge of anybody's", ' && challenge.subarray(114).equals(challengeMac(G.challengeKey, challenge.subarray(0, 114)))', ''],
  ['1: a challenge of the future', ' && Number(ticket.readBigUInt64BE(18)) <= now + MINUTE);', ');'],
  ['1: a millisecond less than a minute ahead', 'Number(ticket.readBigUInt64BE(18)) <= now + MINUTE', 'Number(ticket.readBigUInt64BE(18)) < now + MINUTE'],
  ['1: a millisecond more than a minute ahead', 'Number(ticket.readBigUInt64BE(18)) <= now + MINUTE', 'Number(ticket.readBigUInt64BE(18)) <= now + MINUTE + 1'],
  ['6: any MAC', 'must(r && requestMac(r.authKey, keyId, p.authentic).equals(p.mac));', 'must(r);'],
  ["6: a hardware's signature of anybody's", 'must(r.hardware.length ? verifyP256(r.hardware, hardwareMessage(keyId, p.body), p.signature) :', 'must(r.hardware.length ? p.signature.length === 64 :'],
  ["6: no hardware's signature", 'must(r.hardware.length ? verifyP256(', 'must(r.hardware.length ? !p.signature.length || verifyP256('],
  ["6: a hardware's signature where the key has none", ' : !p.signature.length);', ' : true);'],
  ['7: a Report destroys nothing', "=== 'destroyed' ? destroyed() : end(BY_CLONE); // 7", "=== 'destroyed' ? destroyed() : code(6, byte(BY_CLONE)); // 7"],
  ['7: a Report writes on a destroyed key', "=== 'destroyed' ? destroyed() : end(BY_CLONE); // 7", "=== 'destroyed' ? end(BY_CLONE) : end(BY_CLONE); // 7"],
  ['8: a request that was settled is looked at like any other', 'if (last.number === n && last.hash.equals(h)) {', 'if (false) {'],
  ['8: the fate of another request of this number', 'if (last.number === n && last.hash.equals(h)) {', 'if (last.number === n) {'],
  ['8: of a Cancel its own hash', 'h = cancel ? p.commitment : hash,', 'h = hash,'],
  ['8: wrong is destroyed on a destroyed key', 'if (last.fate === WRONG) return code(4, last.verdict);', "if (last.fate === WRONG) return r.condition === 'destroyed' ? destroyed() : code(4, last.verdict);"],
  ['8: cancelled is destroyed on a destroyed key', 'if (last.fate === CANCELLED) return code(8);', "if (last.fate === CANCELLED) return r.condition === 'destroyed' ? destroyed() : code(8);"],
  ['8: a right Refresh is destroyed on a destroyed key', "if (operation === 'refresh') return signatures();\n", "if (operation === 'refresh' && r.condition !== 'destroyed') return signatures();\n"],
  ['8: Cancel of what was right on a destroyed key', "      if (r.condition === 'destroyed') return destroyed();\n      if (cancel)", '      if (cancel)'],
  ['8: Cancel hears cancelled of what was right', 'if (cancel) return code(3, byte(0, 0, 0));', 'if (cancel) return code(8);'],
  ['8: signatures for a millisecond less', 'expires + DAY <= now ?', 'expires + DAY <= now + 1 ?'],
  ['8: signatures for a millisecond more', 'expires + DAY <= now ?', 'expires + DAY < now ?'],
  ['9: no clone by the same number', "if (n === last.number && r.condition !== 'destroyed' && (cancel || expires > now)) return clone(); // 9", ''],
  ['9: Cancel with an expired challenge', '(cancel || expires > now)) return clone(); // 9', 'expires > now) return clone(); // 9'],
  ['9: an expired challenge is one', ' && (cancel || expires > now)) return clone(); // 9', ') return clone(); // 9'],
  ['9: at the expiry', '(cancel || expires > now)) return clone(); // 9', '(cancel || expires >= now)) return clone(); // 9'],
  ['9: on a destroyed key', "if (n === last.number && r.condition !== 'destroyed' &&", 'if (n === last.number &&'],
  ['9: not on a key that is pending', "if (n === last.number && r.condition !== 'destroyed' &&", "if (n === last.number && r.condition === 'active' &&"],
  ['9: a lower number is a clone', "if (n === last.number && r.condition !== 'destroyed' &&", "if (n <= last.number && r.condition !== 'destroyed' &&"],
  ['10: a number that was used up is a clone', 'if (n <= last.number) return code(12); // 10', 'if (n <= last.number) return clone(); // 10'],
  ['10: a lower number only', 'if (n <= last.number) return code(12); // 10', 'if (n < last.number) return code(12); // 10'],
  ['10: after 11, destroyed', 'if (n <= last.number) return code(12); // 10', "if (n <= last.number && r.condition !== 'destroyed') return code(12); // 10"],
  ['11: a destroyed key goes on', "if (r.condition === 'destroyed') return destroyed(); // 11", ''],
  ['11: expired before destroyed', "if (r.condition === 'destroyed') return destroyed(); // 11", "if (!cancel && expires <= now) return code(7); if (r.condition === 'destroyed') return destroyed();"],
  ['11: no challenge expires', '      if (expires <= now) return code(7);\n      if (r.condition', '      if (r.condition'],
  ['11: a challenge expires a millisecond late', '      if (expires <= now) return code(7);\n      if (r.condition', '      if (expires < now) return code(7);\n      if (r.condition'],
  ['11: a Cancel expires', "    if (!cancel) {\n      if (expires <= now) return code(7);", "    if (expires <= now) return code(7);\n    if (!cancel) {"],
  ['11: pending ends a millisecond late', "if (r.condition === 'pending' && now >= r.endOfPending) return end", "if (r.condition === 'pending' && now > r.endOfPending) return end"],
  ['11: pending ends a millisecond early', "if (r.condition === 'pending' && now >= r.endOfPending) return end", "if (r.condition === 'pending' && now >= r.endOfPending - 1) return end"],
  ['11: the end of pending before an expired challenge', '      if (expires <= now) return code(7);\n      if (r.condition', "      if (r.condition === 'pending' && now >= r.endOfPending) return end(BY_TIME);\n      if (expires <= now) return code(7);\n      if (r.condition"],
  ['11: a key that is pending signs', "if (r.condition === 'pending' && operation !== 'confirm') return code(9);", ''],
  ['11: no Cancel while pending', '    if (!cancel) {\n      if (expires', '    {\n      if (!cancel && expires'],
  ['11: a clone before unconfirmed', "operation !== 'confirm') return code(9);", "operation !== 'confirm' && p.chain.equals(r.chain)) return code(9);"],
  ['12: any number that is larger', 'if (n !== last.number + 1 || !p.chain', 'if (!p.chain'],
  ['12: any chain', ' || !p.chain.equals(r.chain) ||', ' ||'],
  ['12: any token', ' || !sha256(p.token).equals(r.commitment)) return clone(); // 12', ') return clone(); // 12'],
  ['12: not of a Cancel', 'if (n !== last.number + 1 ||', 'if (!cancel) if (n !== last.number + 1 ||'],
  ['12: not of a Refresh', 'if (n !== last.number + 1 ||', "if (operation !== 'refresh') if (n !== last.number + 1 ||"],
  ['12: not of a confirmation', 'if (n !== last.number + 1 ||', "if (operation !== 'confirm') if (n !== last.number + 1 ||"],
  ['13: a Cancel that settles nothing', 'if (cancel) { settle(h, CANCELLED); event(6); return code(8); } // 13', 'if (cancel) return code(8);'],
  ['13: a Refresh that keeps the token', "if (operation === 'refresh') { settle(h, RIGHT); r.commitment = p.commitment;", "if (operation === 'refresh') { settle(h, RIGHT);"],
  ['14: a challenge for any digests', "if (operation === 'sign' && !challenge.subarray(82, 114)", "if (false && !challenge.subarray(82, 114)"],
  ['15: no lock', "if (admitted.verdict === 'locked') return code(5, i2osp(admitted.lockedUntil, 8));", ''],
  ['15: y out of range is a wrong PIN', "if (outcomes.some((v) => v.reject && v.reject.stage !== 'check-partial')) return code(10);", ''],
  ['15: a wrong y outweighs one out of range', "if (outcomes.some((v) => v.reject && v.reject.stage !== 'check-partial')) return code(10);", "if (outcomes.some((v) => v.reject && v.reject.stage !== 'check-partial') && !outcomes.some((v) => v.reject?.stage === 'check-partial')) return code(10);"],
  ['15: the range of the last y only', "if (outcomes.some((v) => v.reject && v.reject.stage !== 'check-partial')) return code(10);", "if (outcomes.slice(-1).some((v) => v.reject && v.reject.stage !== 'check-partial')) return code(10);"],
  ['15: a wrong y is enough after the first', 'outcomes.every((v) => !v.reject)', 'outcomes.slice(0, 1).every((v) => !v.reject)'],
  ['15: the last y decides', 'outcomes.every((v) => !v.reject)', 'outcomes.slice(-1).every((v) => !v.reject)'],
  ['15: one right y is enough', 'outcomes.every((v) => !v.reject)', 'outcomes.some((v) => !v.reject)'],
  ['16: each document counts', '    r.counter = attempted.state;\n', '    for (let i = 0; i < count; i++) r.counter = limiterStep(DEFAULT_POLICY, r.counter, BigInt(now), isRight ? \'right\' : \'wrong\').state;\n'],
  ['16: nothing counts', '    r.counter = attempted.state;\n', ''],
  ['17: the chain stays', ' r.chain = nextChain(r.chain, h, fate); };', ' };'],
  ['17: the chain without the fate', ' r.chain = nextChain(r.chain, h, fate); };', ' r.chain = nextChain(r.chain, h, RIGHT); };'],
  ['17: the token stays', "    settle(h, RIGHT);\n    r.commitment = p.commitment;\n", '    settle(h, RIGHT);\n'],
  ['17: a confirmed key stays pending', "if (operation === 'confirm') r.condition = 'active';", ''],
  ['17: the ninth wrong PIN destroys nothing', 'if (over) this.destroy(r, BY_PINS);', ''],
  ["clone: the counter's lock stays", 'r.share = NOTHING; r.counter = { ...r.counter, lock: FOREVER }; }', 'r.share = NOTHING; }'],
  ['clone: the counter begins anew', 'r.counter = { ...r.counter, lock: FOREVER }; }', 'r.counter = { ...r.counter, wrong: 0, lock: FOREVER }; }'],
  ["enrolment 3: any hardware's signature", 'verifyP256(p.hardware, hardwareMessage(keyId, body), p.signature) :', 'true :'],
  ['enrolment 4: another request under the same key id', "if (!r.enrolment.equals(hash)) refuse('server', 'ErrRefused');", ''],
  ['enrolment 4: enrolled, and the key is destroyed', "if (r.condition === 'destroyed') return code(6, byte(r.reason));\n", ''],
  ['enrolment 4: over a millisecond late', "r.condition === 'pending' && now >= r.endOfPending ? code(6", "r.condition === 'pending' && now > r.endOfPending ? code(6"],
  ['enrolment 5: a millisecond late', 'if (expires <= now) return code(7); // 5', 'if (expires < now) return code(7); // 5'],
  ['enrolment 5: a millisecond early', 'if (expires <= now) return code(7); // 5', 'if (expires <= now + 1) return code(7); // 5'],
  ['enrolment 6: any share', 'if (share.verdict.reject) return code(2, byte(1));', ''],
  ['enrolment 7: an n1 that is enrolled', 'if (owner) return code(2, byte(2));', ''],
];

const DOCUMENT_STEPS = [ // the same for the rules of key documents, in docs/protocol.md, section 3
  ['any length from 1289 on', 'must(b.length === DOCUMENT_LENGTH);', 'must(b.length >= DOCUMENT_LENGTH);'],
  ['any version', 'must(b[0] === 2);', ''],
  ['any signature', 'must(verify(null, join2(text(KEY_DOCUMENT), signed), ed25519Public(authorityPublic), signature));', ''],
  ['signed with or without the text before it', 'must(verify(null, join2(text(KEY_DOCUMENT), signed), ed25519Public(authorityPublic), signature));',
    "must([KEY_DOCUMENT, ''].some((label) => verify(null, join2(text(label), signed), ed25519Public(authorityPublic), signature)));"],
  ['S of any size', 'ed25519Public(authorityPublic), signature)', 'ed25519Public(authorityPublic), join2(signature.subarray(0, 32), i2osp(os2ip(Buffer.from(signature.subarray(32)).reverse()) % ORDER_25519, 32).reverse()))'],
  ['any bytes for an ML-KEM key', '.every((z) => z < Q_KEM))); // FIPS 203, section 7.2', '.length)); // FIPS 203, section 7.2'],
  ['an older serial', 'must(serial >= used);', ''],
  ['a serial one lower', 'must(serial >= used);', 'must(serial + 1n >= used);'],
  ['no serial twice', 'must(serial >= used);', 'must(serial > used);'],
  ['the serial is little-endian', 'signed.readBigUInt64BE(1)', 'signed.readBigUInt64LE(1)'],
  ['the serial has a sign', 'signed.readBigUInt64BE(1)', 'signed.readBigInt64BE(1)'],
  ['the serial has 4 bytes', 'signed.readBigUInt64BE(1)', 'BigInt(signed.readUInt32BE(1))'],
];

await main();

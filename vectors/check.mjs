#!/usr/bin/env node
// check.mjs: an independent checker of the tandem test vectors. Node 20 or later, no packages.
//
//     node check.mjs [--fast] [FILE...]     all *.json files beside it, or those named; exit status 0 if all agrees
//
// Written from docs/scheme.md, docs/protocol.md, vectors/README.md and public standards alone (RFC 8017, 8439, 7693,
// 8032, 9106, 9180, 9458; FIPS 180-4, 202, 203), without a look at the library or at the generator. It shares no code with them.
//
// How it works. For every test and group the checker builds the whole JSON object that ought to be there, from the
// seed and from the few fields that are a test's inputs (tcId, comment, the ...Form fields, change, edit, hash, padding,
// a limiter's steps, what a transcript's test sends, and when), and compares it with the one in the file: a field that differs, is missing or is too much is an
// error. No value that a file gives is used to compute the next. An invalid test goes through the same steps as a
// valid one, in the order of the specification, and the first step that refuses gives `reject`.
//
// What it checks: the JSON's form and schema; seed, primes (the published candidate qualifies and, unless --fast,
// no earlier one does), n, lambda, d; x, d_c, d_s; digests, salts, EM; m1, m2, y, s1, s2 and S; the public keys in PEM, and
// each signature once more with OpenSSL's public operation under the key in the PEM text; counters (no earlier one has
// the property); Argon2id, ChaCha20, shares opened; every binary form; weak PINs; the limiter; verification codes; flags; the transcript:
// ML-KEM-768 and X25519 from the seed, HPKE, every field of each request, a server that opens, parses and settles it, its answer, and a device that opens and
// hears it, and takes the key document in it; key documents, each rule by which a device takes one.
//
// What it does not check: prose (comment, description, effect; of these only the digits are pinned, where no
// computation covers them); timing and constant time; of the transcript what the server stores and the tests do not show (what is sealed, and of an event all but its number);
// why a test of the limiter has just these flags (each must be true, see LIMITER_FLAGS); why a transcript sends what it sends, and when (a hash of it is here, see TRANSCRIPT_CHOICES).
// From node:crypto come SHA-2, SHA-3, SHAKE256, BLAKE2b-512, HMAC, AES-256-GCM, X25519, Ed25519, the ChaCha20 block cipher mode, and for the last look at a
// signature, OpenSSL's RSA and ECDSA. All else is below. ASSUMED marks what the two texts do not say, or say otherwise.

import { createHash, createHmac, createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, publicDecrypt, sign, verify, checkPrimeSync, constants } from 'node:crypto';
import { readFileSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

const HERE = dirname(fileURLToPath(import.meta.url));

// ------------------------------------------------------------------------------------------- integers and bytes

const bits = (z) => { const h = z.toString(16); return z === 0n ? 0 : 4 * h.length - Math.clz32(parseInt(h[0], 16)) + 28; };
const bytesFor = (b) => Math.ceil(b / 8);
const os2ip = (b) => (b.length ? BigInt('0x' + b.toString('hex')) : 0n);
const hexInt = (z, k) => {
  const h = z.toString(16).padStart(2 * k, '0');
  if (z < 0n || h.length > 2 * k) throw new Error(`integer does not fit in ${k} bytes`);
  return h;
};
const i2osp = (z, k) => Buffer.from(hexInt(BigInt(z), k), 'hex');
const hexMin = (z) => { const h = z.toString(16); return h.length % 2 ? '0' + h : h; };
const mod = (a, n) => { const r = a % n; return r < 0n ? r + n : r; };
const gcd = (a, b) => { while (b) [a, b] = [b, a % b]; return a < 0n ? -a : a; };
const lcm = (a, b) => (a / gcd(a, b)) * b;
const abs = (a) => (a < 0n ? -a : a);

function inverse(a, n) { // a^-1 mod n, or null
  let [r0, r1, s0, s1] = [n, mod(a, n), 0n, 1n];
  while (r1) { const q = r0 / r1; [r0, r1, s0, s1] = [r1, r0 - q * r1, s1, s0 - q * s1]; }
  return r0 === 1n ? mod(s0, n) : null;
}

function power(b, e, n) { // b^e mod n, four bits at a time
  b = mod(b, n);
  const table = [1n % n];
  for (let i = 1; i < 16; i++) table.push((table[i - 1] * b) % n);
  let r = table[0];
  for (const digit of e.toString(16)) {
    r = (r * r) % n; r = (r * r) % n; r = (r * r) % n; r = (r * r) % n;
    if (digit !== '0') r = (r * table[parseInt(digit, 16)]) % n;
  }
  return r;
}

// b^e mod p*q by way of p and q: what power(b, e, p*q) gives, four times as fast. The checker knows all primes.
function powerCRT(b, e, { p, q }) {
  const half = (r) => (e === 0n ? 1n : b % r === 0n ? 0n : power(b, e % (r - 1n), r));
  const [u, v] = [half(p), half(q)];
  return u + p * mod((v - u) * inverse(p, q), q);
}

const sha256 = (b) => createHash('sha256').update(b).digest();
const shake = (b, n) => (n ? createHash('shake256', { outputLength: n }).update(b).digest() : Buffer.alloc(0));
const xor = (a, b) => Buffer.from(a.map((v, i) => v ^ b[i]));

// --------------------------------------------------------------------------------------------- derivation, keys

const SEED = sha256(Buffer.from('tandem test vectors, version 1'));
const stream = (label) => Buffer.concat([SEED, i2osp(label.length, 2), Buffer.from(label, 'ascii')]);
const derived = (label, n) => shake(stream(label), n);

const ODD_PRIMES = (() => {
  const composite = new Uint8Array(65538), out = [];
  for (let i = 3; i <= 65537; i += 2) {
    if (composite[i]) continue;
    out.push(i);
    for (let j = i * i; j <= 65537; j += 2 * i) composite[j] = 1;
  }
  return out;
})();
const PRIME_GROUPS = (() => { // products below 2^53, so that remainders are exact Numbers
  const groups = [];
  let list = [], product = 1;
  for (const r of ODD_PRIMES) {
    if (product * r > Number.MAX_SAFE_INTEGER) { groups.push([BigInt(product), list]); list = []; product = 1; }
    list.push(r); product *= r;
  }
  groups.push([BigInt(product), list]);
  return groups;
})();

// Does no odd prime <= 65537 divide c, nor (if safe) c-1? The prime `allowed` may divide c-1.
function sieved(c, safe, allowed) {
  for (const [product, list] of PRIME_GROUPS) {
    const rest = Number(c % product);
    for (const r of list) {
      const m = rest % r;
      if (m === 0 || (safe && m === 1 && r !== allowed)) return false;
    }
  }
  return true;
}
const isLSafe = (p) => p % 4n === 3n && sieved(p, true);

function passesMillerRabin(c, base) {
  let s = 0, t = c - 1n;
  while (!(t & 1n)) { t >>= 1n; s++; }
  let y = power(base, t, c);
  if (y === 1n || y === c - 1n) return true;
  for (; s > 1; s--) { y = (y * y) % c; if (y === c - 1n) return true; }
  return false;
}
const primeMemo = new Map();
function isPrime(c) { // base 2 shows most composites; primes are shown by eight more bases and by OpenSSL's 64 random ones
  if (!primeMemo.has(c)) {
    const ok = c > 3n && (c & 1n) === 1n && [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n].every((b) => passesMillerRabin(c, b));
    primeMemo.set(c, ok && checkPrimeSync(c));
  }
  return primeMemo.get(c);
}

const FACTOR = { 'factor-65537': 65537n, 'factor-65539': 65539n, 'factor-33-bits': 4294967311n, 'factor-2-40': 2n ** 39n };
const ROCA_PRIMES = ODD_PRIMES.filter((r) => r <= 701).map(BigInt);
const ROCA_M = ROCA_PRIMES.reduce((m, r) => m * r, 2n);
const NEAR = { // candidate number i of a prime of L bits, beside the prime p
  'next-l-safe': (p, L, i) => p + 4n * (i + 1n), 'fermat-l-safe': (p, L, i) => p + 2n ** (L / 2n + 4n) + 4n * i,
  'apart-l-safe': (p, L, i) => p + 2n ** (L - 100n) + 4n * i, 'within-l-safe': (p, L, i) => p + 2n ** (L - 100n) - 4n * (i + 1n),
  'above-power': (p, L, i) => 2n ** (L - 1n) + 2n ** (L - 103n) + 3n + 4n * i, 'below-power': (p, L, i) => 2n ** L - 2n ** (L - 101n) - 1n - 4n * i,
};
const SAFE_KINDS = ['l-safe', 'one-mod-four', ...Object.keys(NEAR), ...Object.keys(FACTOR)];

function shape(bytes, kind, L) { // the candidate, from its s bytes of the stream
  let c = os2ip(bytes) & ((1n << BigInt(L)) - 1n);
  const top3 = 7n << BigInt(L - 3);
  if (kind === 'l-safe') return c | top3 | 3n;
  if (kind === 'ordinary') return c | top3 | 1n;
  if (kind === 'short') return (c & ((1n << BigInt(L - 8)) - 1n)) | (0xb6n << BigInt(L - 8)) | 1n;
  if (kind === 'one-mod-four') return ((c | top3 | 3n) ^ 2n);
  if (kind === 'roca') { c |= top3; return c - (c % ROCA_M) + power(65537n, c % 2n ** 32n, ROCA_M); }
  const r = FACTOR[kind];
  if (r === undefined) throw new Error(`kind ${kind}`);
  c |= top3;
  return c - (c % (4n * r)) + 2n * r + 1n;
}
function candidate(k, i) {
  if (NEAR[k.kind]) return NEAR[k.kind](k.after, BigInt(k.bits), BigInt(i));
  const s = bytesFor(k.bits);
  return shape(derived(k.label, (i + 1) * s).subarray(i * s), k.kind, k.bits);
}
const qualifies = (c, k) => bits(c) === k.bits && sieved(c, SAFE_KINDS.includes(k.kind), k.kind === 'factor-65537' ? 65537 : 0)
  && gcd(k.e, c - 1n) === 1n && isPrime(c);

// Does any candidate from number `from` to number `to`-1 qualify? Gives the first, or -1.
function firstCandidate(k, from, to) {
  const s = bytesFor(k.bits);
  const bytes = NEAR[k.kind] ? null : derived(k.label, to * s);
  for (let i = from; i < to; i++) {
    const c = bytes ? shape(bytes.subarray(i * s, i * s + s), k.kind, k.bits) : candidate(k, i);
    if (qualifies(c, k)) return i;
  }
  return -1;
}

// The key with the published inputs (name, e, kinds, lengths, indices): its numbers, and its JSON object in `json`.
const keyMemo = new Map();
function makeKey({ name, e, kindP, kindQ, pBits, qBits, pIndex, qIndex }) {
  const id = JSON.stringify([name, e, kindP, kindQ, pBits, qBits, pIndex, qIndex]);
  if (keyMemo.has(id)) return keyMemo.get(id);
  if (pIndex > 99999 || qIndex > 99999 || pBits > 4096 || qBits > 4096) throw new Error(`key ${name}: index or length`);
  const E = BigInt(e);
  const kp = { label: `key/${name}/p`, kind: kindP, bits: pBits, e: E };
  const p = candidate(kp, pIndex);
  if (!qualifies(p, kp)) throw new Error(`key ${name}: candidate pIndex ${pIndex} does not qualify`);
  const kq = { label: `key/${name}/q`, kind: kindQ, bits: qBits, e: E, after: p };
  const q = candidate(kq, qIndex);
  if (!qualifies(q, kq)) throw new Error(`key ${name}: candidate qIndex ${qIndex} does not qualify`);
  const n = p * q, lambda = lcm(p - 1n, q - 1n), d = inverse(E, lambda);
  const k = bytesFor(bits(n)), kPrime = bytesFor(Math.max(pBits, qBits));
  const json = { name, e, kindP, kindQ, pBits, qBits, pIndex, qIndex, p: hexInt(p, kPrime), q: hexInt(q, kPrime),
    n: hexInt(n, k), d: hexInt(d, k), lambda: hexInt(lambda, k) };
  const key = { name, e: E, p, q, n, d, lambda, k, lSafe: isLSafe(p) && isLSafe(q), bound: kindP === 'factor-65539', apart: kindQ === 'apart-l-safe', json };
  keyMemo.set(id, key);
  return key;
}
// ASSUMED: kinds, lengths and e of the keys that tests name without giving them (the indices are searched anew here).
const NAMED_KEYS = {
  'device-2048-1': ['l-safe', 1024, 65537], 'device-2048-3': ['l-safe', 1024, 2147483647], 'device-3072-3': ['l-safe', 1536, 2147483647],
  'server-2048-1': ['ordinary', 1024, 65537], 'server-3072-1': ['ordinary', 1536, 65537],
};
const namedMemo = new Map();
function namedKey(name) {
  if (!NAMED_KEYS[name]) throw new Error(`no key ${name}`);
  if (!namedMemo.has(name)) {
    const [kind, L, e] = NAMED_KEYS[name];
    const index = (half) => firstCandidate({ label: `key/${name}/${half}`, kind, bits: L, e: BigInt(e) }, 0, 12000);
    namedMemo.set(name, makeKey({ name, e, kindP: kind, kindQ: kind, pBits: L, qBits: L, pIndex: index('p'), qIndex: index('q') }));
  }
  return namedMemo.get(name);
}
const otherClientKey = (key) => namedKey(key.name === 'device-2048-3' ? 'device-2048-1' : 'device-2048-3');

function oddModulus(label, b) {
  return (os2ip(derived(label, bytesFor(b))) & ((1n << BigInt(b)) - 1n)) | (1n << BigInt(b - 1)) | 1n;
}
const namedModulus = (s) => {
  const m = /^modulus\/([1-9][0-9]{0,4})$/.exec(s);
  if (!m) throw new Error(`change ${s}`);
  return oddModulus(s, Number(m[1]));
};

// -------------------------------------------------------------------------------------------- the scheme's steps

class Refused extends Error {
  constructor(stage, cls) { super(`${stage}: ${cls}`); this.reject = { class: cls, stage }; }
}
const refuse = (stage, cls) => { throw new Refused(stage, cls); };
// The verdict of steps: {result: 'valid', value} or {result: 'invalid', reject}.
function attempt(steps) {
  try { return { verdict: { result: 'valid' }, value: steps() }; } catch (err) {
    if (err instanceof Refused) return { verdict: { result: 'invalid', reject: err.reject } };
    throw err;
  }
}

const HASHES = { 'SHA-256': ['sha256', 32, 1], 'SHA-384': ['sha384', 48, 2], 'SHA-512': ['sha512', 64, 3],
  'SHA3-256': ['sha3-256', 32, 8], 'SHA3-384': ['sha3-384', 48, 9], 'SHA3-512': ['sha3-512', 64, 10] };
const UNLISTED = { 'MD5': 16, 'SHA-1': 20, 'SHA-224': 28, 'SHA-512/224': 28, 'SHA-512/256': 32, 'SHA3-224': 28 };
const hLen = (hash) => HASHES[hash]?.[1] ?? UNLISTED[hash] ?? (() => { throw new Error(`hash ${hash}`); })();
const digestOf = (hash, b) => createHash(HASHES[hash][0]).update(b).digest();

function mgf1(hash, seed, n) {
  const out = [];
  for (let i = 0; i * hLen(hash) < n; i++) out.push(digestOf(hash, Buffer.concat([seed, i2osp(i, 4)])));
  return Buffer.concat(out).subarray(0, n);
}
const emLenPSS = (n) => bytesFor(bits(n) - 1);
const maxSalt = (hash, n) => emLenPSS(n) - hLen(hash) - 2;

// Section 3.1: EM for the final key (n, e), and H of EMSA-PSS-ENCODE.
function encode({ padding, hash, digest, salt, n, e }) {
  if (!(n & 1n) || bits(n) < 2048 || bits(n) > 16384 || !goodExponent(e)) refuse('check-key', 'ErrKey');
  if (!HASHES[hash] || digest.length !== hLen(hash)) refuse('encode', 'ErrMessage');
  if (padding === 'PKCS1') {
    if (salt.length) refuse('encode', 'ErrMessage');
    const oid = Buffer.from('0609608648016503040200', 'hex');
    oid[10] = HASHES[hash][2];
    const algorithm = Buffer.concat([Buffer.from([0x30, 13]), oid, Buffer.from('0500', 'hex')]);
    const T = Buffer.concat([Buffer.from([0x30, algorithm.length + 2 + digest.length]), algorithm, Buffer.from([4, digest.length]), digest]);
    const ps = Buffer.alloc(bytesFor(bits(n)) - T.length - 3, 0xff);
    return { em: Buffer.concat([Buffer.from([0, 1]), ps, Buffer.from([0]), T]) };
  }
  const emBits = bits(n) - 1, emLen = emLenPSS(n), h = hLen(hash);
  if (salt.length > maxSalt(hash, n)) refuse('encode', 'ErrMessage');
  const H = digestOf(hash, Buffer.concat([Buffer.alloc(8), digest, salt]));
  const DB = Buffer.concat([Buffer.alloc(emLen - salt.length - h - 2), Buffer.from([1]), salt]);
  const masked = xor(DB, mgf1(hash, H, DB.length));
  masked[0] &= 0xff >> (8 * emLen - emBits);
  return { em: Buffer.concat([masked, H, Buffer.from([0xbc])]), h: H };
}

const goodExponent = (e) => e >= 3n && e < 2n ** 31n && (e & 1n) === 1n;
const goodDeviceModulus = (n) => (n & 1n) === 1n && bits(n) >= 2048 && bits(n) <= 8192 && bits(n) % 8 === 0;

const exponentOf = (sharing, x) => (sharing === 'multiplicative' ? 2n * os2ip(x) + 1n : os2ip(x));
const hexDc = (sharing, x) => hexInt(exponentOf(sharing, x), x.length + (sharing === 'multiplicative' ? 1 : 0));

function deal(sharing, x, key) { // sections 2.2 and 2.3: d_s
  const dc = exponentOf(sharing, x);
  const ds = sharing === 'multiplicative' ? inverse(key.e * dc, key.lambda) : mod(key.d - dc, key.lambda);
  if (ds === null || ds === 0n) refuse('deal', 'Redraw');
  return ds;
}

// Is n a power of 65537 modulo each odd prime up to 701?
const isROCA = (n) => ROCA_PRIMES.every((r) => {
  for (let x = 65537n % r, i = 1n; i < r; i++, x = (x * 65537n) % r) if (x === n % r) return true;
  return false;
});
function root(n) { // floor(sqrt(n)), by Newton's method from above
  let x = 1n << BigInt((bits(n) + 1) >> 1);
  for (;;) { const y = (x + n / x) >> 1n; if (y >= x) return x; x = y; }
}
function isNearlyEqual(n) { // does one of the first hundred steps of Fermat's method factor n?
  let a = root(n);
  if (a * a < n) a++;
  for (let i = 0; i < 100; i++, a++) { const b2 = a * a - n; if (b2 === 0n || root(b2) ** 2n === b2) return true; }
  return false;
}

// Section 2.4: the error for an existing key, with the flag that names the defect; null if it may be split.
function checkPrivateKey({ n, e, d, p, q }, sharing) {
  const L = BigInt(bits(n)) / 2n;
  if (!(e & 1n)) return ['ErrKey', 'ExponentEven'];
  if (e < 3n) return ['ErrKey', 'ExponentOne'];
  if (e >= 2n ** 31n) return ['ErrKey', 'ExponentTooBig'];
  if (!(n & 1n)) return ['ErrKey', 'EvenModulus'];
  if (bits(n) < 2048) return ['ErrKey', 'SmallModulus'];
  if (bits(n) > 8192) return ['ErrKey', 'LargeModulus'];
  if (bits(n) % 8) return ['ErrKey', 'OddModulusBits'];
  if (p * q !== n) return ['ErrKey', 'FactorsMismatch'];
  if (4 * Math.min(bits(p), bits(q)) < bits(n)) return ['ErrKey', 'UnequalFactors'];
  if (p === q) return ['ErrKey', 'PEqualsQ'];
  if (!isPrime(p) || !isPrime(q)) return ['ErrKey', 'FactorComposite'];
  if (isROCA(n)) return ['ErrKey', 'ROCA'];
  if (isNearlyEqual(n)) return ['ErrKey', 'NearlyEqual'];
  if (abs(p - q) < 1n << (L - 100n)) return ['ErrKey', 'PrimesClose'];
  if ((e * d - 1n) % (p - 1n) || (e * d - 1n) % (q - 1n)) return ['ErrKey', 'ExponentsMismatch'];
  if (gcd(p - 1n, q - 1n) >= 1n << 32n || d < 1n << L) return ['ErrKey', 'CommonDivisor'];
  if (sharing === 'multiplicative' && !(isLSafe(p) && isLSafe(q))) return ['ErrOrdinaryPrimes', 'OrdinaryPrimes'];
  return null;
}

// The server, section 3.3, on bytes y for EM under the final key. Gives all intermediate values.
function serve(G, em, messageN, yBytes, s2Answer) {
  const { key, server, n, k1, sharing, ds } = G;
  if (messageN !== n) refuse('check-message', 'ErrMessage');
  const y = os2ip(yBytes);
  if (yBytes.length !== k1 || y <= 1n || y >= key.n - 1n) refuse('parse-partial', 'ErrMalformedPartial');
  const m = os2ip(em), m1 = m % key.n;
  let s1 = powerCRT(sharing === 'multiplicative' ? y : m1, ds, key);
  if (sharing === 'additive') s1 = (y * s1) % key.n;
  if (power(s1, key.e, key.n) !== m1) refuse('check-partial', 'ErrPartial');
  if (!server) return { m1, s1, S: s1 };
  const k2 = server.k, m2 = m % server.n;
  const answer = s2Answer ? s2Answer(m2) : i2osp(powerCRT(m2, server.d, server), k2);
  const s2 = os2ip(answer);
  if (answer.length !== k2 || s2 >= server.n || power(s2, server.e, server.n) !== m2) refuse('combine', 'ErrServerKey');
  const S = s1 + key.n * mod((s2 - s1) * inverse(key.n, server.n), server.n);
  return { m1, m2, s1, s2, S };
}

// --- binary forms

const shareEnc = (sharing, n1, e, ds) => {
  const k1 = bytesFor(bits(n1));
  return Buffer.concat([Buffer.from('TDss'), Buffer.from([1, sharing === 'multiplicative' ? 1 : 2]), i2osp(e, 4), i2osp(k1, 2), i2osp(n1, k1), i2osp(ds, k1)]);
};
function parseShare(b) {
  const bad = (cls = 'ErrShare') => refuse('parse-share', cls);
  if (b.length < 12 || b.toString('latin1', 0, 4) !== 'TDss' || b[4] !== 1 || (b[5] !== 1 && b[5] !== 2)) bad();
  const e = BigInt(b.readUInt32BE(6)), k1 = b.readUInt16BE(10);
  if (b.length !== 12 + 2 * k1 || k1 === 0 || b[12] === 0) bad();
  const n1 = os2ip(b.subarray(12, 12 + k1)), ds = os2ip(b.subarray(12 + k1));
  if (!goodExponent(e) || !goodDeviceModulus(n1)) bad('ErrKey');
  if (ds === 0n || ds >= n1) bad();
}

const lockboxEnc = ({ sharing, params: { t, m, p }, salt, n1, e, ct }) => {
  const k1 = bytesFor(bits(n1));
  const head = Buffer.concat([Buffer.from('TDlb'), Buffer.from([1, sharing === 'multiplicative' ? 1 : 2]), i2osp(t, 4), i2osp(m, 4), i2osp(p, 1),
    salt, i2osp(k1, 2), i2osp(n1, k1), i2osp(e, 4), i2osp(ct.length, 2), ct]);
  return Buffer.concat([head, sha256(head)]);
};
function parseLockbox(b) {
  const bad = () => refuse('parse-lockbox', 'ErrLockbox');
  if (b.length < 79) bad();
  const k1 = b.readUInt16BE(31), [t, m, p] = [b.readUInt32BE(6), b.readUInt32BE(10), b[14]];
  if (b.length !== 79 + 2 * k1 || !sha256(b.subarray(0, -32)).equals(b.subarray(-32))) bad();
  if (b.toString('latin1', 0, 4) !== 'TDlb' || b[4] !== 1 || (b[5] !== 1 && b[5] !== 2)) bad();
  if (t < 1 || p < 1 || m < 8 * p || m > 1 << 22) bad();
  if (k1 === 0 || b[33] === 0 || !goodDeviceModulus(os2ip(b.subarray(33, 33 + k1)))) bad();
  if (!goodExponent(BigInt(b.readUInt32BE(33 + k1))) || b.readUInt16BE(37 + k1) !== k1 + 8) bad();
  return { params: { t, m, p }, salt: b.subarray(15, 31), ct: b.subarray(39 + k1, 47 + 2 * k1) };
}
const keystream = (key, n) => createCipheriv('chacha20', key, Buffer.alloc(16)).update(Buffer.alloc(n)); // counter 0, nonce 0

function applyEdit(base, edit, rehash) {
  const { at, cut, put } = edit, from = rehash ? base.subarray(0, -32) : base;
  if (at + cut > from.length) throw new Error('edit beyond the end');
  const out = Buffer.concat([from.subarray(0, at), Buffer.from(put, 'hex'), from.subarray(at + cut)]);
  return rehash ? Buffer.concat([out, sha256(out)]) : out;
}

// --- Argon2id, RFC 9106, on 32-bit halves

// v[i] is v[2i] + 2^32 v[2i+1]. One half of G: a = a + b + x, d = (d ^ a) >>> r, c = c + d, b = (b ^ c) >>> s; in Argon2
// each sum of two has twice the product of their low halves added (RFC 9106, 3.6) in place of a message word x.
const BLAKE2B_IV = 'f3bcc9086a09e66784caa73bbb67ae85fe94f82b3c6ef3725f1d36f1a54ff53aade682d1510e527f2b3e6c1f9b05688cfb41bd6b1f83d9ab137e21795be0cd19'
  .match(/.{8}/g).map((h) => parseInt(h, 16) | 0);
const SIGMA = ['0123456789abcdef', 'ea489fd61c02b753', 'b8c052fdae367194', '7931dcbe265a40f8', '905724afe1bc683d', '2c6a0b834d75fe19',
  'c51fed4a0763928b', 'db7ec13950f4862a', '6fe9b308c2d714a5', 'a2847615fb9e3cd0', '0123456789abcdef', 'ea489fd61c02b753']
  .map((row) => [...row].map((c) => parseInt(c, 16)));

function add(v, a, b, xlo, xhi) {
  const lo = (v[a] >>> 0) + (v[b] >>> 0) + (xlo >>> 0);
  v[a + 1] = v[a + 1] + v[b + 1] + xhi + Math.floor(lo / 4294967296);
  v[a] = lo;
}
function addTwiceProduct(v, a, b) {
  const p = v[a], q = v[b], ph = p >>> 16, pl = p & 65535, qh = q >>> 16, ql = q & 65535;
  const lo = Math.imul(p, q), hi = ph * qh + Math.floor((ph * ql + pl * qh + ((pl * ql) >>> 16)) / 65536);
  add(v, a, b, lo << 1, (hi << 1) | (lo >>> 31));
}
function xorRotate(v, d, a, r) { // v[d] = (v[d] ^ v[a]) >>> r, for r = 32, 24, 16, 63
  const lo = v[d] ^ v[a], hi = v[d + 1] ^ v[a + 1];
  if (r === 32) { v[d] = hi; v[d + 1] = lo; } else if (r === 63) { v[d] = (lo << 1) | (hi >>> 31); v[d + 1] = (hi << 1) | (lo >>> 31); } else {
    v[d] = (lo >>> r) | (hi << (32 - r)); v[d + 1] = (hi >>> r) | (lo << (32 - r));
  }
}
const COLUMNS_AND_DIAGONALS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

function blake2b(input, outLength) {
  const h = Int32Array.from(BLAKE2B_IV), v = new Int32Array(32), blocks = Math.max(1, Math.ceil(input.length / 128));
  h[0] ^= 0x01010000 ^ outLength;
  const padded = Buffer.alloc(blocks * 128);
  input.copy(padded);
  for (let i = 0; i < blocks; i++) {
    v.set(h); v.set(BLAKE2B_IV, 16);
    v[24] ^= i === blocks - 1 ? input.length : 128 * (i + 1);
    if (i === blocks - 1) { v[28] = ~v[28]; v[29] = ~v[29]; }
    const word = (j) => padded.readInt32LE(128 * i + 4 * j);
    for (const s of SIGMA) {
      COLUMNS_AND_DIAGONALS.forEach(([a, b, c, d], g) => {
        const [x, y] = [2 * s[2 * g], 2 * s[2 * g + 1]];
        [a, b, c, d] = [2 * a, 2 * b, 2 * c, 2 * d];
        add(v, a, b, word(x), word(x + 1)); xorRotate(v, d, a, 32); add(v, c, d, 0, 0); xorRotate(v, b, c, 24);
        add(v, a, b, word(y), word(y + 1)); xorRotate(v, d, a, 16); add(v, c, d, 0, 0); xorRotate(v, b, c, 63);
      });
    }
    for (let j = 0; j < 16; j++) h[j] ^= v[j] ^ v[j + 16];
  }
  return Buffer.from(h.buffer).subarray(0, outLength);
}
const blake2b64 = (b) => createHash('blake2b512').update(b).digest();
const le32 = (...numbers) => { const b = Buffer.alloc(4 * numbers.length); numbers.forEach((z, i) => b.writeUInt32LE(z, 4 * i)); return b; };

function variableHash(A, T) { // H' of RFC 9106, 3.3
  const input = Buffer.concat([le32(T), A]);
  if (T <= 64) return blake2b(input, T);
  const out = [];
  let V = blake2b64(input), left = T;
  for (; left > 64; left -= 32) { out.push(V.subarray(0, 32)); if (left - 32 > 64) V = blake2b64(V); else V = blake2b(V, left - 32); }
  return Buffer.concat([...out, V]);
}

const PERMUTED = (() => { // word offsets (lo halves) of the 16 permutations P of G, each as eight quadruples
  const list = [], quadruples = (word) => COLUMNS_AND_DIAGONALS.forEach((g) => list.push(...g.map((j) => 2 * word(j))));
  for (let r = 0; r < 8; r++) quadruples((j) => 16 * r + j);
  for (let c = 0; c < 8; c++) quadruples((j) => 16 * (j >> 1) + 2 * c + (j & 1));
  return Int32Array.from(list);
})();
const R = new Int32Array(256), Q = new Int32Array(256);
function compress(M, out, x, y, withXor) { // block out (^)= G(block x, block y)
  for (let i = 0; i < 256; i++) Q[i] = R[i] = M[x + i] ^ M[y + i];
  for (let i = 0; i < PERMUTED.length; i += 4) {
    const a = PERMUTED[i], b = PERMUTED[i + 1], c = PERMUTED[i + 2], d = PERMUTED[i + 3];
    addTwiceProduct(R, a, b); xorRotate(R, d, a, 32); addTwiceProduct(R, c, d); xorRotate(R, b, c, 24);
    addTwiceProduct(R, a, b); xorRotate(R, d, a, 16); addTwiceProduct(R, c, d); xorRotate(R, b, c, 63);
  }
  for (let i = 0; i < 256; i++) M[out + i] = (withXor ? M[out + i] : 0) ^ Q[i] ^ R[i];
}

const argonMemo = new Map();
function argon2id(password, salt, { t, m, p }) { // tag length 32, version 0x13, no secret, no associated data
  const id = `${password.toString('hex')}/${salt.toString('hex')}/${t}/${m}/${p}`;
  if (argonMemo.has(id)) return argonMemo.get(id);
  const H0 = blake2b64(Buffer.concat([le32(p, 32, m, t, 0x13, 2, password.length), password, le32(salt.length), salt, le32(0, 0)]));
  const lane = 4 * Math.floor(m / (4 * p)), total = lane * p, segment = lane / 4;
  const M = new Int32Array((total + 3) * 256), ZERO = total * 256, INPUT = ZERO + 256, ADDRESS = INPUT + 256;
  const put = (block, bytes) => { for (let i = 0; i < 256; i++) M[block * 256 + i] = bytes.readInt32LE(4 * i); };
  for (let l = 0; l < p; l++) for (const j of [0, 1]) put(l * lane + j, variableHash(Buffer.concat([H0, le32(j, l)]), 1024));
  for (let pass = 0; pass < t; pass++) for (let slice = 0; slice < 4; slice++) for (let l = 0; l < p; l++) {
    const independent = pass === 0 && slice < 2;
    if (independent) { M.fill(0, INPUT, INPUT + 256); [pass, l, slice, total, t, 2].forEach((z, i) => { M[INPUT + 2 * i] = z; }); }
    for (let i = 0; i < segment; i++) {
      if (independent && i % 128 === 0) { M[INPUT + 12]++; compress(M, ADDRESS, ZERO, INPUT, false); compress(M, ADDRESS, ZERO, ADDRESS, false); }
      const column = slice * segment + i;
      if (pass === 0 && column < 2) continue;
      const previous = l * lane + (column + lane - 1) % lane;
      const from = independent ? ADDRESS + 2 * (i % 128) : previous * 256;
      const J1 = M[from] >>> 0, J2 = M[from + 1] >>> 0;
      const l2 = pass === 0 && slice === 0 ? l : J2 % p;
      const done = pass === 0 ? slice * segment : lane - segment; // blocks in finished segments that may be read
      const area = l2 === l ? done + i - 1 : done - (i === 0 ? 1 : 0);
      const x = Number((BigInt(J1) * BigInt(J1)) >> 32n);
      const z = area - 1 - Number((BigInt(area) * BigInt(x)) >> 32n);
      const start = pass === 0 ? 0 : ((slice + 1) % 4) * segment;
      compress(M, (l * lane + column) * 256, previous * 256, (l2 * lane + (start + z) % lane) * 256, pass > 0);
    }
  }
  const last = new Int32Array(256);
  for (let l = 0; l < p; l++) for (let i = 0; i < 256; i++) last[i] ^= M[((l + 1) * lane - 1) * 256 + i];
  const tag = variableHash(Buffer.from(last.buffer), 32);
  argonMemo.set(id, tag);
  return tag;
}

// ------------------------------------------------------------------------------- what every file has: form, schema

const SCHEMA_KEYWORDS = ['$schema', '$defs', '$ref', 'title', 'type', 'enum', 'properties', 'required', 'additionalProperties', 'items',
  'minItems', 'pattern', 'minimum', 'oneOf'];
const TYPES = { object: (v) => typeof v === 'object' && v !== null && !Array.isArray(v), array: Array.isArray,
  string: (v) => typeof v === 'string', integer: Number.isSafeInteger, boolean: (v) => typeof v === 'boolean' };

function schemaKeywords(s, root, at, errors) { // are all keywords of a schema known, and all references there?
  for (const [k, v] of Object.entries(s)) {
    if (!SCHEMA_KEYWORDS.includes(k)) errors.push(`schema ${at}: keyword ${k} is not known`);
    if (k === 'properties' || k === '$defs') for (const [name, sub] of Object.entries(v)) schemaKeywords(sub, root, `${at}/${name}`, errors);
    if (k === 'items' || (k === 'additionalProperties' && typeof v === 'object')) schemaKeywords(v, root, `${at}/${k}`, errors);
    if (k === 'oneOf') v.forEach((sub, i) => schemaKeywords(sub, root, `${at}/${i}`, errors));
    if (k === '$ref' && !root.$defs?.[v.replace('#/$defs/', '')]) errors.push(`schema ${at}: ${v} is not there`);
    if (k === 'type' && !TYPES[v]) errors.push(`schema ${at}: type ${v} is not known`);
  }
}
function schemaError(v, s, root, at) { // the first error, or undefined
  if (s.$ref) { const e = schemaError(v, root.$defs[s.$ref.replace('#/$defs/', '')], root, at); if (e) return e; }
  if (s.type && !TYPES[s.type](v)) return `${at}: not of type ${s.type}`;
  if (s.enum && !s.enum.includes(v)) return `${at}: not one of the values allowed`;
  if (s.pattern && typeof v === 'string' && !new RegExp(s.pattern, 'u').test(v)) return `${at}: does not match ${s.pattern}`;
  if (s.minimum !== undefined && typeof v === 'number' && v < s.minimum) return `${at}: below ${s.minimum}`;
  if (TYPES.object(v)) {
    for (const k of s.required ?? []) if (!(k in v)) return `${at}: ${k} is missing`;
    for (const k of Object.keys(v)) {
      const sub = s.properties && Object.hasOwn(s.properties, k) ? s.properties[k] : s.additionalProperties;
      if (sub === false) return `${at}: ${k} is not allowed`;
      const e = sub && sub !== true && schemaError(v[k], sub, root, `${at}.${k}`);
      if (e) return e;
    }
  }
  if (Array.isArray(v)) {
    if (s.minItems !== undefined && v.length < s.minItems) return `${at}: less than ${s.minItems} items`;
    for (let i = 0; s.items && i < v.length; i++) { const e = schemaError(v[i], s.items, root, `${at}[${i}]`); if (e) return e; }
  }
  if (s.oneOf) {
    const results = s.oneOf.map((sub) => schemaError(v, sub, root, at));
    if (results.filter((e) => !e).length !== 1) return results.find((e, i) => s.oneOf[i].properties?.type?.enum?.includes(v?.type) && e) || `${at}: none of oneOf, or several`;
  }
  return undefined;
}

const FILES = { // algorithm, schema, and the digits in the notes' descriptions (prose, which nothing computes)
  complete: ['tandem-complete', 'complete', '1111111121202121'],
  complete_composite: ['tandem-complete-composite', 'complete', '12121222221828192111111112120220482121'],
  encode_pkcs1: ['EMSA-PKCS1-v1_5', 'encode', '11638482048'], encode_pss: ['EMSA-PSS', 'encode', '181163848202048'],
  limiter: ['tandem-limiter', 'limiter', '19709999243'], lockbox: ['tandem-lockbox', 'lockbox', '000121210111245678930391242'],
  lockbox_exhaustive_4: ['tandem-lockbox', 'lockbox_exhaustive', '2'], lockbox_malformed: ['tandem-lockbox', 'lockbox_malformed', '123121818204812'],
  partial: ['tandem-partial', 'partial', '12121811115181928121182048'],
  split_additive_2048: ['tandem-split-additive', 'split', '112321123111112655391821210021001865136553770121101121112655391122048'], split_additive_3072: ['tandem-split-additive', 'split', '112321123111112655391821210021001865136553770121101121112655391122048'],
  split_multiplicative_2048: ['tandem-split-multiplicative', 'split', '112321123111112655391821210021001865136553770121101121112655391122048'], split_multiplicative_3072: ['tandem-split-multiplicative', 'split', '112321123111112655391821210021001865136553770121101121112655391122048'],
  key_document: ['tandem-key-document', 'key_document', '803251776820372'], transcript: ['tandem-protocol', 'transcript', ''],
  verification_code: ['tandem-verification-code', 'verification_code', '99999'], weak_pins: ['tandem-check-pin', 'weak_pins', '3039124'],
};
const CVES = { NearlyEqual: ['CVE-2022-26320'], ROCA: ['CVE-2017-15361'] };
const SOURCE = { name: 'tandem', version: '1.0.0' };
const digitsIn = (s) => s.replace(/[^0-9]/g, '');

const show = (v) => {
  const s = v === undefined ? '(nothing)' : typeof v === 'string' ? v : JSON.stringify(v);
  return s.length > 72 ? `${s.slice(0, 40)}...${s.slice(-16)} (${s.length})` : s;
};
function differences(want, got, at, out) {
  if (TYPES.object(want) && TYPES.object(got)) {
    for (const k of new Set([...Object.keys(want), ...Object.keys(got)])) differences(want[k], got[k], at ? `${at}.${k}` : k, out);
  } else if (Array.isArray(want) && Array.isArray(got) && want.length === got.length) {
    want.forEach((w, i) => differences(w, got[i], `${at}[${i}]`, out));
  } else if (want !== got) {
    const i = typeof want === 'string' && typeof got === 'string' ? [...want].findIndex((c, j) => c !== got[j]) : -1;
    out.push(`${at}: in the file ${show(got)}, computed ${show(want)}${i > 40 ? `, first difference at character ${i}` : ''}`);
  }
}

// Check one file. `only` = {group, test} leaves out all other groups and tests (for check_mutations.mjs).
export function checkText(name, text, only) {
  const errors = [], fail = (where, message) => errors.push(`${name}.json: ${where}: ${message}`);
  const done = (tests) => ({ tests, errors });
  let data;
  try { data = JSON.parse(text); } catch (err) { fail('file', err.message); return done(0); }
  if (text !== JSON.stringify(data, null, 1) + '\n') fail('file', 'not in the canonical form (white space, numbers, or a key twice)');
  if (!FILES[name]) { fail('file', 'not known'); return done(0); }
  const [algorithm, schemaName, noteDigits] = FILES[name];
  const schema = JSON.parse(readFileSync(join(HERE, 'schemas', `${schemaName}.json`), 'utf8'));
  const schemaErrors = [];
  schemaKeywords(schema, schema, schemaName, schemaErrors);
  schemaErrors.forEach((e) => fail('schema', e));
  const e = schemaError(data, schema, schema, 'file');
  if (e) { fail('schema', e); return done(0); } // what follows relies on the types
  const { testGroups, notes, derivation, header, ...rest } = data;
  const all = testGroups.flatMap((g) => g.tests);
  const out = [];
  differences({ algorithm, schema: `schemas/${schemaName}.json`, vectorVersion: '1.0.0', specVersion: '1', seed: SEED.toString('hex'), numberOfTests: all.length }, rest, '', out);
  differences('25622', digitsIn(derivation), 'digits of derivation', out);
  differences('010', digitsIn(header.join()), 'digits of header', out);
  differences(noteDigits, Object.values(notes).map((n) => digitsIn(n.description + n.effect)).join(''), 'digits of notes', out);
  differences([...new Set(all.flatMap((t) => t.flags))].sort(), Object.keys(notes), 'notes', out);
  for (const f of Object.keys(notes)) differences(CVES[f] ?? [], notes[f].cves, `notes.${f}.cves`, out);
  // ASSUMED: the numbers are 1 to numberOfTests, and rise within a group.
  differences(all.map((_, i) => i + 1), all.map((t) => t.tcId).sort((a, b) => a - b), 'tcId', out);
  for (const g of testGroups) if (g.tests.some((t, i) => i && t.tcId <= g.tests[i - 1].tcId)) out.push(`tcId: not in order in group ${g.type}`);
  for (const [path, v] of leaves({ ...data, notes: {}, derivation: '', header: [] }, '')) if (v === null || (typeof v === 'number' && !Number.isSafeInteger(v))) out.push(`${path}: ${v}`);
  out.forEach((m) => fail('header', m));

  let count = 0;
  testGroups.forEach((g, gi) => {
    if (only && only.group !== gi) return;
    const where = `group ${gi} (${g.type})`, { tests, ...got } = g;
    const guarded = (place, f) => { try { return f(); } catch (err) { fail(place, `cannot be computed: ${err.message}`); return undefined; } };
    const checker = guarded(where, () => GROUPS[g.type]({ name, data }, g));
    if (!checker) return;
    const list = [];
    differences({ ...checker.group, source: SOURCE, type: g.type }, got, '', list);
    list.push(...(checker.errors ?? []));
    if (g.indistinguishable) differences(1, new Set(tests.map((t) => JSON.stringify([t.result, t.reject]))).size, 'different results', list);
    list.forEach((m) => fail(where, m));
    tests.forEach((t, ti) => {
      if (only && only.test !== undefined && only.test !== ti) return;
      const want = guarded(`tcId ${t.tcId}`, () => checker.test(t, ti));
      if (!want) return;
      const found = [];
      differences({ tcId: t.tcId, comment: t.comment, ...want, flags: [...want.flags].sort() }, t, '', found);
      found.forEach((m) => fail(`tcId ${t.tcId}`, m));
      count++;
    });
  });
  return done(count);
}
function* leaves(v, path) {
  if (v !== null && typeof v === 'object') for (const k of Object.keys(v)) yield* leaves(v[k], `${path}.${k}`);
  else yield [path, v];
}

// ------------------------------------------------------------------------- groups: what each test ought to look like

const hexOf = (b) => b.toString('hex');
const fromComment = (t, pattern) => { const m = pattern.exec(t.comment); return m && Number(m[1]); };
const change = (t, table) => {
  if (!Object.hasOwn(table, t.change)) throw new Error(`change ${t.change}`);
  return table[t.change]();
};
// A field of a test: derived from FILE/TCID/f, or from the counter's label.
const field = (F, t, f, n, counter = undefined) => derived(`${F.name}/${t.tcId}/${f}${counter === undefined ? '' : `/${counter}`}`, n);
// The counter must be the first from 0 with the property.
function checkCounter(t, has) {
  if (!(t.counter < 1 << 20)) throw new Error('counter');
  if (!has(t.counter)) throw new Error(`counter ${t.counter}: the test has not its property`);
  for (let c = 0; c < t.counter; c++) if (has(c)) throw new Error(`counter ${t.counter}: ${c} has the property, too`);
  return { counter: t.counter };
}
function xOf(F, t, key) {
  const n = key.k + 8, x = field(F, t, 'x', n, t.counter !== undefined && 'ds' in t ? t.counter : undefined);
  switch (t.xForm) {
    case 'derived': return x;
    case 'eight-zero-bytes': return x.fill(0, 0, 8);
    case 'zero': return Buffer.alloc(n);
    case 'ones': return Buffer.alloc(n, 0xff);
    case 'd': return i2osp(key.d, n);
    case 'd-plus-lambda': return i2osp(key.d + key.lambda, n);
    case 'next-multiple-of-65539': { // 2x+1 = 0 mod 65539, that is x = 32769 mod 65539
      const z = os2ip(x);
      return i2osp(z + mod(32769n - z, 65539n), n);
    }
    default: throw new Error(`xForm ${t.xForm}`);
  }
}
const message = (F, t, field1 = 'digest', counter = t.counter) => ({ digest: field(F, t, field1, hLen(t.hash), counter),
  salt: t.padding === 'PSS' ? field(F, t, 'salt', hLen(t.hash)) : Buffer.alloc(0) });

function pem(n, e) {
  const tlv = (tag, ...parts) => {
    const v = Buffer.concat(parts), l = hexMin(BigInt(v.length));
    return Buffer.concat([Buffer.from([tag]), v.length < 128 ? Buffer.from(l, 'hex') : Buffer.concat([Buffer.from([0x80 + l.length / 2]), Buffer.from(l, 'hex')]), v]);
  };
  const integer = (z) => { const h = hexMin(z); return tlv(2, Buffer.from(parseInt(h[0], 16) > 7 ? '00' + h : h, 'hex')); };
  const rsa = tlv(0x30, tlv(6, Buffer.from('2a864886f70d010101', 'hex')), tlv(5));
  const der = tlv(0x30, rsa, tlv(3, Buffer.from([0]), tlv(0x30, integer(n), integer(e))));
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64').match(/.{1,64}/g).join('\n')}\n-----END PUBLIC KEY-----\n`;
}

function finalKey(g) { // of a group with key and perhaps serverKey
  const key = makeKey(g.key), server = g.serverKey && makeKey(g.serverKey);
  if (server && server.e !== key.e) throw new Error('exponents differ');
  const n = server ? key.n * server.n : key.n, flags = [];
  if (!key.lSafe) flags.push('OrdinaryPrimes');
  if (server && bits(n) < bits(key.n) + bits(server.n)) flags.push('CompositeShort');
  if (bits(n) % 8 === 1) flags.push('EmLenShort');
  const json = { key: key.json, ...(server && { serverKey: server.json }), e: Number(key.e), n: hexInt(n, bytesFor(bits(n))),
    shape: server ? 'composite' : 'two-prime', sharing: g.sharing, name: `${g.sharing}/${key.name}${server ? `/${server.name}` : ''}` };
  return { key, server, n, e: key.e, k1: key.k, k: bytesFor(bits(n)), sharing: g.sharing, flags, json };
}

const GROUPS = {};

// --- split_*.json

GROUPS.Split = (F, g) => {
  const key = makeKey(g.key), { sharing } = g;
  return {
    group: { key: key.json, sharing },
    test: (t) => {
      const x = xOf(F, t, key);
      const { verdict, value: ds } = attempt(() => deal(sharing, x, key));
      const valid = verdict.result === 'valid', flags = [];
      if (key.bound) flags.push('LSafeBound'); else if (!key.lSafe) flags.push('OrdinaryPrimes');
      if (bits(key.p) !== bits(key.q)) flags.push('UnequalFactors');
      if (key.k % 2) flags.push('OddBytes');
      if (key.apart) flags.push('PrimesApart');
      if (gcd(key.p - 1n, key.q - 1n) === 2n * 65539n) flags.push('SmallCommonDivisor');
      if (!valid) flags.push('RedrawX');
      // ASSUMED, against the flag's note: not where d_s begins with a zero byte by chance, or because lambda is short.
      if (valid && (x.subarray(0, 8).every((b) => b === 0) || 'counter' in t)) flags.push('ShareLeadingZero');
      if (t.xForm === 'ones') flags.push('ShareAllOnes');
      return { ...verdict, flags, xForm: t.xForm, x: hexOf(x), dc: hexDc(sharing, x),
        ...(valid && { ds: hexInt(ds, key.k), serverShareEnc: hexOf(shareEnc(sharing, key.n, key.e, ds)) }),
        ...('counter' in t && checkCounter(t, (c) => {
          const { value } = attempt(() => deal(sharing, field(F, t, 'x', key.k + 8, c), key));
          return value !== undefined && hexInt(value, key.k).startsWith('00');
        })) };
    },
  };
};

GROUPS.Key = (F, g) => ({
  group: { sharing: g.sharing },
  test: (t) => {
    const key = makeKey(t.key), factor = t.factor && makeKey(t.factor);
    const { n, d, p, q, e } = key, other = () => namedKey(`device-${bits(n)}-3`);
    const E = /^e=([1-9][0-9]*)$/.exec(t.change);
    const changed = E ? { e: BigInt(E[1]), ...(E[1] === '1' && { d: 1n }), ...(E[1] === '2147483659' && { d: inverse(2147483659n, key.lambda) }) }
      : change(t, { none: () => ({}), 'n-1': () => ({ n: n - 1n }), 'n+2': () => ({ n: n + 2n }), 'q+1': () => ({ q: q + 1n, n: p * (q + 1n) }),
        'other-n': () => ({ n: other().n }), 'other-q': () => ({ q: other().q }), 'p-twice': () => ({ q: p }), 'q=p': () => ({ q: p, n: p * p }),
        'd+2': () => ({ d: d + 2n }), 'q-composite': () => ({ q: factor.n, n: p * factor.n, d: inverse(e, lcm(p - 1n, factor.n - 1n)) }) });
    const k = { n, e, d, p, q, ...changed };
    const [cls, flag] = checkPrivateKey(k, g.sharing) ?? [];
    if (Boolean(factor) !== (t.change === 'q-composite')) throw new Error('factor');
    const width = bytesFor(bits(k.n)), half = bytesFor(bits(k.p) > bits(k.q) ? bits(k.p) : bits(k.q));
    return { ...(cls ? { result: 'invalid', reject: { class: cls, stage: 'check-key' } } : { result: 'valid' }), flags: flag ? [flag] : [],
      change: t.change, key: key.json, ...(factor && { factor: factor.json }), e: Number(k.e),
      n: hexInt(k.n, width), d: hexInt(k.d, width), p: hexInt(k.p, half), q: hexInt(k.q, half) };
  },
});

GROUPS.ServerShare = (F, g) => {
  const key = makeKey(g.key), k1 = key.k, x = derived(`share/${F.name}/x`, k1 + 8), n1 = key.n;
  const base = shareEnc(g.sharing, n1, key.e, deal(g.sharing, x, key));
  return {
    group: { key: key.json, sharing: g.sharing, x: hexOf(x), baseEnc: hexOf(base) },
    test: (t) => {
      const enc = applyEdit(base, t.edit), n1Bits = fromComment(t, /^n1 of (\d+) bits, d_s = 1$/);
      const { verdict } = attempt(() => parseShare(enc));
      if (n1Bits) {
        const n = oddModulus(`${F.name}/${t.tcId}/n`, n1Bits);
        differencesThrow(hexOf(shareEnc(g.sharing, n, key.e, 1n)), hexOf(enc), 'n1 of another length');
      }
      const e = enc.length >= 12 ? BigInt(enc.readUInt32BE(6)) : 3n, at = t.edit.at;
      const flag = verdict.reject?.class === 'ErrKey'
        ? (e < 2n || !(e & 1n) ? (e === 1n ? 'ExponentOne' : 'ExponentEven') : e >= 2n ** 31n ? 'ExponentTooBig' : modulusFlag(os2ip(enc.subarray(12, 12 + enc.readUInt16BE(10)))))
        : verdict.result === 'valid' ? 'ServerShareEdge' : at !== 12 + k1 || enc.length !== base.length ? 'ServerShareEncoding' : os2ip(enc.subarray(at)) ? 'ServerShareTooBig' : 'ServerShareZero';
      return { ...verdict, flags: [flag], edit: t.edit, serverShareEnc: hexOf(enc) };
    },
  };
};
const modulusFlag = (n, largest = 8192) => (!(n & 1n) ? 'EvenModulus' : bits(n) < 2048 ? 'SmallModulus' : bits(n) > largest ? 'LargeModulus' : 'OddModulusBits');
function differencesThrow(want, got, what) { if (want !== got) throw new Error(`${what}: in the file ${show(got)}, computed ${show(want)}`); }

// --- encode_*.json

GROUPS.Encode = (F, g) => {
  const pss = F.name === 'encode_pss', refusedKey = g.change !== undefined, hash = g.hash;
  // ASSUMED: e is 65537, and where a group has `change`, what its test's comment says.
  const said = refusedKey && /^a modulus of (\d+) bits \((.*)\), e = (\d+)$/.exec(g.tests[0].comment);
  if (refusedKey && !said) throw new Error('comment');
  const e = refusedKey ? Number(said[3]) : 65537;
  const n = oddModulus(`modulus/${g.bits}`, g.bits) - (g.change === 'n-1' ? 1n : 0n);
  if (said) differencesThrow(`${g.bits} ${g.change}`, `${said[1]} ${said[2]}`, 'comment');
  return {
    group: { bits: g.bits, e, hash, n: hexInt(n, bytesFor(g.bits)), ...(refusedKey && { change: g.change }) },
    test: (t) => {
      const form = (f, kind, length) => (kind === 'derived' ? field(F, t, f, length) : Buffer.alloc(length, kind === 'ones' ? 0xff : 0));
      const hasEnc = (f) => `${f}Enc` in t;
      const length = hasEnc('digest') ? fromComment(t, /^digest of (\d+) bytes$/) ?? hLen(hash) : hLen(hash);
      const digest = form('digest', t.digestForm, length);
      const withSalt = 'salt' in t || hasEnc('salt');
      const saltLength = withSalt ? (t.salt ?? t.saltEnc).length / 2 : 0;
      const salt = withSalt ? form('salt', t.saltForm, saltLength) : Buffer.alloc(0);
      const { verdict, value } = attempt(() => encode({ padding: pss ? 'PSS' : 'PKCS1', hash, digest, salt, n, e: BigInt(e) }));
      const valid = verdict.result === 'valid', flags = [];
      const tooLong = withSalt && saltLength > maxSalt(hash, n);
      if (verdict.reject?.stage === 'check-key') {
        flags.push(e === 1 ? 'ExponentOne' : e % 2 === 0 ? 'ExponentEven' : modulusFlag(n, 16384));
      } else if (!HASHES[hash]) { flags.push('UnknownHash'); } else {
        if (g.bits % 8) flags.push('ModulusUnusual');
        if (pss && g.bits % 8 === 1) flags.push('EmLenShort');
        if (digest.length !== hLen(hash)) flags.push('DigestLength');
        if (t.digestForm !== 'derived') flags.push('DigestEdge');
        if (tooLong) flags.push('SaltTooLong');
        if (pss && valid) {
          if (saltLength === 0) flags.push('SaltZero');
          if (saltLength === hLen(hash)) flags.push(t.saltForm === 'zero' ? 'SaltZeroBytes' : 'SaltHashLen');
          if (saltLength === maxSalt(hash, n)) flags.push('SaltMax');
        }
      }
      return { ...verdict, flags, digestForm: t.digestForm, [valid || tooLong ? 'digest' : 'digestEnc']: hexOf(digest),
        ...(pss && (valid || tooLong) && { saltForm: t.saltForm, [valid ? 'salt' : 'saltEnc']: hexOf(salt) }),
        ...(valid && { em: hexOf(value.em), ...(pss && { h: hexOf(value.h) }) }) };
    },
  };
};

// --- partial.json

GROUPS.Partial = (F, g) => {
  const G = finalKey(g);
  return {
    group: G.json,
    test: (t) => {
      const x = xOf(F, t, G.key), dc = exponentOf(g.sharing, x);
      const y = (counter) => {
        const { digest, salt } = message(F, t, 'digest', counter), { em } = encode({ ...G, ...t, digest, salt });
        const m1 = os2ip(em) % G.key.n;
        return { digest, salt, em, m1: hexInt(m1, G.k1), y: hexInt(powerCRT(m1, dc, G.key), G.k1) };
      };
      const v = y(t.counter), flags = [...G.flags], property = t.comment.startsWith('m1 ') ? 'm1' : 'y'; // ASSUMED: the comment says which
      if (v.m1.startsWith('00')) flags.push('InputLeadingZero');
      if (v.y.startsWith('00')) flags.push('OutputLeadingZero');
      if (x.subarray(0, 8).every((b) => b === 0)) flags.push('ShareLeadingZero');
      if (t.xForm === 'ones') flags.push('ShareAllOnes');
      return { result: 'valid', flags, hash: t.hash, padding: t.padding, xForm: t.xForm, x: hexOf(x), dc: hexDc(g.sharing, x),
        digest: hexOf(v.digest), salt: hexOf(v.salt), em: hexOf(v.em), m1: v.m1, y: v.y,
        ...('counter' in t && checkCounter(t, (c) => y(c)[property].startsWith('00'))) };
    },
  };
};

GROUPS.PartialRefused = (F, g) => {
  const key = makeKey(g.key), size = bits(key.n);
  return {
    group: { key: key.json, sharing: g.sharing },
    test: (t) => {
      const withMessage = 'digest' in t;
      const e1 = BigInt(fromComment(t, /^e = (\d+)$/) ?? key.e); // ASSUMED: another e1 is in the comment
      const n1 = withMessage || t.change === 'none' ? key.n : t.change === 'n1-1' ? key.n - 1n : namedModulus(t.change);
      const k1 = bytesFor(bits(n1)), x = field(F, t, 'x', withMessage ? k1 + 8 : t.xEnc.length / 2);
      // ASSUMED: all have the key's e, but for other-e (device-BITS-3 has another one).
      const [n, e] = withMessage ? change(t, { 'other-key': () => [namedKey(`device-${size}-3`).n, key.e], 'other-e': () => [key.n, 3n],
        'other-composite': () => [namedKey(`device-${size}-3`).n * namedKey(`server-${size}-1`).n, key.e], 'n1+2': () => [key.n + 2n, key.e] }) : [];
      const { digest, salt } = withMessage ? message(F, t) : {};
      const em = withMessage && encode({ ...t, n, e, digest, salt }).em;
      const { verdict } = attempt(() => {
        if (!goodDeviceModulus(n1) || !goodExponent(e1)) refuse('check-key', 'ErrKey');
        if (x.length !== k1 + 8) refuse('parse-share', 'ErrShare');
        if (withMessage && (n % n1 || e !== e1)) refuse('check-message', 'ErrMessage');
      });
      const flag = withMessage ? 'OtherKey' : verdict.reject?.class === 'ErrShare' ? 'ShareLength'
        : e1 === 1n ? 'ExponentOne' : !(e1 & 1n) ? 'ExponentEven' : modulusFlag(n1);
      return { ...verdict, flags: [flag], change: t.change, n1: hexInt(n1, k1), e1: Number(e1), [withMessage ? 'x' : 'xEnc']: hexOf(x),
        ...(withMessage && { hash: t.hash, padding: t.padding, n: hexInt(n, bytesFor(bits(n))), e: Number(e), digest: hexOf(digest), salt: hexOf(salt), em: hexOf(em) }) };
    },
  };
};

// --- complete.json, complete_composite.json

function signingGroup(F, g) {
  const G = finalKey(g);
  const x = derived(`share/${F.name}/${G.json.name}/x`, G.k1 + 8), publicKeyPem = pem(G.n, G.e);
  G.x = x; G.dc = exponentOf(g.sharing, x); G.ds = deal(g.sharing, x, G.key);
  G.json = { ...G.json, x: hexOf(x), dc: hexDc(g.sharing, x), ds: hexInt(G.ds, G.k1), publicKeyPem };
  G.encode = (t, m, n = G.n) => encode({ hash: t.hash, padding: t.padding, ...m, n, e: G.e }).em;
  G.partial = (em, dc = G.dc) => powerCRT(os2ip(em), dc, G.key);
  G.publicKey = createPublicKey(publicKeyPem);
  return G;
}
const inputs = (t, m) => ({ hash: t.hash, padding: t.padding, digest: hexOf(m.digest), salt: hexOf(m.salt) });

GROUPS.Complete = (F, g) => {
  const G = signingGroup(F, g);
  const whole = (em) => { // the signature that the whole keys would make
    const m = os2ip(em), s1 = powerCRT(m, G.key.d, G.key);
    return G.server ? s1 + G.key.n * mod((powerCRT(m, G.server.d, G.server) - s1) * inverse(G.key.n, G.server.n), G.server.n) : s1;
  };
  return {
    group: G.json,
    test: (t) => {
      const m = message(F, t), em = G.encode(t, m), y = i2osp(G.partial(em), G.k1);
      const v = serve(G, em, G.n, y), sig = i2osp(v.S, G.k);
      const opened = publicDecrypt({ key: G.publicKey, padding: constants.RSA_NO_PADDING }, sig);
      if (hexOf(opened) !== hexInt(os2ip(em), G.k) || whole(em) !== v.S) throw new Error('the signature does not verify');
      if (t.padding === 'PKCS1' && !em.subarray(-19 - m.digest.length).equals(publicDecrypt({ key: G.publicKey, padding: constants.RSA_PKCS1_PADDING }, sig))) throw new Error('OpenSSL finds another DigestInfo');
      return { result: 'valid', flags: [...G.flags, ...(sig[0] === 0 ? ['ResultLeadingZero'] : [])], yForm: 'right', ...inputs(t, m), em: hexOf(em), y: hexOf(y), m1: hexInt(v.m1, G.k1), s1: hexInt(v.s1, G.k1),
        ...(G.server && { m2: hexInt(v.m2, G.server.k), s2: hexInt(v.s2, G.server.k) }), sig: hexOf(sig),
        ...('counter' in t && checkCounter(t, (c) => i2osp(whole(G.encode(t, message(F, t, 'digest', c))), G.k)[0] === 0)) };
    },
  };
};

const byForm = (table, form) => {
  for (const [flag, forms] of Object.entries(table)) if (forms.split(' ').includes(form)) return flag;
  throw new Error(`form ${form}`);
};

GROUPS.Malformed = (F, g) => {
  if (F.name === 'lockbox_malformed') return malformedLockbox(F, g);
  const G = signingGroup(F, g), n1 = G.key.n, k1 = G.k1;
  return {
    group: G.json,
    test: (t) => {
      const m = message(F, t), em = G.encode(t, m), yInt = G.partial(em), y = i2osp(yInt, k1), zero = Buffer.alloc(1);
      const forms = { 0: () => i2osp(0n, k1), 1: () => i2osp(1n, k1), 'n1-1': () => i2osp(n1 - 1n, k1), n1: () => i2osp(n1, k1), 'n1+1': () => i2osp(n1 + 1n, k1),
        'n1+2': () => i2osp(n1 + 2n, k1), 'all-ones': () => Buffer.alloc(k1, 0xff), empty: () => Buffer.alloc(0), 'one-byte': () => Buffer.from([2]),
        'without-first': () => y.subarray(1), 'without-last': () => y.subarray(0, -1), 'zero-before': () => Buffer.concat([zero, y]),
        'zero-after': () => Buffer.concat([y, zero]), 'plus-n1': () => i2osp(yInt + n1, k1 + 1), twice: () => Buffer.concat([y, y]) };
      const flag = byForm({ PartialZero: '0', PartialOne: '1', PartialNMinusOne: 'n1-1', PartialEqualsN: 'n1', PartialGtN: 'n1+1 n1+2 all-ones',
        PartialShort: 'empty one-byte without-first without-last', PartialLong: 'zero-before zero-after plus-n1 twice' }, t.yForm);
      const yEnc = forms[t.yForm]();
      return { ...attempt(() => serve(G, em, G.n, yEnc)).verdict, flags: [...G.flags, flag], yForm: t.yForm, ...inputs(t, m), yEnc: hexOf(yEnc) };
    },
  };
};

GROUPS.Wrong = (F, g) => {
  const G = signingGroup(F, g), { key, k1, x } = G, { n: n1, p, q } = key, h = (t) => hLen(t.hash);
  return {
    group: { ...G.json, indistinguishable: true },
    test: (t) => {
      const m = message(F, t), em = G.encode(t, m), right = () => G.partial(em);
      const forms = {
        'other-x': () => G.partial(em, exponentOf(g.sharing, field(F, t, 'otherX', k1 + 8))),
        'x-bit': () => { const z = Buffer.from(x); z[0] ^= 0x80; return G.partial(em, exponentOf(g.sharing, z)); },
        'other-exponent': () => G.partial(em, exponentOf(g.sharing === 'additive' ? 'multiplicative' : 'additive', x)),
        'other-digest': () => G.partial(G.encode(t, { ...m, digest: field(F, t, 'otherDigest', h(t)) })),
        'other-padding': () => G.partial(t.padding === 'PSS' ? G.encode({ ...t, padding: 'PKCS1' }, { ...m, salt: Buffer.alloc(0) })
          : G.encode({ ...t, padding: 'PSS' }, { ...m, salt: field(F, t, 'otherSalt', h(t)) })),
        'other-key': () => { // ASSUMED: of the same EM, made for the group's final key
          const o = otherClientKey(key);
          return powerCRT(os2ip(em), exponentOf(g.sharing, x.subarray(0, 264)), o) % n1;
        },
        'times-m1': () => (right() * os2ip(em)) % n1, negated: () => n1 - right(), inverse: () => inverse(right(), n1), square: () => right() ** 2n % n1,
        'last-bit': () => right() ^ 1n, m1: () => os2ip(em) % n1, p: () => p, q: () => q, 'n1-p': () => n1 - p, '2q': () => 2n * q, 2: () => 2n, 'n1-2': () => n1 - 2n,
      };
      const flag = byForm({ WrongPin: 'other-x x-bit', WrongExponent: 'other-exponent times-m1', OtherMessage: 'other-digest', OtherPadding: 'other-padding', OtherKey: 'other-key',
        PartialModified: 'negated inverse square last-bit m1', PartialSharesFactor: 'p q n1-p 2q', PartialSmall: '2 n1-2' }, t.yForm);
      const y = i2osp(forms[t.yForm](), k1);
      return { ...attempt(() => serve(G, em, G.n, y)).verdict, flags: [...G.flags, flag], yForm: t.yForm, ...inputs(t, m), y: hexOf(y) };
    },
  };
};

GROUPS.OtherMessage = (F, g) => {
  const G = signingGroup(F, g);
  return {
    group: G.json,
    test: (t) => {
      const otherN = change(t, { 'n+2': () => G.n + 2n, 'other-key': () => otherClientKey(G.key).n });
      const m = message(F, t), em = G.encode(t, m, otherN), y = i2osp(G.partial(em), G.k1);
      return { ...attempt(() => serve(G, em, otherN, y)).verdict, flags: [...G.flags, 'OtherKey'], yForm: 'right', change: t.change, ...inputs(t, m), em: hexOf(em),
        otherN: hexInt(otherN, bytesFor(bits(otherN))), y: hexOf(y) };
    },
  };
};

GROUPS.Fault = (F, g) => {
  const G = signingGroup(F, g), { n: n2, p: p2, q: q2, k: k2 } = G.server;
  return {
    group: G.json,
    test: (t) => {
      const m = message(F, t), em = G.encode(t, m), y = i2osp(G.partial(em), G.k1), m2 = os2ip(em) % n2;
      const s2 = powerCRT(m2, G.server.d, G.server), inK2 = (z) => i2osp(mod(z, n2), k2);
      const forms = { 'plus-q2': () => inK2(s2 + q2), 'plus-p2': () => inK2(s2 + p2), 'minus-q2': () => inK2(s2 - q2), 'minus-p2': () => inK2(s2 - p2), negated: () => inK2(-s2),
        m2: () => inK2(m2), 0: () => inK2(0n), n2: () => i2osp(n2, k2), 'last-bit': () => i2osp(s2 ^ 1n, k2), 'without-first': () => i2osp(s2, k2).subarray(1),
        'zero-before': () => i2osp(s2, k2 + 1), empty: () => Buffer.alloc(0) };
      const flag = byForm({ CrtFault1: 'plus-q2 minus-q2', CrtFault2: 'plus-p2 minus-p2', ServerKeyFault: 'negated m2 0 n2 last-bit without-first zero-before empty' }, t.s2Form);
      const s2Enc = forms[t.s2Form]();
      return { ...attempt(() => serve(G, em, G.n, y, () => s2Enc)).verdict, flags: [...G.flags, flag], yForm: 'right', s2Form: t.s2Form, ...inputs(t, m), y: hexOf(y), s2Enc: hexOf(s2Enc) };
    },
  };
};

GROUPS.Compose = (F, g) => {
  const key = makeKey(g.key), server = makeKey(g.serverKey), x = derived(`share/complete_composite/compose/${bits(key.n)}/x`, key.k + 8);
  return {
    group: { key: key.json, serverKey: server.json, sharing: g.sharing, x: hexOf(x), ds: hexInt(deal(g.sharing, x, key), key.k) },
    test: (t) => {
      const e2 = BigInt(fromComment(t, /^e = (\d+)$/) ?? key.e); // ASSUMED: another e is in the comment
      const n2 = t.change.startsWith('modulus/') ? namedModulus(t.change) : change(t, { none: () => server.n, n1: () => key.n, 'p*p2': () => key.p * server.p,
        'q*q2': () => key.q * server.q, 'n2-1': () => server.n - 1n });
      // ASSUMED: "an accepted length" of n2 is 2048 to 8192 bits (2049 is accepted in complete_composite.json).
      const flag = e2 !== key.e ? 'ExponentsDiffer' : !(n2 & 1n) || bits(n2) < 2048 || bits(n2) > 8192 ? modulusFlag(n2) : gcd(n2, key.n) !== 1n ? 'CommonFactor' : null;
      return { ...attempt(() => { if (flag) refuse('check-key', 'ErrKey'); }).verdict, flags: flag ? [flag] : [], change: t.change, e2: Number(e2), n2: hexInt(n2, bytesFor(bits(n2))) };
    },
  };
};

// --- lockbox*.json

const DEFAULT_PARAMS = { m: 65536, p: 4, t: 3 }; // section 4.4
const reduced = (p) => (p.t < DEFAULT_PARAMS.t || p.m < DEFAULT_PARAMS.m || p.p < DEFAULT_PARAMS.p ? ['ReducedCostKdf'] : []);
const derivedPIN = (label, length) => (os2ip(derived(label, 16)) % 10n ** BigInt(length)).toString().padStart(length, '0');
const lock = (pin, key, sharing, params, salt, x) => {
  const kdfKey = argon2id(Buffer.from(pin), salt, params), stream1 = keystream(kdfKey, x.length), ct = xor(x, stream1);
  return { kdfKey, keystream: stream1, ct, x, salt, enc: lockboxEnc({ sharing, params, salt, n1: key.n, e: key.e, ct }) };
};
// An implementation of opening: the PIN, the encoding and the cost are looked at in this order.
function open(pin, enc, limit) {
  if (!/^[0-9]{4,12}$/.test(pin.toString('latin1')) || pin.length > 12) refuse('check-pin', 'ErrPINFormat');
  const box = parseLockbox(enc);
  if (['t', 'm', 'p'].some((f) => box.params[f] > limit[f])) refuse('unlock', 'ErrParams');
  const kdfKey = argon2id(pin, box.salt, box.params), stream1 = keystream(kdfKey, box.ct.length);
  return { kdfKey, keystream: stream1, x: xor(box.ct, stream1), salt: box.salt, ct: box.ct };
}

// The PINs of a group in order: [PIN or its length if it is derived, is it the right one, x].
const LOCKBOX_DEFAULT = [4, 6, 12].flatMap((n) => [[n, true], [n, false]]).concat([['0012', true], ['2749', true, 'zero']]);
const LOCKBOX_REDUCED = [4, 5, 6, 7, 8, 9, 10, 11, 12].flatMap((n) => [[n, true], [n, false]]).concat([['0012', true], ['00012', false], ['1200', false],
  ...['0000', '012345678901', '000000000000'].flatMap((pin) => [[pin, true], ['00012', false], ['0012', false], ['1200', false]]), ['2749', true, 'zero']]);

function lockboxOf(g, ti) { // the lockbox that test number ti of a group opens, with the number of the test that made it
  const plan = reduced(g.params).length ? LOCKBOX_REDUCED : LOCKBOX_DEFAULT;
  if (plan.length !== g.tests.length) throw new Error('number of tests');
  const pinOf = (i) => (typeof plan[i][0] === 'string' ? plan[i][0] : derivedPIN(`lockbox/${g.tests[i].tcId}/pin`, plan[i][0]));
  let made = ti;
  while (!plan[made][1]) made--;
  const key = makeKey(g.key), id = g.tests[made].tcId, zero = plan[made][2] === 'zero';
  const x = zero ? Buffer.alloc(key.k + 8) : derived(`lockbox/${id}/x`, key.k + 8);
  const box = lock(pinOf(made), key, g.sharing, g.params, derived(`lockbox/${id}/salt`, 16), x);
  return { ...box, of: id, pin: pinOf(ti), right: made === ti, xForm: made !== ti ? 'opened' : zero ? 'zero' : 'derived', pinForm: typeof plan[ti][0] === 'string' ? 'fixed' : 'derived' };
}

GROUPS.Lockbox = (F, g) => ({
  group: { key: makeKey(g.key).json, params: g.params, sharing: g.sharing }, // params are part of lockboxEnc
  test: (t, ti) => {
    const box = lockboxOf(g, ti), { verdict, value: v } = attempt(() => open(Buffer.from(box.pin), box.enc, DEFAULT_PARAMS));
    if (box.right !== v.x.equals(box.x)) throw new Error('the right PIN gives another share, or a wrong one the same');
    const flags = [`PinLength${box.pin.length}`, box.right ? 'RightPin' : 'WrongPin', ...reduced(g.params)];
    if (box.pin[0] === '0') flags.push('PinLeadingZero');
    if (weakRule(box.pin)) flags.push('PinWeak');
    return { ...verdict, flags, of: box.of, pin: box.pin, pinForm: box.pinForm, xForm: box.xForm, salt: hexOf(v.salt), kdfKey: hexOf(v.kdfKey), keystream: hexOf(v.keystream),
      x: hexOf(v.x), ct: hexOf(box.ct), lockboxEnc: hexOf(box.enc) };
  },
});

const MALFORMED_PINS = { // README, "Malformed PINs", by comment
  'no PIN': '', 'one digit': '7', 'two digits': '12', 'three digits': '274', '13 digits': '2749163850274', '14 digits': '27491638502749',
  '64 digits': '27491638'.repeat(8), 'a letter': '27a9', 'the byte before 0': '27/9', 'the byte after 9': '27:9', 'a space after four digits': '2749 ',
  'a space before four digits': ' 2749', 'a newline after four digits': '2749\n', 'a zero byte after four digits': '2749\0', 'a sign': '+2749', 'a minus sign': '-274',
  'a decimal point': '27.9', hexadecimal: '0x27', exponent: '27e9', 'full-width digits': '\uff12\uff17\uff14\uff19', 'Arabic-Indic digits': '\u0662\u0667\u0664\u0669', 'one full-width digit': '\uff12749',
};
GROUPS.MalformedPIN = (F, g) => {
  let group = {}, box, flags0 = [];
  if (F.name === 'lockbox') {
    // The lockbox is that of the last test but one of the group before, which was made under 000000000000.
    const groups = F.data.testGroups, before = groups[groups.indexOf(g) - 1], ti = before.tests.length - 2;
    box = lockboxOf(before, ti);
    flags0 = reduced(before.params);
    group = { key: makeKey(before.key).json, params: before.params, sharing: before.sharing, of: box.of, salt: hexOf(box.salt), ct: hexOf(box.ct), lockboxEnc: hexOf(box.enc) };
  }
  return {
    group,
    test: (t) => {
      if (t.comment !== 'digits with bit 7 set' && !Object.hasOwn(MALFORMED_PINS, t.comment)) throw new Error('comment');
      const pin = t.comment === 'digits with bit 7 set' ? Buffer.from('b2b7b4b9', 'hex') : Buffer.from(MALFORMED_PINS[t.comment], 'utf8');
      const { verdict } = attempt(() => { if (box) return open(pin, box.enc, DEFAULT_PARAMS); return /^[0-9]{4,12}$/.test(pin.toString('latin1')) && !pin.includes(10) || refuse('check-pin', 'ErrPINFormat'); });
      const digitsOnly = pin.every((b) => b >= 0x30 && b <= 0x39);
      const flag = !pin.length ? 'PinEmpty' : !digitsOnly ? 'PinNonAscii' : pin.length < 4 ? 'PinTooShort' : 'PinTooLong';
      return { ...verdict, flags: [flag, ...flags0], pinEnc: hexOf(pin) };
    },
  };
};

function exhaustive(F, g) {
  const label = (f) => `${F.name}/${f}`, key = makeKey(g.key), x = derived(label('x'), key.k + 8), params = { m: 8, p: 1, t: 1 };
  const salt = derived(label('salt'), 16), pin = derivedPIN(label('pin'), 4), box = lock(pin, key, g.sharing, params, salt, x);
  const kdfKeys = [], shares = [];
  for (let i = 0; i < 1000 * g.tests.length; i++) {
    const v = open(Buffer.from(String(i).padStart(4, '0')), box.enc, DEFAULT_PARAMS);
    kdfKeys.push(v.kdfKey); shares.push(v.x);
  }
  return {
    group: { key: key.json, params, sharing: g.sharing, pin, salt: hexOf(salt), x: hexOf(x), ct: hexOf(box.ct), lockboxEnc: hexOf(box.enc) },
    test: (t, ti) => {
      const from = 1000 * ti, to = from + 1000, four = (i) => String(i).padStart(4, '0'), has = Number(pin) >= from && Number(pin) < to;
      if (has && !shares[Number(pin)].equals(x)) throw new Error('the right PIN gives another share');
      return { result: 'valid', flags: ['EveryPinWellFormed', ...reduced(params), ...(has ? ['RightPin'] : [])], firstPin: four(from), lastPin: four(to - 1), kdfKeys: hexOf(Buffer.concat(kdfKeys.slice(from, to))),
        shareLength: x.length, sharesSoFar: to, distinctSoFar: new Set(shares.slice(0, to).map(hexOf)).size, shake256: hexOf(shake(Buffer.concat(shares.slice(0, to)), 32)) };
    },
  };
}

// The flag of an edited lockbox, by the place of the edit and what stands there now.
function lockboxFlag(t, base, enc, verdict) {
  const { at, put } = t.edit, k1 = base.readUInt16BE(31), ctAt = 39 + k1;
  if (!t.rehash && at >= base.length - 32 && at < base.length && put) return 'BadChecksum';
  if (!t.rehash) return enc.length < base.length ? 'Truncated' : enc.length > base.length ? 'TrailingBytes' : at < ctAt ? 'BitFlipHeader' : 'BitFlipCiphertext';
  if (verdict.result === 'valid') return at < ctAt ? 'BitFlipHeader' : 'BitFlipCiphertext';
  if (verdict.reject.class === 'ErrParams') return 'KdfCostHuge';
  if (put === '') return 'Truncated';
  if (at === base.length - 32) return 'TrailingBytes';
  if (at < 4) return 'BadMagic';
  if (at === 4) return 'UnknownVersion';
  if (at === 5) return 'UnknownSharing';
  if (at < 15) return enc.readUInt32BE(10) > 1 << 22 ? 'KdfCostHuge' : 'KdfCostZero';
  if (at >= 37 + k1) return 'ShareLength';
  if (at >= 33 + k1) { const e = enc.readUInt32BE(33 + k1); return e === 1 ? 'ExponentOne' : e % 2 === 0 ? 'ExponentEven' : 'ExponentTooBig'; }
  const k = enc.readUInt16BE(31);
  return k === 0 || enc[33] === 0 ? 'ModulusZeros' : modulusFlag(os2ip(enc.subarray(33, 33 + k)));
}
function malformedLockbox(F, g) {
  const key = makeKey(g.key), label = (f) => `lockbox_malformed/${key.name}/${f}`, x = derived(label('x'), key.k + 8), pin = derivedPIN(label('pin'), 6);
  const base = lock(pin, key, g.sharing, { m: 8, p: 1, t: 1 }, derived(label('salt'), 16), x).enc, flips = derived(label('bits'), base.length);
  const limit = DEFAULT_PARAMS; // ASSUMED
  return {
    group: { key: key.json, sharing: g.sharing, limit, pin, x: hexOf(x), baseEnc: hexOf(base) },
    test: (t) => {
      const enc = applyEdit(base, t.edit, t.rehash), { verdict, value } = attempt(() => open(Buffer.from(pin), enc, limit));
      const flip = /^bit (\d) of byte (\d+)/.exec(t.comment), n1Bits = fromComment(t, /^an n1 of (\d+) bits$/);
      if (flip) {
        const i = Number(flip[2]), bit = flips[i] % 8, put = Buffer.from([base[i] ^ (1 << bit)]);
        differencesThrow(`${bit} ${i} 1 ${hexOf(put)}`, `${flip[1]} ${t.edit.at} ${t.edit.cut} ${t.edit.put}`, 'bit');
      }
      if (n1Bits) {
        const n1 = oddModulus(`lockbox_malformed/${t.tcId}/n`, n1Bits), ct = derived(`lockbox_malformed/${t.tcId}/ct`, bytesFor(n1Bits) + 8);
        differencesThrow(hexOf(lockboxEnc({ sharing: g.sharing, params: { t: 1, m: 8, p: 1 }, salt: derived(label('salt'), 16), n1, e: key.e, ct })), hexOf(enc), 'n1 of another length');
      }
      return { ...verdict, flags: [lockboxFlag(t, base, enc, verdict)], edit: t.edit, rehash: t.rehash, lockboxEnc: hexOf(enc), ...(value && { x: hexOf(value.x), kdfKey: hexOf(value.kdfKey) }) };
    },
  };
}

// --- weak_pins.json

const WORDS = ('love baby king home game pass code angel lucky happy jesus heart qwert iloveu monkey dragon master soccer flower family summer secret qwerty sister mother '
  + 'father loveyou forever letmein welcome freedom iloveyou password princess sunshine football baseball butterfly chocolate basketball')
  .split(' ').map((w) => [...w].map((c) => '22233344455566677778889999'[c.charCodeAt(0) - 97]).join(''));
const SEQUENCES = '314159265358 271828182845 141421356237 173205080756 161803398874 112358132134 235711131719 124816326412 149162536496 123456789101 135791113151 246810121416 109876543210'.split(' ');
const NUMBERS = '31416 3141593 31415927 3141592654 31415926536 314159265359 0070 42069 8675309 90210 1337 31337 5201314 1314520 38317 1235 1318 4200 5150 5425 7942 12300'.split(' ');
const DAYS = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const isDate = (d, m) => m >= 1 && m <= 12 && d >= 1 && d <= DAYS[m];
const isYear = (s) => Number(s) >= 1940 && Number(s) <= 2039;
const dayAndMonth = (s) => isDate(Number(s.slice(0, 2)), Number(s.slice(2))) || isDate(Number(s.slice(2)), Number(s.slice(0, 2))); // DDMM or MMDD
const KEY_AT = [...'1234567890'].map((c) => (c === '0' ? [1, 3] : [(c - 1) % 3, Math.floor((c - 1) / 3)]));
const at = (c) => KEY_AT[c === '0' ? 9 : c - 1];
const move = (a, b) => [at(b)[0] - at(a)[0], at(b)[1] - at(a)[1]];
const isNeighbour = ([dx, dy]) => Math.max(Math.abs(dx), Math.abs(dy)) === 1;
const isLine = (s) => { const [a, b] = [move(s[0], s[1]), move(s[1], s[2])]; return isNeighbour(a) && a[0] === b[0] && a[1] === b[1]; };
const inThrees = (s) => s.match(/.{3}/g).every(isLine);
// Have all neighbours in the list one step, from -2 to 2, modulo 10?
const steady = (list) => { const step = (list[1] - list[0] + 10) % 10; return [0, 1, 2, 8, 9].includes(step) && list.every((d, i) => i === 0 || (d - list[i - 1] + 10) % 10 === step); };
const blocks = (s, size) => s.match(new RegExp(`.{${size}}`, 'g'));
const sizes = (from, to) => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);

const RULES = [
  ['same-digit', (s) => [...s].every((c) => c === s[0])],
  ['run', (s, n, d) => { const w = Math.max(4, n - 1); return sizes(0, n - w).some((i) => steady(d.slice(i, i + w))); }],
  ['repeated-block', (s, n) => sizes(1, Math.ceil(n / 2)).some((b) => s === s.slice(0, b).repeat(n).slice(0, n))],
  ['doubled-digits', (s, n) => sizes(2, Math.floor(n / 2)).some((b) => n % b === 0 && blocks(s, b).every((x) => x === x[0].repeat(b)))],
  ['mirror', (s) => s === [...s].reverse().join('')],
  ['two-digits', (s, n) => n >= 5 && new Set(s).size <= 2],
  ['interleaved-runs', (s, n, d) => n >= 6 && steady(d.filter((_, i) => i % 2 === 0)) && steady(d.filter((_, i) => i % 2 === 1))],
  ['stairs', (s, n, d) => [1, 9].some((up) => d.every((x, i) => i === 0 || [0, up].includes((x - d[i - 1] + 10) % 10)))],
  ['first-digits', (s, n) => n <= 9 && [...s].sort().join('') === '123456789'.slice(0, n)],
  ['zeros', (s, n) => { const most = '0'.repeat(Math.floor(n / 2) + 1); return s.startsWith(most) || s.endsWith(most); }],
  ['keypad-lines', (s, n) => (n % 3 === 0 ? inThrees(s) : n % 3 === 1 && ((s[0] === '0' && inThrees(s.slice(1))) || (s[n - 1] === '0' && inThrees(s.slice(0, -1)))))],
  ['keypad-path', (s, n) => new Set(s).size === n && [...s].every((c, i) => i === 0 || (isNeighbour(move(s[i - 1], c)) && (n >= 5 || move(s[i - 1], c).includes(0))))],
  ['keypad-shape', (s, n) => n === 4 && ['1379', '2468', '1245', '2356', '4578', '5689'].includes([...s].sort().join(''))],
  ['year', (s, n) => (n === 4 && isYear(s)) || (n === 5 && (isYear(s.slice(0, 4)) || isYear(s.slice(1))))],
  ['date', (s, n) => {
    if (n === 4) return dayAndMonth(s);
    if (n === 6 && (dayAndMonth(s.slice(0, 4)) || isDate(Number(s.slice(4)), Number(s.slice(2, 4))))) return true;
    if (n < 6 || n > 8) return false;
    return [[s.slice(0, 4), s.slice(4)], [s.slice(-4), s.slice(0, -4)]].some(([year, o]) => {
      if (!isYear(year)) return false;
      const num = (a, b) => Number(o.slice(a, b));
      if (n === 6) return isDate(num(0, 1), num(1)) || isDate(num(1), num(0, 1)) || (num(0) >= 1 && num(0) <= 12);
      if (n === 7) return isDate(num(0, 1), num(1)) || isDate(num(0, 2), num(2)) || isDate(num(1), num(0, 1)) || isDate(num(2), num(0, 2));
      return dayAndMonth(o);
    });
  }],
  ['word', (s) => WORDS.includes(s)],
  ['number', (s) => NUMBERS.includes(s) || SEQUENCES.some((q) => q.startsWith(s))],
  ['weak-parts', (s, n) => n >= 8 && sizes(4, n - 4).some((i) => weakRule(s.slice(0, i), true) && weakRule(s.slice(i), true))],
];
// The first rule that refuses the PIN, or ''. A part of a PIN is held against the rules above weak-parts only.
function weakRule(pin, isPart = false) {
  const digits = [...pin].map(Number);
  for (const [name, refuses] of isPart ? RULES.slice(0, -1) : RULES) if (refuses(pin, pin.length, digits)) return name;
  return '';
}
const pascal = (s) => s.replace(/(^|-)([a-z])/g, (_, __, c) => c.toUpperCase());

GROUPS.CheckPIN = (F, g) => ({
  group: { sha256: hexOf(sha256(Buffer.from(g.tests.map((t) => `${t.pin} ${weakRule(t.pin)}\n`).join('')))) },
  test: (t) => {
    const rule = weakRule(t.pin), near = /^near ([0-9]+)$/.exec(t.comment), flags = [rule ? pascal(rule) : 'Accepted'];
    if (near) {
      const apart = near[1].length === t.pin.length && [...t.pin].filter((c, i) => c !== near[1][i]).length;
      if (apart !== 1 || !weakRule(near[1])) throw new Error(`${near[1]} is not one digit away, or not weak`);
      flags.push('NearMiss');
    }
    return { result: rule ? 'invalid' : 'valid', ...(rule && { reject: { class: 'WeakPINError', stage: 'check-pin' } }), flags, pin: t.pin, rule };
  },
});
GROUPS.AllPINs = (F, g) => (F.name === 'lockbox_exhaustive_4' ? exhaustive(F, g) : {
  group: {},
  test: (t, ti) => {
    const digits = 4 + ti, lines = []; // ASSUMED: the groups are of 4 and 5 digits
    for (let i = 0; i < 10 ** digits; i++) { const pin = String(i).padStart(digits, '0'), rule = weakRule(pin); if (rule) lines.push(`${pin} ${rule}\n`); }
    return { result: 'valid', flags: ['All'], digits, refused: lines.length, sha256: hexOf(sha256(Buffer.from(lines.join('')))) };
  },
});

// --- limiter.json

const FOREVER = 2n ** 63n - 1n, LAST_TIME = 253402300799999n, LONGEST = 315360000000n;
const counterBytes = ({ wrong, at: when, lock: length }) => Buffer.concat([Buffer.from([1, wrong]), i2osp(when, 8), i2osp(length, 8)]);
function parseState(b) {
  const bad = () => refuse('parse-counter', 'ErrCounter');
  if (b.length !== 18 || b[0] !== 1 || b[1] > 100) bad();
  const s = { wrong: b[1], at: b.readBigUInt64BE(2), lock: b.readBigUInt64BE(10) };
  if (s.at > LAST_TIME || (s.lock > LONGEST && s.lock !== FOREVER) || (s.wrong === 0 && s.lock !== 0n && s.lock !== FOREVER)) bad();
  return s;
}
function checkPolicy(policy) {
  const bad = () => refuse('policy', 'ErrPolicy'), whole = (v, least, most) => v >= least && v <= most;
  if (!policy.length || policy.some((r) => !whole(r.tries, 1, 100)) || policy.reduce((sum, r) => sum + r.tries, 0) > 100) bad();
  policy.forEach((r, i) => { const last = i === policy.length - 1; if (last !== (r.lock === undefined) || (!last && !whole(r.lock, 1, Number(LONGEST)))) bad(); });
}
// Section 5.3: what the policy attaches to a number of wrong PINs, and how many are left in the round and in all.
function policyAt(policy, wrong) {
  const total = policy.reduce((sum, r) => sum + r.tries, 0);
  if (wrong >= total) return { lock: FOREVER, remaining: 0, remainingTotal: 0 };
  let end = 0;
  for (const r of policy) {
    if (wrong > 0 && wrong === end) break;
    end += r.tries;
    if (wrong < end) return { lock: 0n, remaining: end - wrong, remainingTotal: total - wrong };
    if (wrong === end) return { lock: BigInt(r.lock), remaining: 0, remainingTotal: total - wrong };
  }
  throw new Error('policy');
}
function limiterStep(policy, state, now, outcome) { // sections 5.3 and 5.4
  checkPolicy(policy);
  if (now < 0n || now > LAST_TIME) refuse('limiter', 'ErrClock');
  const here = policyAt(policy, state.wrong), length = state.lock > here.lock ? state.lock : here.lock;
  if (length === FOREVER) return { verdict: 'destroyed', remaining: 0, remainingTotal: 0, state: { ...state, lock: FOREVER } };
  const locked = (from) => ({ verdict: 'locked', remaining: 0, remainingTotal: here.remainingTotal, lockedUntil: Number(from + length), state: { ...state, at: from, lock: length } });
  if (length > 0n && now < state.at) return locked(now);
  if (length > 0n && now < state.at + length) return locked(state.at);
  const wrong = outcome === 'right' ? 0 : state.wrong + 1, next = policyAt(policy, wrong);
  return { verdict: outcome, remaining: next.remaining, remainingTotal: next.remainingTotal, state: { wrong, at: now, lock: next.lock },
    ...(next.lock > 0n && next.lock !== FOREVER && { lockedUntil: Number(now + next.lock) }) };
}
const HOUR = 3600000, DEFAULT_POLICY = [{ lock: 3 * HOUR, tries: 3 }, { lock: 24 * HOUR, tries: 3 }, { tries: 3 }], EPOCH = 1767225600000;
const NEW_KEY = '010000000000000000000000000000000000';

// What each flag of a sequence claims, as a condition on its steps s (with `was`, the state before). ASSUMED: README says
// what flags mean, not when a test has one: a claim must be true, but a flag that would be true may be absent. That none
// of those in this version is lost is seen by a hash of the list alone.
const LIMITER_FLAG_LIST = 'f93dec23fb1ce7f0f73933c2b03c40ad29336a66d2b39c5cb8f038dea1c29f34';
const LIMITER_FLAGS = {
  AtExpiry: (s) => s.some((x) => x.was.lock && x.was.lock !== FOREVER && BigInt(x.at) === x.was.at + x.was.lock),
  ClockBack: (s) => s.some((x) => BigInt(x.at) < x.was.at), ClockForward: (s) => s.some((x) => BigInt(x.at) >= x.was.at + BigInt(365 * 24 * HOUR) && x.was.at > 0n),
  LockedRightPin: (s) => s.some((x) => x.outcome === 'right' && ['locked', 'destroyed'].includes(x.verdict)),
  NinthIsForever: (s) => s.some((x) => x.verdict === 'wrong' && x.was.wrong === 8 && x.state.lock === FOREVER),
  OneMsBeforeExpiry: (s) => s.some((x) => x.verdict === 'locked' && x.at + 1 === x.lockedUntil),
  OtherPolicy: () => true, PolicyChange: () => true, // these two and Random are exact, see below
  Random: () => true, ResetOnSuccess: (s) => s.some((x) => x.verdict === 'right' && x.was.wrong > 0),
  SecondRound24h: (s) => s.some((x) => x.state.wrong === 6 && x.state.lock === BigInt(24 * HOUR)),
  SuccessAfterLock: (s) => s.some((x) => x.verdict === 'right' && x.was.lock > 0n), ThirdWrongLocks: (s) => s.some((x) => x.state.wrong === 3 && x.state.lock === BigInt(3 * HOUR)),
};

GROUPS.Limiter = (F, g) => {
  checkPolicy(g.policy);
  const flagList = hexOf(sha256(Buffer.from(F.data.testGroups.filter((o) => o.type === 'Limiter').flatMap((o) => o.tests).map((t) => `${t.tcId} ${t.flags}\n`).sort().join(''))));
  differencesThrow(LIMITER_FLAG_LIST, flagList, 'list of flags');
  const trace = (t) => {
    let state = parseState(Buffer.from(t.startEnc, 'hex'));
    return t.steps.map((s) => {
      const was = state, r = limiterStep(g.policy, state, BigInt(s.at), s.outcome);
      ({ state } = r);
      return { at: s.at, outcome: s.outcome, was, ...r };
    });
  };
  const lines = (t) => `${t.startEnc}\n` + trace(t).map((s) => `${s.at} ${s.outcome} ${s.verdict}\n`).join('');
  return {
    group: { policy: g.policy, sha256: hexOf(sha256(Buffer.from(g.tests.map(lines).join('')))) },
    test: (t) => {
      const random = t.flags.includes('Random');
      if (random !== (t.comment === 'derived')) throw new Error('flag Random');
      if (random) {
        const b = field(F, t, 'steps', 48);
        let now = EPOCH;
        const steps = sizes(0, 23).map((i) => { now += [-HOUR, 1000, 1000, 1000, 3 * HOUR, 3 * HOUR, 3 * HOUR - 1, 24 * HOUR][b[2 * i] % 8]; return `${now} ${b[2 * i + 1] % 4 ? 'wrong' : 'right'}`; });
        differencesThrow([NEW_KEY, ...steps].join(), [t.startEnc, ...t.steps.map((s) => `${s.at} ${s.outcome}`)].join(), 'steps');
      }
      const s = trace(t), last = s.at(-1).verdict;
      const exact = random ? 'Random' : t.startEnc !== NEW_KEY ? 'PolicyChange' : JSON.stringify(g.policy) !== JSON.stringify(DEFAULT_POLICY) ? 'OtherPolicy' : '';
      differencesThrow(exact, t.flags.filter((f) => ['Random', 'PolicyChange', 'OtherPolicy'].includes(f)).join(), 'flags');
      for (const f of t.flags) if (!LIMITER_FLAGS[f]?.(s)) throw new Error(`flag ${f} is not true`);
      const cls = { right: null, wrong: 'WrongPINError', locked: 'LockedError', destroyed: 'ErrDestroyed' }[last];
      return { result: cls ? 'invalid' : 'valid', ...(cls && { reject: { class: cls, stage: 'limiter' } }), flags: [...new Set(t.flags)], startEnc: t.startEnc,
        steps: s.map(({ was, state, ...r }) => ({ ...r, counterEnc: hexOf(counterBytes(state)) })) };
    },
  };
};
// ASSUMED, for these three groups: what README does not give is taken from the comments (and the base state from the first test).
const VALID_STATES = { 'a new key': [0, 0, 0n], 'one wrong PIN at the first millisecond': [1, 0, 0n], 'a right PIN at the last millisecond': [0, Number(LAST_TIME), 0n],
  'the largest values': [100, Number(LAST_TIME), LONGEST], 'the least lock': [1, EPOCH, 1n], 'destroyed without a wrong PIN': [0, 0, FOREVER], 'destroyed after nine': [9, EPOCH, FOREVER] };
GROUPS.Counter = () => ({
  group: {},
  test: (t) => {
    const base = counterBytes({ wrong: 3, at: BigInt(EPOCH), lock: BigInt(3 * HOUR) });
    if (!t.edit) {
      if (!Object.hasOwn(VALID_STATES, t.comment)) throw new Error('comment');
      const [wrong, when, length] = VALID_STATES[t.comment], enc = counterBytes({ wrong, at: when, lock: length });
      return { ...attempt(() => parseState(enc)).verdict, flags: ['CounterEdge'], wrong, at: when, lock: String(length), counterEnc: hexOf(enc) };
    }
    const enc = applyEdit(base, t.edit);
    return { ...attempt(() => parseState(enc)).verdict, flags: ['MalformedCounter'], baseEnc: hexOf(base), edit: t.edit, counterEnc: hexOf(enc) };
  },
});
const POLICIES = { 'no rounds': [], 'no tries': [{ tries: 0 }], 'negative tries': [{ tries: -1 }], '101 tries in one round': [{ tries: 101 }], '101 tries in all': [{ lock: HOUR, tries: 50 }, { tries: 51 }],
  'no end: the last lock is not for ever': [{ lock: HOUR, tries: 3 }, { lock: 24 * HOUR, tries: 3 }], 'for ever before the last round': [{ tries: 3 }, { tries: 3 }],
  'a lock of no time': [{ lock: 0, tries: 3 }, { tries: 3 }], 'a negative lock': [{ lock: -HOUR, tries: 3 }, { tries: 3 }], 'a lock of ten years and a millisecond': [{ lock: Number(LONGEST) + 1, tries: 3 }, { tries: 3 }] };
const oneStep = (policy, when, flags) => ({ ...attempt(() => { checkPolicy(policy); return limiterStep(policy, parseState(Buffer.from(NEW_KEY, 'hex')), BigInt(when), 'right'); }).verdict, flags, at: when, outcome: 'right', startEnc: NEW_KEY });
GROUPS.Policy = () => ({
  group: {},
  test: (t) => { if (!Object.hasOwn(POLICIES, t.comment)) throw new Error('comment'); return { ...oneStep(POLICIES[t.comment], EPOCH, ['InvalidPolicy']), policy: POLICIES[t.comment] }; },
});
GROUPS.Clock = () => ({
  group: { policy: DEFAULT_POLICY },
  test: (t) => { const m = /^at (-?\d+) ms$/.exec(t.comment); return oneStep(DEFAULT_POLICY, Number(m[1]), ['ClockRange']); },
});

// --- verification_code.json

GROUPS.VerificationCode = (F) => ({
  group: {},
  test: (t) => {
    const hello = t.digestForm === 'hello', n = t.digest.length / 2;
    if (![32, 48, 64].includes(n)) throw new Error('length of the digest');
    const lastTwo = (digest) => sha256(digest).readUInt16BE(30);
    const digest = hello ? sha256(Buffer.from('hello\n')) : field(F, t, 'digest', n, t.counter), z = lastTwo(digest), code = String(z % 10000).padStart(4, '0');
    const wanted = fromComment(t, /^the last two bytes of the hash are (\d+)$/);
    return { result: 'valid', flags: [...(hello ? ['Example'] : []), ...(z > 9999 ? ['Wrapped'] : []), ...(code[0] === '0' ? ['LeadingZero'] : [])], digestForm: t.digestForm, digest: hexOf(digest), h: hexOf(sha256(digest)), code,
      ...(wanted !== null && 'counter' in t && checkCounter(t, (c) => lastTwo(field(F, t, 'digest', n, c)) === wanted)) };
  },
});

// --- key_document.json

const ORDER_25519 = 2n ** 252n + 27742317777372353535851937790883648493n;
const KEY_DOCUMENT = 'tandem v2 key document', USED_SERIAL = 7n;
const ed25519Private = (seed) => createPrivateKey({ key: join2(Buffer.from('302e020100300506032b657004220420', 'hex'), seed), format: 'der', type: 'pkcs8' });
const ed25519PublicOf = (seed) => createPublicKey(ed25519Private(seed)).export({ format: 'der', type: 'spki' }).subarray(-32);
const ed25519Public = (raw) => createPublicKey({ key: join2(Buffer.from('302a300506032b6570032100', 'hex'), raw), format: 'der', type: 'spki' });

// protocol.md, section 3: version (1), serial (8), HPKE key (1216); and the authority's signature (64) of the label and these.
const SIGNED_LENGTH = 1225, DOCUMENT_LENGTH = SIGNED_LENGTH + 64;
function keyDocument(authorityPrivate, serial, key, { version = 2, label = KEY_DOCUMENT } = {}) {
  const signed = join2(byte(version), i2osp(serial, 8), key);
  return join2(signed, sign(null, join2(text(label), signed), ed25519Private(authorityPrivate)));
}
// What a device takes that has used the serial `used`.
function takeKeyDocument(b, authorityPublic, used) {
  const must = (v) => v || refuse('key-document', 'ErrKeyDocument');
  must(b.length === DOCUMENT_LENGTH);
  must(b[0] === 2);
  const signed = b.subarray(0, SIGNED_LENGTH), signature = b.subarray(SIGNED_LENGTH, DOCUMENT_LENGTH);
  must(verify(null, join2(text(KEY_DOCUMENT), signed), ed25519Public(authorityPublic), signature));
  const serial = signed.readBigUInt64BE(1), key = signed.subarray(9);
  must(THREE.every((i) => byteDecode(12, key.subarray(384 * i, 384 * (i + 1))).every((z) => z < Q_KEM))); // FIPS 203, section 7.2
  must(serial >= used);
  return { serial, key };
}
GROUPS.KeyDocument = (F) => {
  const own = (f) => derived(`key_document/${f}`, 32), authority = own('authority'), hpkePrivate = own('hpkePrivate'), hpkePublic = hybridKey(hpkePrivate).bytes, authorityPublic = ed25519PublicOf(authority);
  const noKey = Buffer.from(hpkePublic);
  noKey[0] = 0xff;
  noKey[1] |= 0x0f;
  const CHANGES = { // change: flag, and the document
    none: [undefined, (serial) => keyDocument(authority, serial, hpkePublic)],
    'other-authority': ['OtherAuthority', (serial) => keyDocument(own('otherAuthority'), serial, hpkePublic)],
    'no-label': ['OtherText', (serial) => keyDocument(authority, serial, hpkePublic, { label: '' })],
    version: ['OtherVersion', (serial) => keyDocument(authority, serial, hpkePublic, { version: 1 })],
    'no-key': ['NoKey', (serial) => keyDocument(authority, serial, noKey)],
    'large-s': ['LargeS', (serial) => {
      const b = keyDocument(authority, serial, hpkePublic), S = os2ip(Buffer.from(b.subarray(-32)).reverse());
      return join2(b.subarray(0, -32), i2osp(S + ORDER_25519, 32).reverse());
    }],
  };
  return {
    group: { authorityPrivate: hexOf(authority), authorityPublic: hexOf(authorityPublic), hpkePrivate: hexOf(hpkePrivate), hpkePublic: hexOf(hpkePublic), usedSerial: hexInt(USED_SERIAL, 8) },
    test: (t) => {
      const serial = BigInt(`0x${t.serial}`), [changed, make] = CHANGES[t.change], made = make(serial), enc = t.edit ? applyEdit(made, t.edit) : made;
      let flag = changed ?? (serial < USED_SERIAL ? 'OlderSerial' : 'Serial');
      // One change: without it, the document is one that a device takes, of the next serial.
      if ((changed || t.edit) && serial !== USED_SERIAL + 1n) throw new Error('a change, and another serial');
      if (t.edit) {
        if (changed) throw new Error('a change, and an edit');
        flag = enc.length === made.length ? 'BitFlipped' : 'OtherLength';
        const differ = [...xor(enc, made)].filter((z) => z);
        if (flag === 'BitFlipped' && (differ.length !== 1 || differ[0] !== 1)) throw new Error('not the lowest bit of one byte');
      }
      return { ...attempt(() => takeKeyDocument(enc, authorityPublic, USED_SERIAL)).verdict, flags: [flag], serial: t.serial, change: t.change, ...(t.edit && { edit: t.edit }), documentEnc: hexOf(enc) };
    },
  };
};

// --- transcript.json

// Encodings, protocol.md sections 2 and 3.
const OPERATIONS = ['enroll', 'confirm', 'sign', 'refresh', 'change pin', 'cancel', 'report'];
const PURPOSES = { enroll: [1], confirm: [3], sign: [2], refresh: [3], 'change pin': [3], cancel: [2, 3], report: [2, 3] };
const HASH_NUMBERS = ['SHA-256', 'SHA-384', 'SHA-512', 'SHA3-256', 'SHA3-384', 'SHA3-512'], PADDINGS = ['PKCS1', 'PSS'];
const MINUTE = 60000, DAY = 24 * HOUR, CHALLENGE_LIFE = 5 * MINUTE, PENDING_LIFE = 15 * MINUTE, LARGEST = 131072;
const RIGHT = 1, WRONG = 2, CANCELLED = 3; // fates
const BY_PINS = 1, BY_CLONE = 2, BY_REVOKE = 3, BY_TIME = 4; // reasons of a key's end
const lastBit = (b) => { const c = Buffer.from(b); c[c.length - 1] ^= 1; return c; }; // the lowest bit, changed
const ZERO32 = Buffer.alloc(32), NOTHING = Buffer.alloc(0), byte = (...list) => Buffer.from(list), join2 = (...parts) => Buffer.concat(parts);
const short = (b) => join2(i2osp(b.length, 1), b), long = (b) => join2(i2osp(b.length, 2), b), longer = (b) => join2(i2osp(b.length, 3), b);

const bindingOf = (hash, padding, digests) => sha256(join2(text('tandem v2 transaction'), byte(HASH_NUMBERS.indexOf(hash) + 1, PADDINGS.indexOf(padding) + 1, digests.length), ...digests));
const challengeMac = (key, head) => hmac(key, text('tandem v2 challenge'), head), ticketMac = (key, head) => hmac(key, text('tandem v2 ticket'), head);
const TICKET = 82; // the length of what a challenge begins with
function ticketOf(key, purpose, keyId, issued, random, life = CHALLENGE_LIFE) {
  const head = join2(byte(2, purpose), keyId, i2osp(issued, 8), i2osp(issued + life, 8), random);
  return join2(head, ticketMac(key, head));
}
function challengeOf(key, purpose, keyId, issued, random, binding = ZERO32, life = CHALLENGE_LIFE) {
  const head = join2(ticketOf(key, purpose, keyId, issued, random, life), binding);
  return join2(head, challengeMac(key, head));
}
const ownDigest = (operation, challenge) => sha256(join2(text(`tandem v2 ${operation}`), challenge));
const nextChain = (chain, hash, fate) => sha256(join2(text('tandem v2 chain'), chain, hash, byte(fate)));
const requestMac = (authKey, keyId, body) => hmac(authKey, text('tandem v2 request'), keyId, body);
const hardwareMessage = (keyId, body) => join2(text('tandem v2 hardware'), keyId, body);
function responseKeys(responseSecret, request, salt) { // RFC 9458, section 4.4
  const prk = hmac(join2(sha256(request), salt), responseSecret);
  return { responseKey: hkdfExpand(prk, text('key'), 32), responseNonce: hkdfExpand(prk, text('nonce'), 12) };
}
const hpkeKeyId = (pub) => sha256(pub).subarray(0, 8);
const responsePlaintext = ({ code, challenge, body, document }) => join2(byte(2, code), short(challenge), longer(body), long(document));

class Reader {
  constructor(b) { this.b = b; this.i = 0; }
  take(n) { if (this.i + n > this.b.length) refuse('server', 'ErrRefused'); this.i += n; return this.b.subarray(this.i - n, this.i); }
  number(n) { return Number(os2ip(this.take(n))); }
  short() { return this.take(this.number(1)); }
  long() { return this.take(this.number(2)); }
  longer() { return this.take(this.number(3)); }
  end() { if (this.i !== this.b.length) refuse('server', 'ErrRefused'); }
}

// The plaintexts of requests. A body is what the hardware signs; the MAC is over body and signature.
const enrolmentBody = (p) => join2(byte(2), short(p.challenge), long(p.share), p.authKey, p.commitment, short(p.hardware), long(p.attestation));
const requestBody = (p) => join2(byte(p.what === 'inner-version' ? 1 : 2, p.what === 'inner-operation' ? 4 : OPERATIONS.indexOf(p.operation) + 1), short(p.challenge), i2osp(p.number, 8), p.token, p.chain, p.commitment,
  p.operation === 'sign' ? byte(p.what === 'other-hash' ? 7 : HASH_NUMBERS.indexOf(p.hash) + 1, PADDINGS.indexOf(p.padding) + 1) : byte(p.what === 'other-hash' ? 1 : 0, 0), byte(p.documents.length),
  i2osp(p.documents[0]?.salt.length ?? 0, 2), i2osp(p.documents[0]?.y.length ?? 0, 2),
  ...p.documents.map((d) => join2(p.operation === 'sign' ? d.digest : NOTHING, d.salt, d.y)));

function parseRequest(plaintext, operation, ticket, keyId, k1) { // sections 3 and 5, steps 2 and 3 (but for the MAC): or ErrRefused
  const r = new Reader(plaintext), must = (v) => v || refuse('server', 'ErrRefused'), p = { operation };
  must(r.number(1) === 2);
  if (operation !== 'enroll') must(r.number(1) === OPERATIONS.indexOf(operation) + 1);
  const c = p.challenge = r.short();
  must(c.length === 146 && c[0] === 2 && c.subarray(0, TICKET).equals(ticket));
  if (operation === 'enroll') {
    p.share = r.long(); p.authKey = r.take(32); p.commitment = r.take(32); p.hardware = r.short(); p.attestation = r.long();
    const body = plaintext.subarray(0, r.i);
    p.signature = r.short();
    must(p.attestation.length <= 16384 && (p.hardware.length ? verifyP256(p.hardware, hardwareMessage(keyId, body), p.signature) : !p.attestation.length && !p.signature.length));
    r.end();
    return p;
  }
  p.number = r.number(8); p.token = r.take(32); p.chain = r.take(32); p.commitment = r.take(32);
  const [hash, padding, count, saltLength, yLength] = [1, 1, 1, 2, 2].map((n) => r.number(n)), sign = operation === 'sign';
  must(sign ? hash >= 1 && hash <= 6 && (padding === 1 || padding === 2) : hash === 0 && padding === 0);
  must(sign ? count >= 1 && count <= 64 : count === (operation === 'confirm' || operation === 'change pin' ? 1 : 0));
  must(padding === 2 ? saltLength <= 1024 : saltLength === 0);
  must(count || yLength === 0); // where there are documents, section 5, step 15, says what another length than k1 is
  if (operation === 'report') must(p.number === 0 && [p.token, p.chain, p.commitment].every((b) => b.equals(ZERO32)));
  else must(p.number >= 1);
  p.hash = sign ? HASH_NUMBERS[hash - 1] : 'SHA-256'; p.padding = sign ? PADDINGS[padding - 1] : 'PKCS1';
  p.documents = Array.from({ length: count }, () => ({ digest: sign ? r.take(hLen(p.hash)) : ownDigest(operation, c), salt: r.take(saltLength), y: r.take(yLength) }));
  p.body = plaintext.subarray(0, r.i); p.signature = r.short();
  p.authentic = plaintext.subarray(0, r.i); p.mac = r.take(32);
  r.end();
  return p;
}

// What a device has of a response: or undefined, if it does not open under the request's response key.
function openResponse(response, { request, responseSecret }) {
  if (response.length > LARGEST || response[0] !== 2) throw new Error('no response');
  const { responseKey, responseNonce } = responseKeys(responseSecret, request, response.subarray(1, 33)), opened = openGCM(responseKey, responseNonce, NOTHING, response.subarray(33));
  if (!opened) return undefined;
  const r = new Reader(opened), version = r.number(1), answer = { code: r.number(1), challenge: r.short(), body: r.longer(), document: r.long() };
  r.end();
  if (version !== 2 || ![0, 146].includes(answer.challenge.length)) throw new Error('no plaintext of a response');
  return answer;
}

// The server of one group: section 5, step by step. handle() gives {code, body, challenge}, or refuses with ErrRefused. `records` is its store.
const NO_VERDICT = Buffer.alloc(10);
const verdictBytes = (v) => join2(byte(v.remaining, v.remainingTotal), i2osp(v.lockedUntil ?? 0, 8)); // 0 for ever: section 3, code 4
class TranscriptServer {
  constructor(G) { this.G = G; this.records = new Map(); this.reserved = new Map(); this.hpkeKeys = [G.hpke]; this.document = NOTHING; }
  rotate(hpke, document) { this.hpkeKeys = [hpke, ...this.hpkeKeys]; this.document = document; } // section 11: another HPKE key, beside the one that retires, and a document that names it
  documentFor(request) { // section 3, the last field of a response: if the request was encrypted to a key other than the one that the document names
    const encryptedTo = request.subarray(2, 10), names = hpkeKeyId(this.document.subarray(9, SIGNED_LENGTH));
    return names.equals(encryptedTo) ? NOTHING : this.document;
  }
  openRequest(request, now) { // steps 1 and 2
    const { G } = this, must = (v) => v || refuse('server', 'ErrRefused');
    must(request.length <= LARGEST && request.length >= 1212 + 16 && request[0] === 2 && request[1] >= 1 && request[1] <= OPERATIONS.length);
    const operation = OPERATIONS[request[1] - 1], ticket = request.subarray(10, 10 + TICKET), keyId = ticket.subarray(2, 18);
    const hpke = must(this.hpkeKeys.find((k) => hpkeKeyId(k.bytes).equals(request.subarray(2, 10))));
    must(ticket.subarray(50).equals(ticketMac(G.challengeKey, ticket.subarray(0, 50))) && Number(ticket.readBigUInt64BE(18)) <= now + MINUTE);
    const keys = keySchedule(hybridDecaps(hpke, request.subarray(92, 1212)), text(`tandem v2 ${operation}`));
    const plaintext = must(openGCM(keys.hpkeKey, keys.hpkeNonce, keyId, request.subarray(1212)));
    return { keyId, plaintext, responseSecret: keys.responseSecret, ...parseRequest(plaintext, operation, ticket, keyId, G.k1) };
  }
  handle(request, now, random) {
    const { G } = this, must = (v) => v || refuse('server', 'ErrRefused'), hash = sha256(request);
    this.events = [];
    const p = this.openRequest(request, now), { keyId, operation, challenge } = p;
    this.responseSecret = p.responseSecret;
    const expires = Number(challenge.readBigUInt64BE(26)); // 3
    must(PURPOSES[operation].includes(challenge[1]) && challenge.subarray(114).equals(challengeMac(G.challengeKey, challenge.subarray(0, 114))));
    const next = () => challengeOf(G.challengeKey, 3, keyId, now, random());
    const code = (n, ...parts) => { const body = join2(...parts); return { code: n, body, challenge: [1, 6, 12].includes(n) || (n === 4 && body[1] === 0) ? next() : NOTHING }; };
    if (operation === 'enroll') return this.enroll(p, hash, now, expires, code);
    const r = this.records.get(hexOf(keyId)); // 4 and 5
    must(r && requestMac(r.authKey, keyId, p.authentic).equals(p.mac)); // 6
    must(r.hardware.length ? verifyP256(r.hardware, hardwareMessage(keyId, p.body), p.signature) : !p.signature.length);
    const destroyed = () => code(6, byte(r.reason));
    const settle = (h, fate, verdict = NO_VERDICT) => { r.last = { number: p.number, hash: h, fate, verdict }; r.chain = nextChain(r.chain, h, fate); };
    const event = (kind, more) => this.write(r, now, kind, more);
    const end = (reason) => { this.destroy(r, reason); event(8, { reason }); return destroyed(); };
    const clone = () => end(BY_CLONE);
    const complete = (d) => serve(G, encode({ ...d, hash: p.hash, padding: p.padding, n: G.n, e: G.e }).em, G.n, d.y); // scheme.md, sections 3.1 and 3.3
    const signatures = () => { // step 18, or a retry of it
      const list = p.documents.map((d) => i2osp(complete(d).S, G.k));
      return code(3, byte(list.length), i2osp(list.length ? G.k : 0, 2), ...list);
    };
    const cancel = operation === 'cancel', n = p.number, h = cancel ? p.commitment : hash, { last } = r;
    if (operation === 'report') return r.condition === 'destroyed' ? destroyed() : end(BY_CLONE); // 7
    if (last.number === n && last.hash.equals(h)) { // 8
      if (last.fate === WRONG) return code(4, last.verdict);
      if (last.fate === CANCELLED) return code(8);
      if (operation === 'refresh') return signatures();
      if (r.condition === 'destroyed') return destroyed();
      if (cancel) return code(3, byte(0, 0, 0));
      return expires + DAY <= now ? code(7) : signatures(); // ASSUMED: "until 24 hours after" ends at exactly 24 hours, as an expiry does (expiry <= now)
    }
    if (n === last.number && r.condition !== 'destroyed' && (cancel || expires > now)) return clone(); // 9
    if (n <= last.number) return code(12); // 10
    if (r.condition === 'destroyed') return destroyed(); // 11
    if (!cancel) {
      if (expires <= now) return code(7);
      if (r.condition === 'pending' && now >= r.endOfPending) return end(BY_TIME); // ASSUMED: over from its very millisecond on
      if (r.condition === 'pending' && operation !== 'confirm') return code(9);
    }
    if (n !== last.number + 1 || !p.chain.equals(r.chain) || !sha256(p.token).equals(r.commitment)) return clone(); // 12
    if (cancel) { settle(h, CANCELLED); event(6); return code(8); } // 13
    if (operation === 'refresh') { settle(h, RIGHT); r.commitment = p.commitment; event(5); return signatures(); }
    if (operation === 'sign' && !challenge.subarray(82, 114).equals(bindingOf(p.hash, p.padding, p.documents.map((d) => d.digest)))) return code(10); // 14
    const admitted = limiterStep(DEFAULT_POLICY, r.counter, BigInt(now), 'right'); // 15
    if (admitted.verdict === 'locked') return code(5, i2osp(admitted.lockedUntil, 8));
    if (admitted.verdict === 'destroyed') throw new Error('a key with a lock for ever that is not destroyed');
    const outcomes = p.documents.map((d) => attempt(() => complete(d)).verdict);
    if (outcomes.some((v) => v.reject && v.reject.stage !== 'check-partial')) return code(10);
    const isRight = outcomes.every((v) => !v.reject), count = p.documents.length;
    const attempted = limiterStep(DEFAULT_POLICY, r.counter, BigInt(now), isRight ? 'right' : 'wrong'); // 16
    r.counter = attempted.state;
    if (!isRight) { // 17
      const verdict = verdictBytes(attempted), over = attempted.state.lock === FOREVER;
      settle(h, WRONG, verdict);
      if (over) this.destroy(r, BY_PINS);
      event(7, { verdict, reason: over ? BY_PINS : 0 });
      return code(4, verdict);
    }
    settle(h, RIGHT);
    r.commitment = p.commitment;
    if (operation === 'confirm') r.condition = 'active';
    event({ confirm: 2, sign: 3, 'change pin': 4 }[operation], { documents: operation === 'sign' ? count : 0 });
    return signatures(); // 18
  }
  enroll(p, hash, now, expires, code) {
    const { G } = this, id = hexOf(p.keyId), r = this.records.get(id);
    const answer = (of) => code(1, long(i2osp(G.n, G.k)), i2osp(G.e, 4), i2osp(of.endOfPending, 8));
    if (r) { // 4
      if (!r.enrolment.equals(hash)) refuse('server', 'ErrRefused');
      if (r.condition === 'destroyed') return code(6, byte(r.reason));
      return r.condition === 'pending' && now >= r.endOfPending ? code(6, byte(BY_TIME)) : answer(r);
    }
    if (expires <= now) return code(7); // 5
    const share = attempt(() => parseShare(p.share)); // 6
    if (share.verdict.reject) return code(2, byte(1));
    const n1 = hexOf(p.share.subarray(12, 12 + G.k1)), owner = this.records.get(this.reserved.get(n1)); // 7
    if (owner) return code(2, byte(2));
    this.reserved.set(n1, id);
    const made = { condition: 'pending', reason: 0, keyId: p.keyId, enrolled: now, endOfPending: now + PENDING_LIFE, counter: parseState(Buffer.from(NEW_KEY, 'hex')), enrolment: hash,
      commitment: p.commitment, chain: hash, last: { number: 0, hash: ZERO32, fate: 0, verdict: NO_VERDICT }, hardware: p.hardware, authKey: p.authKey, eventNumber: 0, share: p.share };
    this.records.set(id, made);
    this.write(made, now, 1);
    return answer(made);
  }
  destroy(r, reason) { r.condition = 'destroyed'; r.reason = reason; r.share = NOTHING; r.counter = { ...r.counter, lock: FOREVER }; }
  // What the tests show of an event is its number.
  write(r, now, kind, { documents = 0, reason = 0, verdict = NO_VERDICT } = {}) { // one event, delivered at once: the record has only the newest
    this.events.push({ number: ++r.eventNumber, kind, time: now, documents, reason, verdict });
  }
}

// A device: section 7. `pending` is the request (as made below) that waits for its answer.
class TranscriptDevice {
  constructor(token, hpkePublic, authorityPublic) { Object.assign(this, { hpkePublic, serial: 0n, authorityPublic, phase: 'no key', number: 0, token, chain: ZERO32, pending: undefined, mark: false, challenge: undefined }); }
  copy() { return Object.assign(new TranscriptDevice(), this); }
  supersede(challenge) { Object.assign(this, { phase: 'superseded', pending: undefined, mark: false, token: undefined, challenge: challenge.length ? challenge : undefined }); }
  resolve(fate) {
    const { number, chain, hash, next } = this.pending;
    Object.assign(this, { number, chain: nextChain(chain, hash, fate), pending: undefined, mark: false });
    if (fate === RIGHT) { this.token = next; if (this.phase === 'unconfirmed') this.phase = 'ready'; }
  }
  takeDocument(b) { const { serial, key } = takeKeyDocument(b, this.authorityPublic, this.serial); Object.assign(this, { serial, hpkePublic: key }); } // section 11
  // An answer to the pending request, or to a Cancel of it, or to a Report. It opened, and its signatures verify.
  hear(operation, { code, body, challenge }) {
    const isCancel = operation === 'cancel';
    if (operation === 'report') { if (code === 6) this.phase = 'dead'; return; }
    if (operation === 'enroll') {
      if (code === 1) Object.assign(this, { phase: 'unconfirmed', pending: undefined });
      else if (code === 2 || code === 7) Object.assign(this, { phase: 'no key', pending: undefined });
      return;
    }
    if (code === 3) this.resolve(RIGHT);
    else if (code === 4 && body[1] > 0) this.resolve(WRONG);
    else if (code === 8 && this.mark) this.resolve(CANCELLED);
    else if (code === 4 || code === 6 || code === 8 || code === 12) { this.supersede(challenge); if (isCancel && (code === 4 || code === 6)) this.phase = 'dead'; }
    else if ([5, 7, 9, 10].includes(code)) this.pending = { ...this.pending, refused: true };
  }
  json() {
    const { phase, number, token, chain, pending, mark } = this;
    return phase === 'superseded' || phase === 'dead' || phase === 'no key' ? { phase } : { phase, number, token: hexOf(token), chain: hexOf(chain), ...(pending && { pending: pending.tcId }), ...(mark && { toBeCancelled: true }) };
  }
}

// The groups: client key, server key, sharing, whether the phone's hardware has a key, and whether the HPKE key is replaced.
const TWO_PRIME = ['device-2048-1', undefined, 'multiplicative', false, false], ROTATING = [...TWO_PRIME.slice(0, 4), true];
const TRANSCRIPTS = { 'two-prime': TWO_PRIME, composite: ['device-2048-1', 'server-2048-1', 'additive', true, false],
  ...Object.fromEntries(['clone-token', 'clone-number', 'clone-chain', 'clone-hash', 'clone-cancel', 'superseded', 'superseded-late', 'forged', 'forged-wrong', 'late', 'clone-locked', 'clone-order', 'clone-digest', 'clone-refresh', 'clone-range', 'clone-cancel-late',
    'clone-pending', 'destroyed-right', 'destroyed-refresh', 'destroyed-pending', 'end-of-pending', 'before-end', 'batch', 'form', 'enrolment-expired', 'enrolment-in-time', 'enrolment-refused', 'clone-pending-number', 'documents', 'encapsulation'].map((name) => [name, TWO_PRIME])),
  'key-document': ROTATING, 'key-document-enrolment': ROTATING, 'key-document-cancel': ROTATING, 'key-document-wrong': ROTATING,
  hardware: ['device-2048-1', undefined, 'multiplicative', true, false] };
const OF_A_STRANGER = ['stray-hardware', 'other-key', 'inner-version', 'inner-operation', 'byte-more', 'number-zero', 'report-token', 'other-hash', 'no-documents', 'too-many', 'salt-pkcs1', 'second', 'other-ticket', 'ticket', 'other-id', 'unknown-key',
  'future', 'other-purpose', 'bad-challenge', 'bad-mac', 'no-hardware', 'other-hardware', 'last-bit', 'enc-bit', 'enc-low-bit', 'operation', 'key-id', 'hpke-key', 'version'];
const AFTER_SEALING = { 'last-bit': (b) => { b[b.length - 1] ^= 1; }, 'enc-bit': (b) => { b[92] ^= 0x80; }, 'enc-low-bit': (b) => { b[92] ^= 1; }, operation: (b) => { b[1] = 2; }, 'key-id': (b) => { b[12] ^= 1; }, ticket: (b) => { b[91] ^= 1; }, 'hpke-key': (b) => { b[2] ^= 1; }, version: (b) => { b[0] = 1; } };
const CLASSES = { 2: 'ErrKeyRefused', 4: 'WrongPINError', 5: 'LockedError', 6: 'DestroyedError', 7: 'ErrExpired', 8: 'ErrCancelled', 9: 'ErrUnconfirmed', 10: 'ErrRejected', 12: 'ErrSuperseded' };
const CODE_FLAGS = { 2: 'KeyRefused', 4: 'WrongPin', 5: 'Lock', 6: 'Destroyed', 7: 'Expired', 9: 'Unconfirmed', 10: 'Rejected', 12: 'Superseded' };
const OPERATION_FLAGS = { enroll: 'Enrolment', confirm: 'Enrolment', sign: 'Signature', refresh: 'Refresh', 'change pin': 'ChangePin', cancel: 'Cancel', report: 'Report' };
const scalarP256 = (b) => (os2ip(b) % (P256.n - 1n)) + 1n;

// What was chosen in a group. Most of it changes what is computed; the hashes find a change of the rest (when a replay without an answer was sent, and which).
const CHOSEN = ['tcId', 'at', 'device', 'way', 'operation', 'again', 'cancels', 'hash', 'padding', 'change', 'forgery'];
const choices = (g) => hexOf(sha256(text(JSON.stringify([g.name, g.copiedAfter ?? 0, ...(g.rotatedAfter === undefined ? [] : [g.rotatedAfter]), g.tests.map((t) => [...CHOSEN.map((f) => t[f] ?? ''), t.documents?.length ?? 0])]))).subarray(0, 8));
const TRANSCRIPT_CHOICES = {
  'two-prime': '10ae454f026ac92d', composite: '5f1cc859ebf28193', 'clone-token': '6e8d99df913382c0', 'clone-number': 'e75e824a81ac4e5d', 'clone-chain': 'e23c0b6aae2f508c',
  'clone-hash': '24e38bc54a1b0064', 'clone-cancel': '8a7a78d509d46822', superseded: '6d12145ba43c7999', 'superseded-late': '442de2f07309808e', forged: '178e04add50409ff',
  'forged-wrong': '52ba57f6190abd6c', late: '939809578634e159', 'clone-locked': '42d3e96f8e735d63', 'clone-order': '4b11a157afe373fe', 'clone-digest': 'ea04169721904309',
  'clone-refresh': 'fb64c5249600dc80', 'clone-range': 'f8724e7ff6e72215', 'clone-cancel-late': '74cca1be39279dca', 'clone-pending': '74ddbf3a4e275055',
  'destroyed-right': 'ef2ac16cef95e2cf', 'destroyed-refresh': 'c51d8f04cd367b79', 'destroyed-pending': 'f61afff1d1d91f8c', 'end-of-pending': '2c29c270100fce44',
  'before-end': '1ad691ddaf316b4b', batch: 'fe628a58a3d3c01c', form: '22ae8ec945b15baf', 'enrolment-expired': '7ea1e73cf7efdba5', 'enrolment-in-time': 'af39f395bb66944f',
  'enrolment-refused': '25b204e231e26d31', hardware: '1108c7238fc8e212', 'clone-pending-number': '492e19ad3ff892dc',
  documents: '73723bedb10fbb9b', 'key-document': 'f85a265253482881', 'key-document-enrolment': '7a129279c0a5833d',
  'key-document-cancel': '5efd210ced1a6dca', 'key-document-wrong': 'c42018811fa56a5a', encapsulation: '7790b329e0aa8797'
};

function transcript(F, g) { // the JSON objects of a group and of its tests; {error} from the first that cannot be computed on
  if (!TRANSCRIPTS[g.name]) throw new Error(`no group ${g.name}`);
  const [keyName, serverName, sharing, withHardware, rotates] = TRANSCRIPTS[g.name];
  if (g.key.name !== keyName || g.serverKey?.name !== serverName || g.sharing !== sharing) throw new Error('another key, or another sharing');
  const G = finalKey(g), own = (f, n) => derived(`${F.name}/${g.name}/${f}`, n), publicKey = createPublicKey(pem(G.n, G.e));
  const x = own('x', G.k1 + 8), keyId = own('keyId', 16), authKey = own('deviceKey', 32), firstToken = own('token', 32), hpkePrivate = own('hpkePrivate', 32);
  const hardwareKey = withHardware && own('hardwareKey', 32), hardwarePublic = withHardware ? pointEnc(timesP256(scalarP256(hardwareKey))) : NOTHING, attestation = withHardware ? own('attestation', 300) : NOTHING;
  const hpke = hybridKey(hpkePrivate);
  const authorityPrivate = rotates ? own('authorityPrivate', 32) : NOTHING, authorityPublic = rotates ? ed25519PublicOf(authorityPrivate) : NOTHING;
  const nextHpkePrivate = rotates ? own('nextHpkePrivate', 32) : NOTHING, nextHpke = rotates && hybridKey(nextHpkePrivate), document = rotates && keyDocument(authorityPrivate, 1, nextHpke.bytes);
  Object.assign(G, { challengeKey: own('challengeKey', 32), hpke, ds: deal(sharing, x, G.key) });
  const share = shareEnc(sharing, G.key.n, G.e, G.ds);
  const group = { ...G.json, name: g.name, x: hexOf(x), ds: hexInt(G.ds, G.k1), serverShareEnc: hexOf(share), keyId: hexOf(keyId), authKey: hexOf(authKey), token: hexOf(firstToken),
    challengeKey: hexOf(G.challengeKey), hpkePrivate: hexOf(hpkePrivate), hpkePublic: hexOf(hpke.bytes), ...(g.copiedAfter !== undefined && { copiedAfter: g.copiedAfter }),
    ...(withHardware && { hardwareKey: hexOf(hardwareKey), hardwarePublic: hexOf(hardwarePublic), attestation: hexOf(attestation) }),
    ...(rotates && { rotatedAfter: g.rotatedAfter, authorityPrivate: hexOf(authorityPrivate), authorityPublic: hexOf(authorityPublic), nextHpkePrivate: hexOf(nextHpkePrivate), nextHpkePublic: hexOf(nextHpke.bytes), keyDocument: hexOf(document) }) };
  const server = new TranscriptServer(G), made = new Map(), devices = { owner: new TranscriptDevice(firstToken, hpke.bytes, authorityPublic) };

  const make = (t, state) => { // a new request of a device in that state
    const { operation, change: what, at } = t, d = (f, n) => field(F, t, f, n), sign = operation === 'sign', out = {};
    const p = { operation, hash: 'SHA-256', padding: 'PKCS1', documents: [], what };
    if (sign) {
      if (!HASHES[t.hash] || !PADDINGS.includes(t.padding) || !(t.documents?.length >= (what === 'no-documents' ? 0 : 1) && (t.documents.length > 64) === (what === 'too-many'))) throw new Error('hash, padding or documents');
      Object.assign(p, { hash: t.hash, padding: t.padding });
      Object.assign(out, { hash: p.hash, padding: p.padding });
      p.documents = t.documents.map((_, i) => ({ digest: d(`digest/${i}`, hLen(p.hash)), salt: d(`salt/${i}`, what === 'long-salt' ? bytesFor(bits(G.n) - 1) - hLen(p.hash) - 1 : p.padding === 'PSS' ? hLen(p.hash) : what === 'salt-pkcs1' ? 1 : 0) }));
    } else if (operation === 'confirm' || operation === 'change pin') p.documents = [{ salt: NOTHING }];
    // The challenge.
    const digests = p.documents.map((m) => m.digest), issued = at + ({ expired: -CHALLENGE_LIFE, 'minute-ahead': MINUTE, future: MINUTE + 1 }[what] ?? -1000);
    const purpose = (what === 'other-purpose' ? { enroll: 3, sign: 3, cancel: 1, report: 1 }[operation] ?? 2 : { enroll: 1, sign: 2 }[operation] ?? 3);
    const sentId = what === 'other-id' ? lastBit(keyId) : keyId;
    const signed = { 'other-digest': () => digests.map((_, i) => d(`otherDigest/${i}`, hLen(p.hash))), 'other-order': () => [digests.at(-1), ...digests.slice(0, -1)] }[what]?.() ?? digests;
    p.challenge = challengeOf(G.challengeKey, purpose, what === 'other-key' ? lastBit(keyId) : sentId, issued, d('challenge', 16), sign && purpose === 2 ? bindingOf(p.hash, p.padding, signed) : ZERO32);
    if (operation === 'cancel' && state.pending.refused) p.challenge = state.pending.challenge;
    if (operation === 'report' && state.challenge) p.challenge = state.challenge;
    if (what === 'bad-challenge') p.challenge = lastBit(p.challenge);
    const otherTicket = { 'other-key': 'challenge', 'other-ticket': 'otherTicket' }[what];
    const ticket = otherTicket ? ticketOf(G.challengeKey, purpose, keyId, issued, d(otherTicket, 16)) : p.challenge.subarray(0, TICKET);
    out.challenge = hexOf(p.challenge);
    // Numbers, tokens, documents.
    let next;
    if (operation === 'enroll') { p.commitment = sha256(firstToken); Object.assign(p, { share: what === 'zero-share' ? join2(share.subarray(0, share.length - G.k1), Buffer.alloc(G.k1)) : share, authKey, hardware: hardwarePublic, attestation }); }
    else if (operation === 'report') Object.assign(p, { number: 0, token: ZERO32, chain: ZERO32, commitment: ZERO32 });
    else if (operation === 'cancel') Object.assign(p, { number: state.pending.number, token: state.token, chain: state.pending.chain, commitment: state.pending.hash });
    else {
      next = d('nextToken', 32);
      Object.assign(p, { number: state.number + 1, token: state.token, chain: state.chain, commitment: sha256(next) });
      out.nextToken = hexOf(next);
    }
    if (what === 'followed') { const r = server.records.get(hexOf(keyId)); Object.assign(p, { number: r.last.number + 1, chain: r.chain }); }
    if (what === 'number+1') p.number++;
    if (what === 'number-zero') p.number = 0;
    if (what === 'report-token') p.token = state.token;
    if (operation !== 'enroll') Object.assign(out, { number: p.number, token: hexOf(p.token), chain: hexOf(p.chain) });
    out.target = hexOf(p.commitment);
    const all = ['wrong-pin', 'wrong-and-one', 'one-and-wrong'].includes(what), other = (all || what === 'last-wrong' || what === 'first-wrong') && d('otherX', x.length);
    if (other) out.otherX = hexOf(other);
    p.documents.forEach((m, i) => {
      const isLast = i === p.documents.length - 1;
      m.digest ??= ownDigest(operation, p.challenge);
      const isFirst = i === 0;
      if (what === 'long-salt') { m.em = NOTHING; m.y = i2osp(2n, G.k1); return; }
      m.em = encode({ ...m, salt: p.padding === 'PSS' ? m.salt : NOTHING, hash: p.hash, padding: p.padding, n: G.n, e: G.e }).em;
      const withX = all || (what === 'last-wrong' && isLast) || (what === 'first-wrong' && isFirst) ? other : x;
      const isOne = (isLast && (what === 'y-one' || what === 'wrong-and-one')) || (isFirst && what === 'one-and-wrong');
      m.y = i2osp(isOne ? 1n : isLast && what === 'y-minus-one' ? G.key.n - 1n : powerCRT(os2ip(m.em), exponentOf(sharing, withX), G.key), G.k1);
      if (what === 'short-y') m.y = m.y.subarray(0, G.k1 - 1);
    });
    if (p.documents.length || what === 'no-documents') out.documents = p.documents.map((m) => ({ digest: hexOf(m.digest), salt: hexOf(m.salt), em: hexOf(m.em), y: hexOf(m.y) }));
    // The hardware's signature, the MAC, the seal.
    const body = operation === 'enroll' ? enrolmentBody(p) : requestBody(p);
    const foreign = what === 'other-hardware' || what === 'stray-hardware';
    const signature = !foreign && (!withHardware || what === 'no-hardware') ? NOTHING
      : signP256(scalarP256(foreign ? d('otherHardware', 32) : hardwareKey), scalarP256(d('hardwareNonce', 32)), hardwareMessage(sentId, body));
    if (signature.length) out.hardwareSignature = hexOf(signature);
    let plaintext = join2(body, short(signature));
    if (operation !== 'enroll') plaintext = join2(plaintext, requestMac(authKey, keyId, plaintext));
    if (what === 'bad-mac') plaintext = lastBit(plaintext);
    if (what === 'byte-more') plaintext = join2(plaintext, byte(0));
    const encapsulation = d('encapsulation', 32), ephemeral = d('ephemeral', 32), { sharedSecret, enc } = hybridEncaps(state.hpkePublic, encapsulation, ephemeral);
    const keys = keySchedule(sharedSecret, text(`tandem v2 ${operation}`));
    const request = join2(byte(2, OPERATIONS.indexOf(operation) + 1), hpkeKeyId(state.hpkePublic), ticket, enc, sealGCM(keys.hpkeKey, keys.hpkeNonce, sentId, plaintext));
    AFTER_SEALING[what]?.(request);
    if (request.length > LARGEST) throw new Error('a request that is too long');
    Object.assign(out, { encapsulation: hexOf(encapsulation), ephemeral: hexOf(ephemeral), sharedSecret: hexOf(sharedSecret), plaintext: hexOf(plaintext), requestEnc: hexOf(request),
      ...Object.fromEntries(Object.entries(keys).map(([k, v]) => [k, hexOf(v)])) });
    if (operation === 'cancel') out.cancels = state.pending.tcId;
    return { tcId: t.tcId, operation, json: out, request, hash: sha256(request), next, number: p.number, chain: p.chain, challenge: p.challenge, documents: p.documents, responseSecret: keys.responseSecret };
  };

  // An answer to a request, sealed under a secret; what its device has of it, and the fields of the file.
  const seal = (t, answer, of, secret) => {
    const responseSalt = field(F, t, 'responseSalt', 32), { responseKey, responseNonce } = responseKeys(secret, of.request, responseSalt);
    const plaintext = responsePlaintext(answer), response = join2(byte(2), responseSalt, sealGCM(responseKey, responseNonce, NOTHING, plaintext));
    return { heard: openResponse(response, of), json: { code: answer.code, responsePlaintext: hexOf(plaintext), responseSalt: hexOf(responseSalt), responseEnc: hexOf(response), responseKey: hexOf(responseKey), responseNonce: hexOf(responseNonce) } };
  };
  const opens = (signature, em) => os2ip(publicDecrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, signature)) === os2ip(em); // OpenSSL's public operation
  // Does the device believe code 3? Each document's signature must verify; to refresh and to cancel there is none.
  const verifies = ({ body }, { documents }) => {
    const n = body[0], length = body.readUInt16BE(1);
    if (body.length !== 3 + n * length || n !== documents.length || length !== (n ? G.k : 0)) return false;
    return documents.every(({ em }, i) => opens(body.subarray(3 + i * length, 3 + i * length + length), em));
  };
  const FORGERIES = {
    wrong: () => ({ code: 4, body: join2(byte(2, 8), i2osp(0, 8)) }),
    right: (t, of) => ({ code: 3, body: join2(byte(of.documents.length), i2osp(G.k, 2), ...of.documents.map((_, i) => { const s = field(F, t, `forgedSignature/${i}`, G.k); s[0] = 0; return s; })) }),
    cancelled: () => ({ code: 8, body: NOTHING }),
    'other-key': (t, of) => ({ code: 3, body: join2(byte(of.documents.length), i2osp(G.k, 2), ...of.documents.map(({ em, y }) => i2osp(serve(G, em, G.n, y).S, G.k))), secret: field(F, t, 'forgedSecret', 32) }),
  };

  const one = (t) => {
    const { operation, at, way } = t, again = t.again !== undefined, out = { at, way, device: t.device, operation, change: t.change };
    if (t.device === 'copy' && !devices.copy) throw new Error('no copy yet');
    if (t.device === 'network' && !again) throw new Error('the network makes no requests');
    if (again && t.change !== 'none') throw new Error('the same bytes, changed');
    if ((t.device === 'stranger') !== OF_A_STRANGER.includes(t.change)) throw new Error('a change that another one makes');
    const device = devices[t.device], state = t.device === 'stranger' ? devices.owner.copy() : device;
    let of; // the request
    if (again) {
      of = made.get(t.again);
      if (!of || of.operation !== operation) throw new Error('no such request before');
      if (device && device.pending?.tcId !== t.again) throw new Error('the device sends its pending request again, and no other');
      out.again = t.again;
    } else {
      if (device && (state.phase === 'dead' || (state.phase === 'superseded') !== (operation === 'report'))) throw new Error('a Report is all that a superseded device sends');
      if (device && (state.phase === 'no key') !== (operation === 'enroll')) throw new Error('an enrolment is the first request');
      if (t.device === 'copy' && operation !== 'cancel') Object.assign(device, { pending: undefined, mark: false }); // it forgets
      if (device && operation !== 'report' && (device.pending !== undefined) !== (operation === 'cancel')) throw new Error('one request at a time');
      if (operation === 'cancel' && (!state.pending || state.pending.operation === 'enroll')) throw new Error('nothing to be cancelled');
      of = make(t, state);
      made.set(t.tcId, of);
      Object.assign(out, of.json);
      if (device && operation === 'enroll') Object.assign(device, { phase: 'enrolling', chain: of.hash, pending: of });
      else if (device && operation === 'cancel') device.mark = true;
      else if (device && operation !== 'report') device.pending = of;
    }
    // The server, or somebody in its place.
    const record = () => server.records.get(hexOf(keyId)), before = record()?.condition;
    let answer, reply, verdict;
    if (way === 'forged') {
      if (!Object.hasOwn(FORGERIES, t.forgery)) throw new Error(`forgery ${t.forgery}`);
      const { secret = of.responseSecret, ...forged } = FORGERIES[t.forgery](t, of);
      answer = { challenge: NOTHING, document: NOTHING, ...forged };
      reply = seal(t, answer, of, secret);
      out.forgery = t.forgery;
    } else if (way !== 'request-lost') {
      ({ verdict, value: answer } = attempt(() => server.handle(of.request, at, () => field(F, t, 'answerChallenge', 16))));
      if (answer) {
        answer.document = server.documentFor(of.request);
        reply = seal(t, answer, of, server.responseSecret);
        if (!reply.heard) throw new Error('the answer does not open');
        if (answer.code === 3 && !verifies(answer, of)) throw new Error('the signatures do not verify');
      }
    }
    Object.assign(out, reply?.json);
    const { code } = answer ?? {}, heard = reply?.heard, believed = heard && (heard.code !== 3 || verifies(heard, of));
    if (device && way !== 'answer-lost') {
      if (believed) device.hear(operation, heard);
      if (heard?.document.length) device.takeDocument(heard.document);
    }
    if (t.device === 'stranger' && answer && answer.code !== 2) throw new Error('a stranger has an answer');
    // What follows.
    const r = record();
    const isClone = r?.reason === BY_CLONE && before !== 'destroyed';
    const flags = [OPERATION_FLAGS[operation], CODE_FLAGS[code], !again && of.documents.length > 1 && 'Batch', !again && t.padding === 'PSS' && 'PSS', t.change.endsWith('-hardware') && 'Hardware', again && 'Again',
      again && t.device === 'network' && 'Replay', isClone && 'Clone', verdict?.reject && 'Refused', way.endsWith('-lost') && 'Lost', way === 'forged' && 'Forged'].filter(Boolean);
    const invalid = (stage, cls) => ({ result: 'invalid', reject: { class: cls, stage } }), isValid = code === 1 || code === 3 || (code === 8 && operation === 'cancel') || (code === 6 && operation === 'report');
    const result = way === 'request-lost' ? invalid('network', 'ErrUnanswered') : way === 'forged' ? invalid('network', believed ? CLASSES[code] : 'ErrAnswer')
      : verdict.reject ? verdict : isValid ? { result: 'valid' } : invalid('server', CLASSES[code]);
    if (t.tcId === g.copiedAfter) devices.copy = devices.owner.copy();
    if (rotates && t.tcId === g.rotatedAfter) server.rotate(nextHpke, document);
    const kept = r && { condition: r.condition, ...(r.condition === 'destroyed' && { reason: r.reason }), counterEnc: hexOf(counterBytes(r.counter)), current: hexOf(r.commitment),
      chainAfter: hexOf(r.chain), lastEnc: hexOf(join2(i2osp(r.last.number, 8), r.last.hash, byte(r.last.fate), r.last.verdict)), events: r.eventNumber };
    return { ...out, ...result, flags, ...kept, ...(device && { storage: device.json() }) };
  };
  const list = [];
  for (const t of g.tests) { try { list.push(one(t)); } catch (err) { list.push({ error: err.message }); break; } }
  const untaken = rotates && devices.owner.serial !== 1n; // a group that would show nothing
  return { group, list, errors: untaken ? ['the owner has not taken the key document'] : [] };
}
const transcriptMemo = new Map();
GROUPS.Transcript = (F, g) => {
  const chosen = choices(g), id = JSON.stringify([chosen, g.sharing, g.key, g.serverKey]);
  if (!transcriptMemo.has(id)) transcriptMemo.set(id, transcript(F, g));
  const { group, list, errors } = transcriptMemo.get(id);
  return { group, errors: chosen === TRANSCRIPT_CHOICES[g.name] ? errors : [...errors, `what was chosen (${CHOSEN.join(', ')}, copiedAfter, rotatedAfter, number of documents) has the hash ${chosen}, not ${TRANSCRIPT_CHOICES[g.name]}`],
    test: (t, ti) => { const want = list[ti] ?? { error: 'one of the tests before cannot be computed' }; if (want.error) throw new Error(want.error); return want; } };
};

// ------------------------------------------------------------------- primitives: ML-KEM-768, X25519, HPKE, AES-256-GCM, ECDSA

// ML-KEM-768, FIPS 203. Polynomials are arrays of 256 integers modulo Q_KEM; s, t and A are in the NTT domain.
const Q_KEM = 3329;
const ZETA = (() => { const list = [1]; for (let i = 1; i < 256; i++) list.push((list[i - 1] * 17) % Q_KEM); return list; })();
const bitRev7 = (i) => parseInt(i.toString(2).padStart(7, '0').split('').reverse().join(''), 2);
const modQ = (z) => ((z % Q_KEM) + Q_KEM) % Q_KEM;
const zipQ = (f, g, op) => f.map((v, i) => modQ(op(v, g[i])));
const addQ = (...list) => list.reduce((f, g) => zipQ(f, g, (a, b) => a + b));
function ntt(f) {
  f = [...f];
  for (let length = 128, i = 1; length >= 2; length /= 2) for (let start = 0; start < 256; start += 2 * length, i++) {
    const zeta = ZETA[bitRev7(i)];
    for (let j = start; j < start + length; j++) { const t = (zeta * f[j + length]) % Q_KEM; f[j + length] = modQ(f[j] - t); f[j] = modQ(f[j] + t); }
  }
  return f;
}
function nttInverse(f) {
  f = [...f];
  for (let length = 2, i = 127; length <= 128; length *= 2) for (let start = 0; start < 256; start += 2 * length, i--) {
    const zeta = ZETA[bitRev7(i)];
    for (let j = start; j < start + length; j++) { const t = f[j]; f[j] = modQ(t + f[j + length]); f[j + length] = modQ(zeta * (f[j + length] - t)); }
  }
  return f.map((v) => (v * 3303) % Q_KEM);
}
function timesNTT(f, g) {
  const h = [];
  for (let i = 0; i < 128; i++) {
    const [a0, a1, b0, b1] = [f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]], gamma = ZETA[(2 * bitRev7(i) + 1) % 256];
    h.push((a0 * b0 + ((a1 * b1) % Q_KEM) * gamma) % Q_KEM, (a0 * b1 + a1 * b0) % Q_KEM);
  }
  return h;
}
const dotNTT = (u, v) => addQ(...u.map((f, i) => timesNTT(f, v[i])));
function byteEncode(d, f) {
  const out = Buffer.alloc(32 * d);
  f.forEach((v, i) => { for (let b = 0; b < d; b++) if ((v >> b) & 1) out[(i * d + b) >> 3] |= 1 << ((i * d + b) & 7); });
  return out;
}
const byteDecode = (d, bytes) => Array.from({ length: 256 }, (_, i) => { let v = 0; for (let b = 0; b < d; b++) v |= ((bytes[(i * d + b) >> 3] >> ((i * d + b) & 7)) & 1) << b; return v; });
const compressQ = (d, f) => f.map((v) => Math.floor((v * 2 ** (d + 1) + Q_KEM) / (2 * Q_KEM)) % 2 ** d); // round(2^d/q * v) mod 2^d
const decompressQ = (d, f) => f.map((v) => Math.floor((v * 2 * Q_KEM + 2 ** d) / 2 ** (d + 1)));
function sampleNTT(seed) {
  const c = createHash('shake128', { outputLength: 3360 }).update(seed).digest(), out = [];
  for (let i = 0; out.length < 256; i += 3) {
    if (i + 3 > c.length) throw new Error('SampleNTT');
    for (const v of [c[i] + 256 * (c[i + 1] & 15), (c[i + 1] >> 4) + 16 * c[i + 2]]) if (v < Q_KEM && out.length < 256) out.push(v);
  }
  return out;
}
function sampleCBD(s, N) { // eta = 2
  const nibbles = [...shake(Buffer.concat([s, Buffer.from([N])]), 128)].flatMap((b) => [b & 15, b >> 4]);
  return nibbles.map((v) => modQ((v & 1) + ((v >> 1) & 1) - ((v >> 2) & 1) - (v >> 3)));
}
const sha3 = (n, ...parts) => createHash(`sha3-${n}`).update(Buffer.concat(parts)).digest();
const THREE = [0, 1, 2];
const matrixA = (rho) => THREE.map((i) => THREE.map((j) => sampleNTT(Buffer.concat([rho, Buffer.from([j, i])]))));
const kemMemo = new Map();
function kemKey(d) { // K-PKE.KeyGen
  const id = hexOf(d);
  if (!kemMemo.has(id)) {
    const g = sha3(512, d, Buffer.from([3])), rho = g.subarray(0, 32), sigma = g.subarray(32), A = matrixA(rho);
    const s = THREE.map((i) => ntt(sampleCBD(sigma, i))), e = THREE.map((i) => ntt(sampleCBD(sigma, 3 + i)));
    const t = THREE.map((i) => addQ(dotNTT(A[i], s), e[i]));
    kemMemo.set(id, { A, s, t, ek: Buffer.concat([...t.map((f) => byteEncode(12, f)), rho]) });
  }
  return kemMemo.get(id);
}
function kemPublic(ek) { // A and t, from the public key alone
  const id = hexOf(ek);
  if (!kemMemo.has(id)) kemMemo.set(id, { A: matrixA(ek.subarray(1152)), t: THREE.map((i) => byteDecode(12, ek.subarray(384 * i, 384 * (i + 1)))) });
  return kemMemo.get(id);
}
function kemEncaps(ek, m) {
  const { A, t } = kemPublic(ek);
  const g = sha3(512, m, sha3(256, ek)), r = g.subarray(32);
  const y = THREE.map((i) => ntt(sampleCBD(r, i)));
  const u = THREE.map((i) => addQ(nttInverse(dotNTT(THREE.map((j) => A[j][i]), y)), sampleCBD(r, 3 + i)));
  const v = addQ(nttInverse(dotNTT(t, y)), sampleCBD(r, 6), decompressQ(1, byteDecode(1, m)));
  return { secret: g.subarray(0, 32), c: Buffer.concat([...u.map((f) => byteEncode(10, compressQ(10, f))), byteEncode(4, compressQ(4, v))]) };
}
function kemDecrypt(s, c) { // K-PKE.Decrypt
  const u = THREE.map((i) => ntt(decompressQ(10, byteDecode(10, c.subarray(320 * i, 320 * i + 320))))), v = decompressQ(4, byteDecode(4, c.subarray(960)));
  return byteEncode(1, compressQ(1, zipQ(v, nttInverse(dotNTT(s, u)), (a, b) => a - b)));
}
function kemDecaps(key, z, c) {
  const again = kemEncaps(key.ek, kemDecrypt(key.s, c));
  return again.c.equals(c) ? again.secret : shake(Buffer.concat([z, c]), 32);
}

// X25519, and the KEM MLKEM768-X25519 (X-Wing).
const x25519Private = (raw) => createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), raw]), format: 'der', type: 'pkcs8' });
const x25519Public = (raw) => createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), raw]), format: 'der', type: 'spki' });
const x25519PublicOf = (raw) => createPublicKey(x25519Private(raw)).export({ format: 'der', type: 'spki' }).subarray(-32);
const x25519 = (secret, pub) => diffieHellman({ privateKey: x25519Private(secret), publicKey: x25519Public(pub) });
function hybridKey(seed) {
  const b = shake(seed, 96), kem = kemKey(b.subarray(0, 32)), secret = b.subarray(64), pub = x25519PublicOf(secret);
  return { kem, z: b.subarray(32, 64), secret, pub, bytes: Buffer.concat([kem.ek, pub]) };
}
const combine = (kemSecret, xSecret, ephemeralPub, pub) => sha3(256, kemSecret, xSecret, ephemeralPub, pub, Buffer.from('\\.//^\\'));
function hybridEncaps(bytes, m, ephemeral) { // to a public key of 1216 bytes
  const { secret, c } = kemEncaps(bytes.subarray(0, 1184), m), pub = x25519PublicOf(ephemeral), to = bytes.subarray(1184);
  return { sharedSecret: combine(secret, x25519(ephemeral, to), pub, to), enc: Buffer.concat([c, pub]) };
}
function hybridDecaps(key, enc) {
  const c = enc.subarray(0, 1088), pub = enc.subarray(1088);
  return combine(kemDecaps(key.kem, key.z, c), x25519(key.secret, pub), pub, key.pub);
}

// HPKE base mode, RFC 9180, section 5.1, with HKDF-SHA256 and AES-256-GCM.
const hmac = (key, ...parts) => createHmac('sha256', key).update(Buffer.concat(parts)).digest();
const text = (s) => Buffer.from(s, 'ascii');
function hkdfExpand(prk, info, n) {
  let out = Buffer.alloc(0), T = Buffer.alloc(0);
  for (let i = 1; out.length < n; i++) { T = hmac(prk, T, info, Buffer.from([i])); out = Buffer.concat([out, T]); }
  return out.subarray(0, n);
}
const SUITE = Buffer.concat([text('HPKE'), Buffer.from('647a00010002', 'hex')]);
const labeledExtract = (salt, label, ikm) => hmac(salt, text('HPKE-v1'), SUITE, text(label), ikm);
const labeledExpand = (prk, label, info, n) => hkdfExpand(prk, Buffer.concat([i2osp(n, 2), text('HPKE-v1'), SUITE, text(label), info]), n);
function keySchedule(sharedSecret, info) {
  const none = Buffer.alloc(0), context = Buffer.concat([Buffer.from([0]), labeledExtract(none, 'psk_id_hash', none), labeledExtract(none, 'info_hash', info)]);
  const secret = labeledExtract(sharedSecret, 'secret', none);
  const exporterSecret = labeledExpand(secret, 'exp', context, 32);
  return { hpkeKey: labeledExpand(secret, 'key', context, 32), hpkeNonce: labeledExpand(secret, 'base_nonce', context, 12), exporterSecret,
    responseSecret: labeledExpand(exporterSecret, 'sec', text('tandem v2 response'), 32) };
}
function sealGCM(key, nonce, aad, plaintext) {
  const c = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
  return Buffer.concat([c.update(plaintext), c.final(), c.getAuthTag()]);
}
function openGCM(key, nonce, aad, sealed) { // or null
  const c = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(aad).setAuthTag(sealed.subarray(-16));
  try { return Buffer.concat([c.update(sealed.subarray(0, -16)), c.final()]); } catch { return null; }
}

// ECDSA over P-256. The signatures are made here, with the nonce of the vectors, so that every byte of one is expected; OpenSSL verifies them.
const P256 = { p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n, n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  G: [0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n, 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n] };
function addP256(a, b) {
  if (!a || !b) return a ?? b;
  const { p } = P256, [x1, y1] = a, [x2, y2] = b;
  if (x1 === x2 && mod(y1 + y2, p) === 0n) return null;
  const slope = x1 === x2 ? 3n * (x1 * x1 - 1n) * inverse(2n * y1, p) : (y2 - y1) * inverse(mod(x2 - x1, p), p), x = mod(slope * slope - x1 - x2, p);
  return [x, mod(slope * (x1 - x) - y1, p)];
}
function timesP256(k, P = P256.G) {
  let R = null;
  for (const bit of k.toString(2)) { R = addP256(R, R); if (bit === '1') R = addP256(R, P); }
  return R;
}
const pointEnc = ([x, y]) => join2(byte(4), i2osp(x, 32), i2osp(y, 32));
function signP256(d, nonce, message) {
  const { n } = P256, r = mod(timesP256(nonce)[0], n), s = mod(inverse(nonce, n) * (os2ip(sha256(message)) + r * d), n);
  if (!r || !s) throw new Error('another nonce');
  return join2(i2osp(r, 32), i2osp(s, 32));
}
function verifyP256(pub, message, signature) {
  if (pub.length !== 65 || pub[0] !== 4 || signature.length !== 64) return false;
  try {
    const key = createPublicKey({ key: join2(Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'), pub), format: 'der', type: 'spki' });
    return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
  } catch { return false; }
}

// ---------------------------------------------------------------------------------------------------- main, workers

// The searches for primes that the keys of all files need: candidates 0 to index-1 must not qualify.
function primeSearches(files) {
  const found = new Map();
  const visit = (v) => {
    if (v === null || typeof v !== 'object') return;
    if (typeof v.kindP === 'string' && typeof v.name === 'string') found.set(JSON.stringify([v.name, v.e, v.kindP, v.kindQ, v.pBits, v.qBits, v.pIndex, v.qIndex]), v);
    Object.values(v).forEach(visit);
  };
  files.forEach((f) => { try { visit(JSON.parse(f.text)); } catch { /* checkText reports it */ } });
  const tasks = [];
  for (const k of found.values()) for (const half of ['p', 'q']) {
    const to = k[`${half}Index`];
    if (!(to >= 0 && to <= 99999)) continue;
    for (let from = 0; from < to; from += 4000) tasks.push({ kind: 'primes', key: k, half, from, to: Math.min(to, from + 4000) });
  }
  return tasks;
}
function runTask(task) {
  if (task.kind === 'file') return checkText(task.name, readFileSync(task.path, 'utf8'));
  const { key: k, half, from, to } = task;
  try {
    const label = `key/${k.name}/${half}`, kind = k[half === 'p' ? 'kindP' : 'kindQ'], E = BigInt(k.e);
    const after = NEAR[kind] && half === 'q' ? candidate({ label: `key/${k.name}/p`, kind: k.kindP, bits: k.pBits }, k.pIndex) : undefined;
    const i = firstCandidate({ label, kind, bits: k[`${half}Bits`], e: E, after }, from, to);
    return { tests: 0, errors: i < 0 ? [] : [`key ${k.name}: ${half}Index is ${k[`${half}Index`]}, but candidate ${i} qualifies`] };
  } catch (err) { return { tests: 0, errors: [`key ${k.name}: ${err.message}`] }; }
}

async function main(args) {
  const fast = args.includes('--fast'), named = args.filter((a) => !a.startsWith('--'));
  if (args.some((a) => a.startsWith('--') && a !== '--fast')) { console.error('usage: node check.mjs [--fast] [FILE...]'); return 2; }
  const paths = named.length ? named : readdirSync(HERE).filter((f) => f.endsWith('.json')).sort().map((f) => join(HERE, f));
  const files = paths.map((path) => ({ kind: 'file', path, name: basename(path).replace(/\.json$/, ''), text: readFileSync(path, 'utf8') }));
  const tasks = [...files.map(({ text, ...f }) => f).sort((a, b) => (a.name < b.name ? -1 : 1)), ...(fast ? [] : primeSearches(files))];
  const results = new Array(tasks.length), searches = tasks.length - files.length;
  let next = 0;
  await Promise.all([0, 1].map(() => new Promise((resolve, reject) => {
    const w = new Worker(fileURLToPath(import.meta.url), { workerData: 'check.mjs' });
    const give = () => { if (next < tasks.length) { w.task = next++; w.postMessage(tasks[w.task]); } else w.terminate().then(resolve); };
    w.on('message', (r) => { results[w.task] = r; give(); });
    w.on('error', reject);
    give();
  })));
  let tests = 0, bad = 0;
  tasks.forEach((t, i) => {
    const { errors } = results[i];
    bad += errors.length;
    errors.slice(0, 40).forEach((e) => console.log(e));
    if (errors.length > 40) console.log(`... and ${errors.length - 40} more`);
    if (t.kind !== 'file') return;
    tests += results[i].tests;
    console.log(errors.length ? `${t.name}.json: ${errors.length} errors, ${results[i].tests} tests` : `${t.name}.json: ${results[i].tests} tests ok`);
  });
  console.log(fast ? 'primes: earlier candidates not checked (--fast)' : `primes: ${tasks.slice(files.length).reduce((n, t) => n + t.to - t.from, 0)} earlier candidates looked at in ${searches} parts${bad ? '' : ': none qualifies'}`);
  console.log(bad ? `node: ${bad} errors, ${tests} tests in ${files.length} files` : `node: ${tests} tests in ${files.length} files ok`);
  return bad ? 1 : 0;
}

if (!isMainThread && workerData === 'check.mjs') parentPort.on('message', (task) => parentPort.postMessage(runTask(task)));
else if (isMainThread && process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));

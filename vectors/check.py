#!/usr/bin/env python3
"""An independent check of the test vectors of tandem, in Python 3.11 with the standard library alone.

    python3 vectors/check.py [--quick] [--argon2=all|sample] [FILE...]

It was written from docs/scheme.md ("the scheme"), vectors/README.md ("the page") and public standards (RFC 8017, 8439,
9106, FIPS 180-4, 202; for the transcript docs/protocol.md, RFC 5869, 7748, 8032, 9180, 9458, FIPS 197, 203, SP 800-38D); it
shares no code with the library or with the generator of the vectors.

What it checks. Everything is computed again from the seed, and compared; no value of a file is used to compute the next:
every key (candidates for primes from number 0 on: the published one qualifies, none before it does), shares, binary
forms and their edits, digests, salts, encoded messages (EMSA-PKCS1-v1_5 and EMSA-PSS are below), partial signatures,
signatures, PEM, lockboxes (ChaCha20 and Argon2id are below), the attempt limiter, the rules for weak PINs and their
verdicts on all PINs of four and five digits, verification codes. Each group of the transcript is gone through from its
first message on, by a device, a copy of it and a server of this checker's own: challenges, requests, hardware signatures
(ECDSA with P-256), MACs, HPKE (with ML-KEM-768, X25519 and AES-256-GCM), which the server opens with its private keys, its
steps and what it has after each, the answers, forged ones too, and what the device makes of them when it has opened them: of
the key document (Ed25519) as well, to whose HPKE key it encrypts from then on. A test's fields must be exactly those
that are computed or known to be inputs: one that is missing or unknown is an error. Each invalid test is run through the
steps of the scheme in order, and must be refused at the stage and with the class that it states, and not before. Flags
are computed, or (limiter, NearMiss) checked to be true. Each file is also validated against its JSON schema.

The file is read from the top: all files, one file, the checks of each kind of file; then the scheme and the protocol, as
this checker understands them; then JSON, and the primitives that Python does not have, all together.

What it does not check. Comments, and the description and effect of a flag, are prose, and are not read (but the PINs of
the group MalformedPIN are named by their comments, as the page says). Of the server's record in the transcript
the sealed parts, and of an event all but its number, are in no vector. Argon2id at its
default cost (8 keys), and most of the 10,000 keys in lockbox_exhaustive_4.json (unless --argon2=all), are taken from the
file; what follows from them is compared. Whether a PIN in weak_pins.json or a sequence in limiter.json is well chosen cannot be computed: they are
inputs, bound by a sha256. Primality is tested by eight rounds of Miller-Rabin. --quick leaves out the proof that no
candidate before the published one qualifies.

Exit status: 0 if all agree, 1 if not, 2 for a wrong use.
"""

import argparse
import base64
import copy
import hashlib
import hmac
import json
import multiprocessing
import os
import re
import sys
from functools import lru_cache
from itertools import product
from math import gcd, isqrt, lcm, prod

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = hashlib.sha256(b"tandem test vectors, version 1").digest()
HEADER = ["Written by internal/gen. Do not edit.", "All keys are test keys, derived from a published seed.", "CC0 1.0: no rights reserved."]
DERIVATION = ("Every value that is called derived is SHAKE256(seed || I2OSP(len(label), 2) || label) in the length "
              "needed. Labels: key/NAME/p and key/NAME/q for primes, FILE/TCID/FIELD for a field of a test, "
              "FILE/TCID/FIELD/COUNTER where the test has a counter. README.md has the rule for candidates for "
              "primes, and every other construction.")
CVES = {"NearlyEqual": ["CVE-2022-26320"], "ROCA": ["CVE-2017-15361"]}   # every other flag has none
NEW_COUNTER = "01" + "00" * 17                 # of a limiter
T0 = 1767225600000                           # 2026-01-01, where the limiter's sequences begin
T_MAX, LOCK_MAX, FOREVER = 253402300799999, 315360000000, 2**63 - 1
DEFAULT_COST = {"t": 3, "m": 65536, "p": 4}
DEFAULT_POLICY = [{"tries": 3, "lock": 10800000}, {"tries": 3, "lock": 86400000}, {"tries": 3}]
HASHES = {  # name: (constructor, length, last arc of its object identifier 2.16.840.1.101.3.4.2.N)
    "SHA-256": (hashlib.sha256, 32, 1), "SHA-384": (hashlib.sha384, 48, 2), "SHA-512": (hashlib.sha512, 64, 3),
    "SHA3-256": (hashlib.sha3_256, 32, 8), "SHA3-384": (hashlib.sha3_384, 48, 9), "SHA3-512": (hashlib.sha3_512, 64, 10)}
OTHER_HASHES = {"MD5": 16, "SHA-1": 20, "SHA-224": 28, "SHA-512/224": 28, "SHA-512/256": 32, "SHA3-224": 28}


class Refused(Exception):
    """A step of the scheme refuses: (stage, class)."""


def refuse_if(condition, stage, name):
    if condition:
        raise Refused(stage, name)


def outcome(step, *args):
    """The result of a step, and why it was refused: (value, None) or (None, {stage, class})."""
    try:
        return step(*args), None
    except Refused as r:
        return None, {"stage": r.args[0], "class": r.args[1]}


def i2osp(z, k):
    return z.to_bytes(k, "big")


def os2ip(b):
    return int.from_bytes(b, "big")


def width(n):
    return (n.bit_length() + 7) // 8


def flipped(b):
    """b with its lowest bit changed."""
    return b[:-1] + bytes([b[-1] ^ 1])


def derived(label, n):
    label = label.encode("ascii")
    return hashlib.shake_256(SEED + i2osp(len(label), 2) + label).digest(n)


@lru_cache(None)
def modulus(label, bits):
    z = os2ip(derived(label, (bits + 7) // 8)) % (1 << bits)
    return z | 1 << (bits - 1) | 1


# ---- All files ------------------------------------------------------------------------------------------------------

def learn_keys(directory=HERE):
    """The parameters (not the numbers) of the keys that the page names, from the files that have them."""
    for name in ("split_multiplicative_2048", "split_multiplicative_3072", "complete_composite"):
        path = os.path.join(directory, name + ".json")
        with open(path, encoding="utf-8") as f:
            for g in json.load(f)["testGroups"]:
                for k in (g.get("key"), g.get("serverKey")):
                    if k and re.fullmatch(r"(device-(2048|3072)-[123]|server-(2048|3072)-1)", k["name"]):
                        NAMED.setdefault(k["name"], (k["name"], (k["kindP"], k["kindQ"]), (k["pBits"], k["qBits"]), k["e"],
                                                     (k["pIndex"], k["qIndex"])))


def check_path(args):
    path, all_argon2 = args
    name = os.path.basename(path).removesuffix(".json")
    try:
        f = File(name, load(path), all_argon2)
        f.run()
    except Exception as e:   # a checker must not stop at what it did not expect
        where = f.where if "f" in locals() else "file"
        return path, 0, [(where, "exception", f"{type(e).__name__}: {e}")], {}
    tests = 0 if any(field == "schema" for _, field, _ in f.problems) else sum(len(g["tests"]) for g in f.doc["testGroups"])
    return path, tests, f.problems, f.jobs


def main():
    p = argparse.ArgumentParser(description="Checks the test vectors of tandem.")
    p.add_argument("--quick", action="store_true", help="do not prove that no earlier candidate for a prime qualifies")
    p.add_argument("--argon2", choices=("sample", "all"), default="sample", help="of the 10,000 keys of lockbox_exhaustive_4")
    p.add_argument("files", nargs="*", metavar="FILE")
    a = p.parse_args()
    paths = a.files or sorted(os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".json"))
    self_test()
    learn_keys()
    with multiprocessing.Pool(2) as pool:
        results = pool.map(check_path, [(f, a.argon2 == "all") for f in paths], chunksize=1)
        jobs = sorted({j for _, _, _, js in results for j in js}, key=lambda j: -j[5] * j[2])
        found = {} if a.quick else dict(zip(jobs, pool.map(first_index_below, jobs, chunksize=1)))
    total, bad = 0, 0
    for path, tests, problems, own in results:
        for job, (where, field) in own.items():
            if found.get(job) is not None:
                problems.append((where, field, f"{job[0]}: expected candidate {job[5]}, computed {found[job]}, which qualifies"))
        name, total = os.path.basename(path), total + tests
        for where, field, text in problems:
            print(f"{name}: {'tcId ' if isinstance(where, int) else ''}{where}: {field}: {text}")
        wrong = {w for w, _, _ in problems}
        bad += len(wrong)
        print(f"{name}: {tests} tests ok" if not problems else f"{name}: {len(problems)} mismatches in {len(wrong)} places")
    if not a.files and {os.path.basename(f).removesuffix(".json") for f in paths} != set(FILES):
        print("python: not all files are there, or there are others")
        bad += 1
    quick = " (--quick: earlier candidates for primes not looked at)" if a.quick else f", {len(jobs)} primes searched"
    print(f"python: {total} tests in {len(paths)} files {'ok' if not bad else 'NOT ok'}{quick}")
    return 1 if bad else 0


# ---- One file -------------------------------------------------------------------------------------------------------

FILES = {  # name: (algorithm, schema)
    **{f"split_{s}_{b}": (f"tandem-split-{s}", "split") for s in ("multiplicative", "additive") for b in (2048, 3072)},
    "encode_pkcs1": ("EMSA-PKCS1-v1_5", "encode"), "encode_pss": ("EMSA-PSS", "encode"),
    "partial": ("tandem-partial", "partial"), "complete": ("tandem-complete", "complete"),
    "complete_composite": ("tandem-complete-composite", "complete"), "lockbox": ("tandem-lockbox", "lockbox"),
    "lockbox_exhaustive_4": ("tandem-lockbox", "lockbox_exhaustive"),
    "lockbox_malformed": ("tandem-lockbox", "lockbox_malformed"), "weak_pins": ("tandem-check-pin", "weak_pins"),
    "limiter": ("tandem-limiter", "limiter"), "verification_code": ("tandem-verification-code", "verification_code"),
    "key_document": ("tandem-key-document", "key_document"), "transcript": ("tandem-protocol", "transcript")}
COMMON = {"comment", "tcId"}
PROSE = {"comment"}


class File:
    """The checks of one file. Problems are collected as (tcId or group, field, text)."""

    def __init__(self, name, doc, all_argon2=False):
        self.name, self.doc, self.all_argon2 = name, doc, all_argon2
        self.problems, self.jobs = [], {}
        self.where = "file"

    def fail(self, field, text):
        self.problems.append((self.where, field, text))

    def same(self, field, got, want):
        if type(got) is not type(want) or got != want:
            self.fail(field, f"expected {short(got)}, computed {short(want)}")

    def fields(self, got, want, inputs):
        """Each field of got is an input or has the computed value, and none is missing."""
        for k in sorted(set(got) | set(want) | set(inputs)):
            if k not in got:
                self.fail(k, f"is missing, computed {short(want.get(k, 'an input'))}")
            elif k in want:
                self.same(k, got[k], want[k])
            elif k not in inputs and k not in PROSE:
                self.fail(k, f"is {short(got[k])}, and should not be there")

    # -- the whole

    def run(self):
        if self.name not in FILES:
            return self.fail("file", "unknown name: this checker does not know how it is made")
        if self.fits_schema(self.doc):   # else no field can be relied on to be there
            self.header()
            for i in range(len(self.doc["testGroups"])):
                self.group(i)

    def fits_schema(self, doc):
        root = schema_of(FILES[self.name][1] + ".json")
        errors = validate(root, doc, root)
        for e in errors:
            self.fail("schema", e)
        return not errors

    def header(self):
        """All but the groups; and what concerns all tests together."""
        self.where, d = "file", self.doc
        algorithm, schema = FILES[self.name]
        want = {"algorithm": algorithm, "schema": f"schemas/{schema}.json", "specVersion": "1", "seed": SEED.hex(),
                "header": HEADER, "derivation": DERIVATION}
        tests = [t for g in d["testGroups"] for t in g["tests"]]
        want["numberOfTests"] = len(tests)
        self.fields(d, want, {"notes", "testGroups", "vectorVersion"})
        self.same("notes", sorted(d["notes"]), sorted({f for t in tests for f in t["flags"]}))
        for flag, note in d["notes"].items():
            self.same(f"notes/{flag}/cves", note["cves"], CVES.get(flag, []))
        # tcIds: each number from 1 on once; in order, but limiter.json orders its groups by policy
        ids = [t["tcId"] for t in tests]
        self.same("tcId", sorted(ids), list(range(1, len(ids) + 1)))
        for g in d["testGroups"]:
            here = [t["tcId"] for t in g["tests"]]
            self.same("tcId", here, sorted(here))
            self.same("source", g["source"], {"name": "tandem", "version": d["vectorVersion"]})
        if self.name != "limiter":
            self.same("tcId", ids, sorted(ids))
        if self.name.startswith("encode"):   # e, and the bits, are inputs: no two groups are the same
            made = [(g["bits"], g["e"], g["hash"], g.get("change")) for g in d["testGroups"]]
            self.same("testGroups", len(set(made)), len(made))

    def group(self, i, only=None):
        """One group; only its test number `only`, if that is given (and the group's own fields)."""
        g = self.doc["testGroups"][i]
        self.where = f"group {i + 1}"
        kind = FILES[self.name][1].replace("lockbox_exhaustive", "exhaustive")
        self.guarded(getattr(self, "g_" + kind), g, only)

    def guarded(self, check, *args):
        """What a check did not expect (an unknown form, a number out of range) is a mismatch, and no end."""
        try:
            check(*args)
        except Exception as e:
            self.fail("exception", f"{type(e).__name__}: {e}")

    def tests(self, g, only, check, *args):
        for j, t in enumerate(g["tests"]):
            if only is None or only == j:
                before = self.where
                self.where = t["tcId"]
                self.same("flags", t["flags"], sorted(set(t["flags"])))
                self.guarded(check, g, t, *args)
                self.where = before

    def judged(self, want, reject, flags):
        want["flags"] = sorted(flags)
        want["result"] = "invalid" if reject else "valid"
        if reject:
            want["reject"] = reject
        return want

    def key(self, field, k):
        """The key that its parameters give; all of its fields are compared."""
        key = make_key(k["name"], (k["kindP"], k["kindQ"]), (k["pBits"], k["qBits"]), k["e"], (k["pIndex"], k["qIndex"]))
        if not key.ok:
            self.fail(field, f"candidates {k['pIndex']} and {k['qIndex']} of {k['name']} do not both qualify")
        for name, v in key.fields().items():
            self.same(f"{field}/{name}", k[name], v)
        for job in key.jobs:
            self.jobs.setdefault(job, (self.where, field))
        return key

    def usable_key(self, g):
        """The key of a group whose tests are about something else: nothing in 2.4 may refuse it."""
        key = self.key("key", g["key"])
        self.same("key", sorted(key_defects(key.n, key.e, key.d, key.p, key.q, g["sharing"])), [])
        return key

    def named(self, name):
        """A key of which the page speaks by name: device-BITS-N, server-BITS-N."""
        key = make_key(*NAMED[name])
        if not key.ok:
            self.fail(name, "its candidates do not both qualify")
        for job in key.jobs:
            self.jobs.setdefault(job, (self.where, name))
        return key

    def hexed(self, z, k):
        return i2osp(z, k).hex()

    def label(self, t, field, counter=None):
        return f"{self.name}/{t['tcId']}/{field}" + ("" if counter is None else f"/{counter}")

    def derived(self, t, field, n):
        """A derived field; the field is named without the ending Enc."""
        return derived(self.label(t, field), n)

    def searched(self, t, field, n, has_property):
        """A field with a counter: the first from 0 for which the test has its property."""
        for c in range(t["counter"] + 1):
            v = derived(self.label(t, field, c), n)
            if has_property(v):
                if c != t["counter"]:
                    self.fail("counter", f"expected {t['counter']}, computed {c}")
                return v
        self.fail("counter", f"{t['counter']} does not give the test its property")
        return v

    # -- split_*

    def g_split(self, g, only):
        sharing = self.name.split("_")[1]
        self.same("sharing", g["sharing"], sharing)
        if g["type"] == "Key":
            return self.tests(g, only, self.t_key, sharing)
        key = self.usable_key(g)
        if g["type"] == "Split":
            return self.tests(g, only, self.t_split, key, sharing)
        x = derived(f"share/{self.name}/x", key.k + 8)
        base = server_share(sharing, key.e, key.n, deal(key, x, sharing))
        self.fields(g, {"x": x.hex(), "baseEnc": base.hex()}, {"key", "sharing", "source", "tests", "type"})
        self.tests(g, only, self.t_server_share, key, base)

    def t_split(self, g, t, key, sharing):
        n, form = key.k + 8, t["xForm"]
        leading_zero = lambda x: outcome(deal, key, x, sharing)[0] is not None and deal(key, x, sharing) >> 8 * (key.k - 1) == 0
        x = self.searched(t, "x", n, leading_zero) if "counter" in t else self.derived(t, "x", n)
        if form == "next-multiple-of-65539":
            z = os2ip(x)
            x = i2osp(z + (32769 - z) % 65539, n)       # 2*32769+1 = 65539
        x = {"derived": x, "next-multiple-of-65539": x, "eight-zero-bytes": bytes(8) + x[8:], "zero": bytes(n),
             "ones": b"\xff" * n, "d": i2osp(key.d, n), "d-plus-lambda": i2osp(key.d + key.lam, n)}[form]
        ds, reject = outcome(deal, key, x, sharing)
        want = {"x": x.hex(), "dc": self.hexed(share_to_dc(x, sharing), n + (sharing == "multiplicative"))}
        flags = {"LSafeBound"} if key.kinds[0] == "factor-65539" else {"OrdinaryPrimes"} if key.ordinary else set()
        flags |= {"SmallCommonDivisor"} if gcd(key.p - 1, key.q - 1) > 2 and key.kinds == ("factor-65539",) * 2 else set()
        flags |= {"UnequalFactors"} if key.p.bit_length() != key.q.bit_length() else set()
        flags |= {"OddBytes"} if key.k % 2 else set()
        flags |= {"PrimesApart"} if key.kinds[1] == "apart-l-safe" else set()
        flags |= {"ShareAllOnes"} if form == "ones" else set()
        if reject is None:
            self.same("xForm", form in ("next-multiple-of-65539", "d", "d-plus-lambda"), False)
            want |= {"ds": self.hexed(ds, key.k), "serverShareEnc": server_share(sharing, key.e, key.n, ds).hex()}
            # a d_s that begins with a zero byte by chance does not count
            flags |= {"ShareLeadingZero"} if "counter" in t or x[:8] == bytes(8) else set()
        else:
            flags |= {"RedrawX"}
        self.fields(t, self.judged(want, reject, flags), COMMON | {"xForm"} | ({"counter"} & set(t)))

    def t_key(self, g, t, sharing):
        key, change = self.key("key", t["key"]), t["change"]
        bits = self.name.split("_")[2]
        n, e, d, p, q = key.n, key.e, key.d, key.p, key.q
        other = self.named(f"device-{bits}-3")
        if change == "q-composite" and "factor" in t:
            q = self.key("factor", t["factor"]).n
            n, d = p * q, pow(e, -1, lcm(p - 1, q - 1))
        elif change == "q=p":
            n, q = p * p, p
        elif change == "q+1":
            n, q = p * (q + 1), q + 1
        elif re.fullmatch(r"e=[0-9]+", change):
            e = int(change[2:])
            d = 1 if e == 1 else pow(e, -1, key.lam) if e == 2147483659 else d
        elif change in ("none", "n-1", "n+2", "d+2", "other-n", "other-q", "p-twice"):
            n += {"n-1": -1, "n+2": 2}.get(change, 0)
            d += 2 if change == "d+2" else 0
            n = other.n if change == "other-n" else n
            q = {"other-q": other.q, "p-twice": p}.get(change, q)
        else:
            self.fail("change", f"unknown: {change}")
        for name, v in {"n": n, "d": d, "p": p, "q": q}.items():
            self.same(name, int(t[name], 16), v)
        defects = key_defects(n, e, d, p, q, sharing)
        reject = {"stage": "check-key", "class": "ErrOrdinaryPrimes" if defects == {"ordinary"} else "ErrKey"}
        want = self.judged({"e": e}, reject if defects else None, t["flags"])
        self.fields(t, want, COMMON | {"change", "key", "n", "d", "p", "q"} | ({"factor"} if change == "q-composite" else set()))
        if defects:
            named = [f for f in t["flags"] if KEY_FLAGS.get(f, set()) & defects]
            self.same("flags", t["flags"], named if len(named) == 1 else ["exactly one, true flag"])
            b = n.bit_length()
            true = {"SmallModulus": b < 2048, "OddModulusBits": b >= 2048, "ExponentOne": e == 1, "PEqualsQ": p == q,
                    "ExponentEven": e % 2 == 0, "ExponentTooBig": e >= 2**31, "PrimesClose": "nearly-equal" not in defects,
                    "NearlyEqual": p != q}
            for f in t["flags"]:
                self.same("flags", true.get(f, True), True)

    def edited(self, base, edit):
        at, cut, put = edit["at"], edit["cut"], bytes.fromhex(edit["put"])
        if at + cut > len(base):
            self.fail("edit", "beyond the end")
        if base[at:at + cut] == put:
            self.fail("edit", "changes nothing")
        return base[:at] + put + base[at + cut:]

    def t_server_share(self, g, t, key, base):
        b = self.edited(base, t["edit"])
        _, reject = outcome(parse_server_share, b)
        n1, ds = (os2ip(b[12:12 + os2ip(b[10:12])]), os2ip(b[12 + os2ip(b[10:12]):])) if len(b) > 12 else (0, 0)
        e, bits = os2ip(b[6:10]), n1.bit_length()
        if reject and reject["class"] == "ErrKey" and t["edit"]["at"] == 10:   # n1 of another length, d_s = 1
            self.same("edit/put", b[12:].hex(), (i2osp(modulus(self.label(t, "n"), bits), width(n1)) + i2osp(1, width(n1))).hex())
        if reject is None:
            flag = "ServerShareEdge" if ds in (1, key.n - 1) else "?"
        elif reject["class"] == "ErrKey":
            flag = ("ExponentOne" if e == 1 else "ExponentEven" if e % 2 == 0 else "ExponentTooBig" if e >= 2**31 else
                    "EvenModulus" if n1 % 2 == 0 else "SmallModulus" if bits < 2048 else "OddModulusBits")
        else:
            inner = len(b) == len(base) and b[:12 + key.k] == base[:12 + key.k]
            flag = "ServerShareEncoding" if not inner else "ServerShareZero" if ds == 0 else "ServerShareTooBig"
        self.fields(t, self.judged({"serverShareEnc": b.hex()}, reject, {flag}), COMMON | {"edit"})

    # -- encode_*

    def g_encode(self, g, only):
        n = modulus(f"modulus/{g['bits']}", g["bits"])
        n -= g.get("change") == "n-1"
        refused = outcome(encode, n, g["e"], "PKCS1", "SHA-256", bytes(32), b"")[1] is not None
        self.fields(g, {"n": self.hexed(n, width(n))}, {"bits", "e", "hash", "source", "tests", "type"} | ({"change"} if refused else set()))
        self.same("hash", g["hash"] in HASHES or g["hash"] in OTHER_HASHES, True)
        self.same("e", g["e"] in ((65537, 0, 1, 2, 65536) if refused else (65537,)), True)
        self.tests(g, only, self.t_encode, n)

    def t_encode(self, g, t, n):
        pss, bits = self.name == "encode_pss", g["bits"]
        padding = "PSS" if pss else "PKCS1"
        named = lambda f: f if f in t else f + "Enc" if f + "Enc" in t else None
        forms = lambda f, form, length: {"derived": self.derived(t, f, length), "zero": bytes(length),
                                         "ones": b"\xff" * length}[form]
        d_name, s_name = named("digest"), named("salt")
        digest = forms("digest", t["digestForm"], len(t[d_name]) // 2 if d_name else 0)
        salt = forms("salt", t.get("saltForm", "derived"), len(t[s_name]) // 2) if s_name else b""
        r, reject = outcome(encode, n, g["e"], padding, g["hash"], digest, salt)
        h_len = HASHES[g["hash"]][1] if g["hash"] in HASHES else OTHER_HASHES.get(g["hash"])
        want = {d_name or "digest": digest.hex()} | ({s_name: salt.hex()} if s_name else {})
        want |= {"em": r[0].hex()} | ({"h": r[1].hex()} if pss else {}) if r else {}
        valid_digest = len(digest) == h_len and g["hash"] in HASHES
        salt_fits = len(salt) <= (bits + 6) // 8 - h_len - 2
        key_refused = bool(reject) and reject["stage"] == "check-key"
        # which of the two forms of a name is used: Enc stands for what is refused
        self.same("digest", d_name, "digest" if valid_digest and not key_refused else "digestEnc")
        self.same("salt", s_name, None if not pss or not valid_digest or key_refused else "salt" if salt_fits else "saltEnc")
        flags = set()
        if key_refused:
            self.same("digest", len(digest), h_len)
            flags = {"ExponentOne" if g["e"] == 1 else "ExponentEven" if g["e"] % 2 == 0 else "EvenModulus" if n % 2 == 0
                     else "SmallModulus" if bits < 2048 else "LargeModulus"}
        elif g["hash"] not in HASHES:
            self.same("digest", len(digest), h_len)
            flags = {"UnknownHash"}
        else:
            flags |= {"ModulusUnusual"} if bits % 8 else set()
            flags |= {"EmLenShort"} if pss and bits % 8 == 1 else set()
            flags |= {"DigestLength"} if not valid_digest else set()
            flags |= {"DigestEdge"} if t["digestForm"] != "derived" else set()
            if s_name:
                flags |= ({"SaltTooLong"} if not salt_fits else {"SaltZeroBytes"} if t["saltForm"] == "zero" else
                          {"SaltZero"} if not salt else {"SaltHashLen"} if len(salt) == h_len else
                          {"SaltMax"} if len(salt) == (bits + 6) // 8 - h_len - 2 else set())
        self.fields(t, self.judged(want, reject, flags), COMMON | {"digestForm"} | ({"saltForm"} if s_name else set()))

    # -- partial, complete*

    def final_key(self, g):
        """The keys of a group, n, and the flags that all of its tests have."""
        key = self.usable_key(g)
        server = self.key("serverKey", g["serverKey"]) if "serverKey" in g else None
        n = key.n * (server.n if server else 1)
        if server:
            compose(key, server.n, server.e)
        flags = {"OrdinaryPrimes"} if key.ordinary else set()
        if server:
            flags |= {"CompositeShort"} if n.bit_length() < key.n.bit_length() + server.n.bit_length() else set()
            flags |= {"EmLenShort"} if n.bit_length() % 8 == 1 else set()
        want = {"e": key.e, "n": self.hexed(n, width(n)), "shape": "composite" if server else "two-prime",
                "name": "/".join([g["sharing"], key.name] + ([server.name] if server else []))}
        return key, server, n, flags, want

    def message(self, t, has_property=None):
        """Digest and salt of a test."""
        h_len = HASHES[t["hash"]][1]
        digest = (self.searched(t, "digest", h_len, has_property) if "counter" in t else self.derived(t, "digest", h_len))
        return digest, self.salt(t)

    def salt(self, t, field="salt", padding=None):
        return self.derived(t, field, HASHES[t["hash"]][1]) if (padding or t["padding"]) == "PSS" else b""

    def g_partial(self, g, only):
        if g["type"] == "PartialRefused":
            key = self.usable_key(g)
            self.fields(g, {}, {"key", "sharing", "source", "tests", "type"})
            return self.tests(g, only, self.t_partial_refused, key)
        key, server, n, flags, want = self.final_key(g)
        self.fields(g, want, {"key", "sharing", "source", "tests", "type"} | ({"serverKey"} & set(g)))
        self.tests(g, only, self.t_partial, key, n, flags)

    def t_partial(self, g, t, key, n, flags):
        length, form, k1 = key.k + 8, t["xForm"], key.k
        x = self.derived(t, "x", length)
        x = {"derived": x, "eight-zero-bytes": bytes(8) + x[8:], "zero": bytes(length), "ones": b"\xff" * length}[form]
        dc = share_to_dc(x, g["sharing"])
        em_of = lambda digest: encode(n, key.e, t["padding"], t["hash"], digest, self.salt(t))[0]
        m1_of = lambda digest: os2ip(em_of(digest)) % key.n
        zero = lambda z: z >> 8 * (k1 - 1) == 0
        # the property: y begins with a zero byte (PKCS1), m1 does (PSS)
        digest, salt = self.message(t, lambda d: zero(m1_of(d)) if t["padding"] == "PSS" else zero(key.power(m1_of(d), dc)))
        m1 = m1_of(digest)
        y = key.power(m1, dc)
        want = {"x": x.hex(), "dc": self.hexed(dc, length + (g["sharing"] == "multiplicative")), "digest": digest.hex(),
                "salt": salt.hex(), "em": em_of(digest).hex(), "m1": self.hexed(m1, k1), "y": self.hexed(y, k1)}
        flags = flags | ({"InputLeadingZero"} if zero(m1) else set()) | ({"OutputLeadingZero"} if zero(y) else set())
        flags |= {"ShareAllOnes"} if form == "ones" else {"ShareLeadingZero"} if x[:8] == bytes(8) else set()
        self.same("hash", t["hash"] == "SHA-256" or "counter" not in t, True)
        self.fields(t, self.judged(want, None, flags), COMMON | {"hash", "padding", "xForm"} | ({"counter"} & set(t)))

    def t_partial_refused(self, g, t, key):
        change, e1, n1, bits = t["change"], t["e1"], key.n, key.n.bit_length()
        inputs, want, message = {"change", "e1"}, {}, None
        self.same("e1", e1 in (key.e, 1, 65536), True)
        if "em" in t:
            other = self.named(f"device-{bits}-3")
            n, e = {"other-key": (other.n, e1), "other-e": (n1, 3), "n1+2": (n1 + 2, e1),
                    "other-composite": (other.n * self.named(f"server-{bits}-1").n, e1)}[change]
            digest, salt = self.message(t)
            em = encode(n, e, t["padding"], t["hash"], digest, salt)[0]
            want |= {"n": self.hexed(n, width(n)), "e": e, "digest": digest.hex(), "salt": salt.hex(), "em": em.hex()}
            inputs |= {"hash", "padding"}
            message = n, e
        elif change == "n1-1":
            n1 -= 1
        elif change != "none":
            bits = int(change.removeprefix("modulus/"))
            n1 = modulus(change, bits)
        field = "x" if message else "xEnc"
        x = self.derived(t, "x", len(t[field]) // 2)
        want |= {field: x.hex(), "n1": self.hexed(n1, width(n1))}

        def device():
            refuse_if(bad_e(e1) or bad_n1(n1), "check-key", "ErrKey")
            refuse_if(len(x) != width(n1) + 8, "parse-share", "ErrShare")
            if message:
                check_message(*message, n1, e1)
        _, reject = outcome(device)
        if len(x) != width(n1) + 8:
            self.same("reject", reject, {"stage": "parse-share", "class": "ErrShare"})   # the only defect
        stage = reject["stage"] if reject else ""
        flag = {"parse-share": "ShareLength", "check-message": "OtherKey", "": "?"}.get(stage) or (
            "ExponentOne" if e1 == 1 else "ExponentEven" if e1 % 2 == 0 else "EvenModulus" if n1 % 2 == 0 else
            "SmallModulus" if bits < 2048 else "LargeModulus" if bits > 8192 else "OddModulusBits")
        self.fields(t, self.judged(want, reject, {flag}), COMMON | inputs)

    def g_complete(self, g, only):
        if g["type"] == "Compose":
            key, server = self.usable_key(g), self.key("serverKey", g["serverKey"])
            x = derived(f"share/{self.name}/compose/{key.n.bit_length()}/x", key.k + 8)
            want = {"x": x.hex(), "ds": self.hexed(deal(key, x, g["sharing"]), key.k)}
            self.fields(g, want, {"key", "serverKey", "sharing", "source", "tests", "type"})
            made = [(t["change"], t["e2"]) for t in g["tests"]]
            self.same("tests", len(set(made)), len(made))
            return self.tests(g, only, self.t_compose, key, server)
        key, server, n, flags, want = self.final_key(g)
        self.same("shape", g["shape"], "composite" if self.name == "complete_composite" else "two-prime")
        x = derived(f"share/{self.name}/{want['name']}/x", key.k + 8)
        ds = deal(key, x, g["sharing"])
        dc = share_to_dc(x, g["sharing"])
        want |= {"x": x.hex(), "dc": self.hexed(dc, len(x) + (g["sharing"] == "multiplicative")),
                 "ds": self.hexed(ds, key.k), "publicKeyPem": pem(n, key.e)}
        inputs = {"key", "sharing", "source", "tests", "type"} | ({"serverKey"} & set(g))
        self.fields(g, want | ({"indistinguishable": True} if g["type"] == "Wrong" else {}), inputs)
        check = {"Complete": self.t_complete, "Malformed": self.t_malformed, "Wrong": self.t_wrong,
                 "OtherMessage": self.t_other_message, "Fault": self.t_fault}[g["type"]]
        self.tests(g, only, check, key, server, n, flags, x, dc, ds)

    def t_complete(self, g, t, key, server, n, flags, x, dc, ds):
        k = width(n)
        em_of = lambda digest: encode(n, key.e, t["padding"], t["hash"], digest, self.salt(t))[0]

        def signature(em):   # by the whole key, which exists nowhere else
            m = os2ip(em)
            s1 = key.power(m % key.n, key.d)
            return crt(s1, server.power(m % server.n, server.d), key.n, server.n) if server else s1
        digest, salt = self.message(t, lambda d: signature(em_of(d)) >> 8 * (k - 1) == 0)
        em = em_of(digest)
        m = os2ip(em)
        y = key.power(m % key.n, dc)
        (s1, s2, s), reject = outcome(complete, key, server, g["sharing"], ds, em, i2osp(y, key.k))
        self.same("sig", s, signature(em))
        want = {"digest": digest.hex(), "salt": salt.hex(), "em": em.hex(), "m1": self.hexed(m % key.n, key.k),
                "y": self.hexed(y, key.k), "s1": self.hexed(s1, key.k), "sig": self.hexed(s, k), "yForm": "right"}
        if server:
            want |= {"m2": self.hexed(m % server.n, server.k), "s2": self.hexed(s2, server.k)}
        flags = flags | ({"ResultLeadingZero"} if s >> 8 * (k - 1) == 0 else set())
        self.same("hash", t["hash"] == "SHA-256" and t["padding"] == "PKCS1" or "counter" not in t, True)
        self.fields(t, self.judged(want, reject, flags), COMMON | {"hash", "padding"} | ({"counter"} & set(t)))

    def t_malformed(self, g, t, key, server, n, flags, x, dc, ds):
        digest, salt = self.message(t)
        em = encode(n, key.e, t["padding"], t["hash"], digest, salt)[0]
        n1, k1, form = key.n, key.k, t["yForm"]
        y = key.power(os2ip(em) % n1, dc)
        b, whole = i2osp(y, k1), lambda z: i2osp(z, k1)
        y_enc, flag = {
            "0": (whole(0), "PartialZero"), "1": (whole(1), "PartialOne"), "n1-1": (whole(n1 - 1), "PartialNMinusOne"),
            "n1": (whole(n1), "PartialEqualsN"), "n1+1": (whole(n1 + 1), "PartialGtN"),
            "n1+2": (whole(n1 + 2), "PartialGtN"), "all-ones": (b"\xff" * k1, "PartialGtN"), "empty": (b"", "PartialShort"),
            "one-byte": (b"\x02", "PartialShort"), "without-first": (b[1:], "PartialShort"),
            "without-last": (b[:-1], "PartialShort"), "zero-before": (b"\0" + b, "PartialLong"),
            "zero-after": (b + b"\0", "PartialLong"), "plus-n1": (i2osp(y + n1, k1 + 1), "PartialLong"),
            "twice": (b + b, "PartialLong")}.get(form, (b, "?"))
        _, reject = outcome(complete, key, server, g["sharing"], ds, em, y_enc)
        want = {"digest": digest.hex(), "salt": salt.hex(), "yEnc": y_enc.hex()}
        self.fields(t, self.judged(want, reject, flags | {flag}), COMMON | {"hash", "padding", "yForm"})

    def t_wrong(self, g, t, key, server, n, flags, x, dc, ds):
        digest, salt = self.message(t)
        sharing, padding, form = g["sharing"], t["padding"], t["yForm"]
        n1, p, q = key.n, key.p, key.q
        em_of = lambda digest, padding, salt: encode(n, key.e, padding, t["hash"], digest, salt)[0]
        em = em_of(digest, padding, salt)
        m = os2ip(em)
        m1 = m % n1
        right = lambda m=m1: key.power(m, dc)
        other_padding = "PKCS1" if padding == "PSS" else "PSS"
        swapped = os2ip(x) if sharing == "multiplicative" else 2 * os2ip(x) + 1

        def by_other_key():
            bits = 2048
            other = self.named(f"device-{bits}-3" if key.name != f"device-{bits}-3" else f"device-{bits}-1")
            return other.power(m % other.n, share_to_dc(x[:264], sharing)) % n1
        forms = {
            "other-x": ("WrongPin", lambda: key.power(m1, share_to_dc(self.derived(t, "otherX", len(x)), sharing))),
            "x-bit": ("WrongPin", lambda: key.power(m1, share_to_dc(bytes([x[0] ^ 0x80]) + x[1:], sharing))),
            "other-exponent": ("WrongExponent", lambda: key.power(m1, swapped)),
            "other-digest": ("OtherMessage", lambda: right(
                os2ip(em_of(self.derived(t, "otherDigest", len(digest)), padding, salt)) % n1)),
            "other-padding": ("OtherPadding", lambda: right(
                os2ip(em_of(digest, other_padding, self.salt(t, "otherSalt", other_padding))) % n1)),
            "times-m1": ("WrongExponent", lambda: right() * m1 % n1), "other-key": ("OtherKey", by_other_key),
            "p": ("PartialSharesFactor", lambda: p), "q": ("PartialSharesFactor", lambda: q),
            "n1-p": ("PartialSharesFactor", lambda: n1 - p), "2q": ("PartialSharesFactor", lambda: 2 * q),
            "2": ("PartialSmall", lambda: 2), "n1-2": ("PartialSmall", lambda: n1 - 2),
            "negated": ("PartialModified", lambda: n1 - right()),
            "inverse": ("PartialModified", lambda: pow(right(), -1, n1)),
            "square": ("PartialModified", lambda: right() ** 2 % n1),
            "last-bit": ("PartialModified", lambda: right() ^ 1), "m1": ("PartialModified", lambda: m1)}
        if form not in forms:
            return self.fail("yForm", f"unknown: {form}")
        flag, make = forms[form]
        y_enc = i2osp(make(), key.k)
        _, reject = outcome(complete, key, server, sharing, ds, em, y_enc)
        want = {"digest": digest.hex(), "salt": salt.hex(), "y": y_enc.hex()}
        self.fields(t, self.judged(want, reject, flags | {flag}), COMMON | {"hash", "padding", "yForm"})

    def t_other_message(self, g, t, key, server, n, flags, x, dc, ds):
        other = self.named("device-2048-3" if key.name != "device-2048-3" else "device-2048-1")
        other_n = {"n+2": n + 2, "other-key": other.n}.get(t["change"], 0)
        digest, salt = self.message(t)
        em = encode(other_n, key.e, "PKCS1", "SHA-256", digest, salt)[0] if other_n else b""
        y = i2osp(key.power(os2ip(em), dc), key.k)

        def server_side():
            refuse_if((other_n, key.e) != (n, key.e), "check-message", "ErrMessage")
            return complete(key, server, g["sharing"], ds, em, y)
        _, reject = outcome(server_side)
        want = {"digest": digest.hex(), "salt": "", "em": em.hex(), "otherN": self.hexed(other_n, width(other_n)),
                "y": y.hex(), "yForm": "right", "hash": "SHA-256", "padding": "PKCS1"}
        self.fields(t, self.judged(want, reject, flags | {"OtherKey"}), COMMON | {"change"})

    def t_fault(self, g, t, key, server, n, flags, x, dc, ds):
        digest, salt = self.message(t)
        em = encode(n, key.e, t["padding"], t["hash"], digest, salt)[0]
        m, n2, p2, q2 = os2ip(em), server.n, server.p, server.q
        y = i2osp(key.power(m % key.n, dc), key.k)
        s2 = server.power(m % n2, server.d)
        b, whole = i2osp(s2, server.k), lambda z: i2osp(z % n2, server.k)
        s2_enc, flag = {
            "plus-q2": (whole(s2 + q2), "CrtFault1"), "minus-q2": (whole(s2 - q2), "CrtFault1"),
            "plus-p2": (whole(s2 + p2), "CrtFault2"), "minus-p2": (whole(s2 - p2), "CrtFault2"),
            "negated": (whole(-s2), ""), "m2": (whole(m), ""), "0": (whole(0), ""), "n2": (i2osp(n2, server.k), ""),
            "last-bit": (whole(s2 ^ 1), ""), "without-first": (b[1:], ""), "zero-before": (b"\0" + b, ""),
            "empty": (b"", "")}.get(t["s2Form"], (b, "?"))
        _, reject = outcome(complete, key, server, g["sharing"], ds, em, y, s2_enc)
        want = {"digest": digest.hex(), "salt": salt.hex(), "y": y.hex(), "yForm": "right", "s2Enc": s2_enc.hex()}
        self.fields(t, self.judged(want, reject, flags | {flag or "ServerKeyFault"}), COMMON | {"hash", "padding", "s2Form"})

    def t_compose(self, g, t, key, server):
        change, e2 = t["change"], t["e2"]
        n2 = {"none": server.n, "n1": key.n, "p*p2": key.p * server.p, "q*q2": key.q * server.q,
              "n2-1": server.n - 1}.get(change)
        if n2 is None:
            n2 = modulus(change, int(change.removeprefix("modulus/")))
        _, reject = outcome(compose, key, n2, e2)
        bits = n2.bit_length()
        flag = ("ExponentsDiffer" if e2 != key.e else "EvenModulus" if n2 % 2 == 0 else "SmallModulus" if bits < 2048 else
                "LargeModulus" if bits > 8192 else "CommonFactor")
        self.same("e2", e2 in (key.e, 3, 65539), True)
        self.fields(t, self.judged({"n2": self.hexed(n2, width(n2))}, reject, {flag} if reject else set()),
                    COMMON | {"change", "e2"})

    # -- lockbox*

    def kdf_key(self, pin, salt, cost, given):
        """Argon2id where it can be afforded; else the key in the file."""
        if cost["m"] * cost["t"] <= 256:
            return argon2id(pin, salt, cost["t"], cost["m"], cost["p"])
        return bytes.fromhex(given)

    def made_lockbox(self, g, key, made):
        """Salt, x, ct and binary form of the lockbox that was made in test `made`."""
        tc = made["tcId"]
        salt = derived(f"lockbox/{tc}/salt", 16)
        x = bytes(key.k + 8) if made["xForm"] == "zero" else derived(f"lockbox/{tc}/x", key.k + 8)
        kdf = self.kdf_key(made["pin"].encode(), salt, g["params"], made["kdfKey"])
        ct = xor(x, chacha20([kdf], key.k + 8)[0])
        return salt, x, ct, lockbox(g["sharing"], g["params"], salt, key.n, key.e, ct)

    def g_lockbox(self, g, only):
        key = self.usable_key(g)
        if g["type"] == "MalformedPIN":
            by_id = {t["tcId"]: (h, t) for h in self.doc["testGroups"] if h["type"] == "Lockbox" for t in h["tests"]}
            want, (h, made) = {}, by_id.get(g["of"], (None, None))
            if made is None:
                self.fail("of", f"no test {g['of']}")
            else:
                # the last lockbox that was made under 000000000000 before this group
                before = [i for i, (_, u) in by_id.items() if u["of"] == i < g["tests"][0]["tcId"] and u["pin"] == "0" * 12]
                self.same("of", g["of"], max(before, default=0))
                salt, _, ct, b = self.made_lockbox(h, key, made)
                want = {"salt": salt.hex(), "ct": ct.hex(), "lockboxEnc": b.hex(), "params": h["params"],
                        "sharing": h["sharing"], "key": h["key"]}
            self.fields(g, want, {"key", "of", "source", "tests", "type"})
            return self.tests(g, only, self.t_malformed_pin, {"ReducedCostKdf"} if g["params"] != DEFAULT_COST else set())
        self.fields(g, {}, {"key", "params", "sharing", "source", "tests", "type"})
        # the fixed PINs, in order: what each lockbox that was made is tried with
        if only is None:
            fixed = {}
            for t in g["tests"]:
                if t["pinForm"] == "fixed":
                    fixed.setdefault(t["of"], []).append(t["pin"])
            tried = ["00012", "0012", "1200"]
            want = [["0012", "00012", "1200"], ["0000", *tried], ["012345678901", *tried], ["000000000000", *tried], ["2749"]]
            self.same("pin", list(fixed.values()), want if g["params"] != DEFAULT_COST else [["0012"], ["2749"]])
        self.tests(g, only, self.t_lockbox, key)

    def t_lockbox(self, g, t, key):
        by_id = {u["tcId"]: u for u in g["tests"]}
        made = by_id.get(t["of"])
        if made is None or made["of"] != made["tcId"] or t["of"] > t["tcId"]:
            return self.fail("of", f"no lockbox was made in test {t['of']} of this group")
        right = made is t
        salt, x, ct, b = self.made_lockbox(g, key, made)
        # the length of a derived PIN is in the flag PinLengthN (and in no other field)
        length = [n for n in range(4, 13) if f"PinLength{n}" in t["flags"]]
        pin = t["pin"]
        if t["pinForm"] == "derived":
            pin = derived_pin(f"lockbox/{t['tcId']}/pin", length[0] if length else 4)
        kdf = self.kdf_key(pin.encode(), salt, g["params"], t["kdfKey"])
        stream = chacha20([kdf], key.k + 8)[0]
        opened = xor(ct, stream)
        want = {"salt": salt.hex(), "kdfKey": kdf.hex(), "keystream": stream.hex(), "ct": ct.hex(), "x": opened.hex(),
                "lockboxEnc": b.hex(), "pin": pin, "xForm": ("zero" if pin == "2749" else "derived") if right else "opened"}
        if right:
            self.same("x", opened.hex(), x.hex())
        elif opened == x:
            self.fail("x", "another PIN opens the lockbox to the same share")
        self.same("pinForm", t["pinForm"] == "derived" or pin in ("0012", "00012", "1200", "0000", "012345678901", "000000000000", "2749"), True)
        flags = {f"PinLength{len(pin)}", "RightPin" if right else "WrongPin"}
        flags |= {"PinLeadingZero"} if pin[0] == "0" else set()
        flags |= {"PinWeak"} if rule_of(pin) else set()
        flags |= {"ReducedCostKdf"} if g["params"] != DEFAULT_COST else set()
        self.fields(t, self.judged(want, None, flags), COMMON | {"of", "pinForm"})

    def t_malformed_pin(self, g, t, flags=frozenset()):
        pin = MALFORMED_PINS.get(t["comment"], b"?")
        self.same("comment", len([u for u in g["tests"] if u["comment"] == t["comment"]]), 1)
        _, reject = outcome(check_pin_form, pin)
        flag = ("PinEmpty" if not pin else "PinNonAscii" if not all(0x30 <= c <= 0x39 for c in pin) else
                "PinTooShort" if len(pin) < 4 else "PinTooLong")
        self.fields(t, self.judged({"pinEnc": pin.hex()}, reject, {flag} | flags), COMMON)

    def g_exhaustive(self, g, only):
        key, f, cost = self.usable_key(g), self.name, {"t": 1, "m": 8, "p": 1}
        n = key.k + 8
        x, salt, pin = derived(f + "/x", n), derived(f + "/salt", 16), derived_pin(f + "/pin", 4)
        ct = xor(x, chacha20([argon2id(pin.encode(), salt, 1, 8, 1)], n)[0])
        want = {"x": x.hex(), "salt": salt.hex(), "pin": pin, "ct": ct.hex(), "params": cost,
                "lockboxEnc": lockbox(g["sharing"], cost, salt, key.n, key.e, ct).hex()}
        self.fields(g, want, {"key", "sharing", "source", "tests", "type"})
        self.same("tests", len(g["tests"]), 10)
        h, seen = hashlib.shake_256(), set()
        for i, t in enumerate(g["tests"]):
            self.where = t["tcId"]
            keys = bytes.fromhex(t["kdfKeys"])
            self.same("kdfKeys", len(keys), 32000)
            keys = [keys[j:j + 32] for j in range(0, len(keys), 32)]
            for j, k in enumerate(keys):
                p = f"{1000 * i + j:04}"
                if self.all_argon2 or j % 25 == 0 or p == pin:
                    self.same(f"kdfKeys[{p}]", k.hex(), argon2id(p.encode(), salt, 1, 8, 1).hex())
            for stream in chacha20(keys, n):
                share = xor(ct, stream)
                h.update(share)
                seen.add(share)
            first, last = 1000 * i, 1000 * i + 999
            want = {"firstPin": f"{first:04}", "lastPin": f"{last:04}", "sharesSoFar": last + 1, "shareLength": n,
                    "distinctSoFar": len(seen), "shake256": h.hexdigest(32)}
            flags = {"ReducedCostKdf", "EveryPinWellFormed"} | ({"RightPin"} if first <= int(pin) <= last else set())
            self.fields(t, self.judged(want, None, flags), COMMON | {"kdfKeys"})

    def g_lockbox_malformed(self, g, only):
        key, cost = self.usable_key(g), {"t": 1, "m": 8, "p": 1}
        start = f"{self.name}/{key.name}/"
        x, salt, pin = derived(start + "x", key.k + 8), derived(start + "salt", 16), derived_pin(start + "pin", 6)
        ct = xor(x, chacha20([argon2id(pin.encode(), salt, 1, 8, 1)], key.k + 8)[0])
        base = lockbox(g["sharing"], cost, salt, key.n, key.e, ct)
        want = {"x": x.hex(), "pin": pin, "baseEnc": base.hex(), "limit": DEFAULT_COST}
        self.fields(g, want, {"key", "sharing", "source", "tests", "type"})
        self.tests(g, only, self.t_lockbox_malformed, key, base, pin.encode(), derived(start + "bits", len(base)))

    def t_lockbox_malformed(self, g, t, key, base, pin, bits):
        edit, rehash, k1 = t["edit"], t["rehash"], key.k
        b = self.edited(base[:-32] if rehash else base, edit)
        body = b if rehash else b[:-32]
        b = b + hashlib.sha256(b).digest() if rehash else b
        at, put, ct_at = edit["at"], bytes.fromhex(edit["put"]), 39 + k1
        opened, reject = outcome(unlock, b, pin, DEFAULT_COST)
        want = {"lockboxEnc": b.hex()}
        if opened:
            want |= {"kdfKey": opened[0].hex(), "x": opened[1].hex()}
        # what the numbers in it say, as far as they are there
        cost = {"t": os2ip(body[6:10]), "m": os2ip(body[10:14]), "p": (body + bytes(15))[14]}
        k = os2ip(body[31:33])
        n1, e = os2ip(body[33:33 + k]), os2ip(body[33 + k:37 + k])
        flag, one_byte = "", len(put) == 1 and edit["cut"] == 1
        flipped = one_byte and put[0] == base[at] ^ 1 << bits[at] % 8
        if not rehash and one_byte or rehash and one_byte and (at >= ct_at or 15 <= at < 31):   # one derived bit is changed
            self.same("edit/put", put.hex(), f"{base[at] ^ 1 << bits[at] % 8:02x}")
            flag = "BadChecksum" if at >= len(base) - 32 else "BitFlipCiphertext" if at >= ct_at else "BitFlipHeader"
        elif len(b) < len(base) and not put and b"".join((base[:at], b[at:])) == b and edit["cut"]:
            flag = "Truncated"
        elif edit["cut"] == 0:
            flag = "TrailingBytes"
        elif at < 4:
            flag = "BadMagic"
        elif body[4] != 1:
            flag = "UnknownVersion"
        elif body[5] not in (1, 2):
            flag = "UnknownSharing"
        elif cost["t"] < 1 or cost["p"] < 1 or cost["m"] < 8 * cost["p"]:
            flag = "KdfCostZero"
        elif any(cost[i] > DEFAULT_COST[i] for i in "tmp"):
            flag = "KdfCostHuge"
        elif k == 0 or body[33] == 0:
            flag = "ModulusZeros"
        elif at == 37 + k1:
            flag = "ShareLength"
        elif n1 % 2 == 0:
            flag = "EvenModulus"
        elif bad_n1(n1):
            flag = "SmallModulus" if n1.bit_length() < 2048 else "OddModulusBits"
        elif bad_e(e):
            flag = "ExponentOne" if e == 1 else "ExponentEven" if e % 2 == 0 else "ExponentTooBig"
        else:
            flag = "BitFlipHeader"
        if at == 31 and flag in ("SmallModulus", "OddModulusBits"):   # another n1 and its ciphertext
            new = modulus(self.label(t, "n"), n1.bit_length())
            ct = self.derived(t, "ct", width(new) + 8)
            self.same("lockboxEnc", b.hex(), lockbox(g["sharing"], {"t": 1, "m": 8, "p": 1}, base[15:31], new, key.e, ct).hex())
        self.fields(t, self.judged(want, reject, {flag}), COMMON | {"edit", "rehash"})

    # -- weak_pins

    def g_weak_pins(self, g, only):
        kind = g["type"]
        want, inputs = {}, {"source", "tests", "type"}
        if kind == "CheckPIN":
            lines = "".join(f"{t['pin']} {rule_of(t['pin'])}\n" for t in g["tests"])
            want["sha256"] = hashlib.sha256(lines.encode()).hexdigest()
        self.fields(g, want, inputs)
        self.tests(g, only, {"CheckPIN": self.t_check_pin, "MalformedPIN": self.t_malformed_pin, "AllPINs": self.t_all_pins}[kind])

    def t_check_pin(self, g, t):
        rule = rule_of(t["pin"])
        flags = {"".join(w.capitalize() for w in rule.split("-"))} if rule else {"Accepted"}
        if not rule and "NearMiss" in t["flags"]:
            near = (t["pin"][:i] + c + t["pin"][i + 1:] for i in range(len(t["pin"])) for c in "0123456789")
            flags |= {"NearMiss"} if any(map(rule_of, near)) else set()
        reject = {"stage": "check-pin", "class": "WeakPINError"} if rule else None
        self.fields(t, self.judged({"rule": rule}, reject, flags), COMMON | {"pin"})

    def t_all_pins(self, g, t):
        if t["digits"] not in (4, 5):
            return self.fail("digits", "expected 4 or 5")
        count, h = all_pins(t["digits"])
        self.same("tests", [u["digits"] for u in g["tests"]], [4, 5])
        self.fields(t, self.judged({"refused": count, "sha256": h}, None, {"All"}), COMMON | {"digits"})

    # -- limiter

    def g_limiter(self, g, only):
        kind, want, inputs = g["type"], {}, {"source", "tests", "type"}
        if kind == "Limiter":
            lines = []
            for t in g["tests"]:
                trace, _ = self.trace(g, t)
                lines.append(t["startEnc"])
                lines += [f"{now} {'right' if right else 'wrong'} {s['verdict']}" for now, right, s, _, _ in trace]
            want["sha256"] = hashlib.sha256("".join(x + "\n" for x in lines).encode()).hexdigest()
            inputs |= {"policy"}
            if outcome(check_policy, g["policy"])[1]:
                self.fail("policy", "is refused")
        elif kind == "Policy":
            self.same("policy", [t["policy"] for t in g["tests"]], INVALID_POLICIES)
        elif kind == "Clock":
            want["policy"] = DEFAULT_POLICY
            self.same("at", sorted(t["at"] for t in g["tests"]), sorted(CLOCK_VALUES))
        else:
            bases = {t["baseEnc"] for t in g["tests"] if "baseEnc" in t}
            self.same("baseEnc", sorted(bases), [counter_bytes(3, T0, 3 * H).hex()])
        self.fields(g, want, inputs)
        self.tests(g, only, {"Limiter": self.t_limiter, "Counter": self.t_state, "Policy": self.t_policy, "Clock": self.t_clock}[kind])

    def trace(self, g, t):
        """What the steps of a test give: [(now, right, step, at and lock before)], and why the attempt was refused."""
        state, reject = outcome(parse_counter, bytes.fromhex(t["startEnc"]))
        out = []
        for s in t["steps"]:
            if reject:
                break
            before = state
            r, reject = outcome(attempt, g["policy"], state, s["at"], s["outcome"] == "right")
            if r:
                step, state = r
                step = step | {"at": s["at"], "outcome": s["outcome"], "counterEnc": counter_bytes(*state).hex()}
                lock = max(before[2], attached_lock(g["policy"], before[0]))
                out.append((s["at"], s["outcome"] == "right", step, before[1], 0 if lock == FOREVER else lock))
        return out, reject

    def t_limiter(self, g, t):
        trace, reject = self.trace(g, t)
        if "Random" in t["flags"]:
            got = [(s["at"], s["outcome"] == "right") for s in t["steps"]]
            if got != random_attempts(t["tcId"]):
                self.fail("steps", "are not those that are derived")
            self.same("startEnc", t["startEnc"], NEW_COUNTER)
        last = trace[-1][2]["verdict"] if trace else "right"
        if reject is None and last != "right":
            reject = {"stage": "limiter", "class": VERDICT_CLASS[last]}
        for i, ((_, _, step, _, _), s) in enumerate(zip(trace, t["steps"])):
            if step != s:
                self.fail(f"steps[{i}]", f"expected {json.dumps(s)}, computed {json.dumps(step, sort_keys=True)}")
        self.same("steps", len(t["steps"]), len(trace))
        flags = [f for f in t["flags"] if trace and limiter_flag_true(f, g, t, trace)]
        self.fields(t, self.judged({}, reject, flags), COMMON | {"startEnc", "steps"})

    def t_state(self, g, t):
        if "edit" in t:
            b, inputs = self.edited(bytes.fromhex(t["baseEnc"]), t["edit"]), {"edit", "baseEnc"}
            want = {"counterEnc": b.hex()}
            _, reject = outcome(parse_counter, b)
            flag = "MalformedCounter" if reject else "?"
        else:
            b, inputs = bytes.fromhex(t["counterEnc"]), {"counterEnc"}
            state, reject = outcome(parse_counter, b)
            wrong, at, lock = state or (0, 0, 0)
            want, flag = {"wrong": wrong, "at": at, "lock": str(lock)}, "CounterEdge" if state else "?"
            self.same("counterEnc", (wrong, at, lock) in COUNTER_EDGES, True)
        self.fields(t, self.judged(want, reject, {flag}), COMMON | inputs)

    def t_policy(self, g, t):
        _, reject = outcome(check_policy, t["policy"])
        want = {"at": T0, "outcome": "right", "startEnc": NEW_COUNTER}
        self.fields(t, self.judged(want, reject, {"InvalidPolicy"}), COMMON | {"policy"})

    def t_clock(self, g, t):
        _, reject = outcome(attempt, g["policy"], (0, 0, 0), t["at"], True)
        self.fields(t, self.judged({"outcome": "right", "startEnc": NEW_COUNTER}, reject, {"ClockRange"}), COMMON | {"at"})

    # -- verification_code

    def g_verification_code(self, g, only):
        self.fields(g, {}, {"source", "tests", "type"})
        self.tests(g, only, self.t_code)

    def t_code(self, g, t):
        n, hello = len(t["digest"]) // 2, t["digestForm"] == "hello"
        tail = lambda digest: hashlib.sha256(digest).digest()[-2:]
        goal = tail(derived(self.label(t, "digest", t["counter"]), n)) if "counter" in t else b""
        digest = (hashlib.sha256(b"hello\n").digest() if hello else
                  self.searched(t, "digest", n, lambda v: tail(v) == goal) if "counter" in t else self.derived(t, "digest", n))
        h = hashlib.sha256(digest).digest()
        z = os2ip(h[-2:])
        self.same("digest", n in (32, 48, 64), True)
        flags = ({"Example"} if hello else set()) | ({"Wrapped"} if z > 9999 else set()) | ({"LeadingZero"} if z % 10000 < 1000 else set())
        want = {"digest": digest.hex(), "h": h.hex(), "code": f"{z % 10000:04}"}
        self.fields(t, self.judged(want, None, flags), COMMON | {"digestForm"} | ({"counter"} & set(t)))

    # -- key_document

    def g_key_document(self, g, only):
        authority, other, hpke = (derived(f"key_document/{name}", 32) for name in ("authority", "otherAuthority", "hpkePrivate"))
        public = ed25519_public(authority)
        self.fields(g, {"authorityPrivate": authority.hex(), "authorityPublic": public.hex(), "hpkePrivate": hpke.hex(),
                        "hpkePublic": xwing_public(hpke).hex(), "usedSerial": f"{USED_SERIAL:016x}"}, {"source", "tests", "type"})
        self.tests(g, only, self.t_key_document, authority, other, xwing_public(hpke))

    def t_key_document(self, g, t, authority, other, key):
        change, serial, edit = t["change"], int(t["serial"], 16), t.get("edit")
        made = key_document(
            other if change == "other-authority" else authority, serial,
            b"\xff" + bytes([key[1] | 15]) + key[2:] if change == "no-key" else key,
            version=1 if change == "version" else 2, label=b"" if change == "no-label" else KEY_DOCUMENT)
        if change == "large-s":
            made = made[:1257] + (int.from_bytes(made[1257:], "little") + L25519).to_bytes(32, "little")
        b = self.edited(made, edit) if edit else made
        _, reject = outcome(take_key_document, b, ed25519_public(authority), USED_SERIAL)
        flags = {"none": "OlderSerial" if serial < USED_SERIAL else "Serial", "other-authority": "OtherAuthority",
                 "no-label": "OtherText", "version": "OtherVersion", "large-s": "LargeS", "no-key": "NoKey"}
        flag = flags[change]
        if change != "none" or edit:      # one change: a document that is right without it
            self.same("serial", serial, USED_SERIAL + 1)
        if edit:
            self.same("change", change, "none")
            differ = [x ^ y for x, y in zip(b, made) if x != y]
            flag = "OtherLength" if len(b) != len(made) else "BitFlipped"
            if flag == "BitFlipped":      # of one byte, the lowest bit
                self.same("edit", differ, [1])
        self.fields(t, self.judged({"documentEnc": b.hex()}, reject, {flag}), COMMON | {"change", "serial"} | ({"edit"} & set(t)))

    # -- transcript

    def g_transcript(self, g, only):
        Transcript(self, g).run()      # all tests, whatever `only` says: each goes on from what those before it left


COUNTER_EDGES = {(0, 0, 0), (1, 0, 0), (0, T_MAX, 0), (100, T_MAX, LOCK_MAX), (1, T0, 1), (0, 0, FOREVER), (9, T0, FOREVER)}


# ---- The transcript (page, transcript.json) -------------------------------------------------------------------------

CLASSES = {2: "ErrKeyRefused", 4: "WrongPINError", 5: "LockedError", 6: "DestroyedError", 7: "ErrExpired", 8: "ErrCancelled",
           9: "ErrUnconfirmed", 10: "ErrRejected", 12: "ErrSuperseded"}
CODE_FLAGS = {2: "KeyRefused", 4: "WrongPin", 5: "Lock", 6: "Destroyed", 7: "Expired", 9: "Unconfirmed", 10: "Rejected", 12: "Superseded"}
OPERATION_FLAGS = {"enroll": "Enrolment", "confirm": "Enrolment", "sign": "Signature", "refresh": "Refresh",
                   "change pin": "ChangePin", "cancel": "Cancel", "report": "Report"}
AFTER_SEALING = {  # change: the byte, and what becomes of it
    "last-bit": (-1, lambda z: z ^ 1), "enc-bit": (92, lambda z: z ^ 0x80), "enc-low-bit": (92, lambda z: z ^ 1), "operation": (1, lambda z: 2),
    "key-id": (12, lambda z: z ^ 1), "ticket": (91, lambda z: z ^ 1), "hpke-key": (2, lambda z: z ^ 1), "version": (0, lambda z: 1)}
OF_STRANGERS = {"future", "other-purpose", "other-key", "bad-challenge", "bad-mac", "no-hardware", "other-hardware",
                "stray-hardware", "inner-version", "inner-operation", "byte-more", "number-zero", "report-token", "other-hash",
                "no-documents", "too-many", "salt-pkcs1", "second", "other-ticket", "other-id", "unknown-key", *AFTER_SEALING}


class Transcript:
    """One group: a server, its owner's device, and what else takes part. Each test is one message and what follows."""

    def __init__(self, file, g):
        self.file, self.g, self.sent, self.at = file, g, {}, T0 - 10000
        self.key, server, self.n, _, want = file.final_key(g)
        derive = lambda name, size: derived(f"transcript/{g['name']}/{name}", size)
        sizes = {"x": self.key.k + 8, "hpkePrivate": 32, "challengeKey": 32, "authKey": 32, "keyId": 16, "token": 32}
        if "hardwarePublic" in g:
            sizes |= {"hardwareKey": 32, "attestation": 300}
        if "keyDocument" in g:
            sizes |= {"authorityPrivate": 32, "nextHpkePrivate": 32}
        self.value = {name: derive({"authKey": "deviceKey"}.get(name, name), size) for name, size in sizes.items()}
        hpke_public = xwing_public(self.value["hpkePrivate"])
        self.d, self.hardware = 0, b""
        if "hardwarePublic" in g:
            self.d = p256_scalar(self.value["hardwareKey"])
            self.hardware = p256_public(self.d)
            want["hardwarePublic"] = self.hardware.hex()
        ds = deal(self.key, self.value["x"], g["sharing"])
        self.share = server_share(g["sharing"], self.key.e, self.key.n, ds)
        want |= {name: v.hex() for name, v in self.value.items()}
        want |= {"name": g["name"], "ds": file.hexed(ds, self.key.k), "hpkePublic": hpke_public.hex(),
                 "serverShareEnc": self.share.hex()}
        authority = None
        if "keyDocument" in g:
            next_public, authority = xwing_public(self.value["nextHpkePrivate"]), ed25519_public(self.value["authorityPrivate"])
            self.document = key_document(self.value["authorityPrivate"], 1, next_public)
            want |= {"nextHpkePublic": next_public.hex(), "authorityPublic": authority.hex(), "keyDocument": self.document.hex()}
        file.same("rotatedAfter", g.get("rotatedAfter") in [t["tcId"] for t in g["tests"]], "keyDocument" in g)
        file.fields(g, want, {"key", "sharing", "source", "tests", "type"} | {"serverKey", "copiedAfter", "rotatedAfter"} & set(g))
        self.server = Server(self.key, server, g["sharing"], self.n, self.value["challengeKey"], self.value["keyId"],
                             self.value["hpkePrivate"])
        self.owner, self.copy = Device(self.value["token"], hpke_public, authority), None

    def run(self):
        tests, end = self.g["tests"], 0
        for i, t in enumerate(tests):       # all requests again at the end: the last tests of the network
            end = i if t["device"] == "network" and tests[i - 1]["device"] != "network" else end
        self.file.same("again", [t["again"] for t in tests[end:] if t["device"] == "network"],
                       [t["tcId"] for t in tests[:end] if "again" not in t])
        for t in tests:
            self.file.where = t["tcId"]
            self.file.same("flags", t["flags"], sorted(set(t["flags"])))
            self.file.guarded(self.test, t)
        if "keyDocument" in self.g:         # else the group would show nothing
            self.file.same("keyDocument", self.owner.serial, 1)

    def test(self, t):
        file, server, who, way = self.file, self.server, t["device"], t["way"]
        device = {"owner": self.owner, "copy": self.copy}.get(who)
        if "again" in t:
            sent, want = self.sent[t["again"]], {"change": "none"}
            if device and sent.operation not in ("cancel", "report"):
                file.same("again", t["again"], device.pending.test)
        else:
            sent, want = self.make(t, device or self.owner)
            self.sent[t["tcId"]] = sent
            if device:
                device.begin(sent, who == "copy")
        file.same("operation", t["operation"], sent.operation)
        self.check_time(t, sent)
        was = server.condition
        answer, secret, document = None, sent.secret, b""
        if way == "forged":
            answer = self.forged(t, sent)
            if t["forgery"] == "other-key":
                secret = self.derived(t, "forgedSecret", 32)
        elif way != "request-lost":
            answer = server.answer(sent.request, t["at"])
            if answer:
                secret, document = server.secret, server.document_for(sent.request)
        code = answer[0] if answer else None
        if answer:
            response, fields = self.response(t, sent, answer, secret, document)
            want |= fields
            if device and way != "answer-lost":
                device.hear(sent, response, self.verifies)
        if server.condition:
            want |= {"condition": server.condition, "counterEnc": counter_bytes(*server.counter).hex(),
                     "current": server.current.hex(), "chainAfter": server.chain.hex(), "lastEnc": server.last_bytes().hex(),
                     "events": server.event_number}
            want |= {"reason": server.reason} if server.condition == "destroyed" else {}
        if device:
            want["storage"] = device.storage()
        if t["tcId"] == self.g.get("copiedAfter"):
            self.copy = copy.copy(self.owner)
            # a copy that forges has the key of the response, and no other has one
            file.same("copiedAfter", self.copy.pending is not None, any(u["way"] == "forged" for u in self.g["tests"]))
        if t["tcId"] == self.g.get("rotatedAfter"):
            server.rotate(self.value["nextHpkePrivate"], self.document)
        clone = was != "destroyed" and server.condition == "destroyed" and server.reason == 2
        chosen = {"again", "cancels", "hash", "padding", "change", "forgery"} & set(t)
        file.fields(t, file.judged(want, self.reject(t, sent, code), self.flags(t, code, clone)),
                    COMMON | {"at", "device", "way", "operation"} | chosen)

    def derived(self, t, field, n):
        return self.file.derived(t, field, n)

    def check_time(self, t, sent):
        """Ten seconds after the test before; or a moment at which something ends, or the millisecond before."""
        at, (_, since, lock) = t["at"], self.server.counter
        expires = os2ip(sent.challenge[26:34])
        ends = [expires, expires + DAY, self.server.pending_end] + ([since + lock] if 0 < lock < FOREVER else [])
        self.file.same("at", at == self.at + 10000 or at in ends or at + 1 in ends, True)
        self.at = at

    # -- a request

    def make(self, t, device):
        """What is sent, and its fields in the file."""
        operation, change, value = t["operation"], t.get("change", "none"), self.value
        key_id = flipped(value["keyId"]) if change == "other-id" else value["keyId"]
        challenge, issued_for = self.challenge(t, device)
        want = {"challenge": challenge.hex()}
        sent = Sent(t["tcId"], operation, challenge)
        self.file.same("change", change in OF_STRANGERS, t["device"] == "stranger")
        self.file.same("documents", len(t.get("documents", ())) > 64, change == "too-many")
        sign = lambda message: p256_sign(self.d, p256_scalar(self.derived(t, "hardwareNonce", 32)), message)
        if change in ("other-hardware", "stray-hardware"):
            d = p256_scalar(self.derived(t, "otherHardware", 32))
            sign = lambda message: p256_sign(d, p256_scalar(self.derived(t, "hardwareNonce", 32)), message)
        if operation == "enroll":
            sent.next = value["token"]
            want["target"] = sha256(sent.next).hex()
            share = self.share[:-self.key.k] + bytes(self.key.k) if change == "zero-share" else self.share
            plaintext, signature = enrolment_plaintext(
                key_id, challenge, share, value["authKey"], sha256(sent.next), self.hardware,
                value.get("attestation", b""), sign if self.hardware and change != "no-hardware" else None)
        else:
            r = {"challenge": challenge, "number": 0, "token": bytes(32), "chain": bytes(32), "next": bytes(32),
                 "hash": None, "padding": None, "documents": []}
            if operation != "report":
                r |= {"number": device.number + 1, "token": device.token, "chain": device.chain}
                if change == "followed":
                    r |= {"number": self.server.last[0] + 1, "chain": self.server.chain}
                r["number"] += change == "number+1"
                if change == "number-zero":
                    r["number"] = 0
                if operation == "cancel":
                    r["next"] = device.pending.hash
                    want["cancels"] = device.pending.test
                else:
                    sent.next = self.derived(t, "nextToken", 32)
                    r["next"] = sha256(sent.next)
                    want["nextToken"] = sent.next.hex()
            if operation == "sign":
                r |= {"hash": t["hash"], "padding": t["padding"]}
            if operation in ("sign", "confirm", "change pin"):
                r["documents"] = self.documents(t, sent, issued_for, want)
            if change == "report-token":
                r["token"] = device.token
            want |= {"number": r["number"], "token": r["token"].hex(), "chain": r["chain"].hex(), "target": r["next"].hex()}
            signs = change == "stray-hardware" or self.hardware and change != "no-hardware"
            plaintext, signature = request_plaintext(key_id, value["authKey"], operation, r, sign if signs else None, change)
            if change == "bad-mac":
                plaintext = flipped(plaintext)
            if change == "byte-more":
                plaintext += b"\0"
        if signature:
            want["hardwareSignature"] = signature.hex()
        m, ephemeral = self.derived(t, "encapsulation", 32), self.derived(t, "ephemeral", 32)
        shared, enc = xwing_encaps(device.hpke_public, m, ephemeral)
        hpke_key, nonce, exporter = key_schedule(shared, b"tandem v2 " + operation.encode())
        sent.secret = labeled_expand(exporter, b"sec", b"tandem v2 response", 32)
        request = bytearray(bytes([2, OPERATIONS.index(operation) + 1]) + hpke_id(device.hpke_public) + (self.ticket or challenge[:82])
                            + enc + gcm_seal(hpke_key, nonce, key_id, plaintext))
        if change in AFTER_SEALING:
            at, changed = AFTER_SEALING[change]
            request[at] = changed(request[at])
        sent.request, sent.hash = bytes(request), sha256(bytes(request))
        return sent, want | {
            "plaintext": plaintext.hex(), "encapsulation": m.hex(), "ephemeral": ephemeral.hex(),
            "sharedSecret": shared.hex(), "hpkeKey": hpke_key.hex(), "hpkeNonce": nonce.hex(),
            "exporterSecret": exporter.hex(), "responseSecret": sent.secret.hex(), "requestEnc": sent.request.hex()}

    def challenge(self, t, device):
        """The challenge of a request, and the digests that it is to sign."""
        operation, change, digests, bound = t["operation"], t.get("change", "none"), [], bytes(32)
        self.ticket = None                                     # of the challenge
        if operation == "cancel" and device.refused:
            return device.pending.challenge, []
        if operation == "report" and device.challenge:
            return device.challenge, []
        if operation == "sign":
            h_len, count = HASHES[t["hash"]][1], range(len(t["documents"]))
            digests = [self.derived(t, f"digest/{i}", h_len) for i in count]
            named = {"other-digest": [self.derived(t, f"otherDigest/{i}", h_len) for i in count],
                     "other-order": digests[-1:] + digests[:-1]}.get(change, digests)
            bound = bytes(32) if change == "other-purpose" else binding(t["hash"], t["padding"], named)
        purpose = {"enroll": 1, "sign": 2}.get(operation, 3)
        if change == "other-purpose":
            purpose = {"enroll": 3, "sign": 3, "cancel": 1, "report": 1}.get(operation, 2)
        issued = t["at"] + {"expired": -LIFE, "minute-ahead": SKEW, "future": SKEW + 1}.get(change, -1000)
        key_id = flipped(self.value["keyId"]) if change in ("other-id", "other-key") else self.value["keyId"]
        c = challenge_bytes(self.value["challengeKey"], purpose, key_id, issued, issued + LIFE,
                            self.derived(t, "challenge", 16), bound)
        if change in ("other-key", "other-ticket"):
            field = "challenge" if change == "other-key" else "otherTicket"
            self.ticket = ticket_bytes(self.value["challengeKey"], purpose, self.value["keyId"], issued, issued + LIFE, self.derived(t, field, 16))
        return flipped(c) if change == "bad-challenge" else c, digests

    def documents(self, t, sent, digests, want):
        """(digest as it is sent, salt, y) of each document."""
        change, sign = t.get("change", "none"), sent.operation == "sign"
        hash_name, padding = (t["hash"], t["padding"]) if sign else ("SHA-256", "PKCS1")
        if not sign:
            digests = [sha256(b"tandem v2 " + sent.operation.encode(), sent.challenge)]
        out, want["documents"], x = [], [], self.value["x"]
        every = range(len(digests))
        wrong = {"wrong-pin": every, "wrong-and-one": every, "one-and-wrong": every, "first-wrong": every[:1],
                 "last-wrong": every[-1:]}.get(change, ())
        if wrong:
            other = self.derived(t, "otherX", len(x))
            want["otherX"] = other.hex()
        for i, digest in enumerate(digests):
            last = i == len(digests) - 1
            salt_len = len(digest) if padding == "PSS" else 1 if change == "salt-pkcs1" else 0
            if change == "long-salt":
                salt_len = (self.n.bit_length() + 6) // 8 - len(digest) - 1
            salt = self.derived(t, f"salt/{i}", salt_len)
            em = b""
            if change != "long-salt":
                em = encode(self.n, self.key.e, padding, hash_name, digest, salt if padding == "PSS" else b"")[0]
            y = self.key.power(os2ip(em) % self.key.n, share_to_dc(other if i in wrong else x, self.g["sharing"]))
            if last:
                y = {"y-one": 1, "wrong-and-one": 1, "y-minus-one": self.key.n - 1}.get(change, y)
            if i == 0 and change == "one-and-wrong":
                y = 1
            if change == "long-salt":
                y = 2
            y = i2osp(y, self.key.k)[:self.key.k - (change == "short-y")]
            sent.ems.append(em)
            out.append((digest if sign else b"", salt, y))
            want["documents"].append({"digest": digest.hex(), "salt": salt.hex(), "em": em.hex(), "y": y.hex()})
        return out

    # -- an answer

    def forged(self, t, sent):
        k, count = width(self.n), len(sent.ems)
        if t["forgery"] == "wrong":
            return 4, bytes([2, 8]) + bytes(8), False
        if t["forgery"] == "cancelled":
            return 8, b"", False
        if t["forgery"] == "right":
            signatures = [b"\0" + self.derived(t, f"forgedSignature/{i}", k)[1:] for i in range(count)]
        else:
            whole = pow(self.key.e, -1, lcm(self.key.lam, self.server.server.lam if self.server.server else 1))
            signatures = [i2osp(pow(os2ip(em), whole, self.n), k) for em in sent.ems]
        return 3, self.server.right_body(signatures), False

    def response(self, t, sent, answer, secret, document):
        """The response as it travels, and its fields in the file."""
        code, body, next_step = answer
        challenge = b""
        if next_step:
            challenge = challenge_bytes(self.value["challengeKey"], 3, self.value["keyId"], t["at"], t["at"] + LIFE,
                                        self.derived(t, "answerChallenge", 16))
        plain = bytes([2, code]) + with_length(challenge, 1) + with_length(body, 3) + with_length(document, 2)
        salt = self.derived(t, "responseSalt", 32)
        key, nonce = response_key(secret, sent.request, salt)
        sealed = b"\2" + salt + gcm_seal(key, nonce, b"", plain)
        return sealed, {"code": code, "responsePlaintext": plain.hex(), "responseSalt": salt.hex(),
                        "responseKey": key.hex(), "responseNonce": nonce.hex(), "responseEnc": sealed.hex()}

    def verifies(self, sent, body):
        """Whether the body of code 3 has a right signature for each document of the request."""
        count, size, k = body[0], os2ip(body[1:3]), width(self.n)
        if count != len(sent.ems) or size != (k if count else 0) or len(body) != 3 + count * size:
            return False
        signatures = [os2ip(body[3 + k * i:3 + k * i + k]) for i in range(count)]
        return all(s < self.n and pow(s, self.key.e, self.n) == os2ip(em) for s, em in zip(signatures, sent.ems))

    # -- what a test says of itself

    def reject(self, t, sent, code):
        if t["way"] == "request-lost":
            return {"stage": "network", "class": "ErrUnanswered"}
        if t["way"] == "forged":
            return {"stage": "network", "class": "ErrAnswer" if code == 3 else CLASSES[code]}
        if code in (1, 3) or (code, sent.operation) in ((8, "cancel"), (6, "report")):
            return None
        return {"stage": "server", "class": CLASSES[code] if code else "ErrRefused"}

    def flags(self, t, code, clone):
        flags, way = {OPERATION_FLAGS[t["operation"]]}, t["way"]
        flags |= {"Batch"} if len(t.get("documents", ())) > 1 else set()
        flags |= {"PSS"} if t.get("padding") == "PSS" else set()
        flags |= {"Hardware"} if t.get("change", "").endswith("-hardware") else set()
        flags |= {"Again"} if "again" in t else set()
        flags |= {"Replay"} if "again" in t and t["device"] == "network" else set()
        flags |= {CODE_FLAGS[code]} if code in CODE_FLAGS else set()
        flags |= {"Clone"} if clone else set()
        flags |= {"Refused"} if way in ("delivered", "answer-lost") and code is None else set()
        flags |= {"Lost"} if way in ("request-lost", "answer-lost") else set()
        return flags | ({"Forged"} if way == "forged" else set())


# ---- Keys (page, "Keys"; scheme, 2) ---------------------------------------------------------------------------------

LIMIT = 65537
ODD_PRIMES = [r for r in range(3, LIMIT + 1, 2) if all(r % s for s in range(3, int(r**0.5) + 1, 2))]


def _prod(numbers):
    while len(numbers) > 1:
        numbers = [a * b for a, b in zip(numbers[::2], numbers[1::2] + [1] * (len(numbers) % 2))]
    return numbers[0]


SIEVES = [_prod([r for r in ODD_PRIMES if a <= r < b]) for a, b in ((3, 54), (54, 1000), (1000, LIMIT))]  # not 65537
FACTOR = {"factor-65537": 65537, "factor-65539": 65539, "factor-33-bits": 4294967311, "factor-2-40": 2**39}
ROCA_PRIMES = [r for r in ODD_PRIMES if r <= 701]
ROCA_M = 2 * prod(ROCA_PRIMES)
NEAR = {  # kind: candidate number i of a prime of so many bits, beside the prime p
    "next-l-safe": lambda p, bits, i: p + 4 + 4 * i, "fermat-l-safe": lambda p, bits, i: p + 2**(bits // 2 + 4) + 4 * i,
    "apart-l-safe": lambda p, bits, i: p + 2**(bits - 100) + 4 * i, "within-l-safe": lambda p, bits, i: p + 2**(bits - 100) - 4 - 4 * i,
    "above-power": lambda p, bits, i: 2**(bits - 1) + 2**(bits - 103) + 3 + 4 * i,
    "below-power": lambda p, bits, i: 2**bits - 2**(bits - 101) - 1 - 4 * i}
L_SAFE = {"l-safe", "factor-65539", *NEAR}
C_MINUS_1_TOO = {"l-safe", "one-mod-four", *NEAR, *FACTOR}   # kinds for which r must not divide c-1 either


@lru_cache(None)
def is_prime(c):
    """Miller-Rabin to the first eight primes as bases (the candidates are nobody's choice)."""
    d, s = c - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in (2, 3, 5, 7, 11, 13, 17, 19):
        z = pow(a, d, c)
        if z in (1, c - 1):
            continue
        for _ in range(s - 1):
            z = z * z % c
            if z == c - 1:
                break
        else:
            return False
    return True


def candidate_of(z, kind, bits, p, i):
    if kind in NEAR:
        return NEAR[kind](p, bits, i)
    c = z % (1 << bits)
    if kind == "short":
        return c & ((1 << (bits - 8)) - 1) | 0xb6 << (bits - 8) | 1
    c |= 7 << (bits - 3)
    if kind in FACTOR:
        return c - c % (4 * FACTOR[kind]) + 2 * FACTOR[kind] + 1
    if kind == "roca":
        return c - c % ROCA_M + pow(65537, c % 2**32, ROCA_M)
    return {"l-safe": c | 3, "ordinary": c | 1, "one-mod-four": (c | 1) & ~2}[kind]


def qualifies(c, kind, bits, e):
    if c.bit_length() != bits or c < 3:
        return False
    both = kind in C_MINUS_1_TOO
    for m in SIEVES:
        if gcd(m % c if m > c else c, m if m < c else c) != 1 or both and gcd(m % (c - 1), c - 1) != 1:
            return False
    if c % LIMIT == 0 or both and kind != "factor-65537" and (c - 1) % LIMIT == 0:
        return False
    return gcd(e, c - 1) == 1 and is_prime(c)


def first_index_below(job):
    """The number of a candidate before `index` that qualifies, or None."""
    label, kind, bits, e, p, index = job
    s = (bits + 7) // 8
    stream = derived(label, index * s) if kind not in NEAR else b""
    for i in range(index):
        if qualifies(candidate_of(os2ip(stream[i * s:i * s + s]), kind, bits, p, i), kind, bits, e):
            return i
    return None


class Key:
    """A key made from its parameters alone; ok tells whether the two candidates qualify."""

    def __init__(self, name, kinds, bits, e, indices):
        self.name, self.e, self.kinds, self.jobs, self.ok = name, e, kinds, [], True
        primes = []
        for half, kind, length, i in zip("pq", kinds, bits, indices):
            s = (length + 7) // 8
            z = os2ip(derived(f"key/{name}/{half}", (i + 1) * s)[-s:])
            c = candidate_of(z, kind, length, primes[0] if primes else None, i)
            self.ok = self.ok and qualifies(c, kind, length, e)
            self.jobs.append((f"key/{name}/{half}", kind, length, e, primes[0] if kind in NEAR and primes else 0, i))
            primes.append(c)
        self.p, self.q = primes
        self.n, self.lam = self.p * self.q, lcm(self.p - 1, self.q - 1)
        self.k, self.kp = width(self.n), max(map(width, primes))
        self.d = pow(e, -1, self.lam) if gcd(e, self.lam) == 1 else 0
        self.q_inv = pow(self.q, -1, self.p) if self.p != self.q and gcd(self.p, self.q) == 1 else 0
        self.ordinary = any(k not in L_SAFE for k in kinds)

    def power(self, b, x):
        """b^x mod n, modulo each prime by itself (this checker has all primes; no party of the scheme does)."""
        rp = pow(b, x % (self.p - 1), self.p) if b % self.p or x == 0 else 0
        rq = pow(b, x % (self.q - 1), self.q) if b % self.q or x == 0 else 0
        return rq + self.q * ((rp - rq) * self.q_inv % self.p)

    def fields(self):
        h = lambda z, k: i2osp(z, k).hex()
        return {"n": h(self.n, self.k), "d": h(self.d, self.k), "lambda": h(self.lam, self.k),
                "p": h(self.p, self.kp), "q": h(self.q, self.kp)}


@lru_cache(None)
def make_key(name, kinds, bits, e, indices):
    return Key(name, kinds, bits, e, indices)


NAMED = {}   # the parameters of the keys of which the page speaks by name (learn_keys); their numbers are computed


def share_to_dc(x, sharing):
    return 2 * os2ip(x) + 1 if sharing == "multiplicative" else os2ip(x)


def deal(key, x, sharing):
    """The server's share (2.2, 2.3)."""
    dc = share_to_dc(x, sharing)
    if sharing == "multiplicative":
        refuse_if(gcd(dc, key.lam) != 1, "deal", "Redraw")
        return pow(key.e * dc, -1, key.lam)
    ds = (key.d - dc) % key.lam
    refuse_if(ds == 0, "deal", "Redraw")
    return ds


def bad_e(e):
    return e % 2 == 0 or not 3 <= e < 2**31


def bad_n1(n1):
    return n1 % 2 == 0 or not 2048 <= n1.bit_length() <= 8192 or n1.bit_length() % 8 != 0


def small_factor(n):
    return any(gcd(n, m) != 1 for m in (*SIEVES, LIMIT))


def roca(n):
    """Whether n is a power of 65537 modulo each odd prime up to 701."""
    return all(n % r in {pow(65537, i, r) for i in range(r - 1)} for r in ROCA_PRIMES)


def nearly_equal(n):
    """Whether one of the first hundred steps of Fermat's method factors n."""
    first = isqrt(n - 1) + 1
    return any(isqrt(a * a - n)**2 == a * a - n for a in range(first, first + 100))


def key_defects(n, e, d, p, q, sharing):
    """All conditions of 2.4 (and, for multiplicative sharing, of 2.2) that a private key fails, by name."""
    bits, out = n.bit_length(), set()
    half = bits // 2
    out |= {"even"} if 0 in (n % 2, p % 2, q % 2) else set()
    out |= {"composite"} if any(r < 3 or not is_prime(r) for r in {p, q} if r % 2) else set()
    out |= {"factor-length"} if min(p.bit_length(), q.bit_length()) < bits / 4 else set()
    out |= {"n"} if n != p * q else set()
    out |= {"bits"} if bits % 8 or not 2048 <= bits <= 8192 else set()
    out |= {"e"} if bad_e(e) else set()
    out |= {"ed"} if any((e * d - 1) % (r - 1) for r in (p, q)) else set()
    out |= {"close"} if abs(p - q) < 1 << (half - 100) else set()
    out |= {"roca"} if roca(n) else set()
    out |= {"nearly-equal"} if nearly_equal(n) else set()
    out |= {"gcd"} if gcd(p - 1, q - 1) >= 2**32 else set()
    out |= {"d"} if d < 1 << half else set()
    l_safe = all(r % 4 == 3 and all(gcd((r - 1) // 2, m) == 1 for m in (*SIEVES, LIMIT)) for r in (p, q))
    out |= {"ordinary"} if sharing == "multiplicative" and not l_safe else set()
    return out


KEY_FLAGS = {  # flag: the defect that it names
    "EvenModulus": {"even"}, "FactorsMismatch": {"n"}, "UnequalFactors": {"factor-length"}, "FactorComposite": {"composite"}, "PrimesClose": {"close"},
    "PEqualsQ": {"close"}, "NearlyEqual": {"nearly-equal"}, "ROCA": {"roca"}, "CommonDivisor": {"gcd"}, "SmallModulus": {"bits"}, "OddModulusBits": {"bits"},
    "ExponentOne": {"e"}, "ExponentEven": {"e"}, "ExponentTooBig": {"e"}, "ExponentsMismatch": {"ed"},
    "OrdinaryPrimes": {"ordinary"}}


def server_share(sharing, e, n1, ds):
    k1 = width(n1)
    return (b"TDss" + bytes([1, 1 if sharing == "multiplicative" else 2]) + i2osp(e, 4) + i2osp(k1, 2) + i2osp(n1, k1)
            + i2osp(ds, k1))


def parse_server_share(b):
    no = lambda c, name="ErrShare": refuse_if(c, "parse-share", name)
    no(len(b) < 12 or b[:4] != b"TDss" or b[4] != 1 or b[5] not in (1, 2))
    e, k1 = os2ip(b[6:10]), os2ip(b[10:12])
    no(len(b) != 12 + 2 * k1 or k1 == 0 or b[12] == 0)
    n1, ds = os2ip(b[12:12 + k1]), os2ip(b[12 + k1:])
    no(bad_e(e) or bad_n1(n1), "ErrKey")
    no(not 0 < ds < n1)


# ---- Encoding (scheme, 3.1; RFC 8017, section 9) --------------------------------------------------------------------

def encode(n, e, padding, name, digest, salt):
    """EM and, for PSS, H."""
    bits = n.bit_length()
    refuse_if(n % 2 == 0 or not 2048 <= bits <= 16384 or bad_e(e), "check-key", "ErrKey")
    refuse_if(name not in HASHES or len(digest) != HASHES[name][1], "encode", "ErrMessage")
    new, h_len, arc = HASHES[name]
    if padding == "PKCS1":
        oid = bytes([0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc])
        algorithm = bytes([0x30, len(oid) + 2]) + oid + b"\x05\x00"
        info = algorithm + bytes([0x04, h_len]) + digest
        info = bytes([0x30, len(info)]) + info
        refuse_if(salt != b"", "encode", "ErrMessage")
        return b"\x00\x01" + b"\xff" * (width(n) - len(info) - 3) + b"\x00" + info, None
    em_bits = bits - 1
    em_len = (em_bits + 7) // 8
    refuse_if(len(salt) > em_len - h_len - 2, "encode", "ErrMessage")
    h = new(bytes(8) + digest + salt).digest()
    db = bytes(em_len - len(salt) - h_len - 2) + b"\x01" + salt
    mask = b"".join(new(h + i2osp(i, 4)).digest() for i in range(-(-len(db) // h_len)))
    masked = bytearray(a ^ b for a, b in zip(db, mask))
    masked[0] &= 0xff >> (8 * em_len - em_bits)
    return bytes(masked) + h + b"\xbc", h


def der(tag, body):
    n = len(body)
    length = bytes([n]) if n < 128 else bytes([0x80 | width(n)]) + i2osp(n, width(n))
    return bytes([tag]) + length + body


def pem(n, e):
    """A SubjectPublicKeyInfo with rsaEncryption (RFC 8017, A.1; RFC 5280; RFC 7468)."""
    integer = lambda z: der(2, i2osp(z, z.bit_length() // 8 + 1))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d010101") + b"\x05\x00")
    text = base64.b64encode(der(0x30, algorithm + der(3, b"\0" + der(0x30, integer(n) + integer(e))))).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


# ---- The device and the server (scheme, 3.2 to 3.5) -----------------------------------------------------------------

def check_message(n, e, n1, e1):
    refuse_if(n % n1 != 0 or e != e1, "check-message", "ErrMessage")


def accepted_n2(n2):
    return n2 % 2 == 1 and 2048 <= n2.bit_length() <= 8192


def compose(key, n2, e2):
    refuse_if(e2 != key.e or not accepted_n2(n2) or gcd(key.n, n2) != 1, "check-key", "ErrKey")
    refuse_if(bad_n1(key.n) or small_factor(key.n) or roca(key.n) or nearly_equal(key.n), "check-key", "ErrKey")


def crt(s1, s2, n1, n2):
    return s1 + n1 * ((s2 - s1) * pow(n1, -1, n2) % n2)


def complete(key, server, sharing, ds, em, y_enc, s2_enc=None):
    """3.3 without the limiter: (s1, s2, S) for a message that is encoded for this final key."""
    n1, e, k1, m = key.n, key.e, key.k, os2ip(em)
    y, m1 = os2ip(y_enc), m % n1
    refuse_if(len(y_enc) != k1 or not 1 < y < n1 - 1, "parse-partial", "ErrMalformedPartial")
    s1 = key.power(y, ds) if sharing == "multiplicative" else y * key.power(m1, ds) % n1
    refuse_if(pow(s1, e, n1) != m1, "check-partial", "ErrPartial")
    if server is None:
        return s1, None, s1
    n2, m2 = server.n, m % server.n
    s2 = server.power(m2, server.d) if s2_enc is None else os2ip(s2_enc)
    refuse_if(s2_enc is not None and (len(s2_enc) != server.k or s2 >= n2) or pow(s2, e, n2) != m2,
              "combine", "ErrServerKey")
    s = crt(s1, s2, n1, n2)
    refuse_if(pow(s, e, n1 * n2) != m, "combine", "ErrServerKey")
    return s1, s2, s


# ---- Lockbox (scheme, 4; RFC 8439; RFC 9106) ------------------------------------------------------------------------

def lockbox(sharing, cost, salt, n1, e, ct):
    k1 = width(n1)
    b = (b"TDlb" + bytes([1, 1 if sharing == "multiplicative" else 2]) + i2osp(cost["t"], 4) + i2osp(cost["m"], 4)
         + bytes([cost["p"]]) + salt + i2osp(k1, 2) + i2osp(n1, k1) + i2osp(e, 4) + i2osp(len(ct), 2) + ct)
    return b + hashlib.sha256(b).digest()


def parse_lockbox(b):
    no = lambda c: refuse_if(c, "parse-lockbox", "ErrLockbox")
    no(len(b) < 79 or b[:4] != b"TDlb" or b[4] != 1 or b[5] not in (1, 2))
    cost = {"t": os2ip(b[6:10]), "m": os2ip(b[10:14]), "p": b[14]}
    k1 = os2ip(b[31:33])
    no(len(b) != 79 + 2 * k1 or os2ip(b[37 + k1:39 + k1]) != k1 + 8)
    no(hashlib.sha256(b[:-32]).digest() != b[-32:])
    no(cost["t"] < 1 or cost["p"] < 1 or cost["m"] < 8 * cost["p"] or cost["m"] > 2**22)
    no(k1 == 0 or b[33] == 0 or bad_n1(os2ip(b[33:33 + k1])) or bad_e(os2ip(b[33 + k1:37 + k1])))
    return cost, b[15:31], b[39 + k1:-32]


def unlock(b, pin, limit):
    cost, salt, ct = parse_lockbox(b)
    refuse_if(any(cost[i] > limit[i] for i in "tmp"), "unlock", "ErrParams")
    if cost["t"] * cost["m"] > 256:
        raise ValueError("Argon2id at a cost that this checker cannot afford")
    key = argon2id(pin, salt, cost["t"], cost["m"], cost["p"])
    return key, xor(ct, chacha20([key], len(ct))[0])


def derived_pin(label, length):
    return str(os2ip(derived(label, 16)) % 10**length).zfill(length)


def check_pin_form(pin):
    refuse_if(not 4 <= len(pin) <= 12 or any(not 0x30 <= c <= 0x39 for c in pin), "check-pin", "ErrPINFormat")


MALFORMED_PINS = {
    "no PIN": b"", "one digit": b"7", "two digits": b"12", "three digits": b"274", "13 digits": b"2749163850274",
    "14 digits": b"27491638502749", "64 digits": b"27491638" * 8, "a letter": b"27a9", "the byte before 0": b"27/9",
    "the byte after 9": b"27:9", "a space after four digits": b"2749 ", "a space before four digits": b" 2749",
    "a newline after four digits": b"2749\n", "a zero byte after four digits": b"2749\0", "a sign": b"+2749",
    "a minus sign": b"-274", "a decimal point": b"27.9", "hexadecimal": b"0x27", "exponent": b"27e9",
    "digits with bit 7 set": b"\xb2\xb7\xb4\xb9", "full-width digits": "\uff12\uff17\uff14\uff19".encode(),
    "Arabic-Indic digits": "\u0662\u0667\u0664\u0669".encode(), "one full-width digit": "\uff12749".encode()}


# ---- Weak PINs (page, weak_pins.json) -------------------------------------------------------------------------------

WORDS = """love baby king home game pass code angel lucky happy jesus heart qwert iloveu monkey dragon master soccer
flower family summer secret qwerty sister mother father loveyou forever letmein welcome freedom iloveyou password
princess sunshine football baseball butterfly chocolate basketball""".split()
SEQUENCES = """314159265358 271828182845 141421356237 173205080756 161803398874 112358132134 235711131719 124816326412
149162536496 123456789101 135791113151 246810121416 109876543210""".split()
NUMBERS = set("""31416 3141593 31415927 3141592654 31415926536 314159265359 0070 42069 8675309 90210 1337 31337 5201314
1314520 38317 1235 1318 4200 5150 5425 7942 12300""".split())
SHAPES = "1379 2468 1245 2356 4578 5689".split()
LETTERS = {c: d for d, cs in zip("23456789", "abc def ghi jkl mno pqrs tuv wxyz".split()) for c in cs}
WORD_PINS = {"".join(LETTERS[c] for c in w) for w in WORDS}
PLACE = {c: (i // 3, i % 3) for i, c in enumerate("123456789")} | {"0": (3, 1)}
KEY_AT = {at: c for c, at in PLACE.items()}
STEPS = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
LINES = {a + KEY_AT[r + dr, c + dc] + KEY_AT[r + 2 * dr, c + 2 * dc] for a, (r, c) in PLACE.items() for dr, dc in STEPS
         if (r + dr, c + dc) in KEY_AT and (r + 2 * dr, c + 2 * dc) in KEY_AT}
NEIGHBOURS = {n: {a + KEY_AT[r + dr, c + dc] for a, (r, c) in PLACE.items() for dr, dc in STEPS
                  if (r + dr, c + dc) in KEY_AT and (n > 4 or 0 in (dr, dc))} for n in range(4, 13)}


def even_steps(digits):
    """Whether the digits have one constant step from -2 to 2, modulo 10."""
    steps = {(b - a) % 10 for a, b in zip(digits, digits[1:])}
    return len(steps) == 1 and steps <= {8, 9, 0, 1, 2}


def is_day(dd, mm):
    """A day and a month, each of one or two digits."""
    days = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= int(mm) <= 12 and 1 <= int(dd) <= days[int(mm) - 1]


def is_year(s):
    return 1940 <= int(s) <= 2039


def is_date(s):
    n = len(s)
    day_or_month = lambda s: is_day(s[:2], s[2:]) or is_day(s[2:], s[:2])
    if n == 4:
        return day_or_month(s)
    if not 6 <= n <= 8:
        return False
    if n == 6 and (day_or_month(s[:4]) or is_day(s[4:], s[2:4])):
        return True
    for year, o in ((s[:4], s[4:]), (s[-4:], s[:-4])):
        if not is_year(year):
            continue
        if n == 6 and (is_day(o[0], o[1]) or is_day(o[1], o[0]) or 1 <= int(o) <= 12):
            return True
        if n == 7 and any(is_day(a, b) or is_day(b, a) for a, b in ((o[:1], o[1:]), (o[:2], o[2:]))):
            return True
        if n == 8 and day_or_month(o):
            return True
    return False


def rule_of(s):
    """The first rule that refuses the PIN s, or the empty string."""
    n, d = len(s), [int(c) for c in s]
    run = max(4, n - 1)
    groups = [s[i:i + 3] for i in range(0, n, 3)]
    if len(set(s)) == 1:
        return "same-digit"
    if any(even_steps(d[i:i + run]) for i in range(n - run + 1)):
        return "run"
    if any(s[b:] == s[:-b] for b in range(1, (n + 1) // 2 + 1)):
        return "repeated-block"
    if any(n % g == 0 and all(len(set(s[i:i + g])) == 1 for i in range(0, n, g)) for g in range(2, n // 2 + 1)):
        return "doubled-digits"
    if s == s[::-1]:
        return "mirror"
    if n >= 5 and len(set(s)) <= 2:
        return "two-digits"
    if n >= 6 and even_steps(d[::2]) and even_steps(d[1::2]):
        return "interleaved-runs"
    if any(all((b - a) % 10 in (0, up) for a, b in zip(d, d[1:])) for up in (1, 9)):
        return "stairs"
    if sorted(d) == list(range(1, n + 1)):
        return "first-digits"
    if not any(d[:n // 2 + 1]) or not any(d[-(n // 2 + 1):]):
        return "zeros"
    cores = {0: [s], 1: [s[1:]] * (s[0] == "0") + [s[:-1]] * (s[-1] == "0"), 2: []}[n % 3]
    if any(all(c[i:i + 3] in LINES for i in range(0, len(c), 3)) for c in cores):
        return "keypad-lines"
    if len(set(s)) == n and all(s[i:i + 2] in NEIGHBOURS[n] for i in range(n - 1)):
        return "keypad-path"
    if n == 4 and "".join(sorted(s)) in SHAPES:
        return "keypad-shape"
    if n == 4 and is_year(s) or n == 5 and (is_year(s[:4]) or is_year(s[1:])):
        return "year"
    if is_date(s):
        return "date"
    if s in WORD_PINS:
        return "word"
    if any(q.startswith(s) for q in SEQUENCES) or s in NUMBERS:
        return "number"
    if n >= 8 and any(rule_of(s[:i]) and rule_of(s[i:]) for i in range(4, n - 3)):
        return "weak-parts"
    return ""


@lru_cache(None)
def all_pins(length):
    """The number of refused PINs of a length, and the hash over them."""
    h, count = hashlib.sha256(), 0
    for digits in product("0123456789", repeat=length):
        rule = rule_of("".join(digits))
        if rule:
            count += 1
            h.update(f"{''.join(digits)} {rule}\n".encode())
    return count, h.hexdigest()


# ---- Attempt limiter (scheme, 5; page, limiter.json) ----------------------------------------------------------------

def check_policy(policy):
    no = lambda c: refuse_if(c, "policy", "ErrPolicy")
    no(not policy or any(not 1 <= r["tries"] <= 100 for r in policy) or sum(r["tries"] for r in policy) > 100)
    no("lock" in policy[-1] or any("lock" not in r for r in policy[:-1]))
    no(any(not 1 <= r["lock"] <= LOCK_MAX for r in policy[:-1]))


def parse_counter(b):
    no = lambda c: refuse_if(c, "parse-counter", "ErrCounter")
    no(len(b) != 18 or b[0] != 1)
    wrong, at, lock = b[1], os2ip(b[2:10]), os2ip(b[10:])
    no(wrong > 100 or at > T_MAX or lock > LOCK_MAX and lock != FOREVER or wrong == 0 and lock not in (0, FOREVER))
    return wrong, at, lock


def counter_bytes(wrong, at, lock):
    return bytes([1, wrong]) + i2osp(at, 8) + i2osp(lock, 8)


def attached_lock(policy, wrong):
    end = 0
    for r in policy:
        end += r["tries"]
        if wrong < end:
            return 0
        if wrong == end and "lock" in r:
            return r["lock"]
    return FOREVER


def attempt(policy, state, now, right):
    """5.3 and 5.4: the verdict (as a step's fields) and the next state."""
    refuse_if(not 0 <= now <= T_MAX, "limiter", "ErrClock")
    wrong, at, lock = state
    total = sum(r["tries"] for r in policy)
    lock = max(lock, attached_lock(policy, wrong))
    if lock == FOREVER:
        return {"verdict": "destroyed", "remaining": 0, "remainingTotal": 0}, (wrong, at, lock)
    if lock > 0 and now < at + lock:
        at = min(at, now)
        return ({"verdict": "locked", "remaining": 0, "remainingTotal": total - wrong, "lockedUntil": at + lock},
                (wrong, at, lock))
    if right:
        return {"verdict": "right", "remaining": policy[0]["tries"], "remainingTotal": total}, (0, now, 0)
    wrong += 1
    lock = attached_lock(policy, wrong)
    if lock == FOREVER:
        return {"verdict": "wrong", "remaining": 0, "remainingTotal": 0}, (wrong, now, lock)
    ends = [sum(r["tries"] for r in policy[:i + 1]) for i in range(len(policy))]
    step = {"verdict": "wrong", "remaining": 0 if lock else min(x for x in ends if x > wrong) - wrong,
            "remainingTotal": total - wrong}
    return step | ({"lockedUntil": now + lock} if lock else {}), (wrong, now, lock)


VERDICT_CLASS = {"wrong": "WrongPINError", "locked": "LockedError", "destroyed": "ErrDestroyed"}
CLOCK_VALUES = {-1, -62135596800000, T_MAX + 1, T_MAX + LOCK_MAX}   # -62135596800000: the year 1


def tries(*rounds):
    return [{"tries": r} if not isinstance(r, tuple) else {"tries": r[0], "lock": r[1]} for r in rounds]


H = 3600000
INVALID_POLICIES = [tries(), tries(0), tries(-1), tries(101), tries((50, H), 51), tries((3, H), (3, 24 * H)), tries(3, 3),
                    tries((3, 0), 3), tries((3, -H), 3), tries((3, LOCK_MAX + 1), 3)]   # one step beyond each rule


def limiter_flag_true(flag, g, t, trace):
    """Whether what a flag says is true of a test: a trace is a list of (now, right, step, at and lock before)."""
    steps = [s for _, _, s, _, _ in trace]
    wrong_after = lambda i: int(steps[i]["counterEnc"][2:4], 16)
    times = [x[0] for x in trace]
    began = lambda n: any(s["verdict"] == "wrong" and wrong_after(i) == n and s["remaining"] == 0
                          for i, s in enumerate(steps))
    last = trace[-1]
    return {
        "AtExpiry": any(lock and now == at + lock for now, _, _, at, lock in trace),
        "OneMsBeforeExpiry": any(lock and now == at + lock - 1 for now, _, _, at, lock in trace),
        "ClockBack": any(b < a for a, b in zip(times, times[1:])),
        "ClockForward": any(b - a > 86400000 for a, b in zip(times, times[1:])),
        "LockedRightPin": last[1] and last[2]["verdict"] in ("locked", "destroyed"),
        "ThirdWrongLocks": began(3), "SecondRound24h": began(6), "NinthIsForever": began(9),
        "OtherPolicy": g["policy"] != DEFAULT_POLICY,
        "PolicyChange": t["startEnc"] != NEW_COUNTER,
        "ResetOnSuccess": any(s["verdict"] == "right" and i and wrong_after(i - 1) > 0 for i, s in enumerate(steps)),
        "SuccessAfterLock": any(s["verdict"] == "right" and any("lockedUntil" in u for u in steps[:i])
                                for i, s in enumerate(steps)),
        "Random": True}[flag]


def random_attempts(tc_id):
    moves = {0: -H, 1: 1000, 2: 1000, 3: 1000, 4: 3 * H, 5: 3 * H, 6: 3 * H - 1, 7: 24 * H}
    b, now, out = derived(f"limiter/{tc_id}/steps", 48), T0, []
    for i in range(0, 48, 2):
        now += moves[b[i] % 8]
        out.append((now, b[i + 1] % 4 == 0))
    return out


# ---- The protocol (docs/protocol.md; page, transcript.json) ---------------------------------------------------------

KEY_DOCUMENT, USED_SERIAL = b"tandem v2 key document", 7        # before what is signed; of key_document.json
OPERATIONS = ["enroll", "confirm", "sign", "refresh", "change pin", "cancel", "report"]
HASH_IDS = {name: i + 1 for i, name in enumerate(HASHES)}
PADDING_IDS = {"PKCS1": 1, "PSS": 2}
RIGHT, WRONG, CANCELLED = 1, 2, 3            # fates
LIFE, PENDING_LIFE, SKEW, DAY = 300000, 900000, 60000, 86400000
NO_VERDICT = bytes(10)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def with_length(b, n):
    return i2osp(len(b), n) + b


def binding(hash_name, padding, digests):
    return sha256(b"tandem v2 transaction", bytes([HASH_IDS[hash_name], PADDING_IDS[padding], len(digests)]), *digests)


def challenge_bytes(key, purpose, key_id, issued, expires, random, bound=bytes(32)):
    head = ticket_bytes(key, purpose, key_id, issued, expires, random) + bound
    return head + hmac_sha256(key, b"tandem v2 challenge" + head)


def ticket_bytes(key, purpose, key_id, issued, expires, random):
    head = bytes([2, purpose]) + key_id + i2osp(issued, 8) + i2osp(expires, 8) + random
    return head + hmac_sha256(key, b"tandem v2 ticket" + head)


def purposes(operation):
    return {"enroll": {1}, "sign": {2}, "cancel": {2, 3}, "report": {2, 3}}.get(operation, {3})


def chain_after(chain, request_hash, fate):
    return sha256(b"tandem v2 chain", chain, request_hash, bytes([fate]))


def hardware_message(key_id, signed):
    return b"tandem v2 hardware" + key_id + signed


def response_key(secret, request, salt):
    """Key and nonce of a response (RFC 9458, 4.4)."""
    prk = hmac_sha256(sha256(request) + salt, secret)
    return hkdf_expand(prk, b"key", 32), hkdf_expand(prk, b"nonce", 12)


def enrolment_plaintext(key_id, challenge, share, auth_key, first, hardware, attestation, sign):
    signed = (b"\2" + with_length(challenge, 1) + with_length(share, 2) + auth_key + first + with_length(hardware, 1)
              + with_length(attestation, 2))
    signature = sign(hardware_message(key_id, signed)) if sign else b""
    return signed + with_length(signature, 1), signature


def request_plaintext(key_id, auth_key, operation, r, sign, change):
    """r: challenge, number, token, chain, next, hash, padding, and documents: (digest, salt, y)."""
    documents = r["documents"]
    lengths = [len(z) for z in documents[0][1:]] if documents else [0, 0]       # of salt and y
    version, number = 1 if change == "inner-version" else 2, 4 if change == "inner-operation" else OPERATIONS.index(operation) + 1
    hash_id = HASH_IDS.get(r["hash"], 0)
    if change == "other-hash":
        hash_id = 7 if operation == "sign" else 1
    signed = (bytes([version, number]) + with_length(r["challenge"], 1) + i2osp(r["number"], 8)
              + r["token"] + r["chain"] + r["next"] + bytes([hash_id, PADDING_IDS.get(r["padding"], 0), len(documents)])
              + b"".join(i2osp(z, 2) for z in lengths) + b"".join(b"".join(d) for d in documents))
    signature = sign(hardware_message(key_id, signed)) if sign else b""
    body = signed + with_length(signature, 1)
    return body + hmac_sha256(auth_key, b"tandem v2 request" + key_id + body), signature


def hpke_id(public):
    return sha256(public)[:8]


def key_document(seed, serial, key, version=2, label=KEY_DOCUMENT):
    """Section 3, key document, signed with the authority's key of this seed."""
    signed = bytes([version]) + i2osp(serial, 8) + key
    return signed + ed25519_sign(seed, label + signed)


def take_key_document(b, authority, used):
    """The serial and the HPKE key of a document, which a device takes that has used the serial `used`."""
    no = lambda c: refuse_if(c, "key-document", "ErrKeyDocument")
    no(len(b) != 1289)
    signed, signature = b[:1225], b[1225:1289]
    no(signed[0] != 2)
    no(not ed25519_verify(authority, KEY_DOCUMENT + signed, signature))
    serial, key = os2ip(signed[1:9]), signed[9:]
    no(max(byte_decode(key[:1152], 12, 768)) >= Q)                        # FIPS 203, 7.2: the vector's coefficients
    no(serial < used)
    return serial, key


def xwing_decaps(seed, enc):
    """The shared secret that enc brings to the holder of the seed; a ciphertext that ML-KEM refuses brings another one."""
    d, z, k = (hashlib.shake_256(seed).digest(96)[i:i + 32] for i in (0, 32, 64))
    ct, ct_x = enc[:1088], enc[1088:]
    secret, again = mlkem_encaps(mlkem_public(d), mlkem_decrypt(d, ct))
    if again != ct:
        secret = hashlib.shake_256(z + ct).digest(32)
    return xwing_combine(secret, x25519(k, ct_x), ct_x, x25519(k))


class Malformed(Exception):
    pass


def malformed_if(condition):
    if condition:
        raise Malformed


class Reader:
    """Takes a plaintext apart: every length is checked, and nothing may be left."""

    def __init__(self, b):
        self.b, self.taken = b, b""

    def take(self, n):
        malformed_if(n > len(self.b))
        out, self.b, self.taken = self.b[:n], self.b[n:], self.taken + self.b[:n]
        return out

    def number(self, n):
        return os2ip(self.take(n))

    def string(self, n):
        return self.take(self.number(n))


def parse_enrolment(b):
    r = Reader(b)
    malformed_if(r.number(1) != 2)
    out = {"challenge": r.string(1), "share": r.string(2), "authKey": r.take(32), "first": r.take(32),
           "hardware": r.string(1), "attestation": r.string(2)}
    out["signed"], out["signature"] = r.taken, r.string(1)
    malformed_if(r.b or len(out["challenge"]) != 146 or len(out["attestation"]) > 16384)
    malformed_if(len(out["hardware"]) not in (0, 65))
    malformed_if(not out["hardware"] and (out["attestation"] or out["signature"]))
    return out


def parse_request(b, operation):
    r = Reader(b)
    malformed_if(r.number(1) != 2 or r.number(1) != OPERATIONS.index(operation) + 1)
    out = {"challenge": r.string(1), "number": r.number(8), "token": r.take(32), "chain": r.take(32), "next": r.take(32)}
    hash_id, padding_id, count, salt_len, y_len = r.number(1), r.number(1), r.number(1), r.number(2), r.number(2)
    sign, report, proof = operation == "sign", operation == "report", operation in ("confirm", "change pin")
    malformed_if(len(out["challenge"]) != 146 or report != (out["number"] == 0))
    malformed_if(report and any(out["token"] + out["chain"] + out["next"]))
    malformed_if(sign and (hash_id not in HASH_IDS.values() or padding_id not in (1, 2)))
    malformed_if(not sign and (hash_id or padding_id))
    malformed_if(not 1 <= count <= 64 if sign else count != proof)
    malformed_if(salt_len > 1024 or padding_id != 2 and salt_len or not count and y_len)
    out |= {"hash": list(HASHES)[hash_id - 1], "padding": ["PKCS1", "PSS"][padding_id - 1]} if sign else {
        "hash": "SHA-256", "padding": "PKCS1"}
    documents = [(r.take(HASHES[out["hash"]][1] if sign else 0), r.take(salt_len), r.take(y_len)) for _ in range(count)]
    if proof:        # nothing that anybody chose: the digest is a hash of the challenge
        documents = [(sha256(b"tandem v2 " + operation.encode(), out["challenge"]), *documents[0][1:])]
    out["documents"], out["signed"] = documents, r.taken
    out["signature"] = r.string(1)
    out["macked"], out["mac"] = r.taken, r.take(32)
    malformed_if(r.b or len(out["signature"]) not in (0, 64))
    return out


def open_response(secret, request, response):
    """What a device has of a response (section 3): code, challenge, body, key document; None if it does not open."""
    malformed_if(not 33 <= len(response) <= 131072 or response[0] != 2)
    key, nonce = response_key(secret, request, response[1:33])
    plain = gcm_open(key, nonce, b"", response[33:])
    if plain is None:
        return None
    r = Reader(plain)
    malformed_if(r.number(1) != 2)
    out = r.number(1), r.string(1), r.string(3), r.string(2)
    malformed_if(r.b or len(out[1]) not in (0, 146))
    return out


class Server:
    """Sections 4 and 5 of the protocol, step by step. Its answers are a code, a body, and whether there is a challenge for
    the next step; None: no answer. After an answer `secret` is the request's HPKE export."""

    def __init__(self, key, server, sharing, n, challenge_key, key_id, hpke_seed):
        self.key, self.server, self.sharing, self.n = key, server, sharing, n
        self.challenge_key, self.key_id, self.secret = challenge_key, key_id, None
        self.hpke_seeds, self.document = {hpke_id(xwing_public(hpke_seed)): hpke_seed}, b""       # seeds by key's id
        self.condition, self.reason, self.counter, self.event_number = None, 0, (0, 0, 0), 0
        self.last, self.pending_end = (0, bytes(32), 0, NO_VERDICT), 0

    def ticket_ok(self, ticket, now):
        return (hmac_sha256(self.challenge_key, b"tandem v2 ticket" + ticket[:50]) == ticket[50:]
                and os2ip(ticket[18:26]) <= now + SKEW)

    def challenge_ok(self, challenge, operation, ticket):
        return (challenge[0] == 2 and challenge[1] in purposes(operation) and challenge[:82] == ticket
                and hmac_sha256(self.challenge_key, b"tandem v2 challenge" + challenge[:114]) == challenge[114:])

    def answer(self, request, now):
        ticket = request[10:92]
        if (not 1212 <= len(request) <= 131072 or request[0] != 2 or not 1 <= request[1] <= 7
                or request[2:10] not in self.hpke_seeds or not self.ticket_ok(ticket, now)):                        # 1
            return None
        operation, key_id = OPERATIONS[request[1] - 1], ticket[2:18]
        shared = xwing_decaps(self.hpke_seeds[request[2:10]], request[92:1212])
        key, nonce, exporter = key_schedule(shared, b"tandem v2 " + operation.encode())
        self.secret = labeled_expand(exporter, b"sec", b"tandem v2 response", 32)
        plaintext = gcm_open(key, nonce, key_id, request[1212:])
        if plaintext is None:
            return None
        try:
            if operation == "enroll":
                return self.enroll(ticket, sha256(request), parse_enrolment(plaintext), now)
            return self.request(operation, ticket, sha256(request), parse_request(plaintext, operation), now)
        except Malformed:
            return None

    def rotate(self, hpke_seed, document):
        """11: another HPKE key, beside the one that retires, and a document that names it."""
        self.hpke_seeds, self.document = self.hpke_seeds | {hpke_id(xwing_public(hpke_seed)): hpke_seed}, document

    def document_for(self, request):
        """3, the last field of a response: if the request was encrypted to a key other than the one that the document names."""
        if not self.document or request[2:10] == hpke_id(self.document[9:1225]):
            return b""
        return self.document

    def enroll(self, ticket, h, r, now):
        key_id = ticket[2:18]
        if r["hardware"] and not p256_verify(r["hardware"], hardware_message(key_id, r["signed"]), r["signature"]):
            return None                                                                                             # 2
        if not self.challenge_ok(r["challenge"], "enroll", ticket):                                                 # 3
            return None
        if self.condition is not None and key_id == self.key_id:                                                                              # 4
            if h != self.enrolment:
                return None
            if self.condition == "destroyed":
                return self.destroyed()
            return self.destroyed(4) if self.condition == "pending" and self.pending_end <= now else self.enrolled()
        if os2ip(r["challenge"][26:34]) <= now:                                                                     # 5
            return 7, b"", False
        if outcome(parse_server_share, r["share"])[1]:                                                              # 6
            return 2, b"\1", False
        if key_id != self.key_id:           # 7; all enrolments of a group have one n1, and no other key id is the first
            return 2, b"\2", False
        if self.server:
            compose(self.key, self.server.n, self.server.e)
        self.ds = os2ip(r["share"][-self.key.k:])
        if r["share"] != server_share(self.sharing, self.key.e, self.key.n, self.ds):
            raise ValueError("a share of another key: no vector has that")
        self.condition, self.enrolment, self.pending_end = "pending", h, now + PENDING_LIFE                     # 12
        self.auth_key, self.current, self.chain, self.hardware = r["authKey"], r["first"], h, r["hardware"]
        self.event_number += 1
        return self.enrolled()

    def enrolled(self):
        return 1, with_length(i2osp(self.n, width(self.n)), 2) + i2osp(self.key.e, 4) + i2osp(self.pending_end, 8), True

    def destroy(self, reason, now):
        wrong, at, _ = self.counter
        self.condition, self.reason, self.counter = "destroyed", reason, (wrong, at, FOREVER)
        self.event_number += 1
        return self.destroyed()

    def destroyed(self, reason=None):
        return 6, bytes([reason or self.reason]), True

    def request(self, operation, ticket, h, r, now):
        """Steps 3 to 18 of a request that was opened."""
        expires = os2ip(r["challenge"][26:34])
        if not self.challenge_ok(r["challenge"], operation, ticket):                                                # 3
            return None
        if self.condition is None or ticket[2:18] != self.key_id:                                                   # 4
            return None
        if hmac_sha256(self.auth_key, b"tandem v2 request" + self.key_id + r["macked"]) != r["mac"]:              # 6
            return None
        if bool(self.hardware) != bool(r["signature"]) or self.hardware and not p256_verify(
                self.hardware, hardware_message(self.key_id, r["signed"]), r["signature"]):
            return None
        dead, cancel = self.condition == "destroyed", operation == "cancel"
        if operation == "report":                                                                                   # 7
            return self.destroyed() if dead else self.destroy(2, now)
        number, named = r["number"], r["next"] if cancel else h
        last, last_hash, fate, verdict = self.last
        if (number, named) == (last, last_hash):                                                                    # 8
            return self.again(operation, r, expires, now)
        if number == last and (cancel or now < expires) and not dead:                                               # 9
            return self.destroy(2, now)
        if number <= last:                                                                                          # 10
            return 12, b"", True
        if dead:                                                                                                    # 11
            return self.destroyed()
        if expires <= now and not cancel:
            return 7, b"", False
        if self.condition == "pending" and not cancel:
            if self.pending_end <= now:
                return self.destroy(4, now)
            if operation != "confirm":
                return 9, b"", False
        if number != last + 1 or r["chain"] != self.chain or sha256(r["token"]) != self.current:                    # 12
            return self.destroy(2, now)
        if cancel:                                                                                                  # 13
            return self.settle(number, named, CANCELLED, (8, b"", False))
        if operation == "refresh":
            self.current = r["next"]
            return self.settle(number, named, RIGHT, (3, self.right_body([]), False))
        digests = [digest for digest, _, _ in r["documents"]]                                                       # 14
        if operation == "sign" and r["challenge"][82:114] != binding(r["hash"], r["padding"], digests):
            return 10, b"", False
        step, _ = attempt(DEFAULT_POLICY, self.counter, now, False)                                                 # 15
        if step["verdict"] == "locked":
            return 5, i2osp(step["lockedUntil"], 8), False
        signatures, reject = outcome(self.signatures, r)
        if reject:
            return 10, b"", False
        right = None not in signatures
        step, self.counter = attempt(DEFAULT_POLICY, self.counter, now, right)                                      # 16
        if right:                                                                                                   # 17
            self.current, self.condition = r["next"], "active"
            return self.settle(number, named, RIGHT, (3, self.right_body(signatures), False))
        verdict = bytes([step["remaining"], step["remainingTotal"]]) + i2osp(step.get("lockedUntil", 0), 8)
        gone = self.counter[2] == FOREVER
        if gone:
            self.condition, self.reason = "destroyed", 1
        return self.settle(number, named, WRONG, (4, verdict, gone), verdict)

    def again(self, operation, r, expires, now):
        """8: the request that was settled last, or a Cancel of it. Nothing is written."""
        _, _, fate, verdict = self.last
        if fate == WRONG:
            return 4, verdict, verdict[1] == 0
        if fate == CANCELLED:
            return 8, b"", False
        if operation == "refresh":
            return 3, self.right_body([]), False
        if self.condition == "destroyed":
            return self.destroyed()
        if operation == "cancel":
            return 3, self.right_body([]), False
        return (3, self.right_body(self.signatures(r)), False) if now < expires + DAY else (7, b"", False)

    def settle(self, number, h, fate, answer, verdict=NO_VERDICT):
        """17; the event is one, also where a wrong PIN destroys the key."""
        self.last, self.chain = (number, h, fate, verdict), chain_after(self.chain, h, fate)
        self.event_number += 1
        return answer

    def last_bytes(self):
        number, h, fate, verdict = self.last
        return i2osp(number, 8) + h + bytes([fate]) + verdict

    def signatures(self, r):
        """3.3 of the scheme for all documents: a signature, or None where y is wrong. Refused: a y is out of range."""
        out = []
        for digest, salt, y in r["documents"]:
            em = encode(self.n, self.key.e, r["padding"], r["hash"], digest, salt)[0]
            s, reject = outcome(complete, self.key, self.server, self.sharing, self.ds, em, y)
            if reject and reject["stage"] != "check-partial":
                raise Refused("rejected", "")
            out.append(i2osp(s[2], width(self.n)) if s else None)
        return out

    def right_body(self, signatures):
        return bytes([len(signatures)]) + i2osp(width(self.n) if signatures else 0, 2) + b"".join(signatures)


class Sent:
    """A request that was made, and what its device keeps of it."""

    def __init__(self, test, operation, challenge):
        self.test, self.operation, self.challenge, self.ems, self.next = test, operation, challenge, [], None
        self.request = self.hash = self.secret = None


class Device:
    """Sections 6 and 7 of the protocol: what a device keeps, and what it does on an answer."""

    def __init__(self, token, hpke_public, authority):
        self.phase, self.number, self.token, self.chain = "no key", 0, token, None
        self.hpke_public, self.serial, self.authority = hpke_public, 0, authority
        self.pending, self.marked, self.refused = None, False, False     # refused: with code 5, 7, 9 or 10
        self.challenge = b""                                             # for the Report

    def begin(self, sent, copied):
        """A request is saved, and then sent. Of a Cancel only the mark is saved, of a Report nothing. A copy of a device
        forgets what is pending."""
        if copied and sent.operation != "cancel":
            self.pending, self.marked, self.refused = None, False, False
        phases = {"enroll": {"no key"}, "confirm": {"unconfirmed"}, "report": {"superseded"}}.get(
            sent.operation, {"unconfirmed", "ready"})
        if self.phase not in phases or (self.pending is not None) != (sent.operation == "cancel"):
            raise ValueError(f"no device makes this request: {self.phase}, {self.pending and 'one is pending'}")
        if sent.operation == "cancel":
            self.marked = True
        elif sent.operation != "report":
            self.pending = sent
        if sent.operation == "enroll":
            self.phase, self.chain = "enrolling", sent.hash

    def resolve(self, fate):
        self.number, self.chain = self.number + 1, chain_after(self.chain, self.pending.hash, fate)
        if fate == RIGHT:
            self.token, self.phase = self.pending.next, "ready"
        self.pending, self.marked, self.refused = None, False, False

    def end(self, phase, challenge):
        self.phase, self.challenge, self.pending = phase, challenge, None

    def hear(self, sent, response, verifies):
        """7, on an answer; 11, the key document that it brings. One that does not open changes nothing."""
        opened = open_response(sent.secret, sent.request, response)
        if opened is None:
            return
        code, challenge, body, document = opened
        self.follow(sent, code, body, challenge, verifies)
        if document:
            self.serial, self.hpke_public = take_key_document(document, self.authority, self.serial)

    def follow(self, sent, code, body, challenge, verifies):
        """An answer that opened: to the pending request, to a Cancel of it, or to a Report."""
        cancel = sent.operation == "cancel"
        if sent.operation == "report":
            self.phase = "dead" if code == 6 else self.phase
        elif self.pending is None:
            return
        elif sent.operation == "enroll":
            if code == 1:
                self.phase, self.pending = "unconfirmed", None
            elif code in (2, 7):
                self.phase, self.pending = "no key", None
        elif code == 3 and (body == bytes(3) if cancel else verifies(sent, body)):
            self.resolve(RIGHT)
        elif code == 4 and body[1] > 0:
            self.resolve(WRONG)
        elif code == 8 and self.marked:
            self.resolve(CANCELLED)
        elif code in (8, 12):
            self.end("superseded", challenge)
        elif code in (4, 6):
            self.end("dead" if cancel else "superseded", challenge)
        elif code in (5, 7, 9, 10):
            self.refused = True

    def storage(self):
        if self.phase not in ("enrolling", "unconfirmed", "ready"):
            return {"phase": self.phase}
        out = {"phase": self.phase, "number": self.number, "token": self.token.hex(), "chain": self.chain.hex()}
        out |= {"pending": self.pending.test} if self.pending else {}
        return out | ({"toBeCancelled": True} if self.marked else {})


# ---- JSON and JSON Schema -------------------------------------------------------------------------------------------

def load(path):
    """Strict: no key twice, no null, no fraction, no number from 2^53 on, keys in order (those of a note may also be in
    Wycheproof's)."""
    def pairs(items):
        keys = [k for k, _ in items]
        if keys != sorted(set(keys)) and keys != ["bugType", "description", "effect", "cves"]:
            raise ValueError(f"keys twice or not in order: {keys}")
        return dict(items)

    def no(what):
        raise ValueError(f"not allowed: {what}")

    def plain(v):
        if v is None or type(v) is int and abs(v) >= 2**53:
            no(v)
        for x in v.values() if isinstance(v, dict) else v if isinstance(v, list) else ():
            plain(x)

    with open(path, encoding="utf-8") as f:
        doc = json.load(f, object_pairs_hook=pairs, parse_float=no, parse_constant=no)
    plain(doc)
    return doc


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}
KEYWORDS = {"$schema", "$defs", "title", "$ref", "type", "enum", "pattern", "minimum", "minItems", "items", "properties",
            "required", "additionalProperties", "oneOf"}


def validate(schema, v, root, path="", out=None):
    """The subset of JSON Schema (draft 2020-12) that schemas/ uses. Returns a list of errors."""
    out = [] if out is None else out
    if set(schema) - KEYWORDS:
        out.append(f"{path}: the schema has unknown keywords {sorted(set(schema) - KEYWORDS)}")
    if "$ref" in schema:
        validate(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], v, root, path, out)
    kind = schema.get("type")
    if kind == "integer" and type(v) is not int or kind in TYPES and not isinstance(v, TYPES[kind]):
        out.append(f"{path}: not of type {kind}")
        return out
    if kind is not None and kind != "integer" and kind not in TYPES:
        out.append(f"{path}: the schema has the unknown type {kind}")
    if "enum" in schema and not any(type(x) is type(v) and x == v for x in schema["enum"]):
        out.append(f"{path}: {short(v)} is not one of {schema['enum']}")
    if "pattern" in schema and isinstance(v, str) and not re.search(re.sub(r"\$$", r"\\Z", schema["pattern"]), v):
        out.append(f"{path}: {short(v)} is not of the form {schema['pattern']}")
    if "minimum" in schema and type(v) is int and v < schema["minimum"]:
        out.append(f"{path}: {v} is too small")
    if isinstance(v, list):
        if len(v) < schema.get("minItems", 0):
            out.append(f"{path}: too few items")
        for i, x in enumerate(v):
            if "items" in schema:
                validate(schema["items"], x, root, f"{path}/{i}", out)
    if isinstance(v, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        out += [f"{path}: {k} is missing" for k in schema.get("required", ()) if k not in v]
        for k, x in v.items():
            if k in known:
                validate(known[k], x, root, f"{path}/{k}", out)
            elif more is False:
                out.append(f"{path}: unknown field {k}")
            elif isinstance(more, dict):
                validate(more, x, root, f"{path}/{k}", out)
    if "oneOf" in schema:
        tried = [validate(s, v, root, path, []) for s in schema["oneOf"]]
        if sum(not e for e in tried) != 1:
            out.append(f"{path}: not exactly one form of oneOf fits; the nearest: {min(tried, key=len)[:2]}")
    return out


@lru_cache(None)
def schema_of(name):
    with open(os.path.join(HERE, "schemas", name), encoding="utf-8") as f:
        return json.load(f)


def short(v):
    s = v if isinstance(v, str) else json.dumps(v, sort_keys=True, ensure_ascii=False)
    return s if len(s) <= 72 else f"{s[:32]}...{s[-24:]} ({len(s)})"


# ---- Primitives, written out: ChaCha20, Argon2id, AES-256-GCM, HKDF, HPKE, X25519, ML-KEM-768, P-256 ----------------

def chacha20(keys, length):
    """The keystreams (nonce zero, counter from 0) of many keys at once: a state word of every block of every key is one
    lane of 64 bits in a long integer, of which the lower 32 are used."""
    blocks = -(-length // 64)
    lanes = len(keys) * blocks
    ones = os2ip((b"\0" * 7 + b"\1") * lanes)
    mask = ones * 0xffffffff
    pack = lambda words: int.from_bytes(b"".join(w.to_bytes(8, "little") for w in words), "little")
    const = [int.from_bytes(b"expand 32-byte k"[i:i + 4], "little") for i in (0, 4, 8, 12)]
    start = [ones * c for c in const]
    for i in range(0, 32, 4):
        start.append(pack(w for k in keys for w in [int.from_bytes(k[i:i + 4], "little")] * blocks))
    start += [pack(i for _ in keys for i in range(blocks)), 0, 0, 0]
    s = list(start)

    def rotate(z, r):
        return (z << r | z >> (32 - r)) & mask

    def quarter(a, b, c, d):
        s[a] = (s[a] + s[b]) & mask
        s[d] = rotate(s[d] ^ s[a], 16)
        s[c] = (s[c] + s[d]) & mask
        s[b] = rotate(s[b] ^ s[c], 12)
        s[a] = (s[a] + s[b]) & mask
        s[d] = rotate(s[d] ^ s[a], 8)
        s[c] = (s[c] + s[d]) & mask
        s[b] = rotate(s[b] ^ s[c], 7)

    for _ in range(10):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    words = [((a + b) & mask).to_bytes(8 * lanes, "little") for a, b in zip(s, start)]
    out = [b"".join(w[8 * i:8 * i + 4] for w in words) for i in range(lanes)]
    return [b"".join(out[i * blocks:(i + 1) * blocks])[:length] for i in range(len(keys))]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


M64, M32 = 2**64 - 1, 2**32 - 1


def _mix(v, a, b, c, d):
    """GB of RFC 9106, 3.6."""
    va, vb, vc, vd = v[a], v[b], v[c], v[d]
    for r1, r2 in ((32, 24), (16, 63)):
        va = (va + vb + 2 * (va & M32) * (vb & M32)) & M64
        vd ^= va
        vd = (vd >> r1 | vd << (64 - r1)) & M64
        vc = (vc + vd + 2 * (vc & M32) * (vd & M32)) & M64
        vb ^= vc
        vb = (vb >> r2 | vb << (64 - r2)) & M64
    v[a], v[b], v[c], v[d] = va, vb, vc, vd


_ROWS = [list(range(16 * i, 16 * i + 16)) for i in range(8)]
_COLUMNS = [[2 * i + 16 * j + k for j in range(8) for k in (0, 1)] for i in range(8)]


def _compress(x, y):
    r = [a ^ b for a, b in zip(x, y)]
    v = list(r)
    for w in _ROWS + _COLUMNS:
        for i in range(4):
            _mix(v, w[i], w[i + 4], w[i + 8], w[i + 12])
        for i in range(4):
            _mix(v, w[i], w[(i + 1) % 4 + 4], w[(i + 2) % 4 + 8], w[(i + 3) % 4 + 12])
    return [a ^ b for a, b in zip(v, r)]


def _h_prime(data, n):
    le = n.to_bytes(4, "little")
    if n <= 64:
        return hashlib.blake2b(le + data, digest_size=n).digest()
    v, out = hashlib.blake2b(le + data).digest(), b""
    while n - len(out) > 64:
        out += v[:32]
        v = hashlib.blake2b(v, digest_size=min(64, n - len(out))).digest()
    return out + v


@lru_cache(None)
def argon2id(password, salt, t, m, p):
    """Argon2id, version 0x13, tag of 32 bytes, no secret, no associated data."""
    le = lambda z: z.to_bytes(4, "little")
    words = lambda b: [int.from_bytes(b[i:i + 8], "little") for i in range(0, 1024, 8)]
    h0 = hashlib.blake2b(le(p) + le(32) + le(m) + le(t) + le(0x13) + le(2) + le(len(password)) + password
                         + le(len(salt)) + salt + le(0) + le(0)).digest()
    segment = m // (4 * p)
    lane_length = 4 * segment
    memory = [[words(_h_prime(h0 + le(j) + le(i), 1024)) for j in (0, 1)] + [None] * (lane_length - 2) for i in range(p)]
    zero = [0] * 128
    for run in range(t):
        for part in range(4):
            for i in range(p):
                lane, address = memory[i], None
                by_address = run == 0 and part < 2
                for j in range(2 if run == 0 and part == 0 else 0, segment):
                    at = part * segment + j
                    before = lane[at - 1]
                    if by_address:
                        if address is None or j % 128 == 0:
                            counter = j // 128 + 1
                            head = [run, i, part, p * lane_length, t, 2, counter] + [0] * 121
                            address = _compress(zero, _compress(zero, head))
                        j12 = address[j % 128]
                    else:
                        j12 = before[0]
                    j1, other = j12 & M32, (j12 >> 32) % p
                    if run == 0 and part == 0:
                        other = i
                    done = part * segment if run == 0 else lane_length - segment
                    area = done + j - 1 if other == i else done - (1 if j == 0 else 0)
                    z = area - 1 - (area * (j1 * j1 >> 32) >> 32)
                    first = 0 if run == 0 or part == 3 else (part + 1) * segment
                    block = _compress(before, memory[other][(first + z) % lane_length])
                    lane[at] = block if run == 0 else [a ^ b for a, b in zip(block, lane[at])]
    last = [0] * 128
    for lane in memory:
        last = [a ^ b for a, b in zip(last, lane[-1])]
    return _h_prime(b"".join(w.to_bytes(8, "little") for w in last), 32)


def _aes_tables():
    """The S-box from its definition: the inverse in GF(2^8), and an affine map; and multiplication by 2."""
    double = [z << 1 ^ (0x11b if z & 0x80 else 0) for z in range(256)]
    power, log, z = [], [0] * 256, 1
    for i in range(255):
        power.append(z)
        log[z] = i
        z ^= double[z]      # times 3, which generates the group
    box = []
    for i in range(256):
        z = (power[-log[i] % 255] if i else 0) * 0x101      # twice, so that a shift is a rotation
        box.append((z ^ z >> 4 ^ z >> 5 ^ z >> 6 ^ z >> 7) & 0xff ^ 0x63)
    return box, double


SBOX, DOUBLE = _aes_tables()
SHIFT_ROWS = [(i + 4 * (i % 4)) % 16 for i in range(16)]


@lru_cache(None)
def aes256_round_keys(key):
    w, rcon = [key[i:i + 4] for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        t = w[-1]
        if i % 8 == 0:
            t = bytes([SBOX[t[1]] ^ rcon, SBOX[t[2]], SBOX[t[3]], SBOX[t[0]]])
            rcon = DOUBLE[rcon]
        elif i % 8 == 4:
            t = bytes(SBOX[c] for c in t)
        w.append(xor(t, w[-8]))
    return [b"".join(w[i:i + 4]) for i in range(0, 60, 4)]


def aes256(key, block):
    rounds = aes256_round_keys(key)
    s = xor(block, rounds[0])
    for i in range(1, 15):
        s = [SBOX[s[j]] for j in SHIFT_ROWS]
        if i < 14:
            mixed = []
            for j in range(0, 16, 4):
                a, b, c, d = s[j:j + 4]
                z = a ^ b ^ c ^ d
                mixed += [a ^ z ^ DOUBLE[a ^ b], b ^ z ^ DOUBLE[b ^ c], c ^ z ^ DOUBLE[c ^ d], d ^ z ^ DOUBLE[d ^ a]]
            s = mixed
        s = xor(s, rounds[i])
    return bytes(s)


def ghash(h, data):
    """GHASH of whole blocks (SP 800-38D, 6.4): bit 0 of a block is its uppermost."""
    multiples, v = [], os2ip(h)
    for _ in range(128):      # h * x^i
        multiples.append(v)
        v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
    y = 0
    for i in range(0, len(data), 16):
        z, y = y ^ os2ip(data[i:i + 16]), 0
        for j in range(128):
            if z >> (127 - j) & 1:
                y ^= multiples[j]
    return i2osp(y, 16)


def _gcm(key, nonce, aad, data, ct_of):
    """The data XOR the keystream, and the tag over the ciphertext."""
    stream = b"".join(aes256(key, nonce + i2osp(2 + i, 4)) for i in range(-(-len(data) // 16)))
    out = xor(data, stream[:len(data)])
    ct, pad = ct_of(data, out), lambda b: b + bytes(-len(b) % 16)
    s = ghash(aes256(key, bytes(16)), pad(aad) + pad(ct) + i2osp(8 * len(aad), 8) + i2osp(8 * len(ct), 8))
    return out, xor(s, aes256(key, nonce + i2osp(1, 4)))


@lru_cache(None)
def gcm_seal(key, nonce, aad, plaintext):
    return b"".join(_gcm(key, nonce, aad, plaintext, lambda data, out: out))


@lru_cache(None)
def gcm_open(key, nonce, aad, ct):
    """The plaintext, or None."""
    if len(ct) < 16:
        return None
    out, tag = _gcm(key, nonce, aad, ct[:-16], lambda data, out: data)
    return out if tag == ct[-16:] else None


def hmac_sha256(key, data):
    return hmac.digest(key, data, "sha256")


def hkdf_expand(prk, info, length):
    out, t = b"", b""
    while len(out) < length:
        t = hmac_sha256(prk, t + info + bytes([len(out) // 32 + 1]))
        out += t
    return out[:length]


SUITE = b"HPKE" + bytes.fromhex("647a00010002")


def labeled_extract(salt, label, ikm):
    return hmac_sha256(salt, b"HPKE-v1" + SUITE + label + ikm)


def labeled_expand(prk, label, info, length):
    return hkdf_expand(prk, i2osp(length, 2) + b"HPKE-v1" + SUITE + label + info, length)


def key_schedule(shared, info):
    """RFC 9180, 5.1, base mode: key, base nonce (that of the first message), exporter secret."""
    context = b"\0" + labeled_extract(b"", b"psk_id_hash", b"") + labeled_extract(b"", b"info_hash", info)
    secret = labeled_extract(shared, b"secret", b"")
    return tuple(labeled_expand(secret, label, context, n) for label, n in ((b"key", 32), (b"base_nonce", 12), (b"exp", 32)))


P25519 = 2**255 - 19


@lru_cache(None)
def x25519(k, u=b"\x09" + bytes(31)):
    p = P25519
    k = int.from_bytes(k, "little") & ~7 & ~(1 << 255) | 1 << 254
    x1 = int.from_bytes(u, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % p, c * b % p, a * a % p, b * b % p
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        x2, z2 = aa * bb % p, (aa - bb) * (aa + 121665 * (aa - bb)) % p
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, -1, p) % p).to_bytes(32, "little")


Q = 3329
ZETAS = [pow(17, int(f"{i:07b}"[::-1], 2), Q) for i in range(128)]


def ntt(f):
    f, i, n = list(f), 1, 128
    while n >= 2:
        for start in range(0, 256, 2 * n):
            for j in range(start, start + n):
                t = ZETAS[i] * f[j + n] % Q
                f[j], f[j + n] = (f[j] + t) % Q, (f[j] - t) % Q
            i += 1
        n //= 2
    return f


def ntt_inverse(f):
    f, i, n = list(f), 127, 2
    while n <= 128:
        for start in range(0, 256, 2 * n):
            for j in range(start, start + n):
                t = f[j]
                f[j], f[j + n] = (t + f[j + n]) % Q, ZETAS[i] * (f[j + n] - t) % Q
            i -= 1
        n *= 2
    return [z * 3303 % Q for z in f]


def ntt_dot(fs, gs):
    """The sum of the products of polynomials, in NTT form."""
    out = [0] * 256
    for f, g in zip(fs, gs, strict=True):
        for i in range(128):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            gamma = ZETAS[64 + i // 2] if i % 2 == 0 else -ZETAS[64 + i // 2]
            out[2 * i] += a0 * b0 + a1 * b1 * gamma
            out[2 * i + 1] += a0 * b1 + a1 * b0
    return [z % Q for z in out]


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g, strict=True)]


def byte_encode(f, d):
    return sum(z << d * i for i, z in enumerate(f)).to_bytes(32 * d, "little")


def byte_decode(b, d, count=256):
    z = int.from_bytes(b, "little")
    return [z >> d * i & (1 << d) - 1 for i in range(count)]


def compress(f, d):
    return [((z << d + 1) + Q) // (2 * Q) % (1 << d) for z in f]


def decompress(f, d):
    return [(2 * z * Q + (1 << d)) >> d + 1 for z in f]


@lru_cache(None)
def mlkem_matrix(rho):
    def sample(i, j):
        b, out = hashlib.shake_128(rho + bytes([j, i])).digest(1680), []
        for k in range(0, len(b), 3):
            out += [z for z in (b[k] | (b[k + 1] & 15) << 8, b[k + 1] >> 4 | b[k + 2] << 4) if z < Q]
        return out[:256]
    return [[sample(i, j) for j in range(3)] for i in range(3)]


def cbd2(seed, n):
    z = int.from_bytes(hashlib.shake_256(seed + bytes([n])).digest(128), "little")
    return [((z >> 4 * i & 1) + (z >> 4 * i + 1 & 1) - (z >> 4 * i + 2 & 1) - (z >> 4 * i + 3 & 1)) % Q for i in range(256)]


@lru_cache(None)
def mlkem_pair(d):
    """The encapsulation key of ML-KEM.KeyGen_internal(d, z), in which z has no part, and K-PKE's secret vector."""
    g = hashlib.sha3_512(d + b"\3").digest()
    a = mlkem_matrix(g[:32])
    s, e = ([ntt(cbd2(g[32:], i)) for i in part] for part in (range(3), range(3, 6)))
    return b"".join(byte_encode(add(ntt_dot(a[i], s), e[i]), 12) for i in range(3)) + g[:32], s


def mlkem_public(d):
    return mlkem_pair(d)[0]


@lru_cache(None)
def mlkem_decrypt(d, ct):
    """K-PKE.Decrypt."""
    u = [ntt(decompress(byte_decode(ct[i:i + 320], 10), 10)) for i in (0, 320, 640)]
    su = ntt_inverse(ntt_dot(mlkem_pair(d)[1], u))
    return byte_encode(compress([(v - z) % Q for v, z in zip(decompress(byte_decode(ct[960:], 4), 4), su, strict=True)], 1), 1)


@lru_cache(None)
def mlkem_encaps(ek, m):
    """ML-KEM.Encaps_internal: the secret and the ciphertext."""
    g = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    secret, r = g[:32], g[32:]
    t, a = [byte_decode(ek[384 * i:384 * i + 384], 12) for i in range(3)], mlkem_matrix(ek[1152:])
    y = [ntt(cbd2(r, i)) for i in range(3)]
    u = [add(ntt_inverse(ntt_dot([a[j][i] for j in range(3)], y)), cbd2(r, 3 + i)) for i in range(3)]
    v = add(add(ntt_inverse(ntt_dot(t, y)), cbd2(r, 6)), [1665 * bit for bit in byte_decode(m, 1)])
    return secret, b"".join(byte_encode(compress(f, 10), 10) for f in u) + byte_encode(compress(v, 4), 4)


def xwing_public(seed):
    b = hashlib.shake_256(seed).digest(96)
    return mlkem_public(b[:32]) + x25519(b[64:])


def xwing_combine(secret, secret_x, ct_x, pk_x):
    return hashlib.sha3_256(secret + secret_x + ct_x + pk_x + b"\\.//^\\").digest()


def xwing_encaps(public, m, ephemeral):
    """The shared secret, and enc."""
    secret, ct = mlkem_encaps(public[:1184], m)
    ct_x, pk_x = x25519(ephemeral), public[1184:]
    return xwing_combine(secret, x25519(ephemeral, pk_x), ct_x, pk_x), ct + ct_x


P25519 = 2**255 - 19                                # Ed25519: RFC 8032, 5.1
L25519 = 2**252 + 27742317777372353535851937790883648493
D25519 = -121665 * pow(121666, -1, P25519) % P25519
B25519 = (15112221349535400772501151409588531511454012693041857206046113283949847762202,
          46316835694926478169428394003475163141307993866256225615783033603165251855960)


def ed25519_add(a, b):
    """The sum of two points of the twisted Edwards curve -x^2 + y^2 = 1 + d x^2 y^2, affine: complete."""
    (ax, ay), (bx, by), p = a, b, P25519
    z = D25519 * ax * bx * ay * by % p
    return (ax * by + ay * bx) * pow(1 + z, -1, p) % p, (ay * by + ax * bx) * pow(1 - z, -1, p) % p


def ed25519_times(k, a):
    out = (0, 1)
    for bit in f"{k:b}":
        out = ed25519_add(out, out)
        out = ed25519_add(out, a) if bit == "1" else out
    return out


def ed25519_encode(a):
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


def ed25519_decode(b):
    """A point, or None (5.1.3)."""
    z, p = int.from_bytes(b, "little"), P25519
    y, odd = z & ((1 << 255) - 1), z >> 255
    square = (y * y - 1) * pow(D25519 * y * y + 1, -1, p) % p
    x = pow(square, (p + 3) // 8, p)
    x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
    if y >= p or x * x % p != square or x == 0 and odd:
        return None
    return x if x & 1 == odd else p - x, y


def ed25519_secret(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | 1 << 254, h[32:]


def ed25519_hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L25519


@lru_cache(None)
def ed25519_public(seed):
    return ed25519_encode(ed25519_times(ed25519_secret(seed)[0], B25519))


@lru_cache(None)
def ed25519_sign(seed, message):
    a, prefix = ed25519_secret(seed)
    r = ed25519_hash(prefix, message)
    point = ed25519_encode(ed25519_times(r, B25519))
    return point + ((r + ed25519_hash(point, ed25519_public(seed), message) * a) % L25519).to_bytes(32, "little")


@lru_cache(None)
def ed25519_verify(public, message, signature):
    """5.1.7: S below the order, and S*B = R + k*A."""
    point, s, key = signature[:32], int.from_bytes(signature[32:], "little"), ed25519_decode(public)
    if len(signature) != 64 or s >= L25519 or key is None or ed25519_decode(point) is None:
        return False
    k = ed25519_hash(point, public, message)
    return ed25519_times(s, B25519) == ed25519_add(ed25519_decode(point), ed25519_times(k, key))


P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1         # FIPS 186-5, SP 800-186
N256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
B256 = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b
G256 = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
        0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def p256_add(a, b):
    """The sum of two points; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    (ax, ay), (bx, by), p = a, b, P256
    if ax == bx and (ay + by) % p == 0:
        return None
    slope = (3 * ax * ax - 3) * pow(2 * ay, -1, p) if a == b else (by - ay) * pow(bx - ax, -1, p)
    x = (slope * slope - ax - bx) % p
    return x, (slope * (ax - x) - ay) % p


def p256_times(k, a):
    out = None
    for bit in f"{k:b}":
        out = p256_add(out, out)
        out = p256_add(out, a) if bit == "1" else out
    return out


@lru_cache(None)
def p256_public(d):
    """The public key of a private one, uncompressed (SEC 1, 2.3.3)."""
    x, y = p256_times(d, G256)
    return b"\4" + i2osp(x, 32) + i2osp(y, 32)


@lru_cache(None)
def p256_verify(public, message, signature):
    """ECDSA with SHA-256 (FIPS 186-5, 6.4.2); r and s of 32 bytes each."""
    x, y = os2ip(public[1:33]), os2ip(public[33:])
    if len(public) != 65 or public[0] != 4 or x >= P256 or y >= P256 or (y * y - x**3 + 3 * x - B256) % P256:
        return False
    r, s = os2ip(signature[:32]), os2ip(signature[32:])
    if len(signature) != 64 or not 0 < r < N256 or not 0 < s < N256:
        return False
    w = pow(s, -1, N256)
    point = p256_add(p256_times(sha_int(message) * w % N256, G256), p256_times(r * w % N256, (x, y)))
    return point is not None and point[0] % N256 == r


@lru_cache(None)
def p256_sign(d, k, message):
    """ECDSA with SHA-256 (FIPS 186-5, 6.4.1), with the nonce k."""
    r = p256_times(k, G256)[0] % N256
    return i2osp(r, 32) + i2osp(pow(k, -1, N256) * (sha_int(message) + r * d) % N256, 32)


def p256_scalar(b):
    return os2ip(b) % (N256 - 1) + 1


def sha_int(message):
    return os2ip(hashlib.sha256(message).digest())


def self_test():
    """Section 13 of the scheme, and the keystream of RFC 8439, A.1."""
    n1, lam, e, d, x, n2, m = 1081, 506, 65537, 329, 700, 4897, 123456
    m1, m2, s2 = m % n1, m % n2, pow(m % n2, 1817, n2)
    ds, da = pow(e * (2 * x + 1), -1, lam), (d - x) % lam
    s1 = pow(pow(m1, 2 * x + 1, n1), ds, n1)
    assert (ds, da, m1, m2, s1, s2) == (261, 135, 222, 1031, 572, 1644) == (ds, da, m1, m2, pow(m1, x, n1) * pow(m1, da, n1) % n1, s2)
    s = crt(s1, s2, n1, n2)
    assert s == 1387495 and pow(s, e, n1 * n2) == m
    assert chacha20([bytes(32)] * 2, 64)[1].hex().startswith("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1a")
    h = bytes.fromhex
    assert aes256(bytes(range(32)), h("00112233445566778899aabbccddeeff")).hex() == "8ea2b7ca516745bfeafc49904b496089"
    key, nonce, aad = h("feffe9928665731c6d6a8f9467308308" * 2), h("cafebabefacedbaddecaf888"), h("feedfacedeadbeef" * 2 + "abaddad2")
    p = h("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
    ct = gcm_seal(key, nonce, aad, p)
    assert ct.hex().startswith("522dc1f099567d07f47f37a32a84427d") and ct.hex().endswith("76fc6ece0f4e1768cddf8853bb2d551b")
    assert gcm_open(key, nonce, aad, ct) == p and gcm_open(key, nonce, aad, ct[:-1] + b"\0") is None
    assert gcm_seal(bytes(32), bytes(12), b"", b"").hex() == "530f8afbc74536b9a963b4f1c4cb738b"
    assert x25519(h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"), h("e6db6867583030db3594c1a424b15f7c"
                  "726624ec26b3353b10a903a6d0ab1c4c")).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    prk = hmac_sha256(bytes(range(13)), b"\x0b" * 22)                                   # RFC 5869, A.1
    assert hkdf_expand(prk, bytes(range(0xf0, 0xfa)), 42).hex().startswith("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56")
    d = 0xc9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721                       # RFC 6979, A.2.5
    signature = p256_sign(d, 0xa6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60, b"sample")
    assert signature.hex() == ("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
                               "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")
    seed = h("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")                   # RFC 8032, 7.1
    assert ed25519_public(seed).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert ed25519_sign(seed, b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert ed25519_verify(ed25519_public(seed), b"", ed25519_sign(seed, b"")) and not ed25519_verify(ed25519_public(seed), b" ", ed25519_sign(seed, b""))
    shared, enc = xwing_encaps(xwing_public(seed), bytes(32), seed)
    assert xwing_decaps(seed, enc) == shared != xwing_decaps(seed, bytes([enc[0] ^ 1]) + enc[1:])
    assert p256_verify(p256_public(d), b"sample", signature) and not p256_verify(p256_public(d), b"Sample", signature)


if __name__ == "__main__":
    sys.exit(main())

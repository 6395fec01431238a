#!/usr/bin/env python3
"""Does check.py find every change? Changes one random hex digit of one random field of one random test (of a group, or
of the head of the file, now and then) of a random file, and lets check.py look at that test and its group again.

    python3 vectors/check_mutations.py [-n 200] [--seed 1] [FILE...]

A change counts as found if check.py reports something that it does not report of the file as it is. In a string of hex
digits one of them is changed, in a number and in any other string (names of keys and hashes, flags, PEM) a decimal
digit. Not changed are comments, and the description and effect of a flag: prose. The search for earlier candidates for
primes is not run: an index that is changed gives another candidate, which is found without it. Of the transcript the
whole group is looked at, since each test goes on from those before.
Exit status: 0 if every change was found, 1 if not.
"""

import argparse
import copy
import os
import random
import re
import sys
import time

import check

HEX = re.compile(r"(?:[0-9a-f]{2})+\Z")


def leaves(v, path=()):
    """The paths of all strings and numbers with a digit, without prose."""
    if isinstance(v, dict):
        for k, x in v.items():
            if k not in ("comment", "description", "effect", "tests", "testGroups"):
                yield from leaves(x, path + (k,))
    elif isinstance(v, list):
        for i, x in enumerate(v):
            yield from leaves(x, path + (i,))
    elif isinstance(v, str) and re.search("[0-9]", v) or isinstance(v, str) and HEX.match(v) or type(v) is int:
        yield path


def change(rng, v):
    """v with one digit changed."""
    s = str(v)
    digits = "0123456789abcdef" if isinstance(v, str) and HEX.match(v) else "0123456789"
    while True:
        i = rng.choice([i for i, c in enumerate(s) if c in digits])
        new = s[:i] + rng.choice([c for c in digits if c != s[i]]) + s[i + 1:]
        if isinstance(v, str):
            return new
        if str(int(new)) == new:   # a number that JSON can hold
            return int(new)


def problems(name, doc, i, j):
    """What check.py says of the head of a file, group i, and its test j."""
    f = check.File(name, doc)
    try:
        g = doc["testGroups"][i]
        if f.fits_schema(dict(doc, testGroups=[dict(g, tests=[g["tests"][j]])])):
            f.header()
            f.group(i, j)
    except Exception as e:   # check.py reports these, too
        f.fail("exception", f"{type(e).__name__}: {e}")
    return set(f.problems)


def main():
    p = argparse.ArgumentParser(description="Changes the test vectors and looks whether check.py finds it.")
    p.add_argument("-n", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("files", nargs="*", metavar="FILE")
    a = p.parse_args()
    rng = random.Random(a.seed)
    paths = a.files or sorted(os.path.join(check.HERE, f) for f in os.listdir(check.HERE)
                              if f.removesuffix(".json") in check.FILES and f.endswith(".json"))
    check.learn_keys()
    docs = {os.path.basename(f).removesuffix(".json"): check.load(f) for f in paths}
    baseline, missed, start, per_file = {}, 0, time.process_time(), {}
    for count in range(1, a.n + 1):
        name = rng.choice(sorted(docs))
        doc = docs[name]
        i, j = rng.choice([(i, j) for i, g in enumerate(doc["testGroups"]) for j in range(len(g["tests"]))])
        place = rng.choices(["test", "group", "head"], [90, 8, 2])[0]
        new = dict(doc, testGroups=list(doc["testGroups"]))
        g = new["testGroups"][i] = dict(doc["testGroups"][i], tests=list(doc["testGroups"][i]["tests"]))
        g["tests"][j] = copy.deepcopy(g["tests"][j])
        if place == "group":
            for k in g:
                g[k] = copy.deepcopy(g[k]) if k != "tests" else g[k]
        if place == "head":
            for k in new:
                new[k] = copy.deepcopy(new[k]) if k != "testGroups" else new[k]
        root = {"test": g["tests"][j], "group": g, "head": new}[place]
        path = rng.choice(list(leaves(root)))
        at = root
        for k in path[:-1]:
            at = at[k]
        before = at[path[-1]]
        at[path[-1]] = after = change(rng, before)
        if (name, i, j) not in baseline:
            baseline[name, i, j] = problems(name, doc, i, j)
        found = problems(name, new, i, j) - baseline[name, i, j]
        per_file[name] = per_file.get(name, 0) + 1
        if not found:
            missed += 1
            where = f"group {i + 1} tcId {doc['testGroups'][i]['tests'][j]['tcId']}" if place != "head" else "head"
            print(f"{count}: NOT FOUND: {name}.json {where} ({place}) {'/'.join(map(str, path))}: "
                  f"{check.short(before)} -> {check.short(after)}", flush=True)
    print(", ".join(f"{k} {v}" for k, v in sorted(per_file.items())))
    print(f"{a.n - missed} of {a.n} changes found (seed {a.seed}, {time.process_time() - start:.0f} s)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Do check.py and the vectors hold each other? Two questions.

    python3 vectors/check_mutations.py [-n 200] [--seed 1] [FILE...]

1. Do the vectors find every change of check.py? Each step of the server in docs/protocol.md, section 5, is left out,
turned round or put in another place, one at a time (STEPS), and so is what concerns key documents: then the transcript
must not come out as it stands in the file; and of each rule by which a device takes a key document (DOCUMENT_STEPS)
key_document.json must not. So another implementation that gets one of these steps wrong does not pass the vectors. What the
transcript does not show is not among them: that K_dev is unsealed and sealed, that a challenge is spent, that writes are
durable and one wins against another, that a server key is drawn, an event that waits; and that a device takes no key
document from an answer that it does not hear.

2. Does check.py find every change of the vectors? One random hex digit of one random field of one random test (of a
group, or of the head of the file, now and then) of a random file is changed, and check.py looks at that test and its
group again.

A change counts as found if check.py reports something that it does not report of the file as it is. In a string of hex
digits one of them is changed, in a number and in any other string (names of keys and hashes, flags, PEM) a decimal
digit. Not changed are comments, and the description and effect of a flag: prose. The search for earlier candidates for
primes is not run: an index that is changed gives another candidate, which is found without it. Of the transcript the
whole group is looked at, since each test goes on from those before.
Exit status: 0 if every change of both kinds was found, 1 if not.
"""

import argparse
import copy
import os
import random
import re
import sys
import time
import types
from functools import lru_cache

import check

HEX = re.compile(r"(?:[0-9a-f]{2})+\Z")

STEPS = [  # what is wrong, with the number of the step; what check.py has, once; what it has then
    ("1: any version of the envelope", """ or request[0] != 2 or""", """ or"""),
    ("1: any id of an HPKE key", """
                or request[2:10] not in self.hpke_seeds or not self""", """ or not self""",
     """self.hpke_seeds[request[2:10]]""", """self.hpke_seeds.get(request[2:10], [*self.hpke_seeds.values()][0])"""),
    ("1: the current HPKE key only", """self.hpke_seeds | {hpke_id(xwing_public(hpke_seed)): hpke_seed}, document""",
     """{hpke_id(xwing_public(hpke_seed)): hpke_seed}, document"""),
    ("1: the retiring HPKE key only", """self.hpke_seeds | {hpke_id(xwing_public(hpke_seed)): hpke_seed}, document""", """self.hpke_seeds, document"""),
    ("1: ML-KEM takes any ciphertext that it decrypts", """    if again != ct:
        secret = hashlib.shake_256(z + ct).digest(32)
""", """"""),
    ("2: 65 documents", """not 1 <= count <= 64 if sign""", """not 1 <= count <= 65 if sign"""),
    ("2: 63 documents at most", """not 1 <= count <= 64 if sign""", """not 1 <= count <= 63 if sign"""),
    ("2: 255 documents", """not 1 <= count <= 64 if sign""", """not 1 <= count if sign"""),
    ("answer: the key document to everybody", """if not self.document or request[2:10] == hpke_id(self.document[9:1225]):""", """if not self.document:"""),
    ("answer: the key document to those who have it", """request[2:10] == hpke_id(self.document[9:1225]):""", """request[2:10] != hpke_id(self.document[9:1225]):"""),
    ("answer: no key document", """        return self.document

""", """        return b""

"""),
    ("answer: no key document to one that enrols", """        return self.document

""", """        return self.document if request[1] != 1 else b""

"""),
    ("answer: a key document with signatures only", """secret, document = server.secret, server.document_for(sent.request)""",
     """secret, document = server.secret, server.document_for(sent.request) if answer[0] == 3 else b"\""""),
    ("answer: a key document once", """        return self.document

""", """        self.document, out = b"", self.document
        return out

"""),
    ("answer: the key document before the body", """with_length(body, 3) + with_length(document, 2)""", """with_length(document, 2) + with_length(body, 3)"""),
    ("answer: the signatures in another order", """width(self.n) if signatures else 0, 2) + b"".join(signatures)""", """width(self.n) if signatures else 0, 2) + b"".join(signatures[::-1])"""),
    ("device: takes no key document", """        if document:
            self""", """        if False:
            self"""),
    ("1: the key id is not bound", """gcm_open(key, nonce, key_id, request""", """gcm_open(key, nonce, self.key_id, request"""),
    ("2: any version of the plaintext", """malformed_if(r.number(1) != 2 or r.number(1) !=""", """malformed_if(r.number(1) == 0 or r.number(1) !="""),
    ("2: any operation in the plaintext", """r.number(1) != OPERATIONS.index(operation) + 1)""", """r.number(1) == 0)"""),
    ("2: the number 0", """ or report != (out["number"] == 0))""", """)"""),
    ("2: a Report with a token", """    malformed_if(report and any(out["token"] + out["chain"] + out["next"]))
""", """"""),
    ("2: any hash function to sign", """sign and (hash_id not in HASH_IDS.values() or""", """sign and (not hash_id or"""),
    ("2: a hash function not to sign", """malformed_if(not sign and (hash_id or padding_id))""", """malformed_if(not sign and padding_id)"""),
    ("2: no documents to sign", """not 1 <= count <= 64 if sign""", """count > 64 if sign"""),
    ("2: a salt with PKCS #1 v1.5", """salt_len > 1024 or padding_id != 2 and salt_len or""", """salt_len > 1024 or"""),
    ("2: something after the MAC", """malformed_if(r.b or len(out["signature"]) not in""", """malformed_if(len(out["signature"]) not in"""),
    ("3: any purpose to enroll", '{"enroll": {1}, "sign": {2}, "cancel"', '{"enroll": {1, 2, 3}, "sign": {2}, "cancel"'),
    ("3: any purpose to sign", '{"enroll": {1}, "sign": {2}, "cancel"', '{"enroll": {1}, "sign": {1, 2, 3}, "cancel"'),
    ("3: any purpose to cancel", """"cancel": {2, 3}""", """"cancel": {1, 2, 3}"""),
    ("3: Cancel without the purpose to sign", """"cancel": {2, 3}""", """"cancel": {3}"""),
    ("3: any purpose to report", """"report": {2, 3}}""", """"report": {1, 2, 3}}"""),
    ("3: any purpose to confirm, refresh and change the PIN", """.get(operation, {3})""", """.get(operation, {1, 2, 3})"""),
    ("3: another challenge than the ticket's", """ and challenge[:82] == ticket
""", """
"""),
    ("3: a challenge of anybody's", 'b"tandem v2 challenge" + challenge[:114]) == challenge[114:]', 'b"tandem v2 challenge" + challenge[:114]) != b""'),
    ("1: a challenge of the future", """
                and os2ip(ticket[18:26]) <= now + SKEW)""", """)"""),
    ("1: a millisecond less than a minute ahead", """<= now + SKEW)""", """< now + SKEW)"""),
    ("1: a millisecond more than a minute ahead", """<= now + SKEW)""", """<= now + SKEW + 1)"""),
    ("4: a key without a record", """ self.condition is None or ticket[2:18] != self.key_id:""", """ ticket[2:18] != self.key_id:"""),
    ("6: any MAC", """self.key_id + r["macked"]) != r["mac"]:""", """self.key_id + r["macked"]) == b"":"""),
    ("6: a hardware's signature of anybody's", """self.hardware and not p256_verify(
                self.hardware, hardware_message(self.key_id, r["signed"]), r["signature"]):""", """False:"""),
    ("6: no hardware's signature", """bool(self.hardware) != bool(r["signature"]) or self.hardware and not""", """bool(r["signature"]) > bool(self.hardware) or r["signature"] and not"""),
    ("6: a hardware's signature where the key has none", """bool(self.hardware) != bool(r["signature"]) or""", """bool(self.hardware) > bool(r["signature"]) or"""),
    ("7: a Report destroys nothing", """self.destroyed() if dead else self.destroy(2, now)
        number""", """(6, bytes([2]), True)
        number"""),
    ("7: a Report writes on a destroyed key", """self.destroyed() if dead else self.destroy(2, now)
        number""", """self.destroy(2, now)
        number"""),
    ("8: a request that was settled is looked at like any other", """if (number, named) == (last, last_hash): """, """if False: """),
    ("8: the fate of another request of this number", """if (number, named) == (last, last_hash): """, """if number == last: """),
    ("8: of a Cancel its own hash", """number, named = r["number"], r["next"] if cancel else h""", """number, named = r["number"], h"""),
    ("8: wrong as if it were new", """            return 4, verdict, verdict[1] == 0
""", """            return 4, bytes([2, 8]) + bytes(8), False
"""),
    ("8: wrong, and no challenge of a key that it destroyed", """return 4, verdict, verdict[1] == 0""", """return 4, verdict, False"""),
    ("8: wrong is destroyed on a destroyed key", """        if fate == WRONG:
""", """        if fate == WRONG and self.condition == "destroyed":
            return self.destroyed()
        if fate == WRONG:
"""),
    ("8: cancelled is destroyed on a destroyed key", """        if fate == CANCELLED:
""", """        if fate == CANCELLED and self.condition == "destroyed":
            return self.destroyed()
        if fate == CANCELLED:
"""),
    ("8: a right Refresh is destroyed on a destroyed key", """        if operation == "refresh":
            return 3, self.right_body([]), False
        if self.condition""", """        if operation == "refresh" and self.condition != "destroyed":
            return 3, self.right_body([]), False
        if self.condition"""),
    ("8: signatures of a destroyed key", """        if self.condition == "destroyed":
            return self.destroyed()
        if operation == "cancel":
""", """        if operation == "cancel" and self.condition == "destroyed":
            return self.destroyed()
        if operation == "cancel":
"""),
    ("8: Cancel of what was right on a destroyed key", """        if self.condition == "destroyed":
            return self.destroyed()
        if operation == "cancel":
            return 3, self.right_body([]), False
        return (3""", """        if operation == "cancel":
            return 3, self.right_body([]), False
        if self.condition == "destroyed":
            return self.destroyed()
        return (3"""),
    ("8: Cancel hears cancelled of what was right", """        if operation == "cancel":
            return 3, self.right_body([]), False
        return (3""", """        if operation == "cancel":
            return 8, b"", False
        return (3"""),
    ("8: signatures for a millisecond less", """now < expires + DAY""", """now < expires + DAY - 1"""),
    ("8: signatures for a millisecond more", """now < expires + DAY""", """now <= expires + DAY"""),
    ("8: signatures until the challenge expires", """now < expires + DAY""", """now < expires"""),
    ("9: no clone by the same number", """        if number == last and (cancel or now < expires) and not dead: ""","""        if False: """),
    ("9: Cancel with an expired challenge", """(cancel or now < expires) and not dead""", """(now < expires) and not dead"""),
    ("9: Cancel is none", """(cancel or now < expires) and not dead""", """(not cancel and now < expires) and not dead"""),
    ("9: an expired challenge is one", """(cancel or now < expires) and not dead""", """not dead"""),
    ("9: at the expiry", """(cancel or now < expires) and not dead""", """(cancel or now <= expires) and not dead"""),
    ("9: on a destroyed key", """(cancel or now < expires) and not dead""", """(cancel or now < expires)"""),
    ("9: not on a key that is pending", """(cancel or now < expires) and not dead""", '(cancel or now < expires) and self.condition == "active"'),
    ("9: a lower number is a clone", """if number == last and (""", """if number <= last and ("""),
    ("10: a number that was used up is a clone", """            return 12, b"", True
        if dead""", """            return self.destroy(2, now)
        if dead"""),
    ("10: a lower number only", """        if number <= last: """, """        if number < last: """),
    ("10: no challenge", """return 12, b"", True""", """return 12, b"", False"""),
    ("10: after 11, destroyed", """        if number <= last: """, """        if number <= last and not dead: """),
    ("11: a destroyed key goes on", """        if dead:                     ""","""        if False:                     """),
    ("11: expired before destroyed", """        if dead:                     ""","""        if expires <= now and not cancel:
            return 7, b"", False
        if dead:                     """),
    ("11: no challenge expires", """        if expires <= now and not cancel:
            return 7""", """        if False:
            return 7"""),
    ("11: a challenge expires a millisecond late", """        if expires <= now and not cancel:
            return 7""", """        if expires < now and not cancel:
            return 7"""),
    ("11: a Cancel expires", """        if expires <= now and not cancel:
            return 7""", """        if expires <= now:
            return 7"""),
    ("11: the end of pending before an expired challenge", """        if expires <= now and not cancel:
            return 7""", """        if expires <= now and not cancel and not (self.condition == "pending" and self.pending_end <= now):
            return 7"""),
    ("11: pending ends a millisecond late", """            if self.pending_end <= now:
                return self.destroy""", """            if self.pending_end < now:
                return self.destroy"""),
    ("11: pending ends a millisecond early", """            if self.pending_end <= now:
                return self.destroy""", """            if self.pending_end <= now + 1:
                return self.destroy"""),
    ("11: pending has no end", """            if self.pending_end <= now:
                return self.destroy""", """            if False:
                return self.destroy"""),
    ("11: the end of pending stays in nobody's record", """            if self.pending_end <= now:
                return self.destroy(4, now)""", """            if self.pending_end <= now:
                return self.destroyed(4)"""),
    ("11: a key that is pending signs", """            if operation != "confirm":
                return 9""", """            if False:
                return 9"""),
    ("11: no Cancel while pending", """        if self.condition == "pending" and not cancel:""", """        if self.condition == "pending":"""),
    ("11: a clone before unconfirmed", """            if operation != "confirm":
                return 9""", """            if operation != "confirm" and r["chain"] == self.chain:
                return 9"""),
    ("12: any number that is larger", """if number != last + 1 or r["chain"] != self.chain or""", """if r["chain"] != self.chain or"""),
    ("12: any chain", """ or r["chain"] != self.chain or""", """ or"""),
    ("12: any token", """ or sha256(r["token"]) != self.current: """, """: """),
    ("12: not of a Cancel", """        if number != last + 1 or""", """        if not cancel and (number != last + 1) or not cancel and"""),
    ("12: not of a Refresh", """        if number != last + 1 or""", """        if operation != "refresh" and (number != last + 1) or operation != "refresh" and"""),
    ("12: not of a confirmation", """        if number != last + 1 or""", """        if operation != "confirm" and (number != last + 1) or operation != "confirm" and"""),
    ("12: not before 14", """        if number != last + 1 or""", """        if operation == "sign" and r["challenge"][82:114] != binding(r["hash"], r["padding"], [d for d, _, _ in r["documents"]]):
            return 10, b"", False
        if number != last + 1 or"""),
    ("12: not before 15, the lock", """        if number != last + 1 or""", """        if not cancel and attempt(DEFAULT_POLICY, self.counter, now, False)[0]["verdict"] == "locked":
            return 5, i2osp(attempt(DEFAULT_POLICY, self.counter, now, False)[0]["lockedUntil"], 8), False
        if number != last + 1 or"""),
    ("12: not before 15, the range", """        if number != last + 1 or""", """        if outcome(self.signatures, r)[1]:
            return 10, b"", False
        if number != last + 1 or"""),
    ("13: a Cancel that settles nothing", """            return self.settle(number, named, CANCELLED, (8, b"", False))""", """            return 8, b"", False"""),
    ("13: a Refresh that keeps the token", """        if operation == "refresh":
            self.current = r["next"]
""", """        if operation == "refresh":
"""),
    ("13: a lock stops a Refresh", """        if operation == "refresh":
            self.current""", """        if operation == "refresh" and attempt(DEFAULT_POLICY, self.counter, now, False)[0]["verdict"] == "locked":
            return 5, i2osp(attempt(DEFAULT_POLICY, self.counter, now, False)[0]["lockedUntil"], 8), False
        if operation == "refresh":
            self.current"""),
    ("14: a challenge for any digests", """        if operation == "sign" and r["challenge"][82:114] != binding(r["hash"], r["padding"], digests):""", """        if False:"""),
    ("14: the digests in any order", """!= binding(r["hash"], r["padding"], digests):""", """not in (binding(r["hash"], r["padding"], digests), binding(r["hash"], r["padding"], digests[1:] + digests[:1])):"""),
    ("14: not before 15, the lock", """        if operation == "sign" and r["challenge"][82:114] != binding(r["hash"], r["padding"], digests):""", """        if operation == "sign" and attempt(DEFAULT_POLICY, self.counter, now, False)[0]["verdict"] != "locked" and r["challenge"][82:114] != binding(r["hash"], r["padding"], digests):"""),
    ("15: no lock", """        if step["verdict"] == "locked":
            return 5""", """        if False:
            return 5"""),
    ("15: the range before the lock", """        if step["verdict"] == "locked":
            return 5""", """        if step["verdict"] == "locked" and not outcome(self.signatures, r)[1]:
            return 5"""),
    ("15: y out of range is a wrong PIN", """            if reject and reject["stage"] != "check-partial":
                raise Refused("rejected", "")
""", """"""),
    ("15: y of any length", """    refuse_if(len(y_enc) != k1 or not""", """    refuse_if(not"""),
    ("15: y = 1", """not 1 < y < n1 - 1, "parse""", """not 0 < y < n1 - 1, "parse"""),
    ("15: y = n1-1", """not 1 < y < n1 - 1, "parse""", """not 1 < y < n1, "parse"""),
    ("15: a salt of any length", """    refuse_if(len(salt) > em_len - h_len - 2, "encode", "ErrMessage")
    h =""", """    salt = salt[:em_len - h_len - 2]
    h ="""),
    ("15: the first y decides", """        right = None not in signatures
""", """        right = signatures[0] is not None
        signatures = [s or bytes(width(self.n)) for s in signatures]
"""),
    ("15: the last y decides", """        right = None not in signatures
""", """        right = signatures[-1] is not None
        signatures = [s or bytes(width(self.n)) for s in signatures]
"""),
    ("15: one right y is enough", """        right = None not in signatures
""", """        right = any(signatures)
        signatures = [s or bytes(width(self.n)) for s in signatures]
"""),
    ("15: nothing is looked at after a wrong y", """            out.append(i2osp(s[2], width(self.n)) if s else None)
""", """            out.append(i2osp(s[2], width(self.n)) if s else None)
            if not s:
                break
"""),
    ("15: a wrong y outweighs a later one out of range", """            if reject and reject["stage"] != "check-partial":
""", """            if reject and reject["stage"] != "check-partial" and None not in out:
"""),
    ("15: the range of the last y only", """            if reject and reject["stage"] != "check-partial":
""", """            if reject and reject["stage"] != "check-partial" and (digest, salt, y) == r["documents"][-1]:
"""),
    ("16: each document counts", """        step, self.counter = attempt(DEFAULT_POLICY, self.counter, now, right)                                      # 16
""", """        for _ in signatures:
            step, self.counter = attempt(DEFAULT_POLICY, self.counter, now, right)
"""),
    ("16: nothing counts", """        step, self.counter = attempt(DEFAULT_POLICY, self.counter, now, right)                                      # 16
""", """        step, _ = attempt(DEFAULT_POLICY, self.counter, now, right)
"""),
    ("17: the number stays", """        self.last, self.chain = (number, h, fate, verdict), chain""", """        self.last, self.chain = (self.last[0], h, fate, verdict), chain"""),
    ("17: the verdict is not kept", """        self.last, self.chain = (number, h, fate, verdict), chain""", """        self.last, self.chain = (number, h, fate, NO_VERDICT), chain"""),
    ("17: the chain stays", """        self.last, self.chain = (number, h, fate, verdict), chain_after(self.chain, h, fate)""", """        self.last = (number, h, fate, verdict)"""),
    ("17: the chain without the fate", """        self.last, self.chain = (number, h, fate, verdict), chain_after(self.chain, h, fate)""", """        self.last, self.chain = (number, h, fate, verdict), chain_after(self.chain, h, RIGHT)"""),
    ("17: the token stays", '            self.current, self.condition = r["next"], "active"', '            self.condition = "active"'),
    ("17: a wrong PIN changes the token", """        gone = self.counter[2] == FOREVER
""", """        gone, self.current = self.counter[2] == FOREVER, r["next"]
"""),
    ("17: a confirmed key stays pending", '            self.current, self.condition = r["next"], "active"', """            self.current = r["next"]"""),
    ("17: the ninth wrong PIN destroys nothing", """        if gone:
            self.condition, self.reason = "destroyed", 1
""", """"""),
    ("17: no event", """        self.last, self.chain = (number, h, fate, verdict), chain_after(self.chain, h, fate)
        self.event_number += 1
""", """        self.last, self.chain = (number, h, fate, verdict), chain_after(self.chain, h, fate)
"""),
    ("clone: the counter begins anew", """"destroyed", reason, (wrong, at, FOREVER)""", """"destroyed", reason, (0, at, FOREVER)"""),
    ("clone: no lock", """"destroyed", reason, (wrong, at, FOREVER)""", """"destroyed", reason, self.counter"""),
    ("clone: no event", """FOREVER)
        self.event_number += 1
        return self.destroyed()""", """FOREVER)
        return self.destroyed()"""),
    ("enrolment 3: any hardware's signature", """        if r["hardware"] and not p256_verify(r["hardware"], hardware_message(key_id""", """        if False and not p256_verify(r["hardware"], hardware_message(key_id"""),
    ("enrolment 3: any challenge", """        if not self.challenge_ok(r["challenge"], "enroll", ticket): ""","""        if False: """),
    ("enrolment 4: another request under the same key id", """            if h != self.enrolment:
                return None
""", """"""),
    ("enrolment 4: enrolled, and the key is destroyed", """                return None
            if self.condition == "destroyed":
                return self.destroyed()
""", """                return None
"""),
    ("enrolment 4: enrolled, and the time is over", """return self.destroyed(4) if self.condition == "pending" and self.pending_end <= now else self.enrolled()""", """return self.enrolled()"""),
    ("enrolment 4: over a millisecond late", """"pending" and self.pending_end <= now else""", """"pending" and self.pending_end < now else"""),
    ("enrolment 4: the time is over, and it is written", """return self.destroyed(4) if self.condition == "pending" and self.pending_end <= now else""", """return self.destroy(4, now) if self.condition == "pending" and self.pending_end <= now else"""),
    ("enrolment 5: at the expiry", """        if os2ip(r["challenge"][26:34]) <= now: ""","""        if os2ip(r["challenge"][26:34]) < now: """),
    ("enrolment 5: before the expiry", """        if os2ip(r["challenge"][26:34]) <= now: ""","""        if os2ip(r["challenge"][26:34]) <= now + 1: """),
    ("enrolment 6: any share", """        if outcome(parse_server_share, r["share"])[1]: ""","""        if False: """),
    ("enrolment 7: an n1 that is enrolled", """        if key_id != self.key_id:           # 7""", """        if False:           # 7"""),
    ("enrolment 12: another reason", """            return 2, b"\\2", False""", """            return 2, b"\\1", False"""),
]

DOCUMENT_STEPS = [  # the same for the rules of key documents, in docs/protocol.md, section 3
    ("any length from 1289 on", """    no(len(b) != 1289)""", """    no(len(b) < 1289)"""),
    ("any version", """    no(signed[0] != 2)
""", """"""),
    ("any signature", """    no(not ed25519_verify(authority, KEY_DOCUMENT + signed, signature))
""", """"""),
    ("signed with or without the text before it", """    no(not ed25519_verify(authority, KEY_DOCUMENT + signed, signature))""",
     """    no(not any(ed25519_verify(authority, label + signed, signature) for label in (KEY_DOCUMENT, b"")))"""),
    ("S of any size", """KEY_DOCUMENT + signed, signature))""",
     """KEY_DOCUMENT + signed, signature[:32] + (int.from_bytes(signature[32:], "little") % L25519).to_bytes(32, "little")))"""),
    ("any bytes for an ML-KEM key", """    no(max(byte_decode(key[:1152], 12, 768)) >= Q) """, """    pass"""),
    ("an older serial", """    no(serial < used)
""", """"""),
    ("a serial one lower", """    no(serial < used)""", """    no(serial + 1 < used)"""),
    ("no serial twice", """    no(serial < used)""", """    no(serial <= used)"""),
    ("the serial is little-endian", """    serial, key = os2ip(signed[1:9])""", """    serial, key = int.from_bytes(signed[1:9], "little")"""),
    ("the serial has a sign", """    serial, key = os2ip(signed[1:9])""", """    serial, key = int.from_bytes(signed[1:9], "big", signed=True)"""),
    ("the serial has 4 bytes", """    serial, key = os2ip(signed[1:9])""", """    serial, key = os2ip(signed[1:5])"""),
]


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


class Found(BaseException):
    """The first problem; no handler of check.py stops it."""


def found(source, name, doc, primitives):
    """Whether a changed check.py finds a problem in a file."""
    changed = types.ModuleType("changed")
    changed.__file__ = check.__file__
    exec(compile(source, "check.py, changed", "exec"), changed.__dict__)
    changed.__dict__.update(primitives)

    def fail(self, field, text):
        raise Found

    changed.File.fail = fail
    try:
        changed.File(name, doc).run()
    except Found:
        return True
    return False


def steps(name, rows):
    """Every change in rows, which the file of this name must show; returns how many were not found."""
    with open(check.__file__, encoding="utf-8") as f:
        source = f.read()
    upper, marker, lower = source.partition("\n# ---- Primitives")
    # What is not changed is computed once, and for all changes.
    names = re.findall(r"^def (\w+)", lower, re.M) + ["make_key", "learn_keys", "NAMED"]
    primitives = {n: getattr(check, n) for n in names if n not in ("self_test", "p256_add", "ed25519_add")}
    primitives |= {n: lru_cache(None)(getattr(check, n)) for n in ("gcm_seal", "gcm_open")}
    check.Key.power = lru_cache(None)(check.Key.power)
    doc, missed = check.load(os.path.join(check.HERE, name + ".json")), 0
    if found(source, name, doc, primitives):
        print(f"{name}.json does not agree with check.py as it is")
        return len(rows)
    for what, *edits in rows:
        changed = upper
        for old, new in zip(edits[::2], edits[1::2], strict=True):
            if changed.count(old) != 1:
                print(f"step {what}: check.py has this {changed.count(old)} times: {old!r}")
            changed = changed.replace(old, new) if changed.count(old) == 1 else ""
        if changed and found(changed + marker + lower, name, doc, primitives):
            continue
        print(f"NOT FOUND: step {what}")
        missed += 1
    return missed


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
    unseen = 0
    for name, rows in (("transcript", STEPS), ("key_document", DOCUMENT_STEPS)):
        start, missed = time.process_time(), steps(name, rows)
        print(f"{len(rows) - missed} of {len(rows)} changed steps found by {name}.json ({time.process_time() - start:.0f} s)", flush=True)
        unseen += missed
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
    return 1 if missed or unseen else 0


if __name__ == "__main__":
    sys.exit(main())

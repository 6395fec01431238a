package main

const (
	inSplitkey = "./splitkey"
	inPinlock  = "./pinlock"
	inProtocol = "./protocol"

	completes = "TestVectorsComplete"
	splits    = "TestVectorsSplit"
	encodes   = "TestVectorsEncode"
	partials  = "TestVectorsPartial"
	lockboxes = "TestVectorsLockbox"
	limits    = "TestVectorsLimiter"
	pins      = "TestVectorsWeakPINs"
)

var mutants = []mutant{
	// The server's checks of a partial signature, and completion.
	{"skip the check of s1", "splitkey/complete.go", "if ct.RightOrWrong(right) == 0 {", "if ct.RightOrWrong(right) == 2 {", inSplitkey, completes},
	{"compare only the first byte of s1^e", "splitkey/complete.go", "right = subtle.ConstantTimeCompare(z, m1)", "right = subtle.ConstantTimeByteEq(z[0], m1[0])", inSplitkey, completes},
	{"accept y = n1", "splitkey/complete.go", "lessConstantTime(y, predecessor(p.n))", "(1 ^ lessConstantTime(p.n, y))", inSplitkey, completes},
	{"accept y = n1-1", "splitkey/complete.go", "lessConstantTime(y, predecessor(p.n))", "lessConstantTime(y, p.n)", inSplitkey, completes},
	{"accept y = 1", "splitkey/complete.go", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 1)", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 0)", inSplitkey, completes},
	{"accept y = 0", "splitkey/complete.go", "&^small) == 1", "&^(small&0)) == 1", inSplitkey, completes},
	{"refuse y = 2", "splitkey/complete.go", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 1)", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 2)", inSplitkey, completes},
	{"tell a wrong y from a wrong PIN", "splitkey/complete.go", "clear(s1)\n\t\treturn nil, ErrPartial", "clear(s1)\n\t\tif partial[0] == 0 {\n\t\t\treturn nil, ErrMalformedPartial\n\t\t}\n\t\treturn nil, ErrPartial", inSplitkey, completes},
	{"forget the second summand of an additive share", "splitkey/complete.go", "if c.share.sharing == Multiplicative {", "if c.share.sharing != 0 {", inSplitkey, completes},
	{"complete a message for another key", "splitkey/complete.go", "if m.e != c.final.E || !bytes.Equal(m.n, c.final.N.Bytes()) {", "if m.e != c.final.E {", inSplitkey, completes},
	{"skip the check of the server key's answer", "splitkey/complete.go", "if err := c.ownPub.verifyExponentiation(m2, s2); err != nil {", "if err := c.ownPub.verifyExponentiation(m2, s2); false && err != nil {", inSplitkey, completes},
	{"swap s1 and s2 in the composition", "splitkey/complete.go", "h, err := n2.Sub(s2, n2.Reduce(ch.s1()))", "h, err := n2.Sub(n2.Reduce(ch.s1()), s2)", inSplitkey, completes},
	{"compose keys of different exponents", "splitkey/complete.go", "if ownPub.e != share.pub.e {", "if ownPub.e == 0 {", inSplitkey, completes},
	{"finish what another completer checked", "splitkey/complete.go", " || ch.completer != c {", " {", inSplitkey, "TestPartialRefused"},
	{"trust a precomputed value", "splitkey/complete.go", "product, err := ownPub.mod.Mul(n1, n1Inv); err != nil || !bytes.Equal(product, one)", "product, err := ownPub.mod.Mul(n1, n1Inv); err != nil || len(product) != len(one)", inSplitkey, "TestRestoreCompleter"},

	// The device.
	{"drop the 1 of 2x+1", "splitkey/internal/deal/deal.go", "carry := byte(1)", "carry := byte(0)", inSplitkey, partials},
	{"drop the uppermost bit of 2x+1", "splitkey/internal/deal/deal.go", "dc[0] = carry", "dc[0] = 0", inSplitkey, partials},
	{"take x for 2x+1", "splitkey/partial.go", "if c.sharing == Multiplicative {", "if c.sharing == 0 {", inSplitkey, partials},
	{"sign for a key with another exponent", "splitkey/partial.go", "if uint(m.e) != p.e || !bytes", "if !bytes", inSplitkey, partials},
	{"sign for a key without n1", "splitkey/partial.go", "!bytes.Equal(p.mod.Reduce(m.n), make([]byte, p.mod.Size()))", "bytes.Equal(m.n, nil)", inSplitkey, partials},
	{"accept a share that is too long", "splitkey/share.go", "if len(x) != p.mod.Size()+blindingBytes {", "if len(x) < p.mod.Size()+blindingBytes {", inSplitkey, partials},
	{"accept a share that is too short", "splitkey/share.go", "if len(x) != p.mod.Size()+blindingBytes {", "if len(x) > p.mod.Size()+blindingBytes {", inSplitkey, partials},
	{"7 bytes more than n1 in place of 8", "splitkey/share.go", "const blindingBytes = 8", "const blindingBytes = 7", inSplitkey, partials},

	// Keys and the dealer.
	{"accept an even modulus", "splitkey/publickey.go", "if pub.N.Bit(0) == 0 {", "if pub.N.Sign() == 0 {", inSplitkey, encodes},
	{"accept e = 1", "splitkey/publickey.go", "if pub.E < 3 || pub.E&1 == 0", "if pub.E < 1 || pub.E&1 == 0", inSplitkey, encodes},
	{"accept an even e", "splitkey/publickey.go", "if pub.E < 3 || pub.E&1 == 0 ||", "if pub.E < 3 ||", inSplitkey, encodes},
	{"accept a modulus of any number of bits", "splitkey/publickey.go", "if p.mod.BitLen()%8 != 0 {", "if p.mod.BitLen() == 0 {", inSplitkey, partials},
	{"split ordinary primes", "splitkey/generate.go", "if s == Multiplicative && !(prime.IsLSafeVarTime(p) && prime.IsLSafeVarTime(q)) {", "if s == Multiplicative && !prime.IsLSafeVarTime(p) && !prime.IsLSafeVarTime(q) {", inSplitkey, splits + "/split_multiplicative_2048"},
	{"call p = 1 mod 4 l-safe", "splitkey/internal/prime/prime.go", "return len(p) > 0 && p[len(p)-1]&3 == 3 && !sieveFor", "return len(p) > 0 && p[len(p)-1]&1 == 1 && !sieveFor", inSplitkey, splits + "/split_multiplicative_2048"},
	{"call a factor 65537 l-safe", "splitkey/internal/prime/sieve.go", "const Bound = 65537", "const Bound = 65521", inSplitkey, splits + "/split_multiplicative_2048"},
	{"call a factor 65539 not l-safe", "splitkey/internal/prime/sieve.go", "const Bound = 65537", "const Bound = 65539", inSplitkey, splits + "/split_multiplicative_2048"},
	{"split a key that is inconsistent", "splitkey/generate.go", "if err := key.Validate(); err != nil {", "if err := key.Validate(); false && err != nil {", inSplitkey, splits + "/split_additive_2048"},
	{"split a key with a short factor", "splitkey/generate.go", "if least := pub.mod.BitLen() / 4;", "if least := pub.mod.BitLen() / 8;", inSplitkey, splits + "/split_additive_2048"},
	{"reduce the server's share modulo phi", "splitkey/internal/modexp/dealing.go", "if b.DivShortVarTime(g.Bits()[0]) != 0 {", "if b.DivShortVarTime(1) != 0 {", inSplitkey, splits + "/split_additive_2048"},
	{"allow p-1 and q-1 a large common divisor", "splitkey/internal/modexp/dealing.go", "if g.BitLenVarTime() > 32 {", "if g.BitLenVarTime() > 64 {", inSplitkey, splits + "/split_additive_2048"},
	{"subtract d from x", "splitkey/internal/deal/deal.go", "return modexp.SubModEven(priv, reduced, lambda), nil", "return modexp.SubModEven(reduced, priv, lambda), nil", inSplitkey, splits + "/split_additive_2048"},
	{"accept d_s = 0", "splitkey/share.go", "&^zero) == 0", "&^(zero&0)) == 0", inSplitkey, splits + "/split_additive_2048"},
	{"accept d_s = n1", "splitkey/share.go", "lessConstantTime(d, p.n)", "(1 ^ lessConstantTime(p.n, d))", inSplitkey, splits + "/split_additive_2048"},
	{"read a share with bytes after its end", "splitkey/encoding.go", " || !in.Empty() {", " {", inSplitkey, splits + "/split_additive_2048"},
	{"read a share of another version", "splitkey/encoding.go", "if version != serverShareVersion {", "if version == 0 {", inSplitkey, splits + "/split_additive_2048"},

	// Encoding.
	{"leave the upper bits of EM", "splitkey/internal/emsa/emsa.go", "em[0] &= 0xff >> (8*emLen - emBits)", "em[0] &= 0xff", inSplitkey, encodes},
	{"another trailer of PSS", "splitkey/internal/emsa/emsa.go", "em[emLen-1] = 0xbc", "em[emLen-1] = 0xcc", inSplitkey, encodes},
	{"count bits of PSS from the modulus", "splitkey/message.go", "m.em, err = emsa.PSS(h, digest, salt, pub.N.BitLen()-1)", "m.em, err = emsa.PSS(h, digest, salt, pub.N.BitLen())", inSplitkey, encodes},
	{"accept a salt that is a byte too long", "splitkey/internal/emsa/emsa.go", "if emLen < f.size+len(salt)+2 {", "if emLen < f.size+len(salt)+1 {", inSplitkey, encodes},
	{"accept a digest of another length", "splitkey/internal/emsa/emsa.go", "if len(digest) != f.size {", "if len(digest) > f.size {", inSplitkey, encodes},
	{"leave out the NULL of DigestInfo", "splitkey/internal/emsa/emsa.go", "info = append(info, 0x05, 0x00, 0x04, byte(f.size))", "info = append(info, 0x04, byte(f.size))", inSplitkey, encodes},
	{"give SHA3-512 the number of SHA3-384", "splitkey/internal/emsa/emsa.go", "size: 64, oid: nist(10)", "size: 64, oid: nist(9)", inSplitkey, encodes},
	{"sign SHA-1", "splitkey/internal/emsa/emsa.go", "if !ok || f.legacy && !legacy {", "if !ok {", inSplitkey, encodes},

	// The lockbox.
	{"lock an odd exponent in place of x", "pinlock/lockbox.go", "xorKeyStream(c.ct, pin, c.salt, p)\n\treturn", "c.ct[len(c.ct)-1] |= 1\n\txorKeyStream(c.ct, pin, c.salt, p)\n\treturn", inPinlock, "TestLock|TestNoCandidate|TestSignThrough"},
	{"a check byte under the PIN", "pinlock/lockbox.go", "return splitkey.NewClientShare(c.publicKey(), c.sharing, x)", "if x[0] == 0 {\n\t\treturn nil, ErrLockbox\n\t}\n\treturn splitkey.NewClientShare(c.publicKey(), c.sharing, x)", inPinlock, lockboxes},
	{"refuse weak PINs when a lockbox is opened", "pinlock/lockbox.go", "if !validPIN(pin) {", "if CheckPIN(pin) != nil {", inPinlock, lockboxes},
	{"reuse a salt", "pinlock/lockbox.go", "\trand.Read(c.salt[:])\n", "\t_ = rand.Reader\n", inPinlock, "TestLockDrawsSalt"},
	{"drop leading zeros of a PIN", "pinlock/params.go", "key := argon2.IDKey(ct.KDFInput(pin), salt[:]", "for len(pin) > 4 && pin[0] == '0' {\n\t\tpin = pin[1:]\n\t}\n\tkey := argon2.IDKey(ct.KDFInput(pin), salt[:]", inPinlock, lockboxes},
	{"Argon2i in place of Argon2id", "pinlock/params.go", "argon2.IDKey(", "argon2.Key(", inPinlock, lockboxes},
	{"ignore the limit of memory", "pinlock/params.go", "p.Time > limit.Time || p.MemoryKiB > limit.MemoryKiB ||", "p.Time > limit.Time ||", inPinlock, "TestVectorsLockboxMalformed"},
	{"ignore the limit of passes", "pinlock/params.go", "p.Time > limit.Time || p.MemoryKiB", "p.MemoryKiB", inPinlock, "TestUnlockLimit"},
	{"accept no passes", "pinlock/params.go", "case p.Time < 1:", "case p.Time < 0:", inPinlock, "TestVectorsLockboxMalformed"},
	{"skip the checksum of a lockbox", "pinlock/encoding.go", "!bytes.Equal(sum[:], want) {", "len(sum) != len(want) {", inPinlock, "TestVectorsLockboxMalformed"},
	{"read a lockbox with bytes after its end", "pinlock/encoding.go", "!in.ReadUint16LengthPrefixed(&ct) || !in.Empty() {", "!in.ReadUint16LengthPrefixed(&ct) {", inPinlock, "TestVectorsLockboxMalformed"},
	{"read a lockbox of another version", "pinlock/encoding.go", "if version != lockboxVersion {", "if version == 0 {", inPinlock, "TestVectorsLockboxMalformed"},
	{"PINs of three digits", "pinlock/pin.go", "minPINLen = 4", "minPINLen = 3", inPinlock, pins},
	{"PINs of thirteen digits", "pinlock/pin.go", "maxPINLen = 12", "maxPINLen = 13", inPinlock, pins},
	{"a colon in a PIN", "pinlock/pin.go", "subtle.ConstantTimeLessOrEq(int(b), '9')", "subtle.ConstantTimeLessOrEq(int(b), ':')", inPinlock, pins},
	{"years until 2038", "pinlock/weakpin.go", "between(1940, value(d), 2039)", "between(1940, value(d), 2038)", inPinlock, pins},
	{"no 29 February", "pinlock/weakpin.go", "last := 31 - thirty - 2*eq(month, 2)", "last := 31 - thirty - 3*eq(month, 2)", inPinlock, pins},
	{"no 9 above 0 in a run", "pinlock/weakpin.go", "return s + 10&(s>>31)", "return s", inPinlock, pins},

	// The limiter.
	{"lock one wrong PIN late", "pinlock/policy.go", "if end += r.Tries; wrong < end {", "if end += r.Tries; wrong <= end {", inPinlock, limits},
	{"a round more", "pinlock/policy.go", "} else if wrong == end && r.Lock != Forever {", "} else if r.Lock != Forever {", inPinlock, limits},
	{"forget a clock that went back", "pinlock/policy.go", "case at < s.at:", "case at < 0:", inPinlock, limits},
	{"restart no lock that had run out", "pinlock/policy.go", "s.at, s.lock = at, lock\n", "s.lock = lock\n", inPinlock, limits},
	{"a lock of a millisecond more", "pinlock/policy.go", "case at < s.at+lock:", "case at <= s.at+lock:", inPinlock, limits},
	{"a lock of a millisecond less", "pinlock/policy.go", "case at < s.at+lock:", "case at < s.at+lock-1:", inPinlock, limits},
	{"shorten a lock by a change of policy", "pinlock/policy.go", "lock := max(s.lock, p.lockAfter(int(s.wrong)))", "lock := p.lockAfter(int(s.wrong))", inPinlock, limits},
	{"ignore a stricter policy", "pinlock/policy.go", "lock := max(s.lock, p.lockAfter(int(s.wrong)))", "lock := s.lock", inPinlock, limits},
	{"keep the count after a right PIN", "pinlock/policy.go", "return State{at: at}, nil", "return State{wrong: s.wrong, at: at}, nil", inPinlock, limits},
	{"count nothing", "pinlock/policy.go", "wrong := int(s.wrong) + 1", "wrong := max(int(s.wrong), 1)", inPinlock, limits},
	{"count while locked", "pinlock/policy.go", "s, err := p.Admit(s, now)\n\tif err != nil {\n\t\treturn s, err\n\t}\n\tat, err", "s, err := p.Admit(s, now)\n\tif err != nil && o == Right {\n\t\treturn s, err\n\t}\n\tat, err", inPinlock, limits},
	{"a policy without an end", "pinlock/policy.go", "case last != (r.Lock == Forever):", "case !last && r.Lock == Forever:", inPinlock, limits},
	{"read a state of another version", "pinlock/state.go", "if b[0] != stateVersion {", "if b[0] == 0 {", inPinlock, limits},
	{"answer before the write", "pinlock/update.go", "err = store.Swap(ctx, id, version, next)\n", "go store.Swap(ctx, id, version, next)\n\t\terr = nil\n", inPinlock, "TestAttempt|TestStoreDown|TestOneWrite|TestLosesToLock"},
	{"answer though the write failed", "pinlock/update.go", "if !errors.Is(err, ErrConflict) {\n\t\t\treturn nil, fmt.Errorf", "if !errors.Is(err, ErrConflict) {\n\t\t\treturn verdict, nil\n\t\t}\n\t\tif false {\n\t\t\treturn nil, fmt.Errorf", inPinlock, "TestStoreDown"},
	{"answer a locked key's right PIN after a conflict", "pinlock/limiter.go", "next, verdict := l.policy.Next(s, outcome, time.Now())", "next, verdict := l.policy.Next(State{}, outcome, time.Now())", inPinlock, "TestLosesToLock|TestAttempt|TestOneWrite"},

	// The protocol.
	{"the last bytes of the digest as the code", "protocol/verification.go", "binary.BigEndian.Uint16(sum[sha256.Size-2:])", "binary.BigEndian.Uint16(append(sum[:0:0], digest...)[len(digest)-2:])", inProtocol, "TestVectorsVerificationCode"},
	{"the first bytes of the hash as the code", "protocol/verification.go", "sum[sha256.Size-2:]", "sum[:2]", inProtocol, "TestVectorsVerificationCode"},
	{"a code without leading zeros", "protocol/verification.go", `fmt.Sprintf("%04d", n)`, `fmt.Sprintf("%d", n)`, inProtocol, "TestVectorsVerificationCode"},
	{"skip the request's MAC", "protocol/request.go", "return hmac.Equal(a.mac[:], deviceMAC(key, id, a.body))", "return len(a.mac) == len(deviceMAC(key, id, a.body))", inProtocol, "TestStranger"},
	{"forget clones", "protocol/serverattempt.go", "if !t.holdsToken(rec.current) {", "if len(t.tokens) == 0 {", inProtocol, "TestClone$|TestCloneByRefresh"},
	{"take an expired challenge", "protocol/serverattempt.go", "case t.challenge.expires <= at:", "case t.challenge.expires < 0:", inProtocol, "TestRetry|TestChallengeIsChecked|TestReplay"},
	{"take a challenge for another digest", "protocol/challenge.go", "return hmac.Equal(c.raw[challengeBody:], k.mac(c.raw[:challengeBody], binding))", "return hmac.Equal(c.raw[challengeBody:], k.mac(c.raw[:challengeBody], binding)) || len(binding) > 0", inProtocol, "TestChallengeIsChecked"},
	{"count a retry again", "protocol/serverattempt.go", "if before := rec.ring.find(t.request); before != nil {", "if before := rec.ring.find(t.request); before != nil && before.fate == fateGivenUp {", inProtocol, "TestRetry|TestSameSignatureTwice"},
	{"give tries back without a new token", "protocol/serverattempt.go", "if t.holdsToken(t.next) {", "if len(t.tokens) == 0 {", inProtocol, "TestThiefDropsAnswers"},
	{"forget what a challenge alone calls dead", "protocol/deviceexchange.go", "if must || mayLive(g.expires, now) {", "if must {", inProtocol, "TestForgedChallengesForgetNothing"},
	{"forget a settled request as soon as its challenge is over", "protocol/ring.go", "if s.expires > now-clockSkew.Milliseconds() {", "if s.expires > now {", inProtocol, "TestRingOutlastsChallenge"},
	{"move the record's time back", "protocol/serverattempt.go", "return max(t.now, rec.latest), nil", "return t.now, nil", inProtocol, "TestLockDoesNotRestart"},
	{"learn of a confirmation only from its own answer", "protocol/deviceexchange.go", "if a.code == codeRight { //", "if a.code == codeRight && p.op == OpConfirm { //", inProtocol, "TestConfirmedUnheard"},
	{"accept an enrolment that was refused", "protocol/serverenroll.go", "s.expire(ctx, *owner, e.challenge.issued)", "s.expire(ctx, *owner, now)", inProtocol, "TestRefusedEnrolmentStaysRefused"},
	{"say nothing where the store says nothing", "protocol/serverattempt.go", "s.auditUnknown(ctx, e.keyID, t.events...)", "_ = t.events", inProtocol, "TestAuditUnknown"},
	{"make an old signature anew for ever", "protocol/serverattempt.go", "case t.op != OpRefresh && t.now >= before.expires+answerLife.Milliseconds():", "case t.now < 0:", inProtocol, "TestAnswerIsNotMadeForever"},
	{"keep the old token", "protocol/serverattempt.go", "entry.fate = fateRight\n\t\trec.current = t.next", "entry.fate = fateRight", inProtocol, "TestClone$"},
}

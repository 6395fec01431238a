package exploretest

// A fault is a change of the product that must be found. In new, PLANTED stands for the
// switch that turns it on; the old text is in the file exactly once. All are compiled at
// once (faults_test.go).
type fault struct {
	name     string
	file     string
	old, new string
	scope    Scope // in which it is found

	// also is a second change of the same file, for what is checked twice.
	also [2]string
}

const (
	decide   = "protocol/server/decide.go"
	exchange = "protocol/device/exchange.go"
)

// The scopes of the planted faults are no larger than they need.
var (
	alone    = Scope{Name: "alone", Kinds: []Op{Sign, SignWrong}, Nodes: 1, Faults: true, Races: true, Window: 2}
	keeping  = Scope{Name: "keeping", Kinds: []Op{Refresh, ChangePIN, SignWrong}, Nodes: 1, Faults: true, Revoke: true, Window: 1}
	timed    = Scope{Name: "timed", Kinds: []Op{Sign, SignWrong}, Nodes: 3, Issuers: 2, Moves: everyMove, Window: 1}
	robbed   = Scope{Name: "robbed", Kinds: []Op{Sign, SignWrong, Refresh}, Nodes: 1, Copies: 1, Tries: 2, Window: 1, Operations: 2}
	rolled   = Scope{Name: "rolled", Kinds: []Op{Refresh}, Nodes: 2, Rollout: true, Window: 1, Operations: 2}
	enrolled = Scope{Name: "enrolled", Kinds: []Op{Enroll, Confirm, ConfirmWrong, Sign}, Nodes: 1, Enrolment: true, Moves: lateMoves, Window: 1, Operations: 3}
)

// none is for faults of one change.
var none [2]string

var faults = []fault{
	// The server counts, and answers.
	{"answer before the count is stored", "protocol/server/update.go", "\tif err != nil {\n\t\treturn decision{}, err\n\t}\n\ts.happened(",
		"\tif err != nil && !(PLANTED && d.answer != nil) {\n\t\treturn decision{}, err\n\t}\n\ts.happened(", alone, none},
	{"make signatures before the count is stored", decide, "\treturn t.count(ctx, rec) // 15 to 17\n",
		"\td, err := t.count(ctx, rec)\n\tif PLANTED && err == nil && d.sign {\n\t\tt.finish(ctx, d.answer)\n\t}\n\treturn d, err\n", alone, none},
	{"count nothing", "protocol/server/pin.go", "\t\trec.counter = counter\n\t\tif counter.Destroyed() {", "\t\tif !PLANTED {\n\t\t\trec.counter = counter\n\t\t}\n\t\tif counter.Destroyed() {", alone, none},
	{"a right PIN leaves the counter", "protocol/server/pin.go", "rec.condition, rec.counter, rec.unheard = Active, counter, false",
		"if PLANTED {\n\t\tcounter = rec.counter\n\t}\n\trec.condition, rec.counter, rec.unheard = Active, counter, false", alone, none},
	{"take a conflict for success", "pinlock/limiter/update.go", "if err = store.Swap(ctx, id, version, next); err == nil {",
		"if err = store.Swap(ctx, id, version, next); err == nil || PLANTED && errors.Is(err, ErrConflict) {", alone, none},
	{"give the device what the service did not take", "protocol/server/finish.go", "if err := s.config.Signed(ctx, t.signed(signatures)); err != nil {",
		"if err := s.config.Signed(ctx, t.signed(signatures)); err != nil && !PLANTED {", alone, none},
	{"a Refresh clears the counter", decide, "case r.Op == protocol.OpRefresh: // 13\n",
		"case r.Op == protocol.OpRefresh: // 13\n\t\tif PLANTED {\n\t\t\trec.counter = limiter.Counter{}\n\t\t}\n", keeping, none},

	// Retries.
	{"a retry is a clone", decide, "subject == rec.last.request: // 8", "subject == rec.last.request && !PLANTED: // 8", alone, none},
	{"a wrong PIN is looked at again", decide, "case last.fate == wire.FateWrong:", "case last.fate == wire.FateWrong && !PLANTED:", alone, none},
	{"an old request is a clone", decide, "case r.Number <= rec.last.number: // 10", "case r.Number <= rec.last.number && !PLANTED: // 10", alone, none},
	{"remember the Cancel, not what it cancelled", decide, "request: r.Subject(t.hash), fate: f,",
		"request: map[bool]wire.Hash{false: r.Subject(t.hash), true: t.hash}[PLANTED], fate: f,", alone, none},
	{"a Cancel that is not stored", decide, "event: e, write: true}", "event: e, write: !PLANTED || f != wire.FateCancelled}", alone, none},
	{"signatures for ever", decide, "case t.now >= t.request.Challenge.Expires+answerLife.Milliseconds():",
		"case t.now >= t.request.Challenge.Expires+answerLife.Milliseconds() && !PLANTED:", timed, none},
	{"signatures of a destroyed key", decide, "\tcase rec.condition == Destroyed:\n", "\tcase rec.condition == Destroyed && !PLANTED:\n", keeping, none},

	// The chain of requests.
	{"a chain that does not move", decide, "\trec.chain = wire.NextChain(rec.chain, rec.last.request, f)\n",
		"\tif !PLANTED {\n\t\trec.chain = wire.NextChain(rec.chain, rec.last.request, f)\n\t}\n", alone, none},
	{"a token that is not replaced", decide, "\t\trec.commitment = r.Target\n", "\t\tif !PLANTED {\n\t\t\trec.commitment = r.Target\n\t\t}\n", alone, none},
	{"a wrong PIN replaces the token", decide, "\tif f == wire.FateRight {\n", "\tif f == wire.FateRight || PLANTED && f == wire.FateWrong {\n", alone, none},
	{"a token is used twice", decide, "!holds(r.Token, rec.commitment)):", "!holds(r.Token, rec.commitment) && !PLANTED):", robbed, none},
	{"numbers are left out", decide, "(r.Number != rec.last.number+1 ", "(r.Number != rec.last.number+1 && !PLANTED ", robbed, none},
	{"another chain", decide, "r.Chain != rec.chain ", "r.Chain != rec.chain && !PLANTED ", robbed, none},
	{"two requests of one number", decide, "&& live && !dead: // 9", "&& live && !dead && !PLANTED: // 9", robbed, none},
	{"a chain without fates", "protocol/internal/wire/request.go", "\tsum.Write([]byte{byte(f)})\n", "\tif !PLANTED {\n\t\tsum.Write([]byte{byte(f)})\n\t}\n", robbed, none},
	{"a Report that is not heard", decide, "case r.Op == protocol.OpReport: // 7", "case r.Op == protocol.OpReport && !PLANTED: // 7", robbed, none},

	// Challenges and time.
	{"an expired challenge", decide, "case !live: // 11", "case !live && !PLANTED: // 11", timed, none},
	{"a challenge that lives as it expires", decide, "|| r.Challenge.Expires > t.now\n", "|| r.Challenge.Expires > t.now || PLANTED && r.Challenge.Expires == t.now\n", timed, none},
	{"a challenge of the future", "protocol/server/challenge.go", "if t.Issued() > now+clockSkew.Milliseconds() {", "if t.Issued() > now+clockSkew.Milliseconds() && !PLANTED {", timed, none},
	{"anybody's challenge", "protocol/server/challenge.go", "|| !s.challenges.Authentic(c) {", "|| !s.challenges.Authentic(c) && !PLANTED {", rolled,
		[2]string{"if !s.challenges.AuthenticTicket(t) {", "if !s.challenges.AuthenticTicket(t) && !PLANTED {"}},
	{"a key that is confirmed too late", decide, "case rec.over(t.now) &&", "case rec.over(t.now) && !PLANTED &&", enrolled, none},
	{"a key that is not confirmed", decide, "case rec.condition == Pending && r.Op", "case rec.condition == Pending && !PLANTED && r.Op", enrolled, none},

	// The device.
	{"send before it is saved", "protocol/device/begin.go", "\tif err := d.saveUnsent(ctx, s, &before); err != nil {", "\tif PLANTED {\n\t} else if err := d.saveUnsent(ctx, s, &before); err != nil {", alone, none},
	{"a Cancel without the mark", "protocol/device/cancel.go", "\t\tp.cancel = true\n\t\tif err := d.save(s); err != nil {",
		"\t\tp.cancel = true\n\t\tif PLANTED {\n\t\t} else if err := d.save(s); err != nil {", alone, none},
	{"cancelled, and nobody asked for it", exchange, "case a.Code == wire.CodeCancelled && p.cancel:", "case a.Code == wire.CodeCancelled && (p.cancel || PLANTED):", robbed, none},
	{"keep the old token", exchange, "\t\tk.token = p.next\n", "\t\tif !PLANTED {\n\t\t\tk.token = p.next\n\t\t}\n", alone, none},
	{"a device's chain that does not move", exchange, "\tk.chain = wire.NextChain(k.chain, p.hash(), f)\n", "\tif !PLANTED {\n\t\tk.chain = wire.NextChain(k.chain, p.hash(), f)\n\t}\n", alone, none},
	{"a number twice", exchange, "\tk.number++\n", "\tif !PLANTED {\n\t\tk.number++\n\t}\n", alone, none},
	{"forget what was not answered", exchange, "p.responseKey())\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\tif a.Code == wire.CodeRight {",
		"p.responseKey())\n\tif err != nil {\n\t\tif PLANTED {\n\t\t\ts.pending = nil\n\t\t\t_ = d.save(s)\n\t\t}\n\t\treturn nil, err\n\t}\n\tif a.Code == wire.CodeRight {", alone, none},
	{"leave pending what was not looked at", exchange, "\t\treturn nil, d.drop(ctx, s, outcome(a))\n",
		"\t\tif PLANTED {\n\t\t\treturn nil, outcome(a)\n\t\t}\n\t\treturn nil, d.drop(ctx, s, outcome(a))\n", timed, none},
	{"act on an answer that asks to wait", exchange, "\tif a.Code == wire.CodeLater {\n", "\tif a.Code == wire.CodeLater && !PLANTED {\n", alone, none},
	{"make room without a Cancel", "protocol/device/operate.go", "\terr := d.cancel(ctx, s, c)\n", "\tif PLANTED {\n\t\ts.pending = nil\n\t\treturn nil\n\t}\n\terr := d.cancel(ctx, s, c)\n", alone, none},
	{"forget what is pending", "protocol/device/operate.go", "if !s.pending.cancel && c.Issued < s.pending.challenge.Expires {",
		"if !s.pending.cancel && c.Issued < s.pending.challenge.Expires && !PLANTED {", alone, none},
	{"a new lockbox before the answer", "protocol/device/begin.go", "\tif o.newPIN == nil {\n",
		"\tif PLANTED && o.newPIN != nil {\n\t\tk.lockbox, _ = d.lock(share, o.newPIN)\n\t\t_ = d.save(s)\n\t}\n\tif o.newPIN == nil {\n", keeping, none},
	{"say that the PIN was changed", exchange, "case p.op == protocol.OpChangePIN && onRight == nil:", "case p.op == protocol.OpChangePIN && onRight == nil && !PLANTED:", keeping, none},
	{"believe any signature", exchange, "\t\tif err := m.Verify(signatures[i]); err != nil {", "\t\tif err := m.Verify(signatures[i]); err != nil && !PLANTED {", robbed, none},
	{"dead on anybody's word", "protocol/device/state.go", "\tif dead {\n", "\tif dead || PLANTED {\n", robbed, none},
	{"no key document", "protocol/device/keydocument.go", "\ts.serial, s.hpkeKey = serial, hpkeKey\n", "\ts.serial = serial\n\tif !PLANTED {\n\t\ts.hpkeKey = hpkeKey\n\t}\n", rolled, none},
}

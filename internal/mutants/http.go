package main

// httpMutants are faults of what a server tells of itself, and of HTTP on both ends.
var httpMutants = []mutant{
	// What the observer is told.
	{"show an observer the store's ids", "protocol/server/observed.go", `called(s.o, observe.Store, "load", began, err)`, `called(s.o, observe.Store, "load "+id, began, err)`, inServer, "TestObserverSeesNoID"},
	{"show an observer the texts of errors", "protocol/server/observed.go", `h.Outcome, h.Cause = "refused", causeOf(err)`, `h.Outcome, h.Cause = "refused", err.Error()`, inServer, "TestObserverSeesNoID|TestObservedCauses"},
	{"tell an observer of a retry as of a new fact", "protocol/server/update.go", "s.happened(d.event, stored)", "s.happened(event{kind: signedEvent, documents: 1}, stored)", inServer, "TestObserver$"},
	{"tell an observer of no enrolment", "protocol/server/enroll.go", "\t\ts.happened(rec.events[0], rec)\n", "", inServer, "TestObserver$"},
	{"tell an observer why nothing was destroyed", "protocol/server/observed.go", "\t\t\tf.Reason = e.reason\n", "\t\t\tf.Reason = protocol.ReasonPIN\n", inServer, "TestObserver$"},
	{"call a lost race a failure", "protocol/server/observed.go", "case part == observe.Store && errors.Is(err, limiter.ErrConflict):", "case false:", inServer, "TestObservedCauses"},
	{"no time of a request", "protocol/server/server.go", "o.Handled(w.handled(err, time.Since(began)))", "o.Handled(w.handled(err, 0*time.Since(began)))", inServer, "TestObserver$"},
	{"call a wrong MAC malformed", "protocol/server/observed.go", "case errors.Is(err, errMAC):", "case false:", inServer, "TestObservedCauses"},
	{"say that the store failed for an unknown key", "protocol/server/observed.go", "case errors.Is(err, ErrUnknownKey):", "case false:", inServer, "TestObservedCauses"},
	{"count no use of a server key", "protocol/server/finish.go", `called(o, observe.Keys, "finish", began, err)`, "_, _, _ = o, began, observe.Keys", inServer, "TestObserver$"},
	{"say nothing of how full a record is", "protocol/server/log.go", "o.Undelivered(waiting)", "_ = waiting", inServer, "TestObserverHearsOfASinkThatIsDown"},
	{"count the events that were delivered as waiting", "protocol/server/events.go", "s.undelivered(ctx, told, err, len(r.events)-i)", "s.undelivered(ctx, told, err, maxEvents)", inServer, "TestObserverHearsOfASinkThatIsDown"},
	{"a nil for an observer", "protocol/server/config.go", "case c.Observer != nil && isnil.Value(c.Observer):", "case false:", inServer, "TestObserverOff"},

	// Health.
	{"ask the store alone", "protocol/server/ping.go", "\tparts.Go(func() { e.Sealer = pingSealer(ctx, s.config.Sealer) })\n", "", inServer, "TestPing$"},
	{"ask no source of server keys", "protocol/server/ping.go", "\tparts.Go(func() { e.Keys = pingKeys(ctx, s.config.Keys) })\n", "", inServer, "TestPing$"},
	{"ask no store", "protocol/server/ping.go", "\tparts.Go(func() { e.Store = pingStore(ctx, s.config.Store) })\n", "", inServer, "TestPing$"},
	{"well if the store is", "protocol/server/ping.go", "if e.Store == nil && e.Sealer == nil && e.Keys == nil {", "if e.Store == nil {", inServer, "TestPing$"},
	{"an observer hides the store's own Ping", "protocol/server/ping.go", "func (s observedStore) Ping(ctx context.Context) error  { return pingStore(ctx, s.Store) }", "func (s observedStore) Ping(ctx context.Context) error  { return nil }", inServer, "TestPing$"},
	{"believe what a sealer opens", "protocol/server/ping.go", "if err == nil && !bytes.Equal(opened, text) {", "if err == nil && len(opened) == len(text)+1 && !bytes.Equal(opened, text) {", inServer, "TestPing$"},
	{"a token that is pinged from memory", "hsm/serverkeys.go", `return s.check(h, key.aes.name, []attributeCheck{{pkcs11.CKA_UNWRAP, "CKA_UNWRAP", true}})`, "_, _ = h, pkcs11.CKA_UNWRAP\n\t\treturn nil", "./hsm", "TestPing"},

	// The log.
	{"say nothing of strangers", "protocol/server/log.go", `s.config.Log, slog.LevelInfo, "request refused", cause)`, `s.config.Log, slog.LevelDebug, "request refused", cause)`, inServer, "TestRefusalsAreLogged|TestOwnFaultsAreLogged"},
	{"strangers hide failures", "protocol/server/log.go", "s.lines.strangers.log(", "s.lines.refused.log(", inServer, "TestRefusalsAreLogged"},
	{"a line for each stranger", "protocol/server/log.go", "s.lines.strangers.log(", "new(throttle).log(", inServer, "TestRefusalsAreLogged"},
	{"no id of a request", "protocol/server/log.go", `if id := observe.RequestID(ctx); id != "" {`, `if id := observe.RequestID(ctx); id == "none" {`, inServer, "TestRefusalsAreLogged"},
}

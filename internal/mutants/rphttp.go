package main

const (
	inRPHTTP = "./service/rp/rphttp"
	inTestID = "./service/testidentities"
)

// The relying-party API over HTTP, and the persons who answer it by themselves.
var rphttpMutants = []mutant{
	// rphttp: where a path leads.
	{"rphttp: a doubled slash leads nowhere", "service/rp/rphttp/route.go", "		if s != \"\" {\n			out = append(out, s)\n		}\n", "		out = append(out, s)\n", inRPHTTP, "TestEveryEndpoint"},
	{"rphttp: an escaped slash makes two of one", "service/rp/rphttp/route.go", `ok && strings.Count(at, "/") == fixed-1`, "ok", inRPHTTP, "TestPaths"},
	{"rphttp: identifiers with their escapes", "service/rp/rphttp/route.go", "if segments[i], err = url.PathUnescape(s); err != nil {", "if _, err = url.PathUnescape(s); err != nil || i < 0 {", inRPHTTP, "TestEveryEndpoint"},
	{"rphttp: any base", "service/rp/rphttp/route.go", "segments[0] != b", `segments[0] == "" && b != ""`, inRPHTTP, "TestPaths"},
	{"rphttp: any method", "service/rp/rphttp/handler.go", "case r.Method != c.method:", `case r.Method == "GET" && c.method != "GET":`, inRPHTTP, "TestPaths"},
	{"rphttp: another method without the right one", "service/rp/rphttp/handler.go", `header.Set("Allow", c.method)`, `_ = c.method`, inRPHTTP, "TestPaths"},
	{"rphttp: a session of another version", "service/rp/rphttp/status.go", "case s.Request.Version != c.version:", "case s.Request.Version == 0:", inRPHTTP, "TestEveryEndpoint"},
	{"rphttp: a retired version", "service/rp/rphttp/handler.go", "case slices.Contains(h.options.Retired, c.version):", "case slices.Contains(h.options.Retired, c.version) && c.parse == nil:", inRPHTTP, "TestMaintenance"},
	{"rphttp: begin under maintenance", "service/rp/rphttp/handler.go", "case h.maintenance.Load():", "case h.maintenance.Load() && c.version == rp.V1:", inRPHTTP, "TestMaintenance"},
	{"rphttp: no end under maintenance", "service/rp/rphttp/handler.go", "case c.parse == nil:", "case c.parse == nil && !h.maintenance.Load():", inRPHTTP, "TestMaintenance"},

	// rphttp: bodies.
	{"rphttp: bodies of any length", "service/rp/rphttp/body.go", "io.LimitReader(r.Body, strictjson.MaxBytes+1)", "r.Body", inRPHTTP, "TestLongBodies"},
	{"rphttp: read a long body first", "service/rp/rphttp/body.go", "case r.ContentLength > strictjson.MaxBytes:", "case r.ContentLength > 1<<30:", inRPHTTP, "TestLongBodies"},
	{"rphttp: a body that never comes", "service/rp/rphttp/body.go", "SetReadDeadline(time.Now().Add(h.options.ReadTimeout))", "SetReadDeadline(time.Now().Add(time.Hour))", inRPHTTP, "TestSlowBody"},
	{"rphttp: wait for the rest of a refused body", "service/rp/rphttp/handler.go", `header.Set("Connection", "close")`, `_ = "close"`, inRPHTTP, "TestLongBodies"},
	{"rphttp: forms of browsers", "service/rp/rphttp/body.go", "err != nil || kind != jsonType || ok", `err != nil || kind == "" || ok`, inRPHTTP, "TestContentType"},
	{"rphttp: another charset", "service/rp/rphttp/body.go", `ok && !strings.EqualFold(charset, "utf-8")`, `ok && strings.EqualFold(charset, "")`, inRPHTTP, "TestContentType"},
	{"rphttp: compressed bodies", "service/rp/rphttp/body.go", `r.Header.Get("Content-Encoding") != ""`, `r.Header.Get("Content-Encoding") == "br"`, inRPHTTP, "TestContentType"},

	// rphttp: limits.
	{"rphttp: one bucket for all sources", "service/rp/rphttp/limit.go", "due, known := l.due[source]", "source = netip.Prefix{}\n	due, known := l.due[source]", inRPHTTP, "TestLimiter$|TestRate"},
	{"rphttp: a burst without an end", "service/rp/rphttp/limit.go", "if due.Sub(now) > l.ahead {", "if due.Sub(now) > 1000*l.ahead {", inRPHTTP, "TestLimiter$|TestRate"},
	{"rphttp: a burst of days", "service/rp/rphttp/options.go", "o.BurstPerSource > 3600*o.RatePerSource", "o.BurstPerSource < 0", inRPHTTP, "TestNewHandlerRefuses"},
	{"rphttp: silence saves up", "service/rp/rphttp/limit.go", "	if due.Before(now) {\n		due = now\n	}\n", "	if due.IsZero() {\n		due = now\n	}\n", inRPHTTP, "TestLimiter$"},
	{"rphttp: never forget a source", "service/rp/rphttp/limit.go", "delete(l.due, source)", "_ = source", inRPHTTP, "TestLimiterForgets"},
	{"rphttp: remember every source", "service/rp/rphttp/limit.go", "!known && len(l.due) >= maxSources && !l.sweep(now)", "!known && len(l.due) >= maxSources && !l.sweep(now) && l.every == 0", inRPHTTP, "TestLimiterForgets"},
	{"rphttp: each address of a customer for itself", "service/rp/rphttp/limit.go", "bits = 64", "bits = 128", inRPHTTP, "TestNetwork|TestRate"},
	{"rphttp: parse before the rate", "service/rp/rphttp/handler.go", "case !h.sources.allow(c.from, time.Now()):", "case !h.sources.allow(c.from, time.Now()) && c.parse == nil:", inRPHTTP, "TestRate"},
	{"rphttp: any number at work", "service/rp/rphttp/handler.go", "	default:\n		return answer{}, busy()\n", "	default:\n", inRPHTTP, "TestConcurrent"},
	{"rphttp: a place at work that is never left", "service/rp/rphttp/handler.go", "defer func() { <-h.working }()", "_ = h.working", inRPHTTP, "TestConcurrent"},
	{"rphttp: any number of waiters", "service/rp/rphttp/limit.go", "case w.all >= w.most:", "case w.all < 0:", inRPHTTP, "TestWaiters"},
	{"rphttp: one source has all places", "service/rp/rphttp/limit.go", "case w.of[source] >= w.mostOfOne:", "case w.of[source] < 0:", inRPHTTP, "TestWaiters"},
	{"rphttp: a waiter who never leaves", "service/rp/rphttp/limit.go", "	w.all--\n", "", inRPHTTP, "TestWaiters"},
	{"rphttp: come back at once", "service/rp/rphttp/handler.go", `header.Set("Retry-After", retryAfter)`, "_ = retryAfter", inRPHTTP, "TestWaiters|TestRate"},

	// rphttp: waits.
	{"rphttp: wait through a shutdown", "service/rp/rphttp/status.go", "defer context.AfterFunc(h.draining, cancel)()", "_ = h.draining", inRPHTTP, "TestDrain"},
	{"rphttp: a shutdown is an error", "service/rp/rphttp/status.go", "s, err = h.engine.Status(ctx, id, 0, c.source)", "_ = s", inRPHTTP, "TestDrain"},
	{"rphttp: wait for a client who has gone", "service/rp/rphttp/status.go", "context.WithCancel(ctx)", "context.WithCancel(context.WithoutCancel(ctx))", inRPHTTP, "TestClientGone"},
	{"rphttp: wait as long as by default", "service/rp/rphttp/status.go", `r.URL.Query().Get("timeoutMs")`, `""`, inRPHTTP, "TestTimeoutMs|TestLongPoll"},

	// rphttp: who asks.
	{"rphttp: believe any X-Forwarded-For", "service/rp/rphttp/source.go", "	if !h.trusted(peer) {\n		return peer, false\n	}\n", "", inRPHTTP, "TestAddress"},
	{"rphttp: believe what the client wrote", "service/rp/rphttp/source.go", "for i := len(hops) - 1; i >= 0 && h.trusted(a); i-- {", "for i := len(hops) - 1; i >= 0; i-- {", inRPHTTP, "TestAddress"},
	{"rphttp: go on behind what is no address", "service/rp/rphttp/source.go", "		if !ok {\n			break\n		}\n		a = next", "		if !ok {\n			continue\n		}\n		a = next", inRPHTTP, "TestAddress"},
	{"rphttp: anybody names requests", "service/rp/rphttp/source.go", "if byProxy && h.options.RequestIDHeader", "if h.options.RequestIDHeader", inRPHTTP, "TestAddress"},
	{"rphttp: any name of a request", "service/rp/rphttp/source.go", "return len(id) >= 1 && len(id) <= 64 && strings.Trim(id, allowed) == \"\"", "return len(id) >= 1 && len(id) <= 65", inRPHTTP, "TestRequestID"},
	{"rphttp: a token of another scheme", "service/rp/rphttp/source.go", `ok && strings.EqualFold(scheme, "Bearer")`, "ok && scheme != \"\"", inRPHTTP, "TestToken"},
	{"rphttp: no certificate of the client", "service/rp/rphttp/source.go", "s.Certificate = r.TLS.PeerCertificates[0]", "_ = r.TLS", inRPHTTP, "TestClientCertificate"},

	// rphttp: what leaves.
	{"rphttp: version 3 in the form of version 2", "service/rp/rphttp/handler.go", "	if c.version == rp.V3 {\n		status, body := rpv3.Problem(err)", "	if c.version == 0 {\n		status, body := rpv3.Problem(err)", inRPHTTP, "TestProblems"},
	{"rphttp: an answer that caches keep", "service/rp/rphttp/handler.go", `header.Set("Cache-Control", "no-store")`, `header.Set("Cache-Control", "private")`, inRPHTTP, "TestEveryEndpoint"},
	{"rphttp: paths in the log", "service/rp/rphttp/handler.go", `slog.String("endpoint", c.pattern)`, `slog.String("endpoint", r.URL.Path)`, inRPHTTP, "TestLog"},
	{"rphttp: problems in the log", "service/rp/rphttp/handler.go", "err != nil && !errors.As(err, &p) && status != clientGone", "err != nil && (p == nil || errors.As(err, &p)) && status != clientGone", inRPHTTP, "TestLog|TestProblems"},
	{"rphttp: strangers' words in the log", "service/rp/rphttp/handler.go", `	return "other"`, "	return m", inRPHTTP, "TestLog"},

	// testidentities.
	{"testidentities: in production", "service/testidentities/open.go", `c.IssuingCA == nil || !strings.HasPrefix(c.IssuingCA.Subject.CommonName, testName)`, "c.IssuingCA == nil", inTestID, "TestProduction"},
	{"testidentities: by another CA than the configuration says", "service/testidentities/open.go", "if !strings.HasPrefix(c.Issuer.CommonName, testName) {", `if c.Issuer.CommonName == "" {`, inTestID, "TestProduction"},
	{"testidentities: another account at each start", "service/testidentities/open.go", "	if err == nil {\n		return string(text), nil\n	}\n", "	_ = text\n", inTestID, "TestOpenAgain"},
	{"testidentities: all phones from one source", "service/testidentities/open.go", "label, filepath.Base(folder))", "label, filepath.Base(t.config.Folder))", inTestID, "TestOutcomes"},
	{"testidentities: give up at the first try", "service/testidentities/phone.go", "n < tries", "n < 0", inTestID, "TestUnanswered"},
	{"testidentities: forget what was not answered", "service/testidentities/phone.go", "errors.Is(err, device.ErrPending)", "errors.Is(err, device.ErrCarriedOut)", inTestID, "TestUnanswered"},
	{"testidentities: call any host", "service/testidentities/mock.go", "u.User == nil && slices.Contains(t.config.CallbackHosts, u.Host)", "u.User == nil", inTestID, "TestDeviceLinksRefused"},
	{"testidentities: call the session's host unasked", "service/testidentities/mock.go", "case !t.mayCall(f.callback):", "case !t.mayCall(f.callback) && l.callback != \"\":", inTestID, "TestDeviceLinksRefused"},
	{"testidentities: follow redirects", "service/testidentities/open.go", "client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }", "", inTestID, "TestDeviceLinks$"},
	{"testidentities: a cookie of several lines", "service/testidentities/mock.go", "r < ' ' || r > '~'", "r > '~'", inTestID, "TestDeviceLinksRefused"},
	{"testidentities: come back as if signed", "service/testidentities/phone.go", `f.callback = acsp.CallbackURL(c.Callback, c.SecretDigest, "")`, "f.callback = acsp.CallbackURL(c.Callback, c.SecretDigest, verifier)", inTestID, "TestDeviceLinks$"},
	{"testidentities: the right code of three", "service/testidentities/phone.go", "return other != code", "return other == code", inTestID, "TestOutcomes"},
	{"testidentities: a code that nobody shows", "service/testidentities/watch.go", "return protocol.VerificationCode(r.Digest)", `return "0000"`, inTestID, "TestOutcomes"},
	{"testidentities: a phone that shows other screens", "service/testidentities/identities.go", "case RefusesCodes:\n\t\treturn []rp.InteractionType{rp.VerificationCodeChoice}", "case RefusesCodes:\n\t\treturn []rp.InteractionType{rp.VerificationCodeChoice, rp.DisplayTextAndPIN}", inTestID, "TestOutcomes"},
	{"testidentities: sign with the key for logins", "service/testidentities/phone.go", "\t\tkey = 1\n", "\t\tkey = 0\n", inTestID, "TestOutcomes"},
}

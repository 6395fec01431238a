package main

// httpMutants are faults of what a server tells of itself, and of HTTP on both ends.
var httpMutants = []mutant{
	// What the observer is told.
	{"show an observer the store's ids", "protocol/server/observed.go", `called(s.o, observe.Store, "load", began, err)`, `called(s.o, observe.Store, "load "+id, began, err)`, inServer, "TestObserverSeesNoID"},
	{"show an observer the texts of errors", "protocol/server/observed.go", `h.Outcome, h.Cause = "refused", causeOf(err)`, `h.Outcome, h.Cause = "refused", err.Error()`, inServer, "TestObserverSeesNoID|TestObservedCauses"},
	{"tell an observer of a retry as of a new fact", "protocol/server/update.go", "s.happened(d.event, d.record)", "s.happened(event{kind: signedEvent, documents: 1}, d.record)", inServer, "TestObserver$"},
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
	{"a token that is pinged from memory", "hsm/object.go", `return struct{}{}, s.check(h, o.name, list)`, "_, _ = h, list\n\t\treturn struct{}{}, nil", "./hsm", "TestPing"},

	// The log.
	{"say nothing of strangers", "protocol/server/log.go", `s.config.Log, slog.LevelInfo, "request refused", cause)`, `s.config.Log, slog.LevelDebug, "request refused", cause)`, inServer, "TestRefusalsAreLogged|TestOwnFaultsAreLogged"},
	{"strangers hide failures", "protocol/server/log.go", "s.lines.strangers.log(", "s.lines.refused.log(", inServer, "TestRefusalsAreLogged"},
	{"a line for each stranger", "protocol/server/log.go", "s.lines.strangers.log(", "new(throttle).log(", inServer, "TestRefusalsAreLogged"},
	{"no id of a request", "protocol/server/log.go", `if id := observe.RequestID(ctx); id != "" {`, `if id := observe.RequestID(ctx); id == "none" {`, inServer, "TestRefusalsAreLogged"},

	// HTTP, the server's end.
	{"read whatever is sent", "protocol/httphandler/handler.go", "case r.ContentLength > protocol.MaxRequest:", "case false:", inHandler, "TestNothingIsReadOfWhatIsNoRequest|TestStrangersHearOneRefusal"},
	{"read a body of unknown length to its end", "protocol/httphandler/handler.go", "io.ReadAll(io.LimitReader(r.Body, protocol.MaxRequest+1))", "io.ReadAll(r.Body)", inHandler, "TestNothingIsReadOfWhatIsNoRequest"},
	{"read the body of a GET", "protocol/httphandler/handler.go", "case r.Method != http.MethodPost:", "case false:", inHandler, "TestNothingIsReadOfWhatIsNoRequest"},
	{"take any media type", "protocol/httphandler/handler.go", `case r.Header.Get("Content-Type") != mediaType || r`, "case r", inHandler, "TestStrangersHearOneRefusal"},
	{"take what is compressed", "protocol/httphandler/handler.go", ` || r.Header.Get("Content-Encoding") != "":`, ":", inHandler, "TestStrangersHearOneRefusal"},
	{"wait for a body for ever", "protocol/httphandler/handler.go", "SetReadDeadline(time.Now().Add(h.options.ReadTimeout))", "SetReadDeadline(time.Time{})", inHandler, "TestDeadlines"},
	{"wait for a reader for ever", "protocol/httphandler/handler.go", "_ = deadlines.SetWriteDeadline(time.Now().Add(h.options.WriteTimeout))", "_ = time.Now().Add(h.options.WriteTimeout)", inHandler, "TestDeadlines"},
	{"go without deadlines", "protocol/httphandler/handler.go", "\t\treturn nil, \"no deadlines\"\n", "\t\t_ = 0\n", inHandler, "TestNoDeadlines"},
	{"another status for what never reached the server", "protocol/httphandler/handler.go", "\t\t_ = h.server.Refuse(ctx, cause)\n\t\treturn http.StatusForbidden, nil", "\t\t_ = h.server.Refuse(ctx, cause)\n\t\treturn http.StatusBadRequest, nil", inHandler, "TestStrangersHearOneRefusal"},
	{"keep the connection of a stranger whose body was read", "protocol/httphandler/handler.go", "case r.ProtoMajor == 1:", "case r.ProtoMajor == 1 && len(r.Header) > 9:", inHandler, "TestStrangersHearOneRefusal"},
	{"end an HTTP/2 connection for one stranger", "protocol/httphandler/handler.go", "case r.ProtoMajor == 1:", "case r.ProtoMajor >= 1:", inHandler, "TestStrangersOverHTTP2"},
	{"tell strangers the request's id", "protocol/httphandler/handler.go", `header.Set("Cache-Control", "no-store")`, `header.Set("Cache-Control", "no-store")` + "\n\theader.Set(\"X-Request-Id\", observe.RequestID(ctx))", inHandler, "TestStrangersHearOneRefusal"},
	{"say that the store is away", "protocol/httphandler/handler.go", "\tif err != nil {\n\t\treturn http.StatusForbidden, nil\n\t}\n\treturn http.StatusOK", "\tif err != nil {\n\t\treturn http.StatusServiceUnavailable, nil\n\t}\n\treturn http.StatusOK", inHandler, "TestStrangersHearOneRefusal"},
	{"forget the request's context", "protocol/httphandler/handler.go", "h.server.Handle(ctx, request)", "h.server.Handle(context.Background(), request)", inHandler, "TestContext"},
	{"take any number of requests at once", "protocol/httphandler/handler.go", "make(chan struct{}, options.Concurrent)}", "make(chan struct{}, 10*options.Concurrent)}", inHandler, "TestTooManyAtOnce"},
	{"keep the place of a request that is over", "protocol/httphandler/handler.go", "\t\tdefer func() { <-h.working }()\n", "", inHandler, "TestTooManyAtOnce"},
	{"do not say when to come again", "protocol/httphandler/handler.go", `header.Set("Retry-After", retryAfter)`, "_ = retryAfter", inHandler, "TestTooManyAtOnce"},
	{"log whatever a client calls its request", "protocol/httphandler/handler.go", "if h.options.RequestIDHeader != \"\" {\n\t\tif id := r.Header.Get(h.options.RequestIDHeader); plain(id) {", "if true {\n\t\tif id := r.Header.Get(\"X-Request-Id\"); plain(id) {", inHandler, "TestRequestIDs"},
	{"log an id of any characters", "protocol/httphandler/handler.go", "\t\t\treturn false\n", "\t\t\t_ = c\n", inHandler, "TestRequestIDs"},
	{"do not count what never reached the server", "protocol/httphandler/handler.go", "\t\t_ = h.server.Refuse(ctx, cause)\n\t\treturn http.StatusForbidden", "\t\treturn http.StatusForbidden", inHandler, "TestStrangersHearOneRefusal"},

	// HTTP, the phone's end.
	{"follow redirects", "protocol/httptransport/transport.go", "\town.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }\n", "", inTransport, "TestNoRedirect"},
	{"keep cookies", "protocol/httptransport/transport.go", "\town.Jar = nil\n", "", inTransport, "TestNoCookies"},
	{"change the caller's client", "protocol/httptransport/transport.go", "\t\town = *client\n", "\t\tclient.Jar, client.CheckRedirect = nil, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }\n\t\town = *client\n", inTransport, "TestNoRedirect|TestNoCookies"},
	{"a client of its own for everybody", "protocol/httptransport/transport.go", "\t\town = *client\n", "\t\town.Jar = client.Jar\n", inTransport, "TestClientIsUsed"},
	{"take a response of any length", "protocol/httptransport/transport.go", "if len(body) > protocol.MaxResponse {", "if len(body) < 0 {", inTransport, "TestResponses"},
	{"read a response to its end", "protocol/httptransport/transport.go", "io.ReadAll(io.LimitReader(response.Body, protocol.MaxResponse+1))", "io.ReadAll(io.LimitReader(response.Body, 1<<30))", inTransport, "TestResponseIsBounded"},
	{"take a portal's page for a response", "protocol/httptransport/transport.go", "t != mediaType {", `t == "" {`, inTransport, "TestResponses"},
	{"take a response with any status", "protocol/httptransport/transport.go", "if response.StatusCode != http.StatusOK {", "if response.StatusCode >= 400 {", inTransport, "TestResponses|TestNoRedirect"},
	{"send over plain HTTP", "protocol/httptransport/transport.go", `u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname())):`, `u.Scheme != "https" && u.Scheme != "http":`, inTransport, "TestURLs"},
	{"forget the phone's context", "protocol/httptransport/transport.go", "http.NewRequestWithContext(ctx, http", "http.NewRequestWithContext(context.Background(), http", inTransport, "TestContext"},
	{"let net/http send a request twice", "protocol/httptransport/transport.go", `r.Header.Set("Accept", mediaType)`, `r.Header.Set("Accept", mediaType)` + "\n\tr.Header.Set(\"Idempotency-Key\", \"1\")", inTransport, "TestSentOnce"},
	{"wait for as long as a server says", "protocol/httptransport/transport.go", "return min(time.Duration(seconds)*time.Second, maxRetryAfter)", "return time.Duration(seconds) * time.Second", inTransport, "TestResponses"},

	// Prometheus.
	{"show a part that does not answer as up", "service/metrics/metrics.go", "\t\t\tup = 0\n", "\t\t\tup = 1\n", inMetrics, "TestMetrics"},
	{"count the time of what a transport refused", "service/metrics/metrics.go", "if h.Took > 0 {", "if h.Took >= 0 {", inMetrics, "TestMetrics"},
	{"count a list as one signature", "service/metrics/metrics.go", "m.signatures.Add(float64(f.Documents))", "m.signatures.Add(float64(min(f.Documents, 1)))", inMetrics, "TestMetrics"},
	{"do not say why a key was destroyed", "service/metrics/metrics.go", "\t\treason = f.Reason.String()\n", "\t\treason = \"\"\n", inMetrics, "TestMetrics"},
	{"count no refusals", "service/metrics/metrics.go", "m.refused.WithLabelValues(h.Cause).Inc()", "_ = m.refused", inMetrics, "TestMetrics"},
}

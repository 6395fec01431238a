package main

const inPush = "./service/push"

// pushMutants are faults of what wakes phones.
var pushMutants = []mutant{
	{"push: connect to any address", "service/push/web.go", "return newWeb(secret, contact, public)", "return newWeb(secret, contact, netip.Addr.IsValid)", inPush, "TestOwnNetwork"},
	{"push: connect without a look", "service/push/public.go", "if err != nil || !may(at.Addr()) {", "if err != nil || !at.IsValid() {", inPush, "TestOwnNetwork"},
	{"push: an address of IPv4 within IPv6", "service/push/public.go", "if a = a.Unmap(); !a.IsValid()", "if !a.IsValid()", inPush, "TestPublic"},
	{"push: any IPv6 address", "service/push/public.go", " || a.Is6() && !globalUnicast.Contains(a)", "", inPush, "TestPublic"},
	{"push: shared addresses of providers", "service/push/public.go", `"100.64.0.0/10", `, "", inPush, "TestPublic"},
	{"push: an endpoint of any scheme", "service/push/web.go", `case u.Scheme != "https" || `, "case ", inPush, "TestAddress"},
	{"push: an endpoint at any port", "service/push/web.go", ` || u.Port() != "" && u.Port() != "443":`, ":", inPush, "TestAddress"},
	{"push: an endpoint that is an address", "service/push/web.go", "case noName == nil || ", "case noName == nil && u.Host == \"\" || ", inPush, "TestAddress"},
	{"push: follow a push service elsewhere", "service/push/web.go", "return http.ErrUseLastResponse }", "return nil }", inPush, "TestAnswers"},
	{"push: tell the endpoint", "service/push/web.go", "			err = u.Err\n", "			err = u\n", inPush, "TestAnswers"},
	{"push: forget whom a push service puts off", "service/push/web.go", "status == http.StatusNotFound ||", "status >= http.StatusInternalServerError || status == http.StatusNotFound ||", inPush, "TestAnswers"},
	{"push: keep whom nobody knows", "service/push/web.go", " || status == http.StatusGone:", ":", inPush, "TestAnswers"},
	{"push: one salt for all", "service/push/encrypt.go", "	rand.Read(salt)\n	return encryptWith", "	return encryptWith", inPush, "TestWeb"},
	{"push: a token without an end", "service/push/vapid.go", `"exp": now.Add(tokenLife).Unix()`, `"exp": now.Add(3 * tokenLife).Unix()`, inPush, "TestWeb"},
	{"push: short numbers move", "service/push/vapid.go", "copy(out[32-len(r):], r)", "copy(out, r)", inPush, "TestRawSignature"},
	{"push: a key of its own on each node", "service/push/web.go", `"tandem web push 1 "+string([]byte{try})`, `"tandem web push 1 "+time.Now().String()+string([]byte{try})`, inPush, "TestKey"},
	{"push: subscriptions outlive accounts", "service/push/push.go", "	_, err := tx.ExecContext(ctx, \"DELETE FROM push_subscriptions WHERE document = $1\", d.String())\n	return err\n", "	return ctx.Err()\n", inPush, "TestSubscriptions/SQLite"},
	{"push: subscribe for an account that has ended", "service/push/push.go", " AND state IN ('active', 'suspended')\nON", " AND state <> ''\nON", inPush, "TestSubscriptions/SQLite"},
	{"push: remove the one that came after", "service/push/push.go", " WHERE document = $1 AND address = $2\", d.String(), address)", " WHERE document = $1 AND address <> $2\", d.String(), \"\")", inPush, "TestSubscriptions/SQLite"},
	{"push: an address of any length", "service/push/push.go", " || len(address) > maxAddress {", " {", inPush, "TestSubscriptions/SQLite"},
	{"push: wait for room", "service/push/push.go", "	default:\n		p.config.Log.Warn(", "	case <-make(chan int):\n		p.config.Log.Warn(", inPush, "TestBounded"},
	{"push: say whom it is for", "service/push/web.go", "encrypt([]byte(devicewire.Look), ", "encrypt([]byte(devicewire.Look+\" \"+address), ", inPush, "TestWeb"},
	{"sessions: wake whom nobody asks", "service/transactions/begin.go", "if e.wake != nil && begun.Outcome == nil && a.Stage == invited {", "if e.wake != nil {", inTransactions, "TestWake"},
	{"deviceapi: two streams of an account", "service/deviceapi/events.go", "		before.end()\n", "", inDeviceAPI, "TestStreams"},
	{"deviceapi: any number of streams", "service/deviceapi/events.go", "case len(s.open) >= s.most:", "case len(s.open) >= s.most && s.open == nil:", inDeviceAPI, "TestStreams"},
	{"deviceapi: streams outlive the node", "service/deviceapi/events.go", "	defer context.AfterFunc(s.closed, s.end)()\n", "", inDeviceAPI, "TestStreams"},
	{"deviceapi: streams begin while the node ends", "service/deviceapi/events.go", "	if c.closed.Err() != nil {\n", "	if c.closed.Err() != nil && c.streams.most < 0 {\n", inDeviceAPI, "TestStreams"},
	{"deviceapi: streams outlive the account", "service/deviceapi/events.go", "s.config.Accounts.ByToken(s.ctx, s.token); err != nil {", "s.config.Accounts.ByToken(s.ctx, s.token); err != nil && s.token == \"\" {", inDeviceAPI, "TestEvents/SQLite"},
	{"deviceapi: say what there is to see", "service/deviceapi/events.go", "known, say = found.Session, lookEvent", "known, say = found.Session, \"data: \"+found.RelyingParty+\"\\n\\n\"", inDeviceAPI, "TestEvents/SQLite"},
	{"deviceapi: a stream for anybody", "service/deviceapi/handler.go", "{http.MethodGet: {do: (*call).listen}}", "{http.MethodGet: {do: (*call).listen, anybody: true}}", inDeviceAPI, "TestStreams"},
}

package main

const inMobile = "./service/mobile"

// The phone for apps.
var mobileMutants = []mutant{
	{"phone: restore another code", "service/deviceclient/saved.go", "if err := t.accept(toSign); err != nil {", "if err := t.accept(toSign); err != nil && t.phone == nil {", inDeviceClient, "TestRestore"},
	{"phone: resume another transaction", "service/deviceclient/saved.go", "!bytes.Equal(s.Pending.Challenge, t.toSign.Challenge)", "bytes.Equal(s.Pending.Challenge, nil)", inDeviceClient, "TestRestore"},
	{"phone: restore without its verifier", "service/deviceclient/saved.go", ` || s.Verifier == ""`, "", inDeviceClient, "TestRestore"},
	{"mobile: a PIN stays where it was", "service/mobile/session.go", "	defer clear(pin)\n", "", inMobile, "TestScenarios"},
	{"mobile: new PINs stay where they were", "service/mobile/enrol.go", "	defer clear(pin1)\n", "", inMobile, "TestScenarios"},
	{"mobile: a transaction in clear", "service/mobile/session.go", "saveRecord(c.storage, transactionName, data, c.keys.storage.Get())", "saveRecord(c.storage, transactionName, data, nil)", inMobile, "TestSealed"},
	{"mobile: a record in clear, of whoever wrote it", "service/mobile/storage.go", "case data[0] == plainRecord && len(key) == 0:", "case data[0] == plainRecord:", inMobile, "TestSealed"},
	{"mobile: two phones on one storage", "service/mobile/storage.go", "held.LoadOrStore(id, true); taken {", `held.LoadOrStore(id, true); taken && s.name == "" {`, inMobile, "TestOneAtATime"},
	{"mobile: a lock that is not asked for", "service/mobile/storage.go", "	if !ok {\n		return release, nil\n	}\n	unlock, err", "	if !ok || shared != nil {\n		return release, nil\n	}\n	unlock, err", inMobile, "TestLock"},
	{"mobile: sign another transaction than the one shown", "service/mobile/session.go", "case t == nil || t.Session != session:", "case t == nil:", inMobile, "TestScenarios"},
	{"mobile: approve another phone than the one shown", "service/mobile/enrol.go", "if n.Device != device {", `if n.Device == "" {`, inMobile, "TestScenarios"},
	{"mobile: the app's failure as the network's", "service/mobile/outcome.go", "case errors.As(err, &callback):", "case errors.As(err, &callback) && callback.error == nil:", inMobile, "TestStorageFails"},
	{"mobile: a request key that need not sign", "service/mobile/phone.go", "Hardware: keys.hardware, Params", "Params", inMobile, "TestRequestKey"},
}

package main

const (
	inRPClient = "./service/rp/rpclient"
	inWeb      = "./service/web"
	inLogin    = "./service/web/login"
	inBank     = "./service/web/bank"
	inAsice    = "./service/web/bank/asice"
	inSelf     = "./service/web/self"
)

// pageMutants are faults of the pages for browsers, and of the relying party that they
// are.
var pageMutants = []mutant{
	{"rpclient: any chain", "service/rp/rpclient/person.go", "Roots: c.config.Roots,", "Roots: c.config.Intermediates,", inRPClient, "TestLogin"},
	{"rpclient: a certificate that has expired", "service/rp/rpclient/person.go", "CurrentTime: c.config.Clock(),", "", inRPClient, "TestLogin"},
	{"rpclient: a certificate of any use", "service/rp/rpclient/person.go", "certificate.IsCA || certificate.KeyUsage != usage", "certificate.IsCA || usage == 0", inRPClient, "TestSign"},
	{"rpclient: a certificate of another account", "service/rp/rpclient/person.go", "case documentOf(certificate) != document.String():", `case documentOf(certificate) == "":`, inRPClient, "TestLogin"},
	{"rpclient: any policy", "service/rp/rpclient/person.go", "if err != nil || !slices.ContainsFunc(certificate.Policies, oid.Equal) {", "if err != nil || oid.String() == \"\" {", inRPClient, "TestLogin"},
	{"rpclient: any extended use", "service/rp/rpclient/person.go", "o.String() == use", `o.String() != "" || use == ""`, inRPClient, "TestLogin"},
	{"rpclient: a revoked certificate", "service/rp/rpclient/person.go", "if c.config.Revoked != nil {", "if c.config.Revoked != nil && der == nil {", inRPClient, "TestLogin"},
	{"rpclient: a revoked certificate, by OCSP", "service/rp/rpclient/ocsp.go", "case status.Status != ocsp.Good:", "case status.Status == ocsp.Unknown:", inRPClient, "TestLogin"},
	{"rpclient: a lower level", "service/rp/rpclient/person.go", " || document.Level < level {", " || level == 0 {", inRPClient, "TestLogin"},
	{"rpclient: another person", "service/rp/rpclient/login.go", "person.ID != l.Person:", `person.Given == "":`, inRPClient, "TestLogin"},
	{"rpclient: a signature that does not verify", "service/rp/rpclient/login.go", "a.verify(key, loginAlgorithm, digest); err != nil {", "a.verify(key, loginAlgorithm, digest); err != nil && digest == nil {", inRPClient, "TestLogin"},
	{"rpclient: another algorithm", "service/rp/rpclient/person.go", "if s.SignatureAlgorithm != algorithm.Name() ||", `if s.SignatureAlgorithm == "" ||`, inRPClient, "TestLogin"},
	{"rpclient: a callback of anybody's", "service/rp/rpclient/login.go", "if person != nil && !acsp.VerifyCallback(", "if person != nil && l.Secret == \"\" && !acsp.VerifyCallback(", inRPClient, "TestLinks"},
	{"rpclient: a signature of another account", "service/rp/rpclient/signature.go", "case person.Document != s.Document:", `case person.Given == "":`, inRPClient, "TestSign"},

	{"rpv3: a callback by http in production", "service/rp/rpv3/request.go", "!(local && onLoopback(u))", "!onLoopback(u)", inRPv3, "TestLocal"},
	{"rpv3: a trial's callback by http anywhere", "service/rp/rpv3/request.go", "err == nil && a.IsLoopback()", "(err != nil || a.IsValid())", inRPv3, "TestLocal"},

	{"web: forms of other sites", "service/web/frame.go", "if err := f.forgery.Check(r); err != nil {", `if err := f.forgery.Check(r); err != nil && r.Method == "" {`, inWeb, "TestForms"},
	{"web: a body without a limit", "service/web/frame.go", "			r.Body = http.MaxBytesReader(w, r.Body, limit)\n", "", inWeb, "TestForms"},
	{"web: scripts where there are none", "service/web/frame.go", `if v.Script != "" {`, `if v.Script != "x" {`, inWeb, "TestPages"},
	{"web: a language leads to another host", "service/web/language.go", `strings.HasPrefix(to.Path, "//")`, `strings.HasPrefix(to.Path, "///")`, inWeb, "TestLanguage"},
	{"web: a session is replaced twice", "service/web/session.go", "err != nil || n != 1 {", "err != nil || n > 1 {", inWeb, "TestSessions/SQLite"},
	{"web: sessions that have expired are kept", "service/web/session.go", "DELETE FROM web_sessions WHERE expires <= $1", "DELETE FROM web_sessions WHERE expires < $1", inWeb, "TestSessions/SQLite"},
	{"web: scripts read the cookie", "service/web/session.go", "HttpOnly: true, ", "", inWeb, "TestSessions"},
	{"web: each address of a network is a source", "service/web/guard.go", `if a = a.Unmap().WithZone(""); a.Is6() {`, `if a = a.Unmap().WithZone(""); a.Is4() {`, inWeb, "TestGuard"},

	{"login: many enter with one login", "service/web/login/wait.go", "Replace(r.Context(), old, kept{Person: person, At: time.Now()}", `Replace(r.Context(), old[len(old):], kept{Person: person, At: time.Now()}`, inLogin, "TestOneWins"},
	{"login: a way back with any value", "service/web/login/wait.go", `!same(k.Value, q.Get("value"))`, `!same(k.Value, k.Value)`, inLogin, "TestSameDevice"},
	{"login: a person without an account is told apart", "service/web/login/login.go", `return "login.noaccount", nil`, `return "login.badnumber", nil`, inLogin, "TestRefused"},
	{"login: as often as anybody likes", "service/web/login/login.go", `errors.As(err, &later) {` + "\n		return \"login.later\", nil", `errors.As(err, &later) && later == nil {` + "\n		return \"login.later\", nil", inLogin, "TestRefused"},

	{"bank: more than there is", "service/web/bank/transfer.go", "case t.Cents > a.Balance:", "case t.Cents > 100*a.Balance:", inBank, "TestBank"},
	{"bank: what was cancelled is done", "service/web/bank/sign.go", "		a.Signing = nil\n", "", inBank, "TestBank"},
	{"asice: a signature of another file", "service/web/bank/asice/open.go", "	if !ok || rsa.VerifyPKCS1v15(key, crypto.SHA256, s.Digest(), s.Signature) != nil {", "	if !ok || len(s.Signature) == 0 || key == nil || crypto.SHA256.Size() == 0 || rsa.VerifyPKCS1v15 == nil {", inAsice, "TestOpenRefuses"},
	{"asice: XML of any form", "service/web/bank/asice/open.go", "case xml != s.signatures(s.Signature):", `case xml == "":`, inAsice, "TestOpenRefuses"},

	{"self: a lower level ends a higher one", "service/web/self/end.go", "case v.Person.Document.Level < a.Level:", "case a.Level == 0:", inSelf, "TestEndRefused"},
	{"self: ends by an old login", "service/web/self/end.go", "> freshLife:", "> 10*freshLife:", inSelf, "TestFresh"},
	{"self: what may not end ends", "service/web/self/end.go", `if e := s.mayEnd(v, a); e.Problem != "" {`, `if e := s.mayEnd(v, a); e.Problem == "x" {`, inSelf, "TestEndRefused"},
	{"self: a visit outlives its account", "service/web/self/self.go", "return a != nil && a.State == accounts.Active", "return a != nil", inSelf, "TestSelf"},

	{"node: a bank in production", "service/node/config.go", "case c.Production && c.Pages != nil && c.Pages.Bank:", "case c.Production && c.Pages != nil && c.Pages.Bank && c.DB == nil:", inNode, "TestPages"},
	{"node: anybody here is a page", "service/node/pages.go", "TokenHash: sha256.Sum256([]byte(token)), ", "", inNode, "TestPagesParty"},
	{"node: what was disabled comes back", "service/node/pages.go", "want.Disabled = before.Disabled", "want.Disabled = before.Disabled && n == nil", inNode, "TestPagesParty"},
}

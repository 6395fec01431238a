package main

const (
	inIdentity = "./service/identity"
	inCA       = "./service/ca"
	inCATest   = "./service/ca/catest"
)

// What an e-service and its certification authority see.
var serviceMutants = []mutant{
	// identity.
	{"identity: a company is a person", "service/identity/identity.go", `id.Type != "PNO" &&`, `id.Type != "NTR" && id.Type != "PNO" &&`, inIdentity, "TestParseID"},
	{"identity: a country that is none", "service/identity/identity.go", "case !Country(id.Country):", `case id.Country == "":`, inIdentity, "TestParseID"},
	{"identity: a separator in a number", "service/identity/identity.go", "alphanumeric(c) || c == '-' }", "alphanumeric(c) || c == '-' || c == '|' }", inIdentity, "TestParseID"},
	{"identity: a number of any length", "service/identity/identity.go", "len(id.Number) > maxNumber", "len(id.Number) > 1<<20", inIdentity, "TestParseID"},
	{"identity: labels in lower case", "service/identity/identity.go", "alphanumeric(c) && (c < 'a' || c > 'z')", "alphanumeric(c)", inIdentity, "TestParseDocument"},
	{"identity: labels of some characters only", "service/identity/identity.go", "if b[0] < 252 {", "if b[0] < 35 {", inIdentity, "TestNewDocument"},
	{"identity: a name that does not print", "service/identity/person.go", "return !unicode.IsPrint(r) || r == utf8.RuneError", "return unicode.IsControl(r) || r == utf8.RuneError", inIdentity, "TestPerson"},
	{"identity: a comma in a name", "service/identity/person.go", `strings.Contains(name.text, ",")`, `strings.Contains(name.text, ";")`, inIdentity, "TestPerson"},
	{"identity: a name of any length", "service/identity/person.go", "n > MaxName", "n > 100*MaxName", inIdentity, "TestPerson"},

	// ca: what is issued.
	{"ca: a certificate before it is stored", "service/ca/authority.go", "		if !errors.Is(err, ErrExists) {\n			break\n		}\n", "		if !errors.Is(err, ErrExists) {\n			return c, nil\n		}\n", inCA, "TestIssueStoresFirst"},
	{"ca: serial numbers of 64 bits", "service/ca/authority.go", "rand.Read(s[:])", "rand.Read(s[8:])", inCA, "TestIssueStoresFirst"},
	{"ca: a serial number that was given", "service/ca/authority.go", "		if !errors.Is(err, ErrExists) {\n			break\n		}\n", "		return c, nil\n", inCA, "TestIssueStoresFirst"},
	{"ca: a certificate of an account of another", "service/ca/authority.go", "if r.Document.ID != r.Person.ID {", "if r.Document.ID.Country != r.Person.ID.Country {", inCA, "TestIssueRefuses"},
	{"ca: a certificate of nobody", "service/ca/authority.go", "if err := r.Person.Check(); err != nil {", "if err := r.Person.ID.Check(); err != nil {", inCA, "TestIssueRefuses"},
	{"ca: keys with e = 3", "service/ca/authority.go", "case k.E != 65537:", "case k.E%2 == 0:", inCA, "TestIssueRefuses"},
	{"ca: short keys of persons", "service/ca/authority.go", "k.N.BitLen() < a.profile.MinBits", "k.N.BitLen() < 1024", inCA, "TestIssueRefuses"},
	{"ca: certificates that outlive their issuer", "service/ca/authority.go", "if template.NotAfter.After(i.Certificate.NotAfter) {", "if template.NotBefore.After(i.Certificate.NotAfter) {", inCA, "TestClockRollover"},
	{"ca: the compatible profile under any name", "service/ca/authority.go", `case testNames && !strings.HasPrefix(c.Subject.CommonName, "TEST"):`, `case testNames && c.Subject.CommonName == "":`, inCA, "TestNewRefuses"},
	{"ca: a signer of another key", "service/ca/authority.go", "!ok || !p.Equal(c.PublicKey)", "!ok || p == nil", inCA, "TestNewRefuses"},
	{"ca: another order of names", "service/ca/certificate.go", "		attribute{oidSurname, p.Surname, false},\n		attribute{oidGivenName, p.Given, false},\n", "		attribute{oidGivenName, p.Given, false},\n		attribute{oidSurname, p.Surname, false},\n", inCA, "TestProfile"},
	{"ca: a login key that signs documents", "service/ca/certificate.go", "t.KeyUsage, e = x509.KeyUsageDigitalSignature, a.profile.AuthenticationQualified", "t.KeyUsage, e = x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment, a.profile.AuthenticationQualified", inCA, "TestProfile"},
	{"ca: an advanced account with the qualified policy", "service/ca/certificate.go", "t.KeyUsage, e = x509.KeyUsageContentCommitment, a.profile.SignatureAdvanced", "t.KeyUsage, e = x509.KeyUsageContentCommitment, a.profile.SignatureQualified", inCA, "TestProfile"},
	{"ca: claim to be qualified", "service/ca/profile.go", "QCStatements{ESign: true}", "QCStatements{ESign: true, Compliance: true}", inCA, "TestProfile"},
	{"ca: claim a device", "service/ca/certificate.go", "		if q.SSCD {", "		if q.SSCD || q.ESign {", inCA, "TestProfile"},
	{"ca: a birthday at midnight", "service/ca/certificate.go", "born.Day(), 12, 0, 0", "born.Day(), 0, 0, 0", inCA, "TestProfile"},
	{"ca: an issuing CA that makes others", "service/ca/root.go", "t.MaxPathLenZero = true", "t.MaxPathLenZero = false", inCA, "TestCertificatesOfCAs"},
	{"ca: an issuing CA that outlives its root", "service/ca/root.go", "if t.NotAfter.After(root.NotAfter) {", "if t.NotAfter.Before(root.NotBefore) {", inCA, "TestClockEndOfRoot"},

	// ca: what is taken back.
	{"ca: revoke by number alone", "service/ca/authority.go", "if i == nil || string(r.DER) != string(c.Raw) {", "if i == nil {", inCA, "TestRevoke"},
	{"ca: revoke for any reason", "service/ca/authority.go", "if !reason.valid() {", "if reason > 10 {", inCA, "TestRevoke"},
	{"ca: a CRL that waits for its hour", "service/ca/authority.go", "i.crl.outdated.Store(true)", "_ = i", inCA, "TestClockCRL"},
	{"ca: the same CRL for ever", "service/ca/crl.go", "t.Before(s.thisUpdate.Add(crlInterval))", "t.Before(s.nextUpdate)", inCA, "TestClockCRL"},
	{"ca: forget a revocation with the certificate's last day", "service/ca/crl.go", "t.Add(-crlLife))", "t)", inCA, "TestClockCRL"},
	{"ca: the winner's CRL, whatever it lacks", "service/ca/crl.go", "stored.recent(now()) && !outdated {", "stored.recent(now()) {", inCA, "TestClockCRL"},
	{"ca: a revocation lost with a CRL that failed", "service/ca/crl.go", "if err != nil && outdated {", "if err != nil && !outdated {", inCA, "TestClockCRLWithout"},
	{"ca: a CRL that is no more valid", "service/ca/crl.go", "last != nil && now().Before(last.nextUpdate) {", "last != nil {", inCA, "TestClockCRLWithout"},
	{"ca: serve any CRL that is stored", "service/ca/crl.go", "l.CheckSignatureFrom(i.Certificate) != nil", "i.Certificate == nil", inCA, "TestCRLConflict"},

	// ca: OCSP.
	{"ca: good unless revoked", "service/ca/ocsp.go", "	case r == nil: // unknown\n		b.AddASN1(cryptobyteasn1.Tag(2)", "	case r == nil: // unknown\n		b.AddASN1(cryptobyteasn1.Tag(0)", inCA, "TestOCSP$"},
	{"ca: good for what another CA issued", "service/ca/ocsp.go", "	case r.Issuer != i.id:", "	case r.Issuer == \"\":", inCA, "TestOCSPRequests"},
	{"ca: an answer about several CAs", "service/ca/ocsp.go", "			if !i.is(id) {", "			if id.hash < 0 {", inCA, "TestOCSPRequests"},
	{"ca: a CA by its name alone", "service/ca/ocsp.go", "string(id.name) == string(i.names[id.hash]) && string(id.key) == string(i.keys[id.hash])", "string(id.name) == string(i.names[id.hash])", inCA, "TestOCSPRequests|TestClockRollover"},
	{"ca: a CA by its key alone", "service/ca/ocsp.go", "string(id.name) == string(i.names[id.hash]) && string(id.key) == string(i.keys[id.hash])", "string(id.key) == string(i.keys[id.hash])", inCA, "TestOCSPRequests"},
	{"ca: no nonce", "service/ca/ocsp.go", "		if r.nonce != nil {", "		if len(r.nonce) > 1<<20 {", inCA, "TestOCSPNonce"},
	{"ca: nonces of any length", "service/ca/ocsprequest.go", "return len(content) >= 1 && len(content) <= maxNonce", "return len(content) >= 1", inCA, "TestOCSPNonce"},
	{"ca: no archive cutoff", "service/ca/ocsp.go", "oidArchiveCutoff, func", "oidNonce, func", inCA, "TestOCSP$"},
	{"ca: a responder that answers from the store of an hour ago", "service/ca/ocsp.go", "b.AddASN1GeneralizedTime(t.Add(ocspLife))", "b.AddASN1GeneralizedTime(t.Add(24 * ocspLife))", inCA, "TestOCSP$"},
	{"ca: without a store all is unknown", "service/ca/ocsp.go", "	case err != nil:\n		return nil, err\n	case r.Issuer", "	case err != nil:\n		return nil, nil\n	case r.Issuer", inCA, "TestClockResponder"},
	{"ca: a responder for any purpose", "service/ca/responder.go", "ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},", "ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageAny},", inCA, "TestOCSPResponder"},
	{"ca: a responder for three years", "service/ca/responder.go", "responderLife = 7 * 24 * time.Hour", "responderLife = 3 * 365 * 24 * time.Hour", inCA, "TestOCSPResponder"},
	{"ca: a responder that is not renewed", "service/ca/responder.go", "	last := i.responder.last.Load()\n	if last.valid(now().Add(responderLife / 2)) {", "	last := i.responder.last.Load()\n	if last.valid(now()) {", inCA, "TestClockResponder"},
	{"ca: ignore what is critical", "service/ca/ocsprequest.go", "(critical || oid.Equal(oidNonce))", "oid.Equal(oidNonce)", inCA, "TestOCSPRequests"},
	{"ca: any number of certificates at once", "service/ca/ocsprequest.go", "if !ok || len(r.ids) == maxCertIDs {", "if !ok {", inCA, "TestOCSPRequests"},
	{"ca: requests of any length", "service/ca/ocsprequest.go", "len(der) > maxOCSPRequest || ", "", inCA, "TestOCSPRequests"},
	{"ca: read a request of any length", "service/ca/handler.go", "http.MaxBytesReader(w, r.Body, maxOCSPRequest)", "http.MaxBytesReader(w, r.Body, 1<<30)", inCA, "TestHandler"},
	{"ca: a cache that keeps answers", "service/ca/handler.go", `"no-store"`, `"max-age=86400"`, inCA, "TestHandler"},
	{"ca: SHA-1 that FIPS 140-3 forbids", "service/ca/ocsprequest.go", "fips140.WithoutEnforcement(func() { old = sha1.Sum(b) })", "func(func()) { old = sha1.Sum(b) }(func() { fips140.WithoutEnforcement(nil) })", inCA, "TestFIPS"},

	// ca: files.
	{"ca: keys that others may read", "service/ca/folder.go", "info.Mode().Perm()&0o077 != 0", "info.Mode().Perm()&0o007 != 0", inCA, "TestFolderRefuses"},
	{"ca: key files that others may read", "service/ca/folder.go", "disk.Replace(key, text, privateMode)", "disk.Replace(key, text, publicMode)", inCA, "TestFolder$"},
	{"ca: issuing CAs of another root", "service/ca/folder.go", "c.CheckSignatureFrom(f.Root); err != nil", "c.CheckSignatureFrom(f.Root); false", inCA, "TestFolderRefuses"},
	{"ca: leave half a folder", "service/ca/folder.go", "err = errors.Join(err, os.RemoveAll(draft))", "err = errors.Join(err)", inCA, "TestFolderIsDurable"},
	{"ca: the oldest issues", "service/ca/folder.go", "	slices.Reverse(numbers)\n", "", inCA, "TestFolder$"},

	// The test of every store.
	{"catest: a serial number twice", "service/ca/catest/memory.go", "		return ca.ErrExists\n", "", inCATest, "TestMemoryStore"},
	{"catest: the last revocation", "service/ca/catest/memory.go", "if r.Revoked == nil {", "if r.Serial != (ca.Serial{}) {", inCATest, "TestMemoryStore"},
	{"catest: a list of all issuers", "service/ca/catest/memory.go", "r.Issuer == issuer &&", "r.Issuer != \"\" &&", inCATest, "TestMemoryStore"},
	{"catest: a list of expired certificates", "service/ca/catest/memory.go", "&& r.NotAfter.After(expireAfter)", "", inCATest, "TestMemoryStore"},
	{"catest: a CRL of any number", "service/ca/catest/memory.go", "if number != s.crls[issuer].number+1 {", "if number <= s.crls[issuer].number {", inCATest, "TestMemoryStore"},
	{"catest: one CRL for all", "service/ca/catest/memory.go", "c := s.crls[issuer]", "c := s.crls[\"i\"]", inCATest, "TestMemoryStore"},
	{"catest: bytes that the caller still has", "service/ca/catest/memory.go", "s.records[r.Serial] = clone(r)", "s.records[r.Serial] = r", inCATest, "TestMemoryStore"},
}

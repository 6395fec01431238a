package main

const (
	inIdentity = "./service/identity"
	inCA       = "./service/ca"
	inCATest   = "./service/ca/catest"
	inJSON     = "./service/strictjson"
	inRP       = "./service/rp"
	inRPv2     = "./service/rp/rpv2"
	inRPv3     = "./service/rp/rpv3"
	inACSP     = "./service/rp/acsp"
	inLink     = "./service/rp/devicelink"
	inOpenAPI  = "./service/rp/openapi"
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
	{"ca: key files that others may read", "service/ca/folder.go", "disk.Replace(name, text, privateMode)", "disk.Replace(name, text, publicMode)", inCA, "TestFolder$"},
	{"ca: issuing CAs of another root", "service/ca/folder.go", "c.CheckSignatureFrom(f.Root); err != nil", "c.CheckSignatureFrom(f.Root); false", inCA, "TestFolderRefuses"},
	{"ca: leave half a folder", "service/ca/folder.go", "err = errors.Join(err, os.RemoveAll(draft))", "err = errors.Join(err)", inCA, "TestFolderIsDurable"},
	{"ca: a key in the folder and one elsewhere", "service/ca/folder.go", "if _, err := os.Lstat(name + keyExt); err == nil {", "if _, err := os.Lstat(name + keyExt); err == nil && open == nil {", inCA, "TestFolderElsewhere"},
	{"ca: the key of another CA from elsewhere", "service/ca/folder.go", "if err := f.Issuing[i].check(false); err != nil {", "if err := f.Issuing[i].check(false); err != nil && open == nil {", inCA, "TestFolderElsewhere"},
	{"ca: as many years as anybody likes", "service/ca/root.go", "years > maxYears", "years > 1000", inCA, "TestYears"},
	{"ca: the oldest issues", "service/ca/folder.go", "	slices.Reverse(numbers)\n", "", inCA, "TestFolder$"},

	// The test of every store.
	{"catest: a serial number twice", "service/ca/catest/memory.go", "		return ca.ErrExists\n", "", inCATest, "TestMemoryStore"},
	{"catest: the last revocation", "service/ca/catest/memory.go", "if r.Revoked == nil {", "if r.Serial != (ca.Serial{}) {", inCATest, "TestMemoryStore"},
	{"catest: a list of all issuers", "service/ca/catest/memory.go", "r.Issuer == issuer &&", "r.Issuer != \"\" &&", inCATest, "TestMemoryStore"},
	{"catest: a list of expired certificates", "service/ca/catest/memory.go", "&& r.NotAfter.After(expireAfter)", "", inCATest, "TestMemoryStore"},
	{"catest: a CRL of any number", "service/ca/catest/memory.go", "if number != s.crls[issuer].number+1 {", "if number <= s.crls[issuer].number {", inCATest, "TestMemoryStore"},
	{"catest: one CRL for all", "service/ca/catest/memory.go", "c := s.crls[issuer]", "c := s.crls[\"i\"]", inCATest, "TestMemoryStore"},
	{"catest: bytes that the caller still has", "service/ca/catest/memory.go", "s.records[r.Serial] = clone(r)", "s.records[r.Serial] = r", inCATest, "TestMemoryStore"},

	// strictjson.
	{"json: the last of two members", "service/strictjson/strictjson.go", "if seen[name] {", "if seen[name] && len(name) == 0 {", inJSON, "TestParseRefuses"},
	{"json: as deep as anybody likes", "service/strictjson/strictjson.go", "(c == '{' || c == '[') && depth == MaxDepth", "(c == '{' || c == '[') && depth == 1000", inJSON, "TestParseRefuses"},
	{"json: as long as anybody likes", "service/strictjson/strictjson.go", "len(body) > MaxBytes", "len(body) > 1<<30", inJSON, "TestParseRefuses"},
	{"json: bytes that are no text", "service/strictjson/strictjson.go", "if !utf8.Valid(body) {", "if false && !utf8.Valid(body) {", inJSON, "TestParseRefuses"},
	{"json: half a character", "service/strictjson/strictjson.go", "ok && r != utf8.RuneError", "ok", inJSON, "TestParseRefuses"},
	{"json: something after the end", "service/strictjson/strictjson.go", "p.err == nil && p.at < len(p.in)", "p.err == nil && p.at < 0", inJSON, "TestParseRefuses"},
	{"json: numbers with zeros before them", "service/strictjson/strictjson.go", `p.take("0") || digits()`, "digits()", inJSON, "TestParseRefuses"},
	{"json: members in any case", "service/strictjson/object.go", "if m.name == name {", "if m.name == name || len(m.name) == 1 && len(name) == 1 && m.name[0]|0x20 == name[0]|0x20 {", inJSON, "TestParse$"},
	{"json: a number for a string", "service/strictjson/object.go", "case ok && v.kind != k:", "case ok && v.kind != k && v.kind != number:", inJSON, "TestTypes"},
	{"json: the last thing that is wrong", "service/strictjson/object.go", "o.err != nil && *o.err == nil", "o.err != nil", inJSON, "TestTypes"},
	{"json: null is a value", "service/strictjson/object.go", "return m.value, m.value.kind != null", "return m.value, true", inJSON, "TestParse$|TestTypes"},
	{"json: members that a struct does not have", "service/strictjson/decode.go", "			return &Error{below, \"is not known\"}\n", "			continue\n", inJSON, "TestDecodeRefuses"},
	{"json: members of a struct in any case", "service/strictjson/decode.go", "fields[m.name]", "fields[strings.ToLower(m.name)]", inJSON, "TestDecodeRefuses"},
	{"json: null in a file", "service/strictjson/decode.go", "if v.kind == null {", `if v.kind == null && at == "" {`, inJSON, "TestDecodeRefuses"},
	{"json: a part of what is refused", "service/strictjson/decode.go", `v.decode(fresh, "")`, `v.decode(target.Elem(), "")`, inJSON, "TestDecodeRefuses"},
	{"json: members in the order of the body", "service/strictjson/strictjson.go", "return strings.Compare(x.name, y.name)", "return 0", inJSON, "TestCanonical"},

	// rp: what all versions have.
	{"rp: texts that change direction", "service/rp/interaction.go", "unicode.Is(unicode.Bidi_Control, r) || ", "", inRP, "TestDisplayProblem"},
	{"rp: texts with line breaks", "service/rp/interaction.go", "unicode.Is(unicode.Cc, r) || ", "r == 0 || ", inRP, "TestDisplayProblem"},
	{"rp: texts counted in bytes", "service/rp/interaction.go", "utf8.RuneCountInString(s) > maxCharacters", "len(s) > maxCharacters", inRP, "TestDisplayProblem"},
	{"rp: an advanced account for a qualified one", "service/rp/request.go", "return have == identity.Qualified\n	}\n	return false", "return have != 0\n	}\n	return false", inRP, "TestLevel"},
	{"rp: wait as long as anybody likes", "service/rp/poll.go", "return min(max(time.Duration(ms)*time.Millisecond, minPoll), maxPoll), nil", "return max(time.Duration(ms)*time.Millisecond, minPoll), nil", inRP, "TestPollTimeout"},
	{"rp: the salt of another hash", "service/rp/algorithm.go", "SaltLength: h.hash.Size()", "SaltLength: 32", inRP, "TestAlgorithms"},
	{"rp: PSS without a hash", "service/rp/algorithm.go", "signatureAlgorithm == pssName && h.name == hashAlgorithm", `signatureAlgorithm == pssName && (h.name == hashAlgorithm || hashAlgorithm == "")`, inRP, "TestAlgorithms"},
	{"rp: base64 with line breaks", "service/rp/internal/fields/fields.go", "err == nil && base64.StdEncoding.EncodeToString(b) == s", "err == nil", inRPv2, "TestParseRefuses"},
	{"rp: a digest of another length", "service/rp/internal/fields/fields.go", "} else if len(r.Digest) != r.Algorithm.Hash.Size() {", "} else if len(r.Digest) == 0 {", inRPv2 + " " + inRPv3, "TestParseRefuses"},
	{"rp: a login in a qualified device", "service/rp/internal/fields/fields.go", `level == "QSCD" && r.Kind != rp.Authentication`, `level == "QSCD"`, inRPv2 + " " + inRPv3, "TestParseRefuses"},
	{"rp: both texts of an interaction", "service/rp/internal/fields/fields.go", "if other != member && o.Has(other) {", "if other != member && o.Has(other) && !o.Has(member) {", inRPv2 + " " + inRPv3, "TestParseRefuses|TestInteractions"},
	{"rp: a nonce of any length", "service/rp/internal/fields/fields.go", "rp.DisplayProblem(r.Nonce, maxNonce)", "rp.DisplayProblem(r.Nonce, 1000)", inRPv2 + " " + inRPv3, "TestParseRefuses"},
	{"rp: names counted in characters", "service/rp/internal/fields/fields.go", "n := len(r.RelyingPartyName)", "n := len([]rune(r.RelyingPartyName))", inRPv2, "TestParseRefuses"},
	{"rp: one session for two relying parties", "service/rp/internal/fields/fields.go", "[]byte(r.RelyingPartyUUID), []byte(path), o.Canonical()", "[]byte(path)", inRPv2 + " " + inRPv3, "TestIdempotence"},
	{"rp: one session for two persons", "service/rp/internal/fields/fields.go", "[]byte(r.RelyingPartyUUID), []byte(path), o.Canonical()", "[]byte(r.RelyingPartyUUID), o.Canonical()", inRPv2 + " " + inRPv3, "TestIdempotence"},

	// rp: versions.
	{"rpv2: tell version 1 what was refused", "service/rp/rpv2/answer.go", `if v == rp.V1 && refused != "" {`, "if false {", inRPv2, "TestStatus"},
	{"rpv2: give out a signature that was refused", "service/rp/rpv2/answer.go", "	if o.End != rp.OK {\n		return encode(out)\n	}\n", "	if o.End == 0 {\n		return encode(out)\n	}\n", inRPv2, "TestStatus"},
	{"rpv2: a success without a certificate", "service/rp/rpv2/answer.go", "o.Document.Check() != nil || len(o.Certificate) == 0", "o.Document.Check() != nil", inRPv2, "TestStatus"},
	{"rpv2: tell a stranger what broke", "service/rp/rpv2/answer.go", "		p = &rp.Problem{Kind: rp.Internal}\n	}\n	code = p.Status(v)\n	message := rp.Title(code)\n", "		p = &rp.Problem{Kind: rp.Internal}\n	}\n	code = p.Status(v)\n	message := rp.Title(code)\n	if err != nil && p.Detail == \"\" {\n		message = err.Error()\n	}\n", inRPv2, "TestProblem"},
	{"rpv2: any number of interactions", "service/rp/rpv2/request.go", "len(list) == 0 || len(list) > maxInteractions", "len(list) == 0", inRPv2, "TestParseRefuses"},
	{"rpv3: a nonce in a login", "service/rp/rpv3/request.go", "case !e.has(m) && o.Has(m):", `case !e.has(m) && o.Has(m) && m != "nonce":`, inRPv3, "TestPlaces"},
	{"rpv3: codes to choose from in a device link", "service/rp/rpv3/request.go", "i.Type == rp.ConfirmationMessageAndVerificationCodeChoice && flow != rp.Notification", "i.Type == rp.ConfirmationMessageAndVerificationCodeChoice && flow == 0", inRPv3, "TestInteractions"},
	{"rpv3: an interaction twice", "service/rp/rpv3/request.go", `o.Fail("type", "is there twice")`, `_ = "twice"`, inRPv3, "TestInteractions"},
	{"rpv3: sign what is not shown", "service/rp/rpv3/request.go", `if name != "type" && name != "displayText60" && name != "displayText200" {`, `if name == "" {`, inRPv3, "TestInteractions"},
	{"rpv3: interactions in an order of our own", "service/rp/rpv3/request.go", "	r.Interactions = list\n", "	r.Interactions, r.InteractionsText = list, string(text)\n", inRPv3, "TestInteractions|TestParse$"},
	{"rpv3: short challenges", "service/rp/rpv3/request.go", "len(b) < minChallenge || len(b) > maxChallenge", "len(b) > maxChallenge", inRPv3, "TestParseRefuses"},
	{"rpv3: a callback by http", "service/rp/rpv3/request.go", `!strings.HasPrefix(r.CallbackURL, "https://")`, `!strings.HasPrefix(r.CallbackURL, "http")`, inRPv3, "TestParseRefuses"},
	{"rpv3: a separator in a callback", "service/rp/rpv3/request.go", " || r == '|' || r == '#'", " || r == '#'", inRPv3, "TestParseRefuses"},
	{"rpv3: a login that repeats", "service/rp/rpv3/request.go", "r.Idempotent = e.kind == rp.Signature || e.kind == rp.CertificateChoice", "r.Idempotent = e.kind != rp.Certificate", inRPv3, "TestIdempotence|TestParse$"},
	{"rpv3: give out a signature that was refused", "service/rp/rpv3/answer.go", "	if o.End != rp.OK {\n		return encode(out)\n	}\n", "	if o.End == 0 {\n		return encode(out)\n	}\n", inRPv3, "TestStatus"},
	{"rpv3: a refusal on no screen", "service/rp/rpv3/answer.go", "out.Result.Details = &details{o.Interaction}", "out.Result.Details = nil", inRPv3, "TestStatus"},
	{"rpv3: a link that ends as a notification", "service/rp/rpv3/answer.go", "return f == rp.Notification || f == rp.Linked", "return f != 0", inRPv3, "TestStatus"},
	{"rpv3: tell a stranger what broke", "service/rp/rpv3/answer.go", "if p.Kind == rp.Internal {", "if p.Kind == 0 {", inRPv3, "TestProblem"},
	{"rpv3: a problem without its place", "service/rp/rpv3/answer.go", `if p.Pointer != "" {`, `if p.Pointer == "/" {`, inRPv3, "TestProblem"},

	// rp: what a login signs, and device links.
	{"acsp: the callback in a QR code", "service/rp/acsp/acsp.go", "if p.Flow == rp.FlowQR || p.Flow == rp.FlowNotification {", "if p.Flow == rp.FlowNotification {", inACSP, "TestMessage"},
	{"acsp: a name as it is", "service/rp/acsp/acsp.go", "base64.StdEncoding.EncodeToString([]byte(p.RelyingPartyName))", "p.RelyingPartyName", inACSP, "TestPublishedVector|TestMessage"},
	{"acsp: interactions without their hash", "service/rp/acsp/acsp.go", "base64.StdEncoding.EncodeToString(interactions[:])", "base64.StdEncoding.EncodeToString(interactions[:0])", inACSP, "TestPublishedVector"},
	{"acsp: a separator in a part", "service/rp/acsp/acsp.go", "case strings.ContainsAny(callback, \"|\\x00\\r\\n\"):", "case strings.ContainsAny(callback, \"\\x00\\r\\n\"):", inACSP, "TestEveryPartIsSigned"},
	{"acsp: a way back to nowhere", "service/rp/acsp/acsp.go", "		if callback == \"\" {\n", "		if callback == \"-\" {\n", inACSP, "TestEveryPartIsSigned"},
	{"acsp: a challenge of the verifier's bytes", "service/rp/acsp/acsp.go", "sum := sha256.Sum256([]byte(verifier))", "raw, _ := base64.RawURLEncoding.DecodeString(verifier)\n	sum := sha256.Sum256(raw)", inACSP, "TestPublishedVector"},
	{"acsp: come back without the secret", "service/rp/acsp/acsp.go", "subtle.ConstantTimeCompare([]byte(sessionSecretDigest), []byte(wantDigest))&", "1&", inACSP, "TestCallback"},
	{"acsp: come back without the phone", "service/rp/acsp/acsp.go", "			subtle.ConstantTimeCompare([]byte(UserChallenge(verifier)), []byte(userChallenge)) == 1", "			1 == 1", inACSP, "TestCallback"},
	{"link: any authCode", "service/rp/devicelink/devicelink.go", "!hmac.Equal(l.authCode, s.authCode(secret, l.unprotected, l.Type))", "len(l.authCode) != 32", inLink, "TestVerifyRefuses"},
	{"link: a secret of nothing", "service/rp/devicelink/devicelink.go", "case len(secret.key.Get()) == 0:", "case len(s.Base) == 0:", inLink, "TestLinkRefuses"},
	{"link: the callback in a QR code", "service/rp/devicelink/devicelink.go", "	if t == rp.FlowQR {\n		callback = \"\"\n	}\n", "", inLink, "TestPublishedVectors"},
	{"link: sign what a choice has not", "service/rp/devicelink/devicelink.go", "		challenge, interactions = \"\", \"\"\n", "		challenge = \"\"\n", inLink, "TestPublishedVectors"},
	{"link: parameters in any order", "service/rp/devicelink/devicelink.go", "	if l.text() != unprotected {\n", "	if len(l.text()) > 2*len(unprotected) {\n", inLink, "TestParseRefuses"},
	{"link: no escape from escapes", "service/rp/devicelink/devicelink.go", `strings.ContainsRune("?#&|%", r)`, `strings.ContainsRune("?#&|", r)`, inLink, "TestLinkRefuses"},
	{"link: an authCode with bits to spare", "service/rp/devicelink/devicelink.go", " || base64.RawURLEncoding.EncodeToString(l.authCode) != code", "", inLink, "TestVerifyRefuses|TestParseRefuses"},
	{"link: yesterday's QR code", "service/rp/devicelink/devicelink.go", "age < -early || age > late", "age < -early", inLink, "TestFresh"},
	{"link: tomorrow's QR code", "service/rp/devicelink/devicelink.go", "age < -early || age > late", "age > late", inLink, "TestFresh"},
	{"link: a way back to nowhere", "service/rp/devicelink/devicelink.go", `case l.Type != rp.FlowQR && s.CallbackURL == "":`, `case l.Type != rp.FlowQR && s.CallbackURL == "-":`, inLink, "TestVerifyRefuses|TestLinkRefuses"},

	// The description of the API.
	{"openapi: a path that is not served", "service/rp/openapi/openapi.yaml", "  /v3/signature/certificate/{id}:", "  /v3/signature/certificates/{id}:", inOpenAPI, "TestPaths"},
	{"openapi: an end that is not described", "service/rp/openapi/openapi.yaml", "PROTOCOL_FAILURE, EXPECTED_LINKED_SESSION]", "PROTOCOL_FAILURE]", inOpenAPI, "TestAnswers"},
	{"openapi: a member that is not required", "service/rp/openapi/openapi.yaml", "      required: [relyingPartyUUID, relyingPartyName, signatureProtocol, signatureProtocolParameters, interactions, vcType]", "      required: [relyingPartyUUID, relyingPartyName, signatureProtocol, signatureProtocolParameters, interactions]", inOpenAPI, "TestRequests"},
	{"devicelink: print the secret", "service/rp/devicelink/devicelink.go", "func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, \"devicelink.Secret(hidden)\") }", "func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.key.Get()) }", inLink, "TestSecret"},
}

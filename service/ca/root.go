package ca

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/service/identity"
)

// Name is the name of a CA. All parts are needed.
type Name struct {
	Country        string // ISO 3166-1, alpha-2
	Organization   string
	OrganizationID string // of ETSI EN 319 412-1, such as "NTREE-00000000"
	CommonName     string
}

// TestName returns the name of a CA that nobody takes for a real one. The common name
// begins with "TEST of".
func TestName(of string) Name {
	return Name{"EE", "TEST tandem", "NTREE-00000000", "TEST of " + of}
}

// How long a CA is valid unless somebody says otherwise, and at most.
const (
	rootYears    = 25
	issuingYears = 12
	maxYears     = 50
)

func (n Name) check() error {
	if !identity.Country(n.Country) {
		return fmt.Errorf("%w: the country %q of a CA", ErrConfig, n.Country)
	}
	for _, s := range []string{n.Organization, n.OrganizationID, n.CommonName} {
		if s == "" || utf8.RuneCountInString(s) > 64 || !utf8.ValidString(s) || strings.TrimSpace(s) != s ||
			strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
			return fmt.Errorf("%w: the name %q of a CA is empty, has more than 64 characters or one that does not print", ErrConfig, s)
		}
	}
	return nil
}

func (n Name) encode() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	return encodeName(
		attribute{oidCountry, n.Country, true},
		attribute{oidOrganization, n.Organization, false},
		attribute{oidOrganizationID, n.OrganizationID, false},
		attribute{oidCommonName, n.CommonName, false},
	)
}

// NewRoot signs a root's own certificate, for some years; 0 means 25. The error is
// ErrConfig for a name, a key or a time that is not acceptable.
func NewRoot(signer crypto.Signer, name Name, years int) (*x509.Certificate, error) {
	if isnil.Value(signer) {
		return nil, fmt.Errorf("%w: no signer", ErrConfig)
	}
	t, err := caTemplate(signer.Public(), name, cmp.Or(years, rootYears))
	if err != nil {
		return nil, err
	}
	return signCA(t, t, signer.Public(), signer)
}

// NewIssuing signs the certificate of an issuing CA with the root's key, for some years,
// 0 meaning 12, or as long as the root is valid. It may issue for persons, and not for
// further CAs. The error is ErrConfig for what is not acceptable.
func NewIssuing(root *x509.Certificate, rootSigner crypto.Signer, key crypto.PublicKey, name Name, years int) (*x509.Certificate, error) {
	if err := (Issuing{Certificate: root, Signer: rootSigner}).check(false); err != nil {
		return nil, err
	}
	t, err := caTemplate(key, name, cmp.Or(years, issuingYears))
	if err != nil {
		return nil, err
	}
	if t.NotAfter.After(root.NotAfter) {
		t.NotAfter = root.NotAfter
	}
	t.MaxPathLenZero = true
	anyPolicy, err := x509.OIDFromInts([]uint64{2, 5, 29, 32, 0})
	if err != nil {
		return nil, err
	}
	t.Policies = []x509.OID{anyPolicy}
	return signCA(t, root, key, rootSigner)
}

func caTemplate(key crypto.PublicKey, name Name, years int) (*x509.Certificate, error) {
	if err := acceptableKey(key); err != nil {
		return nil, err
	}
	if years < 1 || years > maxYears {
		return nil, fmt.Errorf("%w: a CA for %d years, and not 1 to %d", ErrConfig, years, maxYears)
	}
	subject, err := name.encode()
	if err != nil {
		return nil, err
	}
	id, err := keyID(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	begin := now()
	return &x509.Certificate{
		SerialNumber:          drawSerial().number(),
		RawSubject:            subject,
		SubjectKeyId:          id,
		NotBefore:             begin,
		NotAfter:              begin.AddDate(years, 0, 0).Add(-time.Second),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil
}

func signCA(t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("ca: signing the certificate of a CA: %w", err)
	}
	return x509.ParseCertificate(der)
}

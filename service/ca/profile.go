package ca

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

// Profile says what is in certificates. Object identifiers are in dotted form.
type Profile struct {
	// Years is how long a certificate is valid, 1 to 10.
	Years int
	// MinBits is the length of the shortest modulus that is certified, 2048 or more.
	MinBits int
	// TestNames refuses issuing CAs whose common name does not begin with "TEST".
	TestNames bool

	AuthenticationQualified Extensions
	AuthenticationAdvanced  Extensions
	SignatureQualified      Extensions
	SignatureAdvanced       Extensions
}

// Extensions are those that differ from one kind of certificate to another. The key usage
// is not among them: digitalSignature for authentication, nonRepudiation for signatures.
type Extensions struct {
	ExtKeyUsage []string // left out if empty
	Policies    []string // at least one
	QC          QCStatements
}

// QCStatements are what ETSI EN 319 412-5 calls so. The extension is left out if all
// are.
type QCStatements struct {
	// Compliance and SSCD are claims under the law of the European Union: that the
	// certificate is qualified, and that the key is in a qualified device. Only an
	// operator who is entitled to say so may set them.
	Compliance, SSCD bool
	// ESign says that the certificate is for electronic signatures.
	ESign bool
	// PDS are the addresses (https) of the PKI disclosure statements by language
	// (ISO 639-1, such as "en").
	PDS []PDS
}

// PDS is where a PKI disclosure statement is.
type PDS struct{ URL, Language string }

// CompatProfile returns the profile that public clients of the Smart-ID relying-party API
// accept: they compare policies and extended key usages with object identifiers that
// belong to that service and are written into their code. So it is for tests, and its
// issuing CAs must have names that begin with "TEST". An operator has identifiers of his
// own, and clients that know them.
func CompatProfile() Profile {
	const (
		authentication = "1.3.6.1.4.1.62306.5.7.0"
		qualified      = "1.3.6.1.4.1.10015.17.2"
		advanced       = "1.3.6.1.4.1.10015.17.1"
		ncp            = "0.4.0.2042.1.1" // ETSI EN 319 411-1
		ncpPlus        = "0.4.0.2042.1.2"
		qcpNaturalQSCD = "0.4.0.194112.1.2" // ETSI EN 319 411-2
	)
	return Profile{
		Years:     3,
		MinBits:   3072,
		TestNames: true,
		AuthenticationQualified: Extensions{
			ExtKeyUsage: []string{authentication},
			Policies:    []string{qualified, ncpPlus},
		},
		AuthenticationAdvanced: Extensions{
			ExtKeyUsage: []string{authentication},
			Policies:    []string{advanced, ncp},
		},
		SignatureQualified: Extensions{
			Policies: []string{qualified, qcpNaturalQSCD},
			QC:       QCStatements{ESign: true},
		},
		SignatureAdvanced: Extensions{
			Policies: []string{advanced, ncp},
		},
	}
}

const maxModulusBits = 16384

func (p Profile) check() error {
	switch {
	case p.Years < 1 || p.Years > 10:
		return fmt.Errorf("%w: certificates for %d years", ErrConfig, p.Years)
	case p.MinBits < 2048 || p.MinBits > maxModulusBits:
		return fmt.Errorf("%w: moduli of %d bits", ErrConfig, p.MinBits)
	}
	for _, e := range []Extensions{p.AuthenticationQualified, p.AuthenticationAdvanced, p.SignatureQualified, p.SignatureAdvanced} {
		if err := e.check(); err != nil {
			return err
		}
	}
	return nil
}

func (e Extensions) check() error {
	if len(e.Policies) == 0 {
		return fmt.Errorf("%w: a kind of certificate without a policy", ErrConfig)
	}
	for _, list := range [][]string{e.Policies, e.ExtKeyUsage} {
		seen := map[string]bool{}
		for _, s := range list {
			if _, err := x509.ParseOID(s); err != nil || seen[s] {
				return fmt.Errorf("%w: %q is not an object identifier, or is there twice", ErrConfig, s)
			}
			seen[s] = true
		}
	}
	for _, s := range e.ExtKeyUsage {
		if _, err := parseOID(s); err != nil {
			return fmt.Errorf("%w: %q has a number that no certificate can name", ErrConfig, s)
		}
	}
	for _, s := range e.QC.PDS {
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsFunc(s.URL, notPrintableASCII) {
			return fmt.Errorf("%w: a disclosure statement at %q", ErrConfig, s.URL)
		}
		if len(s.Language) != 2 || strings.ContainsFunc(s.Language, func(r rune) bool { return r < 'a' || r > 'z' }) {
			return fmt.Errorf("%w: a disclosure statement in %q", ErrConfig, s.Language)
		}
	}
	return nil
}

func notPrintableASCII(r rune) bool { return r <= ' ' || r >= 0x7f }

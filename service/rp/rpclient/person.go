package rpclient

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Person is who has logged in or signed, as the certificate says, and by which account.
type Person struct {
	ID             identity.ID
	Given, Surname string
	Document       identity.Document
	Certificate    []byte // DER
}

// person checks the certificate of an answer, and returns whose it is and its key.
func (c *Client) person(ctx context.Context, a *answer, kind rp.Kind, level identity.Level) (*Person, *rsa.PublicKey, error) {
	document, err := identity.ParseDocument(a.Result.DocumentNumber)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if a.Cert.CertificateLevel != document.Level.String() || document.Level < level {
		return nil, nil, invalid("the level")
	}
	certificate, err := c.certificate(ctx, a.Cert.Value, kind, document)
	if err != nil {
		return nil, nil, err
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, nil, invalid("the kind of key")
	}
	p := &Person{ID: document.ID, Document: document, Certificate: certificate.Raw}
	for _, n := range certificate.Subject.Names {
		text, isText := n.Value.(string)
		switch {
		case n.Type.Equal(oidSurname) && isText:
			p.Surname = text
		case n.Type.Equal(oidGiven) && isText:
			p.Given = text
		}
	}
	if err := (identity.Person{ID: p.ID, Given: p.Given, Surname: p.Surname}).Check(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return p, key, nil
}

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

	oidSurname = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGiven   = asn1.ObjectIdentifier{2, 5, 4, 42}
)

// certificate reads a certificate in base64, and checks that it is one of an account for
// a kind of request.
func (c *Client) certificate(ctx context.Context, text string, kind rp.Kind, document identity.Document) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	chains, err := certificate.Verify(x509.VerifyOptions{
		Roots: c.config.Roots, Intermediates: c.config.Intermediates, CurrentTime: c.config.Clock(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	usage, e := c.use(kind, document.Level)
	switch {
	case len(chains[0]) < 2:
		return nil, invalid("a CA's certificate")
	case certificate.IsCA || certificate.KeyUsage != usage:
		return nil, invalid("the use of the certificate")
	case !slices.Equal(certificate.Subject.Country, []string{document.ID.Country}) || certificate.Subject.SerialNumber != document.ID.String():
		return nil, invalid("the subject of the certificate")
	case documentOf(certificate) != document.String():
		return nil, invalid("the account of the certificate")
	}
	for _, policy := range e.Policies {
		oid, err := x509.ParseOID(policy)
		if err != nil || !slices.ContainsFunc(certificate.Policies, oid.Equal) {
			return nil, invalid("the policies of the certificate")
		}
	}
	for _, use := range e.ExtKeyUsage {
		if !slices.ContainsFunc(certificate.UnknownExtKeyUsage, func(o asn1.ObjectIdentifier) bool { return o.String() == use }) {
			return nil, invalid("the extended use of the certificate")
		}
	}
	if c.config.Revoked != nil {
		if err := c.config.Revoked(ctx, certificate, chains[0][1]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return certificate, nil
}

// documentOf returns the document number that a certificate names as its directoryName;
// "" if it names none, or several things.
func documentOf(certificate *x509.Certificate) string {
	const directoryName = 4
	for _, e := range certificate.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		rest, err := asn1.Unmarshal(e.Value, &names)
		if err != nil || len(rest) > 0 || len(names) != 1 || names[0].Class != asn1.ClassContextSpecific || names[0].Tag != directoryName {
			return ""
		}
		var rdns pkix.RDNSequence
		if rest, err := asn1.Unmarshal(names[0].Bytes, &rdns); err != nil || len(rest) > 0 {
			return ""
		}
		var name pkix.Name
		name.FillFromRDNSequence(&rdns)
		return name.CommonName
	}
	return ""
}

// use is what a certificate for a kind of request has.
func (c *Client) use(kind rp.Kind, level identity.Level) (x509.KeyUsage, ca.Extensions) {
	p := c.config.Profile
	switch {
	case kind == rp.Authentication && level == identity.Qualified:
		return x509.KeyUsageDigitalSignature, p.AuthenticationQualified
	case kind == rp.Authentication:
		return x509.KeyUsageDigitalSignature, p.AuthenticationAdvanced
	case level == identity.Qualified:
		return x509.KeyUsageContentCommitment, p.SignatureQualified
	}
	return x509.KeyUsageContentCommitment, p.SignatureAdvanced
}

// verify checks the signature of an answer, by the algorithm that was asked for, and
// returns it.
func (a *answer) verify(key *rsa.PublicKey, algorithm rp.Algorithm, digest []byte) ([]byte, error) {
	s := a.Signature
	want := algorithm.Parameters()
	if s.SignatureAlgorithm != algorithm.Name() || want != nil && (s.SignatureAlgorithmParameters == nil || *s.SignatureAlgorithmParameters != *want) {
		return nil, invalid("the algorithm")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(s.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if algorithm.PSS {
		err = rsa.VerifyPSS(key, algorithm.Hash, digest, signature, &rsa.PSSOptions{SaltLength: algorithm.Hash.Size()})
	} else {
		err = rsa.VerifyPKCS1v15(key, algorithm.Hash, digest, signature)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return signature, nil
}

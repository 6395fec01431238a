package ca

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/tandem-rsa/tandem/service/identity"
)

var (
	oidCountry        = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidCommonName     = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSurname        = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidOrganization   = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidGivenName      = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidOrganizationID = asn1.ObjectIdentifier{2, 5, 4, 97}

	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidDirectoryAttributes = asn1.ObjectIdentifier{2, 5, 29, 9}
	oidDateOfBirth         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 1}
	oidQCStatements        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidQCCompliance        = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}
	oidQCSSCD              = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 4}
	oidQCPDS               = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 5}
	oidQCType              = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQCTypeESign         = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 1}
)

// template is the certificate of a person's key, but for its serial number.
func (a *Authority) template(i *issuer, r Request) (*x509.Certificate, error) {
	begin := now()
	t := &x509.Certificate{
		NotBefore:             begin,
		NotAfter:              begin.AddDate(a.profile.Years, 0, 0).Add(-time.Second),
		BasicConstraintsValid: true,
		OCSPServer:            []string{a.url + ocspPath},
		IssuingCertificateURL: []string{a.url + "/" + i.id + ".crt"},
		CRLDistributionPoints: []string{a.url + "/" + i.id + ".crl"},
	}
	var e Extensions
	qualified := r.Document.Level == identity.Qualified
	switch {
	case r.Use == Authentication && qualified:
		t.KeyUsage, e = x509.KeyUsageDigitalSignature, a.profile.AuthenticationQualified
	case r.Use == Authentication:
		t.KeyUsage, e = x509.KeyUsageDigitalSignature, a.profile.AuthenticationAdvanced
	case qualified:
		t.KeyUsage, e = x509.KeyUsageContentCommitment, a.profile.SignatureQualified
	default:
		t.KeyUsage, e = x509.KeyUsageContentCommitment, a.profile.SignatureAdvanced
	}
	var err error
	if t.SubjectKeyId, err = keyID(r.Key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if t.RawSubject, err = personName(r.Person); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	for _, s := range e.Policies {
		oid, err := x509.ParseOID(s)
		if err != nil {
			return nil, err
		}
		t.Policies = append(t.Policies, oid)
	}
	for _, s := range e.ExtKeyUsage {
		oid, err := parseOID(s)
		if err != nil {
			return nil, err
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, oid)
	}
	extensions := []func() (pkix.Extension, error){
		func() (pkix.Extension, error) { return documentName(r.Document) },
		func() (pkix.Extension, error) { return dateOfBirth(r.Person.Born) },
		func() (pkix.Extension, error) { return e.QC.extension() },
	}
	for _, f := range extensions {
		x, err := f()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		if x.Id != nil {
			t.ExtraExtensions = append(t.ExtraExtensions, x)
		}
	}
	return t, nil
}

// parseOID returns an object identifier in the form of encoding/asn1. The DER of both is
// the same.
func parseOID(s string) (oid asn1.ObjectIdentifier, err error) {
	o, err := x509.ParseOID(s)
	if err != nil {
		return nil, err
	}
	content, err := o.MarshalBinary()
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagOID, Bytes: content})
	if err != nil {
		return nil, err
	}
	_, err = asn1.Unmarshal(der, &oid)
	return oid, err
}

// keyID is method 1 of RFC 7093, section 2, over the whole SubjectPublicKeyInfo's key.
func keyID(key crypto.PublicKey) ([]byte, error) {
	bits, err := publicKeyBits(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bits)
	return sum[:20], nil
}

// publicKeyBits is the content of the key's BIT STRING in a certificate.
func publicKeyBits(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return bitsOf(der)
}

func bitsOf(spki []byte) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(spki, &info)
	return info.Key.RightAlign(), err
}

// attribute is one of a name, which has one attribute in each of its sets.
type attribute struct {
	oid       asn1.ObjectIdentifier
	value     string
	printable bool // PrintableString, for what has no other letters than those
}

func encodeName(attributes ...attribute) ([]byte, error) {
	var name pkix.RDNSequence
	for _, a := range attributes {
		tag := asn1.TagUTF8String
		if a.printable {
			tag = asn1.TagPrintableString
		}
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(a.value)}}})
	}
	return asn1.Marshal(name)
}

// personName is the subject. Clients show the attributes in this order.
func personName(p identity.Person) ([]byte, error) {
	return encodeName(
		attribute{oidCountry, p.ID.Country, true},
		attribute{oidCommonName, p.CommonName(), false},
		attribute{oidSurname, p.Surname, false},
		attribute{oidGivenName, p.Given, false},
		attribute{oidSerialNumber, p.ID.String(), true},
	)
}

// documentName is the subjectAltName: a directoryName with the document number.
func documentName(d identity.Document) (pkix.Extension, error) {
	name, err := encodeName(attribute{oidCommonName, d.String(), false})
	if err != nil {
		return pkix.Extension{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyteasn1.Tag(4).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(name) })
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidSubjectAltName, Value: value}, err
}

// dateOfBirth is in subjectDirectoryAttributes, at noon by universal time (RFC 3739,
// section 3.2.2). A date that is not known is left out.
func dateOfBirth(born time.Time) (pkix.Extension, error) {
	if born.IsZero() {
		return pkix.Extension{}, nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidDateOfBirth)
			b.AddASN1(cryptobyteasn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1GeneralizedTime(time.Date(born.Year(), born.Month(), born.Day(), 12, 0, 0, 0, time.UTC))
			})
		})
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidDirectoryAttributes, Value: value}, err
}

// extension is qCStatements of ETSI EN 319 412-5.
func (q QCStatements) extension() (pkix.Extension, error) {
	if !q.Compliance && !q.SSCD && !q.ESign && len(q.PDS) == 0 {
		return pkix.Extension{}, nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		statement := func(oid asn1.ObjectIdentifier, info func(*cryptobyte.Builder)) {
			b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oid)
				if info != nil {
					b.AddASN1(cryptobyteasn1.SEQUENCE, info)
				}
			})
		}
		if q.Compliance {
			statement(oidQCCompliance, nil)
		}
		if q.SSCD {
			statement(oidQCSSCD, nil)
		}
		if q.ESign {
			statement(oidQCType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidQCTypeESign) })
		}
		if len(q.PDS) > 0 {
			statement(oidQCPDS, func(b *cryptobyte.Builder) {
				for _, s := range q.PDS {
					b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cryptobyteasn1.IA5String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.URL)) })
						b.AddASN1(cryptobyteasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.Language)) })
					})
				}
			})
		}
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidQCStatements, Value: value}, err
}

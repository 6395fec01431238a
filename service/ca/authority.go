package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/service/identity"
)

var (
	// ErrConfig is returned for a configuration that cannot work.
	ErrConfig = errors.New("ca: unusable configuration")
	// ErrRequest is returned for a request that no certificate follows from. What is
	// wrong with a person or a document number is an [*identity.Error].
	ErrRequest = errors.New("ca: unacceptable request")
	// ErrExpiring is returned if the issuing CA would expire before the certificate: it
	// is time for the next issuing CA.
	ErrExpiring = errors.New("ca: the issuing CA expires too soon")
)

// Issuer issues certificates and takes them back. An [Authority] does it by itself;
// another implementation asks a certification authority elsewhere.
type Issuer interface {
	// Issue returns the certificate of the request's key, and after it the certificates
	// between it and the root, which is not among them.
	Issue(ctx context.Context, r Request) ([]*x509.Certificate, error)
	// Revoke revokes a certificate that Issue returned, for ever. The first revocation
	// counts, and others succeed.
	Revoke(ctx context.Context, c *x509.Certificate, reason Reason) error
}

var _ Issuer = (*Authority)(nil)

// Use is what a key is for.
type Use uint8

const (
	Authentication Use = 1
	Signature      Use = 2
)

// Request is what a certificate is made from. The caller knows the person, and that the
// person's device and the service hold the halves of the key.
type Request struct {
	Use      Use
	Person   identity.Person
	Document identity.Document // of the account; its level is the certificate's
	Key      *rsa.PublicKey    // e = 65537
}

// Issuing is one issuing CA.
type Issuing struct {
	Certificate *x509.Certificate
	// Above are the certificates between this and the root, without the root.
	Above []*x509.Certificate
	// Signer has the key: RSA with 3072 bits or more, or ECDSA on P-256, P-384 or P-521.
	Signer crypto.Signer
}

// ID returns 32 hexadecimal digits that stand for the CA's key, from SHA-256.
func (i Issuing) ID() string {
	if i.Certificate == nil {
		return ""
	}
	sum := sha256.Sum256(i.Certificate.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:16])
}

// Config is what [New] makes an [Authority] from.
type Config struct {
	// Issuing has the CA that issues, and after it those that did before.
	Issuing []Issuing
	Store   Store
	Profile Profile
	// URL is where strangers reach [Authority.Handler], such as
	// "http://ca.example/pki". It is in every certificate. RFC 5280 recommends http:
	// all that is served there is signed.
	URL string
}

// Authority issues certificates and says which are revoked. It is safe for concurrent
// use.
type Authority struct {
	store   Store
	profile Profile
	url     string
	issuers []*issuer
}

// issuer is one issuing CA at work.
type issuer struct {
	Issuing
	id        string
	names     [2][]byte // SHA-1 and SHA-256 of its name, as OCSP requests have it
	keys      [2][]byte // and of its key
	crl       crlState
	responder responderState
}

// New returns an Authority. The error is ErrConfig.
func New(c Config) (*Authority, error) {
	if isnil.Value(c.Store) || len(c.Issuing) == 0 {
		return nil, fmt.Errorf("%w: no store or no issuing CA", ErrConfig)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		strings.HasSuffix(c.URL, "/") || strings.ContainsFunc(c.URL, notPrintableASCII) {
		return nil, fmt.Errorf("%w: the URL %q", ErrConfig, c.URL)
	}
	if err := c.Profile.check(); err != nil {
		return nil, err
	}
	a := &Authority{store: c.Store, profile: c.Profile, url: c.URL}
	for _, i := range c.Issuing {
		if err := i.check(c.Profile.TestNames); err != nil {
			return nil, err
		}
		if a.issuer(i.ID()) != nil {
			return nil, fmt.Errorf("%w: an issuing CA twice", ErrConfig)
		}
		n := &issuer{Issuing: i, id: i.ID(), crl: newCRLState(), responder: newResponderState()}
		n.names, n.keys = hashes(i.Certificate)
		a.issuers = append(a.issuers, n)
	}
	return a, nil
}

func (i Issuing) check(testNames bool) error {
	if i.Certificate == nil || isnil.Value(i.Signer) {
		return fmt.Errorf("%w: an issuing CA without a certificate or a signer", ErrConfig)
	}
	c := i.Certificate
	const usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	switch {
	case !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage&usage != usage || len(c.SubjectKeyId) == 0:
		return fmt.Errorf("%w: the certificate of %q is not an issuing CA's", ErrConfig, c.Subject.CommonName)
	case testNames && !strings.HasPrefix(c.Subject.CommonName, "TEST"):
		return fmt.Errorf("%w: with this profile the name %q must begin with TEST", ErrConfig, c.Subject.CommonName)
	}
	if err := acceptableKey(c.PublicKey); err != nil {
		return err
	}
	if p, ok := i.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(c.PublicKey) {
		return fmt.Errorf("%w: the signer of %q has another key", ErrConfig, c.Subject.CommonName)
	}
	below := c
	for _, above := range i.Above {
		if above == nil || below.CheckSignatureFrom(above) != nil {
			return fmt.Errorf("%w: the chain of %q is not one", ErrConfig, c.Subject.CommonName)
		}
		below = above
	}
	return nil
}

// acceptableKey refuses keys of CAs that are weak or that verifiers do not know.
func acceptableKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N != nil && key.N.BitLen() >= 3072 {
			return nil
		}
	case *ecdsa.PublicKey:
		if key.Curve != nil && key.Curve.Params().BitSize >= 256 {
			return nil
		}
	}
	return fmt.Errorf("%w: the key of a CA is RSA with 3072 bits or more, or ECDSA with 256", ErrConfig)
}

func (a *Authority) issuer(id string) *issuer {
	for _, i := range a.issuers {
		if i.id == id {
			return i
		}
	}
	return nil
}

// ready refuses a nil and a zero Authority, and a nil context.
func (a *Authority) ready(ctx context.Context) error {
	if a == nil || len(a.issuers) == 0 {
		return fmt.Errorf("%w: not made by New", ErrConfig)
	}
	if ctx == nil {
		return fmt.Errorf("%w: no context", ErrRequest)
	}
	return nil
}

// Issue certifies a key. The certificate is in the store before it is returned.
func (a *Authority) Issue(ctx context.Context, r Request) ([]*x509.Certificate, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	if err := a.check(r); err != nil {
		return nil, err
	}
	i := a.issuers[0]
	template, err := a.template(i, r)
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(i.Certificate.NotAfter) {
		return nil, ErrExpiring
	}
	c, err := a.sign(ctx, i, template, r.Key, r.Document.String())
	if err != nil {
		return nil, err
	}
	return append([]*x509.Certificate{c, i.Certificate}, i.Above...), nil
}

func (a *Authority) check(r Request) error {
	if err := r.Person.Check(); err != nil {
		return err
	}
	if err := r.Document.Check(); err != nil {
		return err
	}
	if r.Document.ID != r.Person.ID {
		return fmt.Errorf("%w: the document number is another person's", ErrRequest)
	}
	if r.Use != Authentication && r.Use != Signature {
		return fmt.Errorf("%w: a use that is none", ErrRequest)
	}
	switch k := r.Key; {
	case k == nil || k.N == nil:
		return fmt.Errorf("%w: no key", ErrRequest)
	case k.E != 65537:
		return fmt.Errorf("%w: e is not 65537", ErrRequest)
	case k.N.Sign() <= 0 || k.N.BitLen() < a.profile.MinBits || k.N.BitLen() > maxModulusBits || k.N.Bit(0) == 0:
		return fmt.Errorf("%w: a modulus that is even, or not of %d to %d bits", ErrRequest, a.profile.MinBits, maxModulusBits)
	}
	return nil
}

// sign signs a certificate under a new serial number and stores it. Two of 128-bit
// numbers are equal so seldom that a store which refuses a third draw is broken.
func (a *Authority) sign(ctx context.Context, i *issuer, template *x509.Certificate, key crypto.PublicKey, document string) (*x509.Certificate, error) {
	var err error
	for range 3 {
		serial := drawSerial()
		template.SerialNumber = serial.number()
		var der []byte
		// It verifies what the signer made.
		if der, err = x509.CreateCertificate(rand.Reader, template, i.Certificate, key, i.Signer); err != nil {
			return nil, fmt.Errorf("ca: signing a certificate: %w", err)
		}
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("ca: a certificate that does not parse: %w", err)
		}
		err = a.store.Create(ctx, Record{Serial: serial, Issuer: i.id, Document: document, NotAfter: c.NotAfter, DER: der})
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, ErrExists) {
			break
		}
	}
	return nil, fmt.Errorf("ca: storing a certificate: %w", err)
}

func drawSerial() Serial {
	var s Serial
	for s == (Serial{}) { // once but for a probability of 2^-128
		rand.Read(s[:])
	}
	return s
}

// Revoke revokes a certificate of this Authority, for ever. If it is revoked already,
// nothing changes, and the error is nil. ErrNotFound: it is not of this Authority.
// ErrRequest: the reason is none.
func (a *Authority) Revoke(ctx context.Context, c *x509.Certificate, reason Reason) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	if !reason.valid() {
		return fmt.Errorf("%w: a certificate cannot be revoked for reason %d", ErrRequest, reason)
	}
	if c == nil {
		return fmt.Errorf("%w: no certificate", ErrRequest)
	}
	serial, err := SerialOf(c.SerialNumber)
	if err != nil {
		return err
	}
	r, err := a.store.Record(ctx, serial)
	if err != nil {
		return fmt.Errorf("ca: revoking: %w", err)
	}
	i := a.issuer(r.Issuer)
	if i == nil || string(r.DER) != string(c.Raw) {
		return fmt.Errorf("%w: a certificate of another CA", ErrNotFound)
	}
	if err := a.store.Revoke(ctx, serial, Revocation{now(), reason}); err != nil {
		return fmt.Errorf("ca: revoking: %w", err)
	}
	i.crl.outdated.Store(true)
	return nil
}

// now is the time in whole seconds, as certificates have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

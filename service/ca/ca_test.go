package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

const url = "http://127.0.0.1:1/pki"

// split is a key of 6144 bits in two halves.
var split = sync.OnceValue(func() (k struct {
	client *splitkey.ClientShare
	server *splitkey.Completer
}) {
	client := splitkeytest.Key(3072)
	x := make([]byte, client.Size()+8)
	for i := range x {
		x[i] = byte(i)
	}
	var share *splitkey.ServerShare
	var err error
	for { // until 2x+1 is invertible
		if k.client, share, err = splitkeytest.Split(client, splitkey.Multiplicative, x); err == nil {
			break
		}
		x[0]++
	}
	if k.server, err = splitkey.NewCompleter(share, splitkeytest.ServerKey(3072), nil); err != nil {
		panic(err)
	}
	return k
})

func key() *rsa.PublicKey { return split().server.PublicKey() }

func person() identity.Person {
	return identity.Person{
		ID:    identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"},
		Given: "MARI-LIIS", Surname: "MÄNNIK", Born: time.Date(1995, 4, 4, 0, 0, 0, 0, time.UTC),
	}
}

func request(use ca.Use, level identity.Level) ca.Request {
	return ca.Request{
		Use: use, Person: person(), Key: key(),
		Document: identity.Document{ID: person().ID, Label: "7TRE", Level: level},
	}
}

// authority is an Authority with all that it was made from.
type authority struct {
	*ca.Authority
	root       *x509.Certificate
	rootSigner crypto.Signer
	config     ca.Config
	signer     *brittle
	store      *store
}

// issuing returns the CA that issues.
func (a *authority) issuing() *x509.Certificate { return a.config.Issuing[0].Certificate }

func (a *authority) id() string { return a.config.Issuing[0].ID() }

// brittle is a signer that may fail, or sign wrongly.
type brittle struct {
	crypto.Signer
	err   error
	wrong bool
	calls int
}

func (b *brittle) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	b.calls++
	if b.err != nil {
		return nil, b.err
	}
	sig, err := b.Signer.Sign(r, digest, opts)
	if b.wrong && err == nil {
		sig[len(sig)-1] ^= 1
	}
	return sig, err
}

// store is a MemoryStore that may fail.
type store struct {
	*catest.MemoryStore
	err      error
	taken    int // so many serial numbers are taken
	created  int
	conflict func()
}

func (s *store) Create(ctx context.Context, r ca.Record) error {
	if s.err != nil {
		return s.err
	}
	if s.taken > 0 {
		s.taken--
		return ca.ErrExists
	}
	s.created++
	return s.MemoryStore.Create(ctx, r)
}

func (s *store) Record(ctx context.Context, n ca.Serial) (ca.Record, error) {
	if s.err != nil {
		return ca.Record{}, s.err
	}
	return s.MemoryStore.Record(ctx, n)
}

func (s *store) Revoke(ctx context.Context, n ca.Serial, r ca.Revocation) error {
	if s.err != nil {
		return s.err
	}
	return s.MemoryStore.Revoke(ctx, n, r)
}

func (s *store) Revoked(ctx context.Context, issuer string, after time.Time) ([]ca.Record, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.MemoryStore.Revoked(ctx, issuer, after)
}

func (s *store) SetCRL(ctx context.Context, issuer string, n int64, der []byte) error {
	if f := s.conflict; f != nil {
		s.conflict = nil
		f()
	}
	if s.err != nil {
		return s.err
	}
	return s.MemoryStore.SetCRL(ctx, issuer, n, der)
}

func p384(t testing.TB) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	return k
}

func newAuthority(t testing.TB, change ...func(*ca.Config)) *authority {
	t.Helper()
	a := &authority{rootSigner: p384(t), signer: &brittle{Signer: p384(t)}, store: &store{MemoryStore: catest.NewMemoryStore()}}
	var err error
	a.root, err = ca.NewRoot(a.rootSigner, ca.TestName("tandem Root"), 0)
	require.NoError(t, err)
	issuing, err := ca.NewIssuing(a.root, a.rootSigner, a.signer.Public(), ca.TestName("tandem EID-Q 1"), 0)
	require.NoError(t, err)
	a.config = ca.Config{
		Issuing: []ca.Issuing{{Certificate: issuing, Signer: a.signer}}, Store: a.store, Profile: ca.CompatProfile(), URL: url,
	}
	for _, f := range change {
		f(&a.config)
	}
	a.Authority, err = ca.New(a.config)
	require.NoError(t, err)
	return a
}

func (a *authority) issue(t testing.TB, use ca.Use, level identity.Level) *x509.Certificate {
	t.Helper()
	chain, err := a.Issue(context.Background(), request(use, level))
	require.NoError(t, err)
	require.Len(t, chain, 2)
	require.Equal(t, a.issuing(), chain[1])
	return chain[0]
}

func (a *authority) record(t testing.TB, c *x509.Certificate) ca.Record {
	t.Helper()
	serial, err := ca.SerialOf(c.SerialNumber)
	require.NoError(t, err)
	r, err := a.store.Record(context.Background(), serial)
	require.NoError(t, err)
	return r
}

// TestIssueStoresFirst: what leaves is in the store, under a serial number of 128 bits.
func TestIssueStoresFirst(t *testing.T) {
	a := newAuthority(t)
	bits := new(big.Int)
	for range 40 {
		c := a.issue(t, ca.Authentication, identity.Qualified)
		r := a.record(t, c)
		require.Equal(t, c.Raw, r.DER)
		require.Equal(t, a.id(), r.Issuer)
		require.Equal(t, "PNOEE-40504040001-7TRE-Q", r.Document)
		require.Equal(t, c.NotAfter, r.NotAfter)
		require.Nil(t, r.Revoked)
		bits.Or(bits, c.SerialNumber)
	}
	// 40 draws leave one of 128 bits clear with a probability of 2^-33.
	all := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
	require.Equal(t, all, bits)

	a.store.err = errors.New("no store")
	_, err := a.Issue(context.Background(), request(ca.Authentication, identity.Qualified))
	require.ErrorIs(t, err, a.store.err)
	a.store.err = nil

	// A number that was given is drawn again.
	a.store.taken = 2
	before := a.store.created
	a.issue(t, ca.Signature, identity.Qualified)
	require.Equal(t, before+1, a.store.created)
	a.store.taken = 3
	_, err = a.Issue(context.Background(), request(ca.Authentication, identity.Qualified))
	require.ErrorIs(t, err, ca.ErrExists)
}

// TestSignerLies: a certificate whose signature is wrong is stored nowhere.
func TestSignerLies(t *testing.T) {
	ctx := context.Background()
	a := newAuthority(t)
	a.signer.wrong = true
	_, err := a.Issue(ctx, request(ca.Authentication, identity.Qualified))
	require.Error(t, err)
	_, err = a.CRL(ctx, a.id())
	require.Error(t, err)
	require.Zero(t, a.store.created)
	n, _, err := a.store.CRL(ctx, a.id())
	require.NoError(t, err)
	require.Zero(t, n)

	a.signer.wrong, a.signer.err = false, errors.New("no HSM")
	_, err = a.Issue(ctx, request(ca.Authentication, identity.Qualified))
	require.ErrorIs(t, err, a.signer.err)
	require.Zero(t, a.store.created)
}

// TestIssueRefuses: what no certificate follows from is refused before anything is
// signed.
func TestIssueRefuses(t *testing.T) {
	a := newAuthority(t)
	fields := map[string]func(*ca.Request){
		"surname":    func(r *ca.Request) { r.Person.Surname = "A\x00B" },
		"given name": func(r *ca.Request) { r.Person.Given = "A\u202eB" },
		"name": func(r *ca.Request) {
			r.Person.Surname = string(make([]rune, 0)) + "ÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕÕ"
		},
		"country":                      func(r *ca.Request) { r.Person.ID.Country = "ZZ"; r.Document.ID.Country = "ZZ" },
		"type of the identifier":       func(r *ca.Request) { r.Person.ID.Type = "NTR"; r.Document.ID.Type = "NTR" },
		"number":                       func(r *ca.Request) { r.Person.ID.Number = "1|2"; r.Document.ID.Number = "1|2" },
		"date of birth":                func(r *ca.Request) { r.Person.Born = time.Now().Add(time.Hour) },
		"end of the document number":   func(r *ca.Request) { r.Document.Level = 0 },
		"label of the document number": func(r *ca.Request) { r.Document.Label = "7tre" },
	}
	for field, change := range fields {
		r := request(ca.Authentication, identity.Qualified)
		change(&r)
		_, err := a.Issue(context.Background(), r)
		var e *identity.Error
		require.ErrorAs(t, err, &e, field)
		require.Equal(t, field, e.Field)
	}
	for name, change := range map[string]func(*ca.Request){
		"another person's document": func(r *ca.Request) { r.Document.ID.Number = "40504040002" },
		"no use":                    func(r *ca.Request) { r.Use = 0 },
		"an unknown use":            func(r *ca.Request) { r.Use = 3 },
		"no key":                    func(r *ca.Request) { r.Key = nil },
		"no modulus":                func(r *ca.Request) { r.Key = &rsa.PublicKey{E: 65537} },
		"e = 3":                     func(r *ca.Request) { r.Key = &rsa.PublicKey{N: key().N, E: 3} },
		"an even modulus":           func(r *ca.Request) { r.Key = &rsa.PublicKey{N: new(big.Int).Lsh(key().N, 1), E: 65537} },
		"a negative modulus":        func(r *ca.Request) { r.Key = &rsa.PublicKey{N: new(big.Int).Neg(key().N), E: 65537} },
		"2048 bits":                 func(r *ca.Request) { r.Key = &splitkeytest.Key(2048).PublicKey },
		"16385 bits": func(r *ca.Request) {
			r.Key = &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 16384), big.NewInt(1)), E: 65537}
		},
	} {
		r := request(ca.Authentication, identity.Qualified)
		change(&r)
		_, err := a.Issue(context.Background(), r)
		require.ErrorIs(t, err, ca.ErrRequest, name)
	}
	require.Zero(t, a.signer.calls)
	require.Zero(t, a.store.created)
}

func TestNewRefuses(t *testing.T) {
	good := newAuthority(t)
	rsaKey := splitkeytest.Key(2048)
	leaf := good.issue(t, ca.Signature, identity.Qualified)
	other := newAuthority(t)
	named := func(name string) *x509.Certificate {
		n := ca.TestName("x")
		n.CommonName = name
		c, err := ca.NewIssuing(good.root, good.rootSigner, good.signer.Public(), n, 0)
		require.NoError(t, err)
		return c
	}
	with := func(change func(*x509.Certificate)) *x509.Certificate {
		c := *good.issuing()
		change(&c)
		return &c
	}
	for name, change := range map[string]func(*ca.Config){
		"no store":              func(c *ca.Config) { c.Store = nil },
		"a nil store":           func(c *ca.Config) { c.Store = (*store)(nil) },
		"no issuing CA":         func(c *ca.Config) { c.Issuing = nil },
		"no certificate":        func(c *ca.Config) { c.Issuing[0].Certificate = nil },
		"no signer":             func(c *ca.Config) { c.Issuing[0].Signer = nil },
		"a nil signer":          func(c *ca.Config) { c.Issuing[0].Signer = (*ecdsa.PrivateKey)(nil) },
		"another's signer":      func(c *ca.Config) { c.Issuing[0].Signer = other.signer },
		"a short key":           func(c *ca.Config) { c.Issuing[0].Signer = rsaKey },
		"a person's":            func(c *ca.Config) { c.Issuing[0].Certificate = leaf },
		"twice":                 func(c *ca.Config) { c.Issuing = append(c.Issuing, c.Issuing[0]) },
		"a chain of nothing":    func(c *ca.Config) { c.Issuing[0].Above = []*x509.Certificate{nil} },
		"another's chain":       func(c *ca.Config) { c.Issuing[0].Above = []*x509.Certificate{other.root} },
		"a name without TEST":   func(c *ca.Config) { c.Issuing[0].Certificate = named("Tandem EID-Q") },
		"no URL":                func(c *ca.Config) { c.URL = "" },
		"a URL of files":        func(c *ca.Config) { c.URL = "file:///pki" },
		"a URL of no host":      func(c *ca.Config) { c.URL = "http:///pki" },
		"a URL with an end":     func(c *ca.Config) { c.URL = "http://host/" },
		"a URL with a query":    func(c *ca.Config) { c.URL = "http://host/?a" },
		"a user":                func(c *ca.Config) { c.URL = "http://me@host" },
		"letters in the URL":    func(c *ca.Config) { c.URL = "http://host/õ" },
		"no profile":            func(c *ca.Config) { c.Profile = ca.Profile{} },
		"eleven years":          func(c *ca.Config) { c.Profile.Years = 11 },
		"short keys":            func(c *ca.Config) { c.Profile.MinBits = 1024 },
		"no policy":             func(c *ca.Config) { c.Profile.SignatureAdvanced.Policies = nil },
		"a policy that is none": func(c *ca.Config) { c.Profile.SignatureAdvanced.Policies = []string{"3.1"} },
		"a policy twice":        func(c *ca.Config) { c.Profile.SignatureAdvanced.Policies = []string{"1.2.3", "1.2.3"} },
		"a usage of large numbers": func(c *ca.Config) {
			c.Profile.AuthenticationAdvanced.ExtKeyUsage = []string{"2.25.170141183460469231731687303715884105728"}
		},
		"no CA": func(c *ca.Config) { c.Issuing[0].Certificate = with(func(c *x509.Certificate) { c.IsCA = false }) },
		"without constraints": func(c *ca.Config) {
			c.Issuing[0].Certificate = with(func(c *x509.Certificate) { c.BasicConstraintsValid = false })
		},
		"without CRLs": func(c *ca.Config) {
			c.Issuing[0].Certificate = with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
		},
		"without a key id": func(c *ca.Config) {
			c.Issuing[0].Certificate = with(func(c *x509.Certificate) { c.SubjectKeyId = nil })
		},
		"a usage that is none":   func(c *ca.Config) { c.Profile.AuthenticationAdvanced.ExtKeyUsage = []string{"1.2.x"} },
		"a statement by http":    func(c *ca.Config) { c.Profile.SignatureQualified.QC.PDS = []ca.PDS{{"http://host/pds", "en"}} },
		"a statement in English": func(c *ca.Config) { c.Profile.SignatureQualified.QC.PDS = []ca.PDS{{"https://host/pds", "English"}} },
		"a statement in EN":      func(c *ca.Config) { c.Profile.SignatureQualified.QC.PDS = []ca.PDS{{"https://host/pds", "EN"}} },
	} {
		c := good.config
		c.Issuing = append([]ca.Issuing(nil), c.Issuing...)
		change(&c)
		_, err := ca.New(c)
		require.ErrorIs(t, err, ca.ErrConfig, name)
	}
	// Without the profile that asks for it the name may be any.
	c := good.config
	c.Issuing = []ca.Issuing{{Certificate: named("Tandem EID-Q"), Signer: good.signer}}
	c.Profile.TestNames = false
	_, err := ca.New(c)
	require.NoError(t, err)
}

func TestNamesOfCAs(t *testing.T) {
	signer := p384(t)
	for name, change := range map[string]func(*ca.Name){
		"country":         func(n *ca.Name) { n.Country = "ee" },
		"no organization": func(n *ca.Name) { n.Organization = "" },
		"no identifier":   func(n *ca.Name) { n.OrganizationID = "" },
		"no name":         func(n *ca.Name) { n.CommonName = "" },
		"NUL":             func(n *ca.Name) { n.CommonName = "TEST\x00" },
		"long":            func(n *ca.Name) { n.CommonName = string(make([]byte, 65)) },
		"space":           func(n *ca.Name) { n.CommonName = " TEST" },
		"not UTF-8":       func(n *ca.Name) { n.Organization = "\xff" },
	} {
		n := ca.TestName("root")
		change(&n)
		_, err := ca.NewRoot(signer, n, 0)
		require.ErrorIs(t, err, ca.ErrConfig, name)
	}
	root, err := ca.NewRoot(signer, ca.TestName("root"), 0)
	require.NoError(t, err)
	_, err = ca.NewIssuing(root, p384(t), signer.Public(), ca.TestName("a"), 0)
	require.ErrorIs(t, err, ca.ErrConfig, "another's key")
	_, err = ca.NewIssuing(root, signer, &splitkeytest.Key(2048).PublicKey, ca.TestName("a"), 0)
	require.ErrorIs(t, err, ca.ErrConfig, "a short key")
	_, err = ca.NewRoot(splitkeytest.Key(2048), ca.TestName("a"), 0)
	require.ErrorIs(t, err, ca.ErrConfig, "a short key")
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	_, err = ca.NewRoot(p224, ca.TestName("a"), 0)
	require.ErrorIs(t, err, ca.ErrConfig, "a short curve")
}

func TestRevoke(t *testing.T) {
	ctx := context.Background()
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	for _, r := range []ca.Reason{2, 6, 7, 8, 10, 255} {
		require.ErrorIs(t, a.Revoke(ctx, c, r), ca.ErrRequest)
	}
	require.ErrorIs(t, a.Revoke(ctx, nil, ca.Superseded), ca.ErrRequest)
	require.Nil(t, a.record(t, c).Revoked)

	// Of another authority: with a number of its own, or by chance with one of this.
	other := newAuthority(t)
	strange := other.issue(t, ca.Signature, identity.Qualified)
	require.ErrorIs(t, a.Revoke(ctx, strange, ca.Superseded), ca.ErrNotFound)
	forged := *strange
	forged.SerialNumber = c.SerialNumber
	require.ErrorIs(t, a.Revoke(ctx, &forged, ca.Superseded), ca.ErrNotFound)
	forged.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 130)
	require.ErrorIs(t, a.Revoke(ctx, &forged, ca.Superseded), ca.ErrNotFound)
	require.Nil(t, a.record(t, c).Revoked)

	before := time.Now().Truncate(time.Second)
	require.NoError(t, a.Revoke(ctx, c, ca.CessationOfOperation))
	r := a.record(t, c)
	require.NotNil(t, r.Revoked)
	require.Equal(t, ca.CessationOfOperation, r.Revoked.Reason)
	require.False(t, r.Revoked.At.Before(before))
	require.NoError(t, a.Revoke(ctx, c, ca.KeyCompromise))
	require.Equal(t, r, a.record(t, c), "the first counts")

	a.store.err = errors.New("no store")
	require.ErrorIs(t, a.Revoke(ctx, c, ca.KeyCompromise), a.store.err)
}

// openssl runs the openssl command on files that are written first, in PEM.
func openssl(t testing.TB, files map[string]any, args ...string) (string, error) {
	t.Helper()
	program := needtest.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	for name, content := range files {
		var b []byte
		switch c := content.(type) {
		case []byte:
			b = c
		case *x509.Certificate:
			b = toPEM(c)
		case []*x509.Certificate:
			for _, c := range c {
				b = append(b, toPEM(c)...)
			}
		}
		require.NotEmpty(t, b)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func toPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

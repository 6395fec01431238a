package ca_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

func pemCRL(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}) }

// The structures of RFC 6960, for encoding/asn1. The responder writes and reads by other
// means.
type (
	asn1Request struct {
		TBS       asn1TBSRequest
		Signature asn1.RawValue `asn1:"optional"`
	}
	asn1TBSRequest struct {
		Version    int           `asn1:"optional,explicit,tag:0"`
		Requestor  asn1.RawValue `asn1:"optional"`
		List       []asn1Single
		Extensions []pkix.Extension `asn1:"optional,explicit,tag:2,omitempty"`
	}
	asn1Single struct {
		ID         asn1CertID
		Extensions []pkix.Extension `asn1:"optional,explicit,tag:0,omitempty"`
	}
	asn1CertID struct {
		Algorithm pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
	asn1Response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	asn1Basic struct {
		Data struct {
			Raw        asn1.RawContent
			Name       asn1.RawValue `asn1:"explicit,tag:1"`
			ProducedAt time.Time     `asn1:"generalized"`
			Responses  []asn1SingleResponse
			Extensions []pkix.Extension `asn1:"optional,explicit,tag:1"`
		}
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	asn1SingleResponse struct {
		ID         asn1.RawValue
		Status     asn1.RawValue
		ThisUpdate time.Time        `asn1:"generalized"`
		NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
)

var (
	sha1ID   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	sha256ID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	nonceID  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

	// OCSPResponse { status } without an answer.
	malformed    = []byte{0x30, 3, 0x0a, 1, 1}
	tryLater     = []byte{0x30, 3, 0x0a, 1, 3}
	unauthorized = []byte{0x30, 3, 0x0a, 1, 6}
)

const good, revoked, unknown = ocsp.Good, ocsp.Revoked, ocsp.Unknown

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func asn1ID(issuer *x509.Certificate, hash asn1.ObjectIdentifier, serial *big.Int) asn1CertID {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	must(asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki))
	digest := func(b []byte) (out []byte) {
		if hash.Equal(sha256ID) {
			sum := sha256.Sum256(b)
			return sum[:]
		}
		fips140.WithoutEnforcement(func() {
			sum := sha1.Sum(b)
			out = sum[:]
		})
		return out
	}
	return asn1CertID{pkix.AlgorithmIdentifier{Algorithm: hash, Parameters: asn1.NullRawValue}, digest(issuer.RawSubject), digest(spki.Key.RightAlign()), serial}
}

// ocspFor makes a request. The nonce is the content of its extension.
func ocspFor(issuer *x509.Certificate, hash asn1.ObjectIdentifier, nonce []byte, serials ...*big.Int) []byte {
	var r asn1Request
	for _, s := range serials {
		r.TBS.List = append(r.TBS.List, asn1Single{ID: asn1ID(issuer, hash, s)})
	}
	if nonce != nil {
		r.TBS.Extensions = []pkix.Extension{{Id: nonceID, Value: nonce}}
	}
	return must(asn1.Marshal(r))
}

// answered is an answer, checked by golang.org/x/crypto/ocsp and taken apart by
// encoding/asn1.
type answered struct {
	*ocsp.Response
	basic asn1Basic
}

func (r answered) CertStatus(testing.TB) int { return r.Status }

func (a *authority) ask(t testing.TB, issuer *x509.Certificate, request []byte) answered {
	t.Helper()
	der, err := a.OCSP(context.Background(), request)
	require.NoError(t, err)
	var outer asn1Response
	rest, err := asn1.Unmarshal(der, &outer)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Zero(t, outer.Status)
	require.Equal(t, "1.3.6.1.5.5.7.48.1.1", outer.Bytes.Type.String())
	var basic asn1Basic
	rest, err = asn1.Unmarshal(outer.Bytes.Response, &basic)
	require.NoError(t, err)
	require.Empty(t, rest)
	if len(basic.Data.Responses) > 1 {
		return answered{nil, basic}
	}
	r, err := ocsp.ParseResponse(der, issuer)
	require.NoError(t, err)
	return answered{r, basic}
}

func (a *authority) status(t testing.TB, c, issuer *x509.Certificate) answered {
	return a.ask(t, issuer, ocspFor(issuer, sha256ID, nil, c.SerialNumber))
}

// TestOCSP: each part of an answer, read by other code than wrote it.
func TestOCSP(t *testing.T) {
	ctx := context.Background()
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	taken := a.issue(t, ca.Signature, identity.Qualified)
	require.NoError(t, a.Revoke(ctx, taken, ca.KeyCompromise))
	deleted := a.issue(t, ca.Signature, identity.Qualified)
	require.NoError(t, a.Revoke(ctx, deleted, ca.Unspecified))
	for _, hash := range []asn1.ObjectIdentifier{sha1ID, sha256ID} {
		for name, want := range map[string]struct {
			serial *big.Int
			status int
		}{
			"good":     {c.SerialNumber, good},
			"revoked":  {taken.SerialNumber, revoked},
			"deleted":  {deleted.SerialNumber, revoked},
			"unknown":  {big.NewInt(7), unknown},
			"too long": {new(big.Int).Lsh(big.NewInt(1), 128), unknown},
			"zero":     {big.NewInt(0), unknown},
			"negative": {big.NewInt(-1), unknown},
		} {
			before := time.Now().UTC().Truncate(time.Second)
			r := a.ask(t, a.issuing(), ocspFor(a.issuing(), hash, nil, want.serial))
			require.Equal(t, want.status, r.Status, name)
			require.Zero(t, r.SerialNumber.Cmp(want.serial))
			require.Len(t, r.basic.Data.Responses, 1)
			require.Equal(t, must(asn1.Marshal(asn1ID(a.issuing(), hash, want.serial))), r.basic.Data.Responses[0].ID.FullBytes)
			require.False(t, r.ProducedAt.Before(before))
			require.False(t, r.ProducedAt.After(time.Now()))
			require.Equal(t, r.ProducedAt, r.ThisUpdate)
			require.Equal(t, r.ThisUpdate.Add(time.Hour), r.NextUpdate)
			require.Empty(t, r.basic.Data.Extensions)
			extensions := r.basic.Data.Responses[0].Extensions
			require.Len(t, extensions, 1)
			require.Equal(t, "1.3.6.1.5.5.7.48.1.6", extensions[0].Id.String())
			var cutoff time.Time
			require.Empty(t, must(asn1.UnmarshalWithParams(extensions[0].Value, &cutoff, "generalized")))
			require.Equal(t, a.issuing().NotBefore, cutoff)
			switch name {
			case "revoked":
				require.Equal(t, ocsp.KeyCompromise, r.RevocationReason)
				require.Equal(t, a.record(t, taken).Revoked.At, r.RevokedAt)
			case "deleted":
				require.Equal(t, "a1 11 18 0f", strings.TrimSpace(hexOf(r.basic.Data.Responses[0].Status.FullBytes[:4])), "no reason")
			}
		}
	}
}

func hexOf(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		out.WriteString(" " + fromByte(c))
	}
	return out.String()
}

func fromByte(c byte) string {
	return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])
}

// TestOCSPResponder: the key that signs has a certificate of the issuing CA's, for this
// purpose and a short time.
func TestOCSPResponder(t *testing.T) {
	a := newAuthority(t)
	r := a.status(t, a.issue(t, ca.Signature, identity.Qualified), a.issuing())
	require.Len(t, r.basic.Certificates, 1)
	c := r.Certificate
	require.NoError(t, c.CheckSignatureFrom(a.issuing()))
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, c.ExtKeyUsage)
	require.Equal(t, x509.KeyUsageDigitalSignature, c.KeyUsage)
	require.False(t, c.IsCA)
	require.LessOrEqual(t, c.NotAfter.Sub(c.NotBefore), 7*24*time.Hour+time.Hour)
	require.Equal(t, c.RawSubject, r.RawResponderName)
	require.Equal(t, "CN=TEST of tandem EID-Q 1 OCSP", c.Subject.String())
	found := false
	for _, e := range c.Extensions {
		found = found || e.Id.String() == "1.3.6.1.5.5.7.48.1.5" && bytes.Equal(e.Value, asn1.NullBytes)
	}
	require.True(t, found, "id-pkix-ocsp-nocheck")
	require.Equal(t, ca.Record{Serial: must(ca.SerialOf(c.SerialNumber)), Issuer: a.id(), NotAfter: c.NotAfter, DER: c.Raw}, a.record(t, c))
	require.Equal(t, good, a.status(t, c, a.issuing()).Status)
}

// TestOCSPNonce: a nonce comes back as it is.
func TestOCSPNonce(t *testing.T) {
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	octets := func(n int) []byte { return must(asn1.Marshal(bytes.Repeat([]byte{0xa5}, n))) }
	for _, nonce := range [][]byte{octets(1), octets(16), octets(32), octets(128), {0xff}, bytes.Repeat([]byte{0xff}, 128)} {
		r := a.ask(t, a.issuing(), ocspFor(a.issuing(), sha1ID, nonce, c.SerialNumber))
		require.Equal(t, []pkix.Extension{{Id: nonceID, Value: nonce}}, r.basic.Data.Extensions)
	}
	for _, nonce := range [][]byte{octets(0), octets(129), {}, bytes.Repeat([]byte{0xff}, 129)} {
		response, err := a.OCSP(context.Background(), ocspFor(a.issuing(), sha1ID, nonce, c.SerialNumber))
		require.Error(t, err)
		require.Equal(t, malformed, response)
	}
}

// TestOCSPRequests: what a request may have, and what it may not.
func TestOCSPRequests(t *testing.T) {
	ctx := context.Background()
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	other := newAuthority(t)
	single := asn1Single{ID: asn1ID(a.issuing(), sha1ID, c.SerialNumber)}
	foreign := asn1Single{ID: asn1ID(other.issuing(), sha1ID, c.SerialNumber)}
	extension := func(id string, critical bool) []pkix.Extension {
		oid := asn1.ObjectIdentifier{1, 2, 3}
		if id == "nonce" {
			oid = nonceID
		}
		return []pkix.Extension{{Id: oid, Critical: critical, Value: []byte{4, 1, 0}}}
	}
	list := func(n int, s asn1Single) (out []asn1Single) {
		for range n {
			out = append(out, s)
		}
		return out
	}
	encode := func(r asn1Request) []byte { return must(asn1.Marshal(r)) }
	plain := encode(asn1Request{TBS: asn1TBSRequest{List: list(1, single)}})
	padded := single
	padded.ID.Name = append(bytes.Clone(single.ID.Name), 0)
	swapped := single
	swapped.ID.Name, swapped.ID.Key = single.ID.Key, single.ID.Name
	sha512 := single
	sha512.ID.Algorithm.Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	mislabelled := single
	mislabelled.ID.Algorithm.Algorithm = sha256ID
	bare := single
	bare.ID.Algorithm.Parameters = asn1.RawValue{}
	tagged := func(tag int, content []byte) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: content}
	}
	name := tagged(1, must(asn1.Marshal(tagged(4, a.root.RawSubject))))
	signature := tagged(0, []byte{0x30, 2, 5, 0})
	for _, test := range []struct {
		name    string
		request []byte
		refusal []byte // nil: answered
	}{
		{"plain", plain, nil},
		{"no parameters", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, bare)}}), nil},
		{"signed, by a name", encode(asn1Request{TBS: asn1TBSRequest{Requestor: name, List: list(1, single)}, Signature: signature}), nil},
		{"an extension", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, single), Extensions: extension("other", false)}}), nil},
		{"sixteen", encode(asn1Request{TBS: asn1TBSRequest{List: list(16, single)}}), nil},
		{"version 1, written", bytes.Replace(plain, plain[:4], append([]byte{0x30, plain[1] + 5, 0x30, plain[3] + 5}, 0xa0, 3, 2, 1, 0), 1), nil},

		{"nothing", nil, malformed},
		{"an empty sequence", []byte{0x30, 0}, malformed},
		{"something after it", append(bytes.Clone(plain), 0), malformed},
		{"cut off", plain[:len(plain)-1], malformed},
		{"version 2", encode(asn1Request{TBS: asn1TBSRequest{Version: 1, List: list(1, single)}}), malformed},
		{"no certificate", encode(asn1Request{}), malformed},
		{"seventeen", encode(asn1Request{TBS: asn1TBSRequest{List: list(17, single)}}), malformed},
		{"a critical extension", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, single), Extensions: extension("other", true)}}), malformed},
		{"a critical extension of one", encode(asn1Request{TBS: asn1TBSRequest{List: []asn1Single{{single.ID, extension("other", true)}}}}), malformed},
		{"a nonce of one", encode(asn1Request{TBS: asn1TBSRequest{List: []asn1Single{{single.ID, extension("nonce", false)}}}}), malformed},
		{"two nonces", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, single), Extensions: append(extension("nonce", false), extension("nonce", false)...)}}), malformed},
		{"too long", ocspFor(a.issuing(), sha1ID, nil, new(big.Int).Lsh(big.NewInt(1), 8*4096)), malformed},

		{"another CA", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, foreign)}}), unauthorized},
		{"another CA as well", encode(asn1Request{TBS: asn1TBSRequest{List: []asn1Single{single, foreign}}}), unauthorized},
		{"another name", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, padded)}}), unauthorized},
		{"name and key in each other's place", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, swapped)}}), unauthorized},
		{"another hash", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, sha512)}}), unauthorized},
		{"another hash than it says", encode(asn1Request{TBS: asn1TBSRequest{List: list(1, mislabelled)}}), unauthorized},
	} {
		if test.refusal == nil {
			r := a.ask(t, a.issuing(), test.request)
			for _, s := range r.basic.Data.Responses {
				require.Equal(t, []byte{0x80, 0}, s.Status.FullBytes, test.name)
			}
			continue
		}
		response, err := a.OCSP(ctx, test.request)
		require.Error(t, err, test.name)
		require.Equal(t, test.refusal, response, test.name)
	}

	// A certificate of another issuing CA of the same Authority is unknown to this one.
	signer := p384(t)
	second := must(ca.NewIssuing(a.root, a.rootSigner, signer.Public(), ca.TestName("tandem EID-Q 2"), 0))
	a.config.Issuing = append(a.config.Issuing, ca.Issuing{Certificate: second, Signer: signer})
	a.Authority = must(ca.New(a.config))
	require.Equal(t, unknown, a.ask(t, second, ocspFor(second, sha1ID, nil, c.SerialNumber)).Status)
	require.Equal(t, good, a.ask(t, a.issuing(), ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber)).Status)
	both := encode(asn1Request{TBS: asn1TBSRequest{List: []asn1Single{single, {ID: asn1ID(second, sha1ID, c.SerialNumber)}}}})
	response, err := a.OCSP(ctx, both)
	require.Error(t, err)
	require.Equal(t, unauthorized, response)
}

// TestClockResponder: a responder is renewed when half of its time is over; if that
// fails, it serves until its end.
func TestClockResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newAuthority(t)
		time.Sleep(time.Hour)
		c := a.issue(t, ca.Signature, identity.Qualified)
		request := ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber)
		first := a.ask(t, a.issuing(), request).Certificate
		require.Equal(t, time.Now().Add(-time.Hour).UTC(), first.NotBefore)
		require.Equal(t, time.Now().Add(7*24*time.Hour).UTC(), first.NotAfter)
		time.Sleep(7*12*time.Hour - time.Second)
		require.Equal(t, first, a.ask(t, a.issuing(), request).Certificate)
		time.Sleep(time.Second)
		second := a.ask(t, a.issuing(), request).Certificate
		require.NotEqual(t, first.SerialNumber, second.SerialNumber)
		require.NotEqual(t, first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo)

		a.signer.err = errors.New("no HSM")
		time.Sleep(7*24*time.Hour - time.Second)
		require.Equal(t, second, a.ask(t, a.issuing(), request).Certificate)
		time.Sleep(time.Second)
		response, err := a.OCSP(ctx, request)
		require.ErrorIs(t, err, a.signer.err)
		require.Equal(t, tryLater, response)
		a.signer.err = nil
		a.ask(t, a.issuing(), request)

		a.store.err = errors.New("no store")
		response, err = a.OCSP(ctx, request)
		require.ErrorIs(t, err, a.store.err)
		require.Equal(t, tryLater, response)
	})
}

// served is an Authority behind an HTTP server on this machine, as certificates say.
func served(t *testing.T) (*authority, *httptest.Server) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	a := newAuthority(t, func(c *ca.Config) { c.URL = server.URL + "/pki" })
	handler = http.StripPrefix("/pki", a.Handler(nil))
	return a, server
}

// TestOpenSSLOCSP: the openssl command believes the answers, with a nonce and without.
func TestOpenSSLOCSP(t *testing.T) {
	ctx := context.Background()
	a, _ := served(t)
	c, taken := a.issue(t, ca.Signature, identity.Qualified), a.issue(t, ca.Authentication, identity.Qualified)
	require.NoError(t, a.Revoke(ctx, taken, ca.CessationOfOperation))
	files := map[string]any{"chain": []*x509.Certificate{a.root, a.issuing()}, "issuing": a.issuing(), "c": c, "taken": taken}
	for _, nonce := range []string{"-nonce", "-no_nonce"} {
		for _, hash := range []string{"-sha1", "-sha256"} {
			out, err := openssl(t, files, "ocsp", "-CAfile", "chain", "-issuer", "issuing", hash, "-cert", "c", "-cert", "taken", "-serial", "7",
				"-url", c.OCSPServer[0], nonce, "-resp_text")
			require.NoError(t, err, out)
			require.Contains(t, out, "Response verify OK\n")
			require.Contains(t, out, "\nc: good\n")
			require.Contains(t, out, "\ntaken: revoked\n")
			require.Contains(t, out, "\tReason: cessationOfOperation\n")
			require.Contains(t, out, "\n7: unknown\n")
			require.Equal(t, nonce == "-nonce", strings.Contains(out, "OCSP Nonce:"))
			require.Contains(t, out, "OCSP Archive Cutoff:")
			require.NotContains(t, out, "WARNING")
		}
	}
	files["chain"] = []*x509.Certificate{newAuthority(t).root, a.issuing()}
	out, _ := openssl(t, files, "ocsp", "-CAfile", "chain", "-issuer", "issuing", "-cert", "c", "-url", c.OCSPServer[0])
	require.NotContains(t, out, "Response verify OK")
}

// TestFIPS: SHA-1 names a CA in OCSP requests in FIPS 140-only mode, too.
func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	require.Equal(t, good, a.ask(t, a.issuing(), ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber)).Status)
	a.crl(t)
}

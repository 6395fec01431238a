package ca_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

func (a *authority) crl(t testing.TB) *x509.RevocationList {
	t.Helper()
	der, err := a.CRL(context.Background(), a.id())
	require.NoError(t, err)
	l, err := x509.ParseRevocationList(der)
	require.NoError(t, err)
	require.NoError(t, l.CheckSignatureFrom(a.issuing()))
	return l
}

// entries lists serial numbers and reasons.
func entries(l *x509.RevocationList) []string {
	var out []string
	for _, e := range l.RevokedCertificateEntries {
		out = append(out, fmt.Sprint(e.SerialNumber, " ", e.ReasonCode))
	}
	slices.Sort(out)
	return out
}

func entry(c *x509.Certificate, reason int) string { return fmt.Sprint(c.SerialNumber, " ", reason) }

// TestOpenSSLCRL: openssl verifies the CRL, and certificates by it.
func TestOpenSSLCRL(t *testing.T) {
	ctx := context.Background()
	for _, kind := range []string{"ecdsa", "rsa"} {
		a := newAuthority(t)
		if kind == "rsa" {
			useRSA(t, a)
		}
		good, revoked := a.issue(t, ca.Signature, identity.Qualified), a.issue(t, ca.Signature, identity.Qualified)
		require.NoError(t, a.Revoke(ctx, revoked, ca.KeyCompromise))
		der, err := a.CRL(ctx, a.id())
		require.NoError(t, err)
		files := map[string]any{
			"crl": der, "chain": []*x509.Certificate{a.root, a.issuing()}, "other": []*x509.Certificate{newAuthority(t).issuing()},
			"root": a.root, "issuing": a.issuing(), "good": good, "revoked": revoked,
		}
		out, err := openssl(t, files, "crl", "-inform", "DER", "-in", "crl", "-noout", "-text", "-CAfile", "chain")
		require.NoError(t, err, out)
		require.Contains(t, out, "verify OK")
		require.Contains(t, out, "Key Compromise")
		require.Contains(t, out, "X509v3 CRL Number: \n                1\n")
		require.Contains(t, out, "X509v3 Authority Key Identifier")
		require.Contains(t, strings.ToLower(out), fmt.Sprintf("serial number: %x\n", revoked.SerialNumber.Bytes()))
		out, _ = openssl(t, files, "crl", "-inform", "DER", "-in", "crl", "-noout", "-CAfile", "other")
		require.NotContains(t, out, "verify OK")

		for name, ok := range map[string]bool{"good": true, "revoked": false} {
			out, err = openssl(t, files, "crl", "-inform", "DER", "-in", "crl", "-out", "crl.pem")
			require.NoError(t, err, out)
			both := map[string]any{"root": a.root, "issuing": a.issuing(), name: files[name], "crl": pemCRL(der)}
			out, err = openssl(t, both, "verify", "-crl_check", "-CRLfile", "crl", "-CAfile", "root", "-untrusted", "issuing", name)
			if ok {
				require.NoError(t, err, out)
			} else {
				require.Error(t, err)
				require.Contains(t, out, "certificate revoked")
			}
		}
	}
}

// TestClockCRL: one CRL serves for an hour, unless something is revoked; the next has the
// next number, whichever node signs it; each is valid for a day.
func TestClockCRL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newAuthority(t)
		first := a.crl(t)
		require.Equal(t, "1", first.Number.String())
		require.Equal(t, time.Now().UTC(), first.ThisUpdate)
		require.Equal(t, first.ThisUpdate.Add(24*time.Hour), first.NextUpdate)
		require.Empty(t, first.RevokedCertificateEntries)

		time.Sleep(time.Hour - time.Second)
		require.Equal(t, first.Raw, a.crl(t).Raw)
		time.Sleep(time.Second)
		second := a.crl(t)
		require.Equal(t, "2", second.Number.String())
		require.Equal(t, time.Now().UTC(), second.ThisUpdate)

		c, d := a.issue(t, ca.Authentication, identity.Qualified), a.issue(t, ca.Signature, identity.Qualified)
		time.Sleep(time.Minute)
		require.NoError(t, a.Revoke(ctx, c, ca.CessationOfOperation))
		time.Sleep(time.Minute)
		third := a.crl(t)
		require.Equal(t, "3", third.Number.String())
		require.Equal(t, []string{entry(c, 5)}, entries(third))
		require.Equal(t, time.Now().Add(-time.Minute).UTC(), third.RevokedCertificateEntries[0].RevocationTime)
		require.Equal(t, third.Raw, a.crl(t).Raw)

		// Another node takes what is stored, and signs its own when it must.
		node := &authority{config: a.config}
		var err error
		node.Authority, err = ca.New(a.config)
		require.NoError(t, err)
		require.Equal(t, third.Raw, node.crl(t).Raw)
		time.Sleep(time.Minute)
		require.NoError(t, node.Revoke(ctx, d, ca.Unspecified))
		fourth := node.crl(t)
		require.Equal(t, "4", fourth.Number.String())
		both := []string{entry(c, 5), entry(d, 0)}
		slices.Sort(both)
		require.Equal(t, both, entries(fourth))
		require.Equal(t, third.Raw, a.crl(t).Raw, "until it is an hour old")
		time.Sleep(59 * time.Minute)
		require.Equal(t, fourth.Raw, a.crl(t).Raw)

		// A certificate that expired a day ago leaves the list.
		time.Sleep(time.Until(d.NotAfter))
		require.Equal(t, both, entries(a.crl(t)))
		time.Sleep(24*time.Hour - time.Second)
		require.Equal(t, both, entries(a.crl(t)))
		time.Sleep(2 * time.Hour)
		require.Empty(t, entries(a.crl(t)))
	})
}

// TestClockCRLWithout: without a store, or a signer, the last CRL serves until it ends.
// What was revoked meanwhile is in the next.
func TestClockCRLWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newAuthority(t)
		c := a.issue(t, ca.Signature, identity.Qualified)
		first := a.crl(t)
		require.NoError(t, a.Revoke(ctx, c, ca.Superseded))
		broken := errors.New("broken")
		for _, set := range []func(error){func(err error) { a.store.err = err }, func(err error) { a.signer.err = err }} {
			set(broken)
			require.Equal(t, first.Raw, a.crl(t).Raw)
			set(nil)
		}
		second := a.crl(t)
		require.Equal(t, []string{entry(c, 4)}, entries(second))

		a.signer.err = broken
		time.Sleep(24*time.Hour - time.Second)
		require.Equal(t, second.Raw, a.crl(t).Raw)
		time.Sleep(time.Second)
		_, err := a.CRL(ctx, a.id())
		require.ErrorIs(t, err, broken)
		a.signer.err = nil
		require.Equal(t, "3", a.crl(t).Number.String())
	})
}

// TestCRLConflict: if another node signs first, its CRL serves, unless it lacks what this
// node revoked.
func TestCRLConflict(t *testing.T) {
	ctx := context.Background()
	a := newAuthority(t)
	node := &authority{config: a.config}
	var err error
	node.Authority, err = ca.New(a.config)
	require.NoError(t, err)

	var won *x509.RevocationList
	a.store.conflict = func() { won = node.crl(t) }
	require.Equal(t, a.crl(t).Raw, won.Raw)
	require.Equal(t, "1", won.Number.String())

	c := a.issue(t, ca.Signature, identity.Qualified)
	require.NoError(t, a.Revoke(ctx, c, ca.Superseded))
	a.store.conflict = func() {
		require.NoError(t, a.store.SetCRL(ctx, a.id(), 2, []byte("of a node that has not seen the revocation")))
	}
	mine := a.crl(t)
	require.Equal(t, "3", mine.Number.String())
	require.Equal(t, []string{entry(c, 4)}, entries(mine))

	// What this CA did not sign, or under another number, is not served.
	fresh := newAuthority(t)
	require.NoError(t, fresh.store.SetCRL(ctx, fresh.id(), 1, newAuthority(t).crl(t).Raw))
	second := fresh.crl(t)
	require.Equal(t, "2", second.Number.String())
	require.NoError(t, fresh.store.SetCRL(ctx, fresh.id(), 3, second.Raw))
	fresh.Authority, err = ca.New(fresh.config)
	require.NoError(t, err)
	require.Equal(t, "4", fresh.crl(t).Number.String())

	_, err = a.CRL(ctx, "0123")
	require.ErrorIs(t, err, ca.ErrNotFound)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.NoError(t, a.Revoke(ctx, a.issue(t, ca.Signature, identity.Qualified), ca.Superseded))
	_, err = a.CRL(ended, a.id())
	require.ErrorIs(t, err, context.Canceled)
}

// TestClockRollover: a new issuing CA issues, and the old one goes on with its CRL and
// OCSP.
func TestClockRollover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newAuthority(t)
		old := a.issue(t, ca.Signature, identity.Qualified)
		require.Equal(t, "1", a.crl(t).Number.String())

		// It issues until a certificate would outlive it.
		time.Sleep(time.Until(a.issuing().NotAfter.AddDate(-3, 0, 0)) - time.Second)
		a.issue(t, ca.Signature, identity.Qualified)
		time.Sleep(2*time.Second + 24*time.Hour)
		_, err := a.Issue(ctx, request(ca.Signature, identity.Qualified))
		require.ErrorIs(t, err, ca.ErrExpiring)

		signer := p384(t)
		c, err := ca.NewIssuing(a.root, a.rootSigner, signer.Public(), ca.TestName("tandem EID-Q 2"), 0)
		require.NoError(t, err)
		next := &authority{root: a.root, signer: &brittle{Signer: signer}, store: a.store, config: a.config}
		next.config.Issuing = []ca.Issuing{{Certificate: c, Signer: next.signer}, a.config.Issuing[0]}
		next.Authority, err = ca.New(next.config)
		require.NoError(t, err)
		young := next.issue(t, ca.Signature, identity.Qualified)
		require.Equal(t, c.RawSubject, young.RawIssuer)

		require.NoError(t, next.Revoke(ctx, young, ca.Superseded))
		require.Equal(t, []string{entry(young, 4)}, entries(next.crl(t)))
		require.Equal(t, "1", next.crl(t).Number.String())
		a.Authority = next.Authority
		require.Equal(t, "2", a.crl(t).Number.String())
		require.Empty(t, entries(a.crl(t)))
		fresh := a.record(t, old)
		require.Nil(t, fresh.Revoked)
		require.Equal(t, good, a.status(t, old, a.issuing()).CertStatus(t))
		require.Equal(t, revoked, a.status(t, young, c).CertStatus(t))

		// When the old one has expired, its responder can have no certificate.
		time.Sleep(time.Until(a.issuing().NotAfter))
		response, err := a.OCSP(ctx, ocspFor(a.issuing(), sha1ID, nil, old.SerialNumber))
		require.ErrorContains(t, err, "expired")
		require.Equal(t, unauthorized, response)
	})
}

// TestClockEndOfRoot: an issuing CA ends with its root.
func TestClockEndOfRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		time.Sleep(20 * 365 * 24 * time.Hour)
		c, err := ca.NewIssuing(a.root, a.rootSigner, p384(t).Public(), ca.TestName("tandem EID-Q 2"), 0)
		require.NoError(t, err)
		require.Equal(t, a.root.NotAfter, c.NotAfter)
	})
}

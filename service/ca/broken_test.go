package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

// falseStore is a store of which one call fails, or returns what it should not.
type falseStore struct {
	ca.Store
	record          func(ca.Record) ca.Record
	revoke, crl     error
	setCRL          error
	revokedUnmarked bool
}

func (f *falseStore) Record(ctx context.Context, n ca.Serial) (ca.Record, error) {
	r, err := f.Store.Record(ctx, n)
	if f.record != nil {
		r = f.record(r)
	}
	return r, err
}

func (f *falseStore) Revoke(ctx context.Context, n ca.Serial, r ca.Revocation) error {
	if f.revoke != nil {
		return f.revoke
	}
	return f.Store.Revoke(ctx, n, r)
}

func (f *falseStore) Revoked(ctx context.Context, issuer string, after time.Time) ([]ca.Record, error) {
	list, err := f.Store.Revoked(ctx, issuer, after)
	for i := range list {
		if f.revokedUnmarked {
			list[i].Revoked = nil
		}
	}
	return list, err
}

func (f *falseStore) CRL(ctx context.Context, issuer string) (int64, []byte, error) {
	if f.crl != nil {
		return 0, nil, f.crl
	}
	return f.Store.CRL(ctx, issuer)
}

func (f *falseStore) SetCRL(ctx context.Context, issuer string, n int64, der []byte) error {
	if f.setCRL != nil {
		return f.setCRL
	}
	return f.Store.SetCRL(ctx, issuer, n, der)
}

// TestFalseStore: what the store does not do or know is an error: nothing is called
// revoked that is not stored so, and no list is given out that the store does not have.
func TestFalseStore(t *testing.T) {
	ctx, broken := context.Background(), errors.New("broken")
	f := new(falseStore)
	a := newAuthority(t, func(c *ca.Config) { f.Store, c.Store = c.Store, f })
	c := a.issue(t, ca.Signature, identity.Qualified)
	f.revoke = broken
	require.ErrorIs(t, a.Revoke(ctx, c, ca.Unspecified), broken)
	f.revoke = nil
	for _, err := range []*error{&f.crl, &f.setCRL} {
		*err = broken
		der, got := a.CRL(ctx, a.id())
		require.ErrorIs(t, got, broken)
		require.Nil(t, der)
		*err = nil
	}
	require.NoError(t, a.Revoke(ctx, c, ca.Superseded))
	f.revokedUnmarked = true
	_, err := a.CRL(ctx, a.id())
	require.ErrorContains(t, err, "as revoked, which is not")
	f.revokedUnmarked = false
	require.Len(t, a.crl(t).RevokedCertificateEntries, 1, "what failed before is not forgotten")

	// Whoever goes away while another node's lists are the newer ones.
	require.NoError(t, a.Revoke(ctx, a.issue(t, ca.Signature, identity.Qualified), ca.Superseded))
	f.setCRL = ca.ErrConflict
	left, leave := context.WithTimeout(ctx, time.Nanosecond)
	defer leave()
	_, err = a.CRL(left, a.id())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	f.setCRL = nil

	f.record = func(r ca.Record) ca.Record { r.Serial[0] ^= 1; return r }
	_, err = a.OCSP(ctx, ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber))
	require.ErrorContains(t, err, "another record")
	f.record = func(r ca.Record) ca.Record { r.Issuer += "x"; return r }
	require.ErrorIs(t, a.Revoke(ctx, c, ca.Superseded), ca.ErrNotFound)
	_, err = a.OCSP(ctx, ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber))
	require.NoError(t, err, "unknown to this issuer")
}

// TestKeysOfCAs: no CA has a key of a curve or a length that no verifier should take, and
// no name that is none.
func TestKeysOfCAs(t *testing.T) {
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	_, err = ca.NewRoot(weak, ca.TestName("root"), 0)
	require.ErrorIs(t, err, ca.ErrConfig)
	_, err = ca.NewRoot(p384(t), ca.Name{}, 0)
	require.ErrorIs(t, err, ca.ErrConfig)
	signer := p384(t)
	root, err := ca.NewRoot(signer, ca.TestName("root"), 0)
	require.NoError(t, err)
	_, err = ca.NewIssuing(root, signer, weak.Public(), ca.TestName("issuing"), 0)
	require.ErrorIs(t, err, ca.ErrConfig)
	_, err = ca.NewIssuing(root, signer, p384(t).Public(), ca.Name{}, 0)
	require.ErrorIs(t, err, ca.ErrConfig)
	other := p384(t)
	_, err = ca.NewIssuing(root, other, other.Public(), ca.TestName("issuing"), 0)
	require.Error(t, err, "signed by another key than the root's")
}

// TestFolderFails: a folder is made whole or not at all, whatever is wrong with it, and
// nothing that is there is overwritten.
func TestFolderFails(t *testing.T) {
	s := setup()
	for name, change := range map[string]func(*setups){
		"root": func(s *setups) { s.root.Name = ca.Name{} }, "issuing": func(s *setups) { s.issuing.Name = ca.Name{} },
	} {
		dir, bad := t.TempDir(), s
		change(&bad)
		require.ErrorIs(t, bad.create(filepath.Join(dir, "ca")), ca.ErrConfig, name)
		require.Empty(t, names(t, dir), name)
	}
	require.ErrorIs(t, s.create(filepath.Join(t.TempDir(), "none", "ca")), fs.ErrNotExist)

	folder := filepath.Join(t.TempDir(), "ca")
	require.NoError(t, s.create(folder))
	before := names(t, folder)
	require.ErrorIs(t, ca.AddIssuing(folder, ca.Setup{}, nil), ca.ErrConfig)
	require.ErrorIs(t, ca.AddIssuing(filepath.Join(folder, "none"), ca.Setup{Name: ca.TestName("another")}, nil), fs.ErrNotExist)
	require.Equal(t, before, names(t, folder))
	require.NoError(t, os.Remove(filepath.Join(folder, before[0])))
	_, err := ca.OpenFolder(folder, nil)
	require.Error(t, err)
}

// TestLanguages: a statement's language has two small letters, any of them.
func TestLanguages(t *testing.T) {
	config := newAuthority(t).config
	for language, ok := range map[string]bool{"az": true, "za": true, "a": false, "aza": false, "a{": false, "`z": false, "Az": false} {
		config.Profile.SignatureQualified.QC.PDS = []ca.PDS{{URL: "https://host/pds", Language: language}}
		_, err := ca.New(config)
		require.Equal(t, ok, err == nil, language)
	}
}

// TestOtherFiles: what has the name of an issuing CA's key alone, or a name like it, is
// no issuing CA.
func TestOtherFiles(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "ca")
	require.NoError(t, setup().create(folder))
	for _, name := range []string{"issuing-7", "issuing-7.key", "issuing-.crt", "issuing-07.crt", "issuing-0.crt", "issuing--7.crt", "other-7.crt", "7.crt", "issuing-x.crt"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	f, err := ca.OpenFolder(folder, nil)
	require.NoError(t, err)
	require.Len(t, f.Issuing, 1)
}

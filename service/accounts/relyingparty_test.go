package accounts_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/rp"
)

func demo() accounts.RelyingParty {
	return accounts.RelyingParty{
		UUID: "00000000-0000-4000-8000-000000000000", Names: []string{"DEMO", "Ärzte"},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
	}
}

// TestRelyingParties: what was set is there, and what was deleted is not.
func TestRelyingParties(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		a, b := demo(), demo()
		b.UUID, b.Advanced, b.ShareIP, b.Capabilities = "11111111-0000-4000-8000-000000000000", true, true, []string{"x"}
		b.TokenHash, b.CertificatePin = sha256.Sum256([]byte("token")), sha256.Sum256([]byte("pin"))
		require.NoError(t, w.SetRelyingParty(t.Context(), b))
		require.NoError(t, w.SetRelyingParty(t.Context(), a))
		all, err := w.RelyingParties(t.Context())
		require.NoError(t, err)
		require.Equal(t, []accounts.RelyingParty{a, b}, all)
		a.Disabled = true
		require.NoError(t, w.SetRelyingParty(t.Context(), a))
		got, err := w.RelyingParty(t.Context(), a.UUID)
		require.NoError(t, err)
		require.Equal(t, a, got)
		require.NoError(t, w.DeleteRelyingParty(t.Context(), a.UUID))
		require.ErrorIs(t, w.DeleteRelyingParty(t.Context(), a.UUID), accounts.ErrNotFound)
		_, err = w.RelyingParty(t.Context(), a.UUID)
		require.ErrorIs(t, err, accounts.ErrNotFound)
		_, err = w.RelyingParty(t.Context(), b.UUID)
		require.NoError(t, err)

		for name, change := range map[string]func(*accounts.RelyingParty){
			"no UUID":            func(r *accounts.RelyingParty) { r.UUID = "" },
			"a UUID in capitals": func(r *accounts.RelyingParty) { r.UUID = strings.ToUpper("aaaaaaaa-0000-4000-8000-000000000000") },
			"no name":            func(r *accounts.RelyingParty) { r.Names = nil },
			"an empty name":      func(r *accounts.RelyingParty) { r.Names = []string{""} },
			"a long name":        func(r *accounts.RelyingParty) { r.Names = []string{strings.Repeat("ä", 17)} },
			"a line break":       func(r *accounts.RelyingParty) { r.Names = []string{"a\nb"} },
			"host bits":          func(r *accounts.RelyingParty) { r.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")} },
			"no network":         func(r *accounts.RelyingParty) { r.Networks = []netip.Prefix{{}} },
			"IPv4 in IPv6": func(r *accounts.RelyingParty) {
				r.Networks = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")}
			},
			"a capability": func(r *accounts.RelyingParty) { r.Capabilities = []string{""} },
		} {
			bad := demo()
			change(&bad)
			require.ErrorIs(t, w.SetRelyingParty(t.Context(), bad), accounts.ErrRequest, name)
		}
	})
}

// TestSent: a request is a relying party's if it comes from its networks, with the token
// and the certificate, where these are set.
func TestSent(t *testing.T) {
	r := demo()
	from := func(address string) rp.Source { return rp.Source{Address: netip.MustParseAddr(address)} }
	for address, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "2001:db8::1": true, "192.0.3.7": false, "2001:db9::1": false, "127.0.0.1": false,
	} {
		require.Equal(t, want, r.Sent(from(address)), address)
	}
	require.False(t, r.Sent(rp.Source{}), "no address")
	require.False(t, accounts.RelyingParty{}.Sent(from("192.0.2.7")), "no networks")
	s := from("192.0.2.7")
	r.TokenHash = sha256.Sum256([]byte("token"))
	require.False(t, r.Sent(s))
	s.TokenHash = sha256.Sum256([]byte("another"))
	require.False(t, r.Sent(s))
	s.TokenHash = r.TokenHash
	require.True(t, r.Sent(s))
	mine, other := &x509.Certificate{RawSubjectPublicKeyInfo: []byte("mine")}, &x509.Certificate{RawSubjectPublicKeyInfo: []byte("another's")}
	r.CertificatePin = accounts.Pin(mine)
	require.False(t, r.Sent(s))
	s.Certificate = other
	require.False(t, r.Sent(s))
	s.Certificate = mine
	require.True(t, r.Sent(s))
	s.TokenHash = [32]byte{}
	require.False(t, r.Sent(s), "both are needed")
	s.TokenHash = r.TokenHash
	r.Disabled = true
	require.False(t, r.Sent(s))
	require.Equal(t, accounts.Hash{}, accounts.Pin(nil))

	require.True(t, r.Named("demo"))
	require.True(t, r.Named("ÄRZTE"))
	require.False(t, r.Named("DEM"))
	require.False(t, r.Named(""))
}

// TestHash: a hash is 64 hexadecimal digits, and nothing else is read.
func TestHash(t *testing.T) {
	h := accounts.Hash(sha256.Sum256([]byte("token")))
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.Len(t, text, 66)
	var got accounts.Hash
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, h, got)
	for _, bad := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("x", 64), strings.Repeat("0", 66)} {
		require.ErrorIs(t, got.UnmarshalText([]byte(bad)), accounts.ErrRequest, bad)
		require.Equal(t, h, got, "unchanged")
	}
	require.Error(t, (*accounts.Hash)(nil).UnmarshalText(text[1:65]))
}

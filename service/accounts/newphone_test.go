package accounts_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
)

// approve has the old phone scan and sign.
func (p *phone) approve(t *testing.T, request string) (accounts.NewPhone, []byte) {
	t.Helper()
	n, err := p.w.NewPhone(t.Context(), p.account, request)
	require.NoError(t, err)
	signature, err := p.sign(t, 1, n.Challenge, n.Digest)
	require.NoError(t, err)
	return n, signature
}

// TestNewPhone: the old phone approves the new one, goes on until that has an account,
// and ends then.
func TestNewPhone(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		old, p := w.openAccount(t), newPhone(w)
		w.take(t)
		request, expires, err := w.Ask(t.Context(), p.token, "Another", address)
		require.NoError(t, err)
		require.Equal(t, accounts.Request(p.token), request)
		require.WithinDuration(t, w.clock.Now().Add(10*time.Minute), expires, time.Second)
		again, expires2, err := w.Ask(t.Context(), p.token, "Another", address)
		require.NoError(t, err)
		require.Equal(t, request, again)
		require.Equal(t, expires, expires2)
		_, err = w.Continue(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrNotApproved)
		_, err = w.Finish(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrNotApproved)

		n, signature := old.approve(t, request)
		require.Equal(t, "Another", n.Device)
		require.Equal(t, accounts.NewPhoneDigest(old.account.Document.String(), request, "Another"), n.Digest)
		require.NoError(t, w.Approve(t.Context(), old.account, request, signature))
		require.NoError(t, w.Approve(t.Context(), old.account, request, signature), "again")
		e, err := w.Continue(t.Context(), p.token)
		require.NoError(t, err)
		require.Equal(t, mari, e.Person)
		require.Equal(t, identity.Qualified, e.Document.Level)
		p.enroll(t, e)
		_, err = w.ByToken(t.Context(), old.token)
		require.NoError(t, err, "the old one goes on")
		require.Equal(t, alive, w.conditions(t, old.account))
		p.finish(t)
		require.Equal(t, p.account, w.requireOne(t, old.account))
		require.Equal(t, "Another", p.account.Device)
		sent := w.take(t)
		require.ElementsMatch(t, []notices.Kind{notices.PhoneApproved, notices.AccountEnded, notices.NewPhone}, kinds(sent))
		for _, n := range sent {
			require.Equal(t, "mari@example.org", n.Email)
			if n.Kind == notices.NewPhone {
				require.Equal(t, []string{old.account.Document.String()}, n.Replaced)
			}
		}
	})
}

// TestNewPhoneRefuses: nothing but the old phone's signature of this very request, by
// an account that is active, approves a new phone, and for ten minutes.
func TestNewPhoneRefuses(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		old, other, p, thief := w.openAccount(t), w.openAccount(t), newPhone(w), newPhone(w)
		ask := func(p *phone, device string) string {
			request, _, err := w.Ask(t.Context(), p.token, device, address)
			require.NoError(t, err)
			return request
		}
		request, loot := ask(p, "Another"), ask(thief, "Another")
		_, signature := old.approve(t, request)
		broken := append([]byte{}, signature...)
		broken[100] ^= 1
		// Signed with the other key, over another digest, by another account.
		digest := accounts.NewPhoneDigest(old.account.Document.String(), request, "Another")
		challenge, err := w.server.ChallengeSign(t.Context(), old.account.Keys[0].ID, digest, crypto.SHA256)
		require.NoError(t, err)
		wrongKey, err := old.sign(t, 0, challenge, digest)
		require.NoError(t, err)
		for name, c := range map[string]struct {
			of        *phone
			request   string
			signature []byte
		}{
			"a thief's phone":          {old, loot, signature},
			"another account":          {other, request, signature},
			"a broken signature":       {old, request, broken},
			"none":                     {old, request, nil},
			"the other key's":          {old, request, wrongKey},
			"of another request still": {other, loot, signature},
		} {
			require.ErrorIs(t, w.Approve(t.Context(), c.of.account, c.request, c.signature), accounts.ErrSignature, name)
		}
		for _, bad := range []string{"", "x", request[:42], request + "=", request + "A", request + "\n", base64.RawURLEncoding.EncodeToString(make([]byte, 32))} {
			_, err := w.NewPhone(t.Context(), old.account, bad)
			require.ErrorIs(t, err, accounts.ErrCode, bad)
			require.ErrorIs(t, w.Approve(t.Context(), old.account, bad, signature), accounts.ErrCode, bad)
		}
		// The label is what the old phone showed.
		_, _, err = w.Ask(t.Context(), p.token, "Yet another", address)
		require.ErrorIs(t, err, accounts.ErrRequest)

		require.NoError(t, w.Suspend(t.Context(), old.account.Document))
		require.ErrorIs(t, w.Approve(t.Context(), old.account, request, signature), accounts.ErrEnded)
		suspended, err := w.ByToken(t.Context(), old.token)
		require.NoError(t, err)
		_, err = w.NewPhone(t.Context(), suspended, request)
		require.ErrorIs(t, err, accounts.ErrEnded)
		require.NoError(t, w.Resume(t.Context(), old.account.Document))

		// Approved by one, it is not another's.
		require.NoError(t, w.Approve(t.Context(), old.account, request, signature))
		_, err = w.NewPhone(t.Context(), other.account, request)
		require.ErrorIs(t, err, accounts.ErrCode)
		w.clock.Advance(10 * time.Minute)
		_, err = w.NewPhone(t.Context(), old.account, loot)
		require.ErrorIs(t, err, accounts.ErrCode)
		_, err = w.Continue(t.Context(), thief.token)
		require.ErrorIs(t, err, accounts.ErrCode)
		e, err := w.Continue(t.Context(), p.token)
		require.NoError(t, err, "the approved one has a day")
		// The owner ends the account that approved it: it does not take its place.
		require.NoError(t, w.End(t.Context(), old.account.Document, accounts.ByOwner))
		p.enroll(t, e)
		_, err = w.Finish(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrCode)
		all, err := w.ByPerson(t.Context(), mari.ID)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, other.account, all[0])
		require.Equal(t, [2]int{int(ca.CessationOfOperation), int(ca.CessationOfOperation)}, w.revoked(t, old.account))
	})
}

// TestNewPhoneDigest: what is hashed, as the documentation has it.
func TestNewPhoneDigest(t *testing.T) {
	sum := sha256.Sum256([]byte("tandem new phone 1\nPNOEE-1-7TRE-Q\nrequest\nAnother\n"))
	require.Equal(t, sum[:], accounts.NewPhoneDigest("PNOEE-1-7TRE-Q", "request", "Another"))
	// SHA-256 of "tandem new phone request 1 AAAA...", by sha256sum.
	token := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	got, err := base32.StdEncoding.DecodeString(accounts.Request(token) + "====")
	require.NoError(t, err)
	want := sha256.Sum256([]byte("tandem new phone request 1 " + token))
	require.Equal(t, hex.EncodeToString(want[:]), hex.EncodeToString(got))
}

// TestRequestText: no request begins with what a command takes for a flag, and one that
// is written in another way is refused.
func TestRequestText(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		old, p := w.openAccount(t), newPhone(w)
		w.take(t)
		request, _, err := w.Ask(t.Context(), p.token, "Another", address)
		require.NoError(t, err)
		require.Regexp(t, "^[A-Z2-7]{52}$", request)
		for _, other := range []string{"", "-" + request, request + "====", request + "\n", request[:51] + "B", strings.ToLower(request), request[:50]} {
			_, err := w.NewPhone(t.Context(), old.account, other)
			require.ErrorIs(t, err, accounts.ErrCode, "%q", other)
		}
	})
}

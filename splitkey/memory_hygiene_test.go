//go:build linux && !race

package splitkey_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/memorytest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// What is signed in the process that is searched, and what is checked only.
var (
	hygieneDigest    = sha256.Sum256([]byte("memory"))
	unfinishedDigest = sha256.Sum256([]byte("unfinished"))
)

// TestMemory signs in another process, which wipes its shares and collects its garbage,
// and searches that process's memory for what must be gone.
func TestMemory(t *testing.T) {
	if memorytest.IsChild() {
		signAndForget(t)
		return
	}
	device, server := splitkeytest.Key(2048), splitkeytest.NamedKey(splitkeytest.Server, 2048)
	n := device.N
	composite := new(big.Int).Mul(n, server.N)
	pub := *server
	pub.N = composite
	m, err := splitkeytest.FinalKey(t, &pub.PublicKey).Encode(hygieneDigest[:], crypto.SHA256)
	require.NoError(t, err)
	em := new(big.Int).SetBytes(m.Bytes())
	m, err = splitkeytest.FinalKey(t, &pub.PublicKey).Encode(unfinishedDigest[:], crypto.SHA256)
	require.NoError(t, err)
	unfinished := new(big.Int).SetBytes(m.Bytes())
	power := func(base, exponent, n *big.Int) []byte { return new(big.Int).Exp(base, exponent, n).Bytes() }
	number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	odd := func(x []byte) *big.Int { x2 := new(big.Int).Lsh(number(x), 1); return x2.SetBit(x2, 0, 1) }

	for _, kernel := range arithmetics {
		t.Run(kernel.name, func(t *testing.T) {
			x, wrong := make([]byte, 264), make([]byte, 264)
			rand.Read(wrong)
			var s *splitkey.ServerShare
			var err error
			for range 5 { // 3 in a million have no inverse
				rand.Read(x)
				if _, s, err = splitkeytest.Split(device, splitkey.Multiplicative, x); err == nil {
					break
				}
			}
			require.NoError(t, err)
			y, wrongY := power(em, odd(x), n), power(em, odd(wrong), n)
			unfinishedY := power(unfinished, odd(x), n)
			p, q := server.Primes[0], server.Primes[1]
			secrets := map[string][]byte{
				"x": x, "d_c": odd(x).Bytes(), "d_s": s.Secret(), "y": y,
				"wrong x": wrong, "wrong d_c": odd(wrong).Bytes(), "wrong y": wrongY,
				"wrong s1":                power(number(wrongY), number(s.Secret()), n),
				"s1 that is not finished": power(number(unfinishedY), number(s.Secret()), n),
				"y_p":                     power(em, server.Precomputed.Dp, p), "y_q": power(em, server.Precomputed.Dq, q),
			}
			child := memorytest.Start(t, kernel.godebug)
			child.Send(x)
			child.Send(wrong)
			child.Send(s.Secret())
			child.Wait("held")
			found := child.Search(secrets)
			for _, held := range []string{"x", "wrong x", "d_s"} {
				require.GreaterOrEqual(t, found[held], len(secrets[held])/8, "the search does not find %s where it is", held)
			}
			child.Continue()
			child.RequireWipedTwice("splitkey.TestMemory", column(kernel.name), secrets)
		})
	}
}

// signAndForget is the process that is searched.
func signAndForget(t *testing.T) {
	device, server := splitkeytest.Key(2048), splitkeytest.NamedKey(splitkeytest.Server, 2048)
	x, wrong, d := memorytest.Receive(t, 264), memorytest.Receive(t, 264), memorytest.Receive(t, 256)
	client, err := splitkey.NewClientShare(&device.PublicKey, splitkey.Multiplicative, x)
	require.NoError(t, err)
	thief, err := splitkey.NewClientShare(&device.PublicKey, splitkey.Multiplicative, wrong)
	require.NoError(t, err)
	share, err := splitkey.NewServerShare(&device.PublicKey, splitkey.Multiplicative, d)
	require.NoError(t, err)
	clear(x)
	clear(wrong)
	clear(d)
	memorytest.Pause(t, "held")

	own, err := splitkeytest.SoftwareKey(server)
	require.NoError(t, err)
	completer, err := splitkey.NewCompleter(share, own, nil)
	require.NoError(t, err)
	m, err := completer.FinalKey().Encode(hygieneDigest[:], crypto.SHA256)
	require.NoError(t, err)
	y, err := thief.SignPartial(m)
	require.NoError(t, err)
	_, err = completer.Check(m, y)
	require.ErrorIs(t, err, splitkey.ErrPartial)
	clear(y)
	y, err = client.SignPartial(m)
	require.NoError(t, err)
	_, err = complete(t.Context(), completer, m, y)
	require.NoError(t, err)
	clear(y)
	m, err = completer.FinalKey().Encode(unfinishedDigest[:], crypto.SHA256)
	require.NoError(t, err)
	y, err = client.SignPartial(m)
	require.NoError(t, err)
	ch, err := completer.Check(m, y)
	require.NoError(t, err)
	clear(y)
	ch.Wipe()
	_, err = completer.Finish(t.Context(), ch)
	require.ErrorIs(t, err, splitkey.ErrMessage)
	client.Wipe()
	thief.Wipe()
	share.Wipe()
	memorytest.PauseTwice(t)
}

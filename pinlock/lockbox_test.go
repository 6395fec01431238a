package pinlock

import (
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// reduced is the least that RFC 9106 allows: for tests of everything but the cost.
var reduced = Params{Time: 1, MemoryKiB: 8, Threads: 1}

// testShares deals shares of a fixed key, the client's secret drawn from a label.
func testShares(t testing.TB, bits int, s splitkey.Sharing, label string) (*splitkey.ClientShare, *splitkey.ServerShare) {
	client, server, err := splitkeytest.Split(splitkeytest.Key(bits), s, sha3.SumSHAKE256([]byte(label+" x"), bits/8+8))
	require.NoError(t, err)
	return client, server
}

// lockFixed is Lock with a salt drawn from a label, so that a test finds the same each
// time.
func lockFixed(share *splitkey.ClientShare, pin string, p Params, label string) *Lockbox {
	pub := share.PublicKey()
	c := &contents{sharing: share.Sharing(), params: p, n: pub.N.Bytes(), e: uint32(pub.E), ct: share.Secret()}
	copy(c.salt[:], sha3.SumSHAKE256([]byte(label+" salt"), saltLen))
	xorKeyStream(c.ct, []byte(pin), c.salt, p)
	return newLockbox(c)
}

// TestLockboxVectors: a program in Python, with OpenSSL's Argon2id and ChaCha20, wrote
// these lockboxes byte by byte from the table at MarshalBinary. Secret and salt are
// SHAKE256 of the label.
func TestLockboxVectors(t *testing.T) {
	for _, v := range []struct {
		name    string
		bits    int
		sharing splitkey.Sharing
		params  Params
		pin     string
	}{
		{"2048-multiplicative", 2048, splitkey.Multiplicative, DefaultParams(), "0846"},
		{"3072-additive-reduced", 3072, splitkey.Additive, Params{1, 33, 4}, "839501726408"},
		{"4096-multiplicative-reduced", 4096, splitkey.Multiplicative, Params{2, 64, 1}, "8395017"},
	} {
		t.Run(v.name, func(t *testing.T) {
			data, err := os.ReadFile("testdata/lockbox-" + v.name + ".bin")
			require.NoError(t, err)
			b, err := ParseLockbox(data)
			require.NoError(t, err)

			require.Equal(t, v.params, b.c.Get().params)
			pub, err := b.PublicKey()
			require.NoError(t, err)
			require.Equal(t, &splitkeytest.Key(v.bits).PublicKey, pub)

			share, err := b.Unlock([]byte(v.pin), v.params)
			require.NoError(t, err)
			label := "tandem lockbox " + v.name
			require.Equal(t, sha3.SumSHAKE256([]byte(label+" x"), v.bits/8+8), share.Secret())
			require.Equal(t, v.sharing, share.Sharing())
			require.Equal(t, pub, share.PublicKey())

			again, err := b.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, data, again)

			client, _ := testShares(t, v.bits, v.sharing, label)
			made, err := lockFixed(client, v.pin, v.params, label).MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, data, made)
		})
	}
}

// TestSignThroughLockbox follows a PIN all the way, at full cost: lock, store, read,
// unlock, sign, and have the server tell right from wrong. (Additive at reduced cost.)
func TestSignThroughLockbox(t *testing.T) {
	t.Parallel()
	for sharing, cost := range map[splitkey.Sharing]Params{splitkey.Multiplicative: DefaultParams(), splitkey.Additive: reduced} {
		client, server := testShares(t, 2048, sharing, "TestSignThroughLockbox")
		completer, err := splitkey.NewCompleter(server, nil, nil)
		require.NoError(t, err)
		digest := sha256.Sum256([]byte("a document"))
		message, err := completer.FinalKey().Encode(digest[:], crypto.SHA256)
		require.NoError(t, err)

		b, err := Lock(client, []byte("0846"), cost)
		require.NoError(t, err)
		storageKey := make([]byte, StorageKeySize)
		sealed, err := seal(b, storageKey)
		require.NoError(t, err)
		b, err = openSealed(sealed, storageKey)
		require.NoError(t, err)

		for pin, right := range map[string]bool{"0846": true, "0847": false, "00846": false} {
			share, err := b.Unlock([]byte(pin), DefaultParams())
			require.NoError(t, err)
			y, err := share.SignPartial(message)
			require.NoError(t, err)
			checked, err := completer.Check(message, y)
			if right {
				require.NoError(t, err)
				signature, err := completer.Finish(t.Context(), checked)
				require.NoError(t, err)
				require.Len(t, signature, 256)
			} else {
				require.ErrorIs(t, err, splitkey.ErrPartial)
			}
			share.Wipe()
		}
	}
}

func TestLockTakesNothingKeepsNothing(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestLockTakesNothingKeepsNothing")
	before := share.Secret()
	pin := []byte("8395")
	b, err := Lock(share, pin, reduced)
	require.NoError(t, err)
	require.Equal(t, "8395", string(pin))
	require.Equal(t, before, share.Secret())

	clear(pin)
	share.Wipe()
	opened, err := b.Unlock([]byte("8395"), reduced)
	require.NoError(t, err)
	require.Equal(t, before, opened.Secret())
	require.Equal(t, splitkey.Additive, opened.Sharing())

	ct := append([]byte(nil), b.c.Get().ct...)
	opened.Wipe()
	require.Equal(t, ct, b.c.Get().ct, "the lockbox shares memory with what it opened to")
}

// TestLockKeepsPublicKey: of any exponent, not only that of every key that is generated.
func TestLockKeepsPublicKey(t *testing.T) {
	for _, e := range []int{3, 65539, 1<<31 - 1} {
		pub := &rsa.PublicKey{N: splitkeytest.Key(2048).N, E: e}
		share, err := splitkey.NewClientShare(pub, splitkey.Additive, make([]byte, 264))
		if fips140.Enforced() && e == 3 {
			require.ErrorIs(t, err, splitkey.ErrFIPS)
			continue
		}
		require.NoError(t, err)
		b, err := Lock(share, []byte("8395"), reduced)
		require.NoError(t, err)
		encoded, err := b.MarshalBinary()
		require.NoError(t, err)
		b, err = ParseLockbox(encoded)
		require.NoError(t, err)
		got, err := b.PublicKey()
		require.NoError(t, err)
		require.Equal(t, pub, got)
		opened, err := b.Unlock([]byte("8395"), reduced)
		require.NoError(t, err)
		require.Equal(t, pub, opened.PublicKey())
	}
}

func TestLockDrawsSalt(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestLockDrawsSalt")
	a, err := Lock(share, []byte("8395"), reduced)
	require.NoError(t, err)
	b, err := Lock(share, []byte("8395"), reduced)
	require.NoError(t, err)
	require.NotEqual(t, a.c.Get().salt, b.c.Get().salt)
	require.NotEqual(t, a.c.Get().ct, b.c.Get().ct)
}

func TestLockRefuses(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestLockRefuses")
	var weak *WeakPINError
	_, err := Lock(share, []byte("1234"), reduced)
	require.ErrorAs(t, err, &weak)
	require.Equal(t, "run", weak.Rule)
	_, err = Lock(share, []byte("839"), reduced)
	require.ErrorIs(t, err, ErrPINFormat)
	_, err = Lock(share, []byte("8395"), Params{})
	require.ErrorIs(t, err, ErrParams)
	for _, none := range []*splitkey.ClientShare{nil, {}} {
		_, err = Lock(none, []byte("8395"), reduced)
		require.ErrorIs(t, err, splitkey.ErrShare)
	}
	share.Wipe()
	_, err = Lock(share, []byte("8395"), reduced)
	require.ErrorIs(t, err, splitkey.ErrShare)
}

// TestPINsAreStrings: PINs that are the same number are different PINs.
func TestPINsAreStrings(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestPINsAreStrings")
	b := lockFixed(share, "00846", reduced, "TestPINsAreStrings")
	seen := map[string]bool{}
	for _, pin := range []string{"00846", "0846", "000846", "0000000846"} {
		opened, err := b.Unlock([]byte(pin), reduced)
		require.NoError(t, err)
		require.Equal(t, pin == "00846", string(opened.Secret()) == string(share.Secret()))
		seen[string(opened.Secret())] = true
	}
	require.Len(t, seen, 4)
}

// TestUnlockTakesWeakPINs: a lockbox that is older than a rule opens with a PIN that
// CheckPIN refuses.
func TestUnlockTakesWeakPINs(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestUnlockTakesWeakPINs")
	b := lockFixed(share, "1234", reduced, "TestUnlockTakesWeakPINs")
	opened, err := b.Unlock([]byte("1234"), reduced)
	require.NoError(t, err)
	require.Equal(t, share.Secret(), opened.Secret())
	for _, pin := range []string{"", "123", "1234567890123", "12a4", "1234\n"} {
		_, err := b.Unlock([]byte(pin), reduced)
		require.ErrorIs(t, err, ErrPINFormat)
	}
}

func TestUnlockLimit(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestUnlockLimit")
	b := lockFixed(share, "8395", Params{Time: 2, MemoryKiB: 64, Threads: 2}, "TestUnlockLimit")
	for _, limit := range []Params{
		{},
		{Time: 2, MemoryKiB: 64},
		{Time: 2, Threads: 2},
		{MemoryKiB: 64, Threads: 2},
		{Time: 2, MemoryKiB: 15, Threads: 2}, // below 8 KiB a thread
		{Time: 2, MemoryKiB: maxMemoryKiB + 1, Threads: 2},
		{Time: 1, MemoryKiB: 64, Threads: 2},
		{Time: 2, MemoryKiB: 63, Threads: 2},
		{Time: 2, MemoryKiB: 64, Threads: 1},
	} {
		_, err := b.Unlock([]byte("8395"), limit)
		require.ErrorIs(t, err, ErrParams, "%+v", limit)
	}
	for _, limit := range []Params{{2, 64, 2}, {3, 65, 3}, DefaultParams()} {
		opened, err := b.Unlock([]byte("8395"), limit)
		require.NoError(t, err)
		require.Equal(t, share.Secret(), opened.Secret())
	}
}

// TestHostileCostAllocatesNothing: a lockbox that asks for the most it can is refused
// before its memory is touched.
func TestHostileCostAllocatesNothing(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestHostileCostAllocatesNothing")
	b := lockFixed(share, "8395", reduced, "TestHostileCostAllocatesNothing")
	b.c.Get().params = Params{Time: 1<<32 - 1, MemoryKiB: maxMemoryKiB, Threads: 255}
	data, err := b.MarshalBinary()
	require.NoError(t, err)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	hostile, err := ParseLockbox(data)
	require.NoError(t, err)
	_, err = hostile.Unlock([]byte("8395"), DefaultParams())
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrParams)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestParams(t *testing.T) {
	require.Equal(t, Params{Time: 3, MemoryKiB: 65536, Threads: 4}, DefaultParams())
	for _, p := range []Params{{}, {0, 64, 1}, {1, 0, 1}, {1, 64, 0}, {1, 7, 1}, {1, 2039, 255}, {1, maxMemoryKiB + 1, 1}, {1, 1<<32 - 1, 1}} {
		require.ErrorIs(t, p.check(), ErrParams, "%+v", p)
	}
	for _, p := range []Params{DefaultParams(), {1, 8, 1}, {1, 2040, 255}, {1<<32 - 1, maxMemoryKiB, 255}} {
		require.NoError(t, p.check(), "%+v", p)
	}
}

func TestZeroLockbox(t *testing.T) {
	for _, b := range []*Lockbox{nil, {}} {
		_, err := b.Unlock([]byte("8395"), reduced)
		require.ErrorIs(t, err, ErrLockbox)
		_, err = b.MarshalBinary()
		require.ErrorIs(t, err, ErrLockbox)
		_, err = seal(b, make([]byte, StorageKeySize))
		require.ErrorIs(t, err, ErrLockbox)
		_, err = b.PublicKey()
		require.ErrorIs(t, err, ErrLockbox)
	}
	require.Equal(t, "pinlock.Lockbox(invalid)", fmt.Sprint(Lockbox{}))
}

func TestLockboxPrintsNoCiphertext(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestLockboxPrintsNoCiphertext")
	b := lockFixed(share, "8395", reduced, "TestLockboxPrintsNoCiphertext")
	ct := b.c.Get().ct[:4]
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("stored", "lockbox", b, "value", *b)
	text := logged.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		text += fmt.Sprintf(verb, b) + fmt.Sprintf(verb, *b) +
			fmt.Sprintf(verb, struct{ b Lockbox }{*b}) + fmt.Sprintf(verb, struct{ b *Lockbox }{b})
	}
	require.Contains(t, text, "pinlock.Lockbox(2048 bits, additive, t=1 m=8KiB p=1)")
	for _, form := range []string{hex.EncodeToString(ct), fmt.Sprintf("%X", ct), fmt.Sprintf("%d %d %d %d", ct[0], ct[1], ct[2], ct[3])} {
		require.NotContains(t, text, form)
	}
}

func TestConcurrentUnlock(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestConcurrentUnlock")
	b := lockFixed(share, "8395", reduced, "TestConcurrentUnlock")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			opened, err := b.Unlock(fmt.Appendf(nil, "%d", 8380+i), reduced)
			if err != nil || (8380+i == 8395) != (string(opened.Secret()) == string(share.Secret())) {
				t.Errorf("PIN %d: %v", 8380+i, err)
			}
			if _, err := b.MarshalBinary(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

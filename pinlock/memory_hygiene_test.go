//go:build linux && !race

package pinlock

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"

	"github.com/tandem-rsa/tandem/internal/memorytest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestMemory opens and makes a lockbox, and checks another PIN, in another process, which
// wipes PINs and share and collects its garbage, and searches that process's memory for
// what must be gone.
func TestMemory(t *testing.T) {
	const pinLen, boxLen = 12, 591
	cost := Params{Time: 1, MemoryKiB: 64, Threads: 1}
	if memorytest.IsChild() {
		pin := memorytest.Receive(t, pinLen)
		box, err := ParseLockbox(memorytest.Receive(t, boxLen))
		require.NoError(t, err)
		checked := memorytest.Receive(t, pinLen)
		memorytest.Pause(t, "held")
		share, err := box.Unlock(pin, cost)
		require.NoError(t, err)
		_, err = Lock(share, pin, cost)
		require.NoError(t, err)
		require.NoError(t, CheckPIN(checked)) // the last one: Lock checks, too
		clear(checked)
		clear(pin)
		share.Wipe()
		memorytest.PauseTwice(t)
		return
	}
	pin, checked := []byte("839517264083"), []byte("614930825719")
	x := make([]byte, 264)
	for i := range x {
		x[i] = byte(i*i>>3 ^ i*77)
	}
	share, err := splitkey.NewClientShare(&splitkeytest.Key(2048).PublicKey, splitkey.Multiplicative, x)
	require.NoError(t, err)
	box, err := Lock(share, pin, cost)
	require.NoError(t, err)
	encoded, err := box.MarshalBinary()
	require.NoError(t, err)
	require.Len(t, encoded, boxLen)
	secrets := map[string][]byte{
		"PIN": pin, "checked PIN": checked, "x": x,
		"Argon2's H_0":  firstHash(pin, box.c.Get().salt[:], cost),
		"the PIN's key": argon2.IDKey(pin, box.c.Get().salt[:], cost.Time, cost.MemoryKiB, cost.Threads, 32),
	}
	child := memorytest.Start(t, "")
	child.Send(pin)
	child.Send(encoded)
	child.Send(checked)
	child.Wait("held")
	found := child.Search(secrets)
	for _, held := range []string{"PIN", "checked PIN"} {
		require.NotZero(t, found[held], "the search does not find the %s where it is", held)
	}
	child.Continue()
	child.RequireWipedTwice("pinlock.TestMemory", memorytest.Assembly, secrets)
}

// firstHash is H_0 of RFC 9106, section 3.2: all that Argon2id takes from the PIN, and a
// test of it that costs nothing.
func firstHash(pin, salt []byte, p Params) []byte {
	var b []byte
	number := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	number(int(p.Threads))
	number(32)
	number(int(p.MemoryKiB))
	number(int(p.Time))
	number(argon2.Version)
	number(2) // Argon2id
	for _, s := range [][]byte{pin, salt, nil, nil} {
		number(len(s))
		b = append(b, s...)
	}
	h := blake2b.Sum512(b)
	return h[:]
}

//go:build linux && !race

package server

import (
	"context"
	"crypto"
	"crypto/rand"
	"math/big"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/memorytest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestMemoryKeyPool: a process that took a key of a pool, loaded it again, wiped what it
// had, and closed the pool, has nothing of that key and of those that nobody took.
func TestMemoryKeyPool(t *testing.T) {
	for _, c := range []struct{ name, godebug, column string }{
		{"fastest", "", memorytest.Assembly}, {"bigmod", "cpu.all=off", memorytest.Bigmod},
	} {
		t.Run(c.name, func(t *testing.T) {
			const waiting = 2
			if memorytest.IsChild() {
				forgetPool(t, waiting)
				memorytest.PauseTwice(t)
				return
			}
			p := memorytest.Start(t, c.godebug)
			var runs []map[string][]byte
			for range waiting + 1 {
				runs = append(runs, serverKeySecrets(p.Reported()))
			}
			p.RequireWipedTwice("protocol/server.TestMemoryKeyPool", columnOf(c.column), runs...)
		})
	}
}

// TestMemoryExchange: a process with a device and a server, which enrolled a key, changed
// its PIN, signed at two nodes at once, and looked at a list of documents of which one is
// under a wrong PIN, and wiped the shares that it was given, has nothing of the two
// shares, of the partial signatures, and of what the server made of them.
func TestMemoryExchange(t *testing.T) {
	device, server := splitkeytest.Key(2048), splitkeytest.NamedKey(splitkeytest.Server, 2048)
	pub := server.PublicKey
	pub.N = new(big.Int).Mul(device.N, server.N)
	final := splitkeytest.FinalKey(t, &pub)
	// Four documents and a hardware key make a request that fills what Go allots for it:
	// what grows is found.
	digests := [][]byte{protocoltest.DigestOf("1"), protocoltest.DigestOf("2"), protocoltest.DigestOf("3"), protocoltest.DigestOf("4")}
	for _, c := range []struct{ name, godebug, column string }{
		{"fastest", "", memorytest.Assembly}, {"bigmod", "cpu.all=off", memorytest.Bigmod},
	} {
		t.Run(c.name, func(t *testing.T) {
			if memorytest.IsChild() {
				exchangeAndForget(t, digests)
				memorytest.PauseTwice(t)
				return
			}
			x := make([]byte, 264)
			var share *splitkey.ServerShare
			var err error
			for range 5 { // 3 in a million have no inverse
				rand.Read(x)
				if _, share, err = splitkeytest.Split(device, splitkey.Multiplicative, x); err == nil {
					break
				}
			}
			require.NoError(t, err)
			dc := new(big.Int).Lsh(new(big.Int).SetBytes(x), 1)
			dc.SetBit(dc, 0, 1)
			var runs []map[string][]byte
			for _, digest := range digests {
				m, err := final.Encode(digest, crypto.SHA256)
				require.NoError(t, err)
				y := new(big.Int).Exp(new(big.Int).SetBytes(m.Bytes()), dc, device.N)
				runs = append(runs, map[string][]byte{"x": x, "d_c": dc.Bytes(), "d_s": share.Secret(), "y": y.Bytes(),
					"s1": new(big.Int).Exp(y, new(big.Int).SetBytes(share.Secret()), device.N).Bytes()})
			}
			p := memorytest.Start(t, c.godebug)
			p.Send(x)
			p.Send(share.Secret())
			p.RequireWipedTwice("protocol/server.TestMemoryExchange", columnOf(c.column), runs...)
		})
	}
}

//go:noinline
func exchangeAndForget(t *testing.T, digests [][]byte) {
	debug.SetGCPercent(-1) // what is left of the enrolment is not used again for what follows
	pub := &splitkeytest.Key(2048).PublicKey
	x, d := memorytest.Receive(t, 264), memorytest.Receive(t, 256)
	client, err := splitkey.NewClientShare(pub, splitkey.Multiplicative, x)
	require.NoError(t, err)
	share, err := splitkeytest.ServerShare(pub, splitkey.Multiplicative, d)
	require.NoError(t, err)
	clear(x)
	clear(d)
	s := newService(t)
	p, hardware := newPhone(t, s, nil), protocoltest.NewHardware(t)
	p.restart(t, func(c *device.Config) { c.Hardware = hardware })
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: share}))
	client.Wipe()
	share.Wipe()
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	p.id = id
	require.NoError(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN))
	challenge, err = s.ChallengeSignAll(t.Context(), id, digests, crypto.SHA256)
	require.NoError(t, err)
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		faster := func() { _, _ = s.Handle(ctx, request) }
		return s.node(t, func(c *Config) { c.Store = &overtakenStore{Store: c.Store, faster: faster} }).Handle(ctx, request)
	}
	_, err = p.SignAll(t.Context(), challenge, digests, crypto.SHA256, protocoltest.NewPIN)
	require.NoError(t, err)
	require.NoError(t, s.Reseal(t.Context(), id))

	r := p.underPINs(t, digests, func(i int) []byte {
		if i == 1 {
			return protocoltest.WrongPIN
		}
		return protocoltest.NewPIN
	})
	signer, err := hardware.Signer()
	require.NoError(t, err)
	plaintext, err := r.Encode(p.stored(t).Key.AuthKey, id, signer)
	require.NoError(t, err)
	require.Equal(t, wire.CodeWrong, exchange(t, s, r.Op, id, plaintext).Code)
	clear(plaintext)
	r.WipePartials()
}

// overtakenStore is the store of a node that another one overtakes, between the load of a
// record and its write.
type overtakenStore struct {
	limiter.Store
	faster func()
}

func (o *overtakenStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	o.faster()
	return o.Store.Swap(ctx, id, version, value)
}

// columnOf is the column of a table of memory, which is bigmod's where there is no
// assembly.
func columnOf(column string) string {
	if !splitkeytest.Assembly() {
		return memorytest.Bigmod
	}
	return column
}

//go:noinline
func forgetPool(t *testing.T, waiting int) {
	keys := make(chan pooledKey, waiting+1)
	for range waiting + 1 {
		k, err := newServerKey(2048)
		require.NoError(t, err)
		memorytest.Report(t, k.key.Bytes())
		keys <- k
	}
	pool := newKeyPool(2048, waiting, func(ctx context.Context) (pooledKey, error) {
		select {
		case k := <-keys:
			return k, nil
		case <-ctx.Done():
			return pooledKey{}, ctx.Err()
		}
	})
	for len(keys) > 0 {
		runtime.Gosched()
	}
	key, blob, err := pool.NewKey(t.Context())
	require.NoError(t, err)
	key.(*splitkey.SoftwareKey).Wipe()
	loaded, err := pool.LoadKey(t.Context(), blob)
	require.NoError(t, err)
	loaded.(*splitkey.SoftwareKey).Wipe()
	clear(blob)
	pool.Close()
}

// serverKeySecrets are the secrets of a key in the form of splitkey.SoftwareKey.Bytes.
func serverKeySecrets(blob []byte) map[string][]byte {
	one, e := big.NewInt(1), big.NewInt(65537)
	p, q := new(big.Int).SetBytes(blob[11:139]), new(big.Int).SetBytes(blob[139:])
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	lambda := new(big.Int).Mul(p1, q1)
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	// Its upper half is that of n/2, which whoever takes the square root of n computes.
	lower := new(big.Int).And(lambda, new(big.Int).Sub(new(big.Int).Lsh(one, 960), one))
	return map[string][]byte{
		"p": p.Bytes(), "q": q.Bytes(), "lower half of lambda": lower.FillBytes(make([]byte, 120)), "d": new(big.Int).ModInverse(e, lambda).Bytes(),
		"dp": new(big.Int).ModInverse(e, p1).Bytes(), "dq": new(big.Int).ModInverse(e, q1).Bytes(),
		"qInv": new(big.Int).ModInverse(q, p).Bytes(),
	}
}

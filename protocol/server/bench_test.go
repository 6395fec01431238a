package server

import (
	"context"
	"crypto"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// BenchmarkSign is one signature with both parties in one process, composite of 4096
// bits, MemoryStore, and its parts alone. What "all" takes beyond "parts" is what the
// protocol adds (docs/protocol.md, section 15).
//
//	all     Device.Sign over Server.Handle
//	parts   all of the following, one after the other
//	kdf     Argon2id
//	device  partial signature, and verifying the final one
//	server  check, server key, composition, verifying
//	hpke    sender and recipient, and the response
//
// With the cheapest Argon2id, so that nothing hides behind it.
func BenchmarkSign(b *testing.B) {
	x := newSignBench(b)
	b.Run("4096/all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.sign(b)
		}
	})
	parts := []struct {
		name string
		do   func(testing.TB)
	}{{"kdf", x.kdf}, {"device", x.deviceArithmetic}, {"server", x.serverArithmetic}, {"hpke", x.hpke}}
	b.Run("4096/parts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range parts {
				p.do(b)
			}
		}
	})
	for _, p := range parts {
		b.Run("4096/"+p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.do(b)
			}
		})
	}
}

type signBench struct {
	*phone
	digest    []byte
	box       *pinlock.Lockbox
	share     *splitkey.ClientShare
	completer *splitkey.Completer
	partial   []byte
	signature []byte
}

func newSignBench(tb testing.TB) *signBench {
	s := newService(tb, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	x := &signBench{phone: newReadyPhone(tb, s), digest: protocoltest.DigestOf("contract")}
	st, err := protocoltest.ParseState(x.state.Data)
	require.NoError(tb, err)
	x.box, err = pinlock.ParseLockbox(st.Key.Lockbox)
	require.NoError(tb, err)
	x.share, err = x.box.Unlock(protocoltest.RightPIN, protocoltest.Cheapest)
	require.NoError(tb, err)
	_, server := protocoltest.Shares()
	own, err := protocoltest.FixedServerKey()
	require.NoError(tb, err)
	x.completer, err = splitkey.NewCompleter(server, own, nil)
	require.NoError(tb, err)
	m := x.message(tb)
	x.partial, err = x.share.SignPartial(m)
	require.NoError(tb, err)
	x.signature, err = x.complete(m)
	require.NoError(tb, err)
	return x
}

// complete is the server's half of the arithmetic.
func (x *signBench) complete(m *splitkey.Message) ([]byte, error) {
	checked, err := x.completer.Check(m, x.partial)
	if err != nil {
		return nil, err
	}
	return x.completer.Finish(context.Background(), checked)
}

func (x *signBench) message(tb testing.TB) *splitkey.Message {
	m, err := x.completer.FinalKey().Encode(x.digest, crypto.SHA256)
	require.NoError(tb, err)
	return m
}

func (x *signBench) sign(tb testing.TB) {
	ctx := context.Background()
	challenge, err := x.service.ChallengeSign(ctx, x.id, x.digest, crypto.SHA256)
	require.NoError(tb, err)
	_, err = x.Sign(ctx, challenge, x.digest, crypto.SHA256, protocoltest.RightPIN)
	require.NoError(tb, err)
}

func (x *signBench) kdf(tb testing.TB) {
	_, err := x.box.Unlock(protocoltest.RightPIN, protocoltest.Cheapest)
	require.NoError(tb, err)
}

func (x *signBench) deviceArithmetic(tb testing.TB) {
	m := x.message(tb)
	_, err := x.share.SignPartial(m)
	require.NoError(tb, err)
	require.NoError(tb, m.Verify(x.signature))
}

func (x *signBench) serverArithmetic(tb testing.TB) {
	_, err := x.complete(x.message(tb))
	require.NoError(tb, err)
}

func (x *signBench) hpke(tb testing.TB) {
	private := x.service.config.HPKE.Current
	plaintext := make([]byte, 800)
	request, _, err := wire.SealRequest(private.PublicKey(), protocol.OpSign, new(wire.Ticket), plaintext)
	require.NoError(tb, err)
	o, err := protocoltest.OpenRequest(request, x.service.keys.Get())
	require.NoError(tb, err)
	sealed, err := o.ResponseKey.Seal(plaintext)
	require.NoError(tb, err)
	_, err = o.ResponseKey.Open(sealed)
	require.NoError(tb, err)
}

// BenchmarkLoadKey is what the first signature with a key on a node costs in addition,
// and every later one.
func BenchmarkLoadKey(b *testing.B) {
	ctx := context.Background()
	pool, err := NewKeyPool(2048, 0)
	require.NoError(b, err)
	_, blob, err := pool.NewKey(ctx)
	require.NoError(b, err)
	b.Run("2048/first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pool.loaded = newKeyCache()
			_, err := pool.LoadKey(ctx, blob)
			require.NoError(b, err)
		}
	})
	b.Run("2048/again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := pool.LoadKey(ctx, blob)
			require.NoError(b, err)
		}
	})
}

func BenchmarkEnroll(b *testing.B) {
	client, server := protocoltest.Shares()
	b.Run("4096/all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := newService(b, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
			p := newPhone(b, s, nil)
			_, challenge, err := s.ChallengeEnroll(context.Background())
			require.NoError(b, err)
			require.NoError(b, p.Enroll(context.Background(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}))
		}
	})
}

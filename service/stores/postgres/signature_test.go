package postgres

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// signer enrols a key with a service on the store, and returns what makes one signature.
func signer(t testing.TB, store limiter.Store) (sign func()) {
	t.Helper()
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	ctx := context.Background()
	private, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	sealer, err := server.NewSoftwareSealer(random(server.SealerKeySize))
	require.NoError(t, err)
	pool, err := server.NewKeyPool(2048, 1)
	require.NoError(t, err)
	pool.Close()
	service, err := server.New(server.Config{
		Store: store, Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	require.NoError(t, err)
	storage, err := device.NewFileStorage(t.TempDir())
	require.NoError(t, err)
	phone, err := device.New(device.Config{
		Storage: storage, Transport: service.Handle, HPKEKey: service.HPKEKey(),
		Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}, // the device's work is not what is looked at
	})
	require.NoError(t, err)
	id, challenge, err := service.ChallengeEnroll(ctx)
	require.NoError(t, err)
	pin := []byte("4917")
	require.NoError(t, phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: pin}))
	require.NoError(t, phone.Confirm(ctx, nil, pin))
	digest := sha256.Sum256([]byte("the contract"))
	return func() {
		challenge, err := service.ChallengeSign(ctx, id, digest[:], crypto.SHA256)
		require.NoError(t, err)
		_, err = phone.Sign(ctx, challenge, digest[:], crypto.SHA256, pin)
		require.NoError(t, err)
	}
}

// TestOneWriteASignature: a signature, from the challenge to the answer, is one durable
// write.
func TestOneWriteASignature(t *testing.T) {
	server := pgtest.New(t, "autovacuum=off")
	sign := signer(t, open(t, server.URL()))
	for range 3 {
		require.Equal(t, 1, server.Commits(t, sign))
	}
}

// BenchmarkSignature is a whole signature, of device and server, on a store that costs
// nothing and on this one.
func BenchmarkSignature(b *testing.B) {
	for _, c := range []struct {
		name  string
		store func() limiter.Store
	}{
		{"memory", func() limiter.Store { return new(storetest.MemoryStore) }},
		{"postgres", func() limiter.Store { return openNew(b) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			sign := signer(b, c.store())
			b.ReportAllocs()
			for b.Loop() {
				sign()
			}
		})
	}
}

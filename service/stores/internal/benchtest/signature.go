package benchtest

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// Signature measures a whole signature (a key of two times 2048 bits), of device and
// server, on a store that costs nothing and on the one that is given, and where its time
// goes: to the store, to the rest of the server, to the device's storage, and to the rest
// of the device, whose lockbox costs as little as it can.
func Signature(b *testing.B, name string, open func(b *testing.B) limiter.Store) {
	for _, c := range []struct {
		name string
		open func(b *testing.B) limiter.Store
	}{
		{"memory", func(*testing.B) limiter.Store { return new(storetest.MemoryStore) }},
		{name, open},
	} {
		b.Run(c.name, func(b *testing.B) {
			var spent split
			sign := signer(b, c.open(b), &spent)
			b.ReportAllocs()
			spent = split{}
			begin, n := time.Now(), 0
			for b.Loop() {
				sign()
				n++
			}
			spent.report(b, time.Since(begin), n)
		})
	}
}

// split is how long calls of the parts took.
type split struct{ load, swap, service, storage time.Duration }

func (s *split) report(b *testing.B, all time.Duration, n int) {
	each := func(d time.Duration, name string) {
		b.ReportMetric(float64(d.Microseconds())/float64(n), name+"-µs/op")
	}
	each(s.load, "load")
	each(s.swap, "swap")
	each(s.service-s.load-s.swap, "server")
	each(s.storage, "storage")
	each(all-s.service-s.storage, "device")
	b.ReportMetric(100*float64(s.load+s.swap)/float64(all), "store-%")
}

func timed(spent *time.Duration) (end func()) {
	begin := time.Now()
	return func() { *spent += time.Since(begin) }
}

// timedStore notes what calls take. Signatures are made one after the other.
type timedStore struct {
	limiter.Store
	spent *split
}

func (s timedStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	defer timed(&s.spent.load)()
	return s.Store.Load(ctx, id)
}

func (s timedStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	defer timed(&s.spent.swap)()
	return s.Store.Swap(ctx, id, version, value)
}

type timedStorage struct {
	device.Storage
	spent *split
}

func (s timedStorage) Load() ([]byte, error) {
	defer timed(&s.spent.storage)()
	return s.Storage.Load()
}

func (s timedStorage) Save(data []byte) error {
	defer timed(&s.spent.storage)()
	return s.Storage.Save(data)
}

// Signer enrols a key with a service on the store, and returns what makes one signature.
func Signer(t testing.TB, store limiter.Store) (sign func()) {
	t.Helper()
	return signer(t, store, new(split))
}

func signer(t testing.TB, store limiter.Store, spent *split) (sign func()) {
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
		Store: timedStore{store, spent}, Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	storage, err := device.NewFileStorage(t.TempDir())
	require.NoError(t, err)
	phone, err := device.New(device.Config{
		Storage: timedStorage{storage, spent}, HPKEKey: service.HPKEKey(),
		Transport: func(ctx context.Context, request []byte) ([]byte, error) {
			defer timed(&spent.service)()
			return service.Handle(ctx, request)
		},
		Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1},
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

package catest

import (
	"context"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
)

// Test tests a [ca.Store]. Each call of open returns a handle of the same store, which is
// empty at first: for a store that several processes share, each handle is as another
// process has it.
func Test(t *testing.T, open func(t *testing.T) ca.Store) {
	ctx := context.Background()
	a, b := open(t), open(t)
	serial := func(n int64) (s ca.Serial) {
		big.NewInt(n).FillBytes(s[:])
		return s
	}
	end := time.Date(2029, 2, 28, 12, 0, 59, 0, time.UTC)
	record := func(n int64) ca.Record {
		return ca.Record{Serial: serial(n), Issuer: "i", Document: "PNOEE-1-7TRE-Q", NotAfter: end, DER: []byte{0x30, 0, byte(n)}}
	}
	same := func(want ca.Record) {
		t.Helper()
		for _, s := range []ca.Store{a, b} {
			got, err := s.Record(ctx, want.Serial)
			require.NoError(t, err)
			require.True(t, want.NotAfter.Equal(got.NotAfter))
			got.NotAfter = want.NotAfter
			require.Equal(t, want.Revoked == nil, got.Revoked == nil)
			if want.Revoked != nil {
				require.True(t, want.Revoked.At.Equal(got.Revoked.At))
				got.Revoked.At = want.Revoked.At
			}
			require.Equal(t, want, got)
		}
	}

	// Records.
	_, err := a.Record(ctx, serial(1))
	require.ErrorIs(t, err, ca.ErrNotFound)
	require.NoError(t, a.Create(ctx, record(1)))
	same(record(1))
	largest := record(2)
	for i := range largest.Serial {
		largest.Serial[i] = 0xff
	}
	largest.Document, largest.DER = "", make([]byte, 8<<10)
	require.NoError(t, b.Create(ctx, largest))
	same(largest)
	other := record(1)
	other.Issuer, other.DER = "another", []byte{1}
	require.ErrorIs(t, b.Create(ctx, other), ca.ErrExists, "of whatever issuer")
	same(record(1))

	// What a caller does with its bytes afterwards is its own affair.
	mine := record(3)
	require.NoError(t, a.Create(ctx, mine))
	mine.DER[0] = 0
	same(record(3))
	got, err := a.Record(ctx, serial(3))
	require.NoError(t, err)
	got.DER[0] = 0
	same(record(3))

	// Revocation: the first one stays.
	require.ErrorIs(t, a.Revoke(ctx, serial(9), ca.Revocation{At: end, Reason: ca.Superseded}), ca.ErrNotFound)
	_, err = a.Record(ctx, serial(9))
	require.ErrorIs(t, err, ca.ErrNotFound)
	first := ca.Revocation{At: time.Date(2027, 1, 1, 1, 1, 1, 0, time.UTC), Reason: ca.CessationOfOperation}
	revoked := record(1)
	revoked.Revoked = &first
	require.NoError(t, a.Revoke(ctx, serial(1), first))
	same(revoked)
	require.NoError(t, b.Revoke(ctx, serial(1), ca.Revocation{At: end, Reason: ca.KeyCompromise}))
	same(revoked)
	unspecified := record(3)
	unspecified.Revoked = &ca.Revocation{At: first.At}
	require.NoError(t, b.Revoke(ctx, serial(3), *unspecified.Revoked))
	same(unspecified)
	same(largest)

	// The list of an issuer: of revoked records that expire later.
	another := record(4)
	another.Issuer = "another"
	later := record(5)
	later.NotAfter = end.Add(time.Second)
	for _, r := range []ca.Record{another, later} {
		require.NoError(t, a.Create(ctx, r))
		require.NoError(t, a.Revoke(ctx, r.Serial, first))
	}
	list := func(issuer string, after time.Time) []string {
		t.Helper()
		records, err := b.Revoked(ctx, issuer, after)
		require.NoError(t, err)
		out := []string{}
		for _, r := range records {
			require.NotNil(t, r.Revoked)
			require.Equal(t, issuer, r.Issuer)
			require.True(t, r.Revoked.At.Equal(first.At))
			out = append(out, fmt.Sprint(new(big.Int).SetBytes(r.Serial[:]), r.Revoked.Reason))
		}
		return out
	}
	require.ElementsMatch(t, []string{"1 5", "3 0", "5 5"}, list("i", end.Add(-time.Second)))
	require.ElementsMatch(t, []string{"5 5"}, list("i", end))
	require.ElementsMatch(t, []string{"4 5"}, list("another", end.Add(-time.Second)))
	require.Empty(t, list("nobody", time.Time{}))

	// CRLs.
	crl := func(issuer string, number int64, der string) {
		t.Helper()
		for _, s := range []ca.Store{a, b} {
			n, d, err := s.CRL(ctx, issuer)
			require.NoError(t, err)
			require.Equal(t, number, n)
			require.Equal(t, der, string(d))
		}
	}
	crl("i", 0, "")
	require.ErrorIs(t, a.SetCRL(ctx, "i", 0, []byte("0")), ca.ErrConflict)
	require.ErrorIs(t, a.SetCRL(ctx, "i", 2, []byte("2")), ca.ErrConflict)
	require.NoError(t, a.SetCRL(ctx, "i", 1, []byte("1")))
	crl("i", 1, "1")
	require.ErrorIs(t, b.SetCRL(ctx, "i", 1, []byte("also 1")), ca.ErrConflict)
	require.NoError(t, b.SetCRL(ctx, "i", 2, make([]byte, 1<<20)))
	require.ErrorIs(t, b.SetCRL(ctx, "i", 4, []byte("4")), ca.ErrConflict)
	crl("i", 2, string(make([]byte, 1<<20)))
	crl("another", 0, "")

	// Of many at once, one wins.
	var created, set atomic.Int32
	var wg sync.WaitGroup
	for n := range 8 {
		s := []ca.Store{a, b}[n%2]
		wg.Go(func() {
			r := record(100)
			r.DER = []byte{byte(n)}
			if s.Create(ctx, r) == nil {
				created.Add(1)
			}
			if s.SetCRL(ctx, "i", 3, []byte{byte(n)}) == nil {
				set.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int32(1), created.Load())
	require.Equal(t, int32(1), set.Load())

	// A context that ended is an error, and nothing happens.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.Error(t, a.Create(ended, record(200)))
	_, err = a.Record(ctx, serial(200))
	require.ErrorIs(t, err, ca.ErrNotFound)
	require.Error(t, a.Revoke(ended, largest.Serial, first))
	same(largest)
	require.Error(t, a.SetCRL(ended, "i", 4, nil))
	_, err = a.Record(ended, serial(1))
	require.Error(t, err)
	_, err = a.Revoked(ended, "i", time.Time{})
	require.Error(t, err)
	_, _, err = a.CRL(ended, "i")
	require.Error(t, err)
}

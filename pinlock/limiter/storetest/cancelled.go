package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// cancelledMeanwhile: a call whose context ends at any moment of it has done what it
// says, or says that nobody knows.
func cancelledMeanwhile(t tester, h *handles) {
	const times = 30
	stores := h.take(2)
	s, other := stores[0], stores[1]
	longest := time.Microsecond // that a call took
	during := func(call func(ctx context.Context) error) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer time.AfterFunc(rand.N(longest), cancel).Stop()
		return call(ctx)
	}
	for i := range times {
		id := fmt.Sprint("id ", i)
		begin := time.Now()
		create(t, other, id, "old")
		longest = max(longest, time.Since(begin))
		value, version, err := []byte(nil), uint64(0), error(nil)
		err = during(func(ctx context.Context) error {
			value, version, err = s.Load(ctx, id)
			return err
		})
		if err == nil {
			require.Equal(t, "old", string(value))
		} else {
			requireUnknown(t, err)
			_, version = load(t, other, id)
		}
		requireSwapOutcome(t, other, id, during(func(ctx context.Context) error {
			return s.Swap(ctx, id, version, []byte("new"))
		}))
		id = "new " + id
		err = during(func(ctx context.Context) error { return s.Create(ctx, id, []byte("value")) })
		if err != nil {
			requireUnknown(t, err)
			if err := other.Create(context.Background(), id, []byte("value")); err != nil {
				require.ErrorIs(t, err, limiter.ErrConflict)
			}
		}
		requireValue(t, other, id, "value")
	}
}

//go:build dudect

package limiter_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/timingtest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestTiming compares the time from request to answer for right and wrong PINs, at a
// server without a network: Limiter.Attempt around Completer.Check.
func TestTiming(t *testing.T) {
	key := splitkeytest.Key(2048)
	right, server, err := splitkey.Split(key, splitkey.Multiplicative)
	require.NoError(t, err)
	completer, err := splitkey.NewCompleter(server, nil, nil)
	require.NoError(t, err)
	m, err := splitkeytest.FinalKey(t, &key.PublicKey).Encode(make([]byte, 32), crypto.SHA256)
	require.NoError(t, err)
	partials := timingtest.NewInputs(100, func(class int) []byte {
		c := right
		if class == 1 {
			x := make([]byte, len(right.Secret()))
			rand.Read(x)
			c, err = splitkey.NewClientShare(&key.PublicKey, splitkey.Multiplicative, x)
			require.NoError(t, err)
		}
		y, err := c.SignPartial(m)
		require.NoError(t, err)
		return y
	})
	l, err := limiter.New(new(storetest.MemoryStore), limiter.DefaultPolicy())
	require.NoError(t, err)
	keys := 0
	answers := map[bool]int{}
	var id string
	var answer error
	r := timingtest.Compare("Limiter.Attempt with Check 2048: right or wrong PIN", timingtest.Long(), func(class int) {
		answers[answer == nil]++
		// A new key each time, since a counter that moved would make a difference by
		// itself.
		keys++
		id = strconv.Itoa(1_000_000_000 + keys)
		require.NoError(t, l.Create(t.Context(), id))
		partials.Prepare(class)
	}, func() {
		answer = l.Attempt(context.Background(), id, func(context.Context) (limiter.Outcome, error) {
			_, err := completer.Check(m, partials.Current)
			switch {
			case err == nil:
				return limiter.Right, nil
			case errors.Is(err, splitkey.ErrPartial):
				return limiter.Wrong, nil
			}
			return 0, err
		})
	}).Print()
	require.Greater(t, answers[true], r.N/3)
	require.Greater(t, answers[false], r.N/3)
	require.False(t, r.Found(), r)
}

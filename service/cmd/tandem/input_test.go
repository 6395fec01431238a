package main

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestInterruptible: what blocks for ever ends with its context.
func TestInterruptible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		never := make(chan int)
		defer close(never)
		go func() { synctest.Wait(); cancel() }()
		_, err := interruptible(ctx, func() (int, error) { return <-never, nil })
		require.ErrorIs(t, err, context.Canceled)
		n, err := interruptible(t.Context(), func() (int, error) { return 3, nil })
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

func startForTest(t *testing.T) children {
	dir := t.TempDir()
	if packages := missing(dir); len(packages) > 0 {
		needtest.Missing(t, "a library of bench/peers/c", strings.Join(packages, " "))
	}
	ch, err := startAll(dir)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, c := range []*child{ch.kernel, ch.fallback, ch.c} {
			require.NoError(t, c.stop())
		}
	})
	return ch
}

// TestEveryone: all contenders get the same results (else all would fail) and are
// measured, and every claim has a ratio or a reason why there is none.
func TestEveryone(t *testing.T) {
	f, err := everyone(startForTest(t))
	require.NoError(t, err)
	require.NoError(t, f.measure(2, time.Millisecond))
	for _, c := range f {
		require.Len(t, c.samples, 2, c.name)
		for _, s := range c.samples {
			require.Positive(t, s, c.name)
		}
	}
	require.Len(t, f.rows(), 3*6+3*6+2+4)
	targets := f.targets(true)
	require.Len(t, targets, 20)
	require.NotEmpty(t, targets[19].Missing)
	targets = f.targets(false)
	require.Len(t, targets, 20)
	for _, c := range targets {
		if c.Missing == "" {
			require.False(t, math.IsNaN(c.Ratio.Median) || math.IsInf(c.Ratio.Median, 0), c.Claim)
		}
	}
}

func TestChildren(t *testing.T) {
	ch := startForTest(t)
	for _, c := range []*child{ch.kernel, ch.fallback, ch.c} {
		info, err := c.ask("info")
		require.NoError(t, err)
		require.NotEmpty(t, info)
		_, err = c.ask("run", 0, 1)
		require.Error(t, err, "nothing is loaded")
		_, err = c.ask("nonsense")
		require.Error(t, err)
	}
	for _, words := range [][]any{
		{"openssl", "02", "zz", "0d"}, {"openssl", "02", "05"}, {"gmp", "02", "05", "0c"}, {"gmp", "02", "zz", "0d"},
		{"sign", "3000", fmt.Sprintf("%x", sha256.Sum256(nil))}, {"sign", "30", "00"}, {"foo", "02", "05", "0d"},
	} {
		_, _, err := ch.c.load(words...)
		require.Error(t, err, "%v", words)
	}
	for _, kind := range []string{"openssl", "gmp"} {
		result, run, err := ch.c.load(kind, "02", "05", "0d")
		require.NoError(t, err)
		require.Contains(t, []string{"6", "06"}, result)
		took, allocs, err := run(100)
		require.NoError(t, err)
		require.Positive(t, took)
		require.EqualValues(t, -1, allocs)
	}
}

// TestWrongIsFound: a contender that computes something else does not compete.
func TestWrongIsFound(t *testing.T) {
	require.Error(t, same("05", keyFor("device", 2048).N))
	require.Error(t, same("?", keyFor("device", 2048).N))
}

func TestCalibrate(t *testing.T) {
	c := &contender{run: func(count int) (time.Duration, int64, error) { return time.Duration(count) * time.Millisecond, -1, nil }}
	require.NoError(t, c.calibrate(25*time.Millisecond))
	require.Equal(t, 25, c.count)
	require.NoError(t, c.calibrate(time.Microsecond))
	require.Equal(t, 1, c.count)

	failed := errors.New("broken")
	c.run = func(int) (time.Duration, int64, error) { return 0, 0, failed }
	require.ErrorIs(t, c.calibrate(time.Second), failed)
	require.ErrorIs(t, field{c}.measure(1, time.Second), failed)
}

func TestOnCores(t *testing.T) {
	took, _, err := onCores(2, func() error { time.Sleep(20 * time.Millisecond); return nil })(4)
	require.NoError(t, err)
	require.GreaterOrEqual(t, took, 40*time.Millisecond)

	failed := errors.New("broken")
	_, _, err = onCores(2, func() error { return failed })(4)
	require.ErrorIs(t, err, failed)
}

func TestComposite(t *testing.T) {
	k, err := newTandem(2048, true)
	require.NoError(t, err)
	sig, err := k.sign()
	require.NoError(t, err)
	require.Len(t, sig, 512)
	require.NoError(t, k.message.Verify(sig))
	again, err := k.sign()
	require.NoError(t, err)
	require.True(t, bytes.Equal(sig, again))
}

package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/machine"
	"github.com/tandem-rsa/tandem/internal/needtest"
)

func startForTest(t *testing.T) *children {
	dir := t.TempDir()
	if packages := missing(dir); len(packages) > 0 {
		needtest.Missing(t, "what bench/peers compares with", strings.Join(packages, " "))
	}
	ch, err := startAll(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ch.stop()) })
	return ch
}

// TestPeers: all contenders get the same results (else all would fail) and are measured,
// and every claim has a ratio or a reason why there is none.
func TestPeers(t *testing.T) {
	ch := startForTest(t)
	t.Run("children", func(t *testing.T) { refuse(t, ch) })
	f, err := everyone(ch)
	require.NoError(t, err)
	require.NoError(t, f.measure(1, 0))
	for _, c := range f {
		require.Len(t, c.samples, 1, c)
		for _, s := range c.samples {
			require.GreaterOrEqual(t, s, 0.0, c) // Node's clock has ticks
		}
	}
	// Every way to sign with each kind of key.
	debian := ch.openssl[0].name + ", unsplit"
	for _, want := range []struct {
		name     string
		primes   int
		variants []variant
		sizes    []int
	}{
		{twoPrime, 0, variants, []int{2048, 3072, 4096}},
		{composite, 0, variants, []int{4096, 6144}},
		{cryptoRSA, 2, []variant{fastest, pureGo}, []int{2048, 3072, 4096, 6144}},
		{debian, 2, []variant{fastest, noIFMA}, []int{2048, 3072, 4096, 6144}},
		{debian, 4, []variant{fastest, noIFMA}, []int{4096, 6144}},
		{"Node's crypto.sign, unsplit", 2, []variant{fastest, noIFMA}, []int{2048, 3072, 4096, 6144}},
		{"Node's crypto.sign, unsplit", 4, []variant{fastest, noIFMA}, []int{4096, 6144}},
		{"Java's Signature, unsplit", 2, []variant{fastest}, []int{2048, 3072, 4096, 6144}},
	} {
		for _, bits := range want.sizes {
			for _, v := range want.variants {
				f.find("signature", bits, want.name, want.primes, v)
			}
		}
	}
	labels := map[string]bool{}
	for _, r := range f.rows() {
		label := fmt.Sprint(r.Task, r.Bits, r.Label())
		require.False(t, labels[label], "twice: %s", label)
		labels[label] = true
	}

	for _, c := range f {
		c.samples = []float64{1, 2} // what one repetition takes may be no tick of a clock
	}
	busy := machine.Machine{CPU: "AMD EPYC (family 26, model 2)", CPUs: 2, IFMA: true, Load: "9.00"}
	targets := f.targets(busy, ch.openssl[0].name)
	require.Len(t, targets, 23)
	require.NotEmpty(t, targets[22].Missing)
	for _, c := range targets {
		if c.Missing == "" {
			require.False(t, math.IsNaN(c.Ratio.Median) || math.IsInf(c.Ratio.Median, 0), c.Claim)
		}
		require.Equal(t, c.For == zen4, c.Elsewhere, c.Claim)
	}
	for _, c := range f.targets(machine.Machine{CPU: "AMD EPYC (family 25, model 17)"}, ch.openssl[0].name) {
		require.Equal(t, c.For == zen5, c.Elsewhere, c.Claim)
		if c.For != "" {
			require.Equal(t, !strings.Contains(c.Claim, "without IFMA"), c.Missing != "", c.Claim)
		}
	}
}

// refuse: every child answers, and refuses what it cannot do.
func refuse(t *testing.T, ch *children) {
	for _, c := range ch.all() {
		require.NotEmpty(t, c.name)
		for _, words := range [][]any{{"run", 99, 1}, {"nonsense"}, {"load", 98, "sign", "30", "00"}, {"load", 97, "foo", "02", "05", "0d"}} {
			_, err := c.ask(words...)
			require.Error(t, err, "%s: %v", c.name, words)
		}
	}
	debian := ch.openssl[0].fast
	for _, words := range [][]any{
		{"openssl", "02", "zz", "0d"}, {"openssl", "02", "05"}, {"gmp", "02", "05", "0c"}, {"gmp", "02", "zz", "0d"},
		{"sign", "3000", fmt.Sprintf("%x", digest)},
	} {
		_, _, err := debian.load(words...)
		require.Error(t, err, "%v", words)
	}
	key, err := fourPrimes(4096)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	_, _, err = ch.java.load("sign", fmt.Sprintf("%x", der), fmt.Sprintf("%x", text))
	require.Error(t, err, "Java takes no key of four primes")
	for _, kind := range []string{"openssl", "gmp"} {
		result, run, err := debian.load(kind, "02", "05", "0d")
		require.NoError(t, err)
		require.Contains(t, []string{"6", "06"}, result)
		took, allocs, err := run(100)
		require.NoError(t, err)
		require.Positive(t, took)
		require.EqualValues(t, -1, allocs)
	}
}

// TestAnotherOpenSSL: the library of a folder is used, and one whose version is there
// already does not compete twice.
func TestAnotherOpenSSL(t *testing.T) {
	dir := t.TempDir()
	if packages := missing(dir); len(packages) > 0 {
		needtest.Missing(t, "what bench/peers compares with", strings.Join(packages, " "))
	}
	program, err := buildC(dir)
	require.NoError(t, err)
	c := &children{}
	require.NoError(t, c.add(program, ""))
	require.Len(t, c.openssl, 1)
	require.Regexp(t, `^OpenSSL \d+\.\d+\.\d+$`, c.openssl[0].name)

	folder := t.TempDir()
	t.Setenv("OPENSSL", folder)
	require.NotContains(t, folders(), folder)
	library := filepath.Join(folder, "libcrypto.so.3")
	require.NoError(t, os.WriteFile(library, []byte("no library"), 0o600))
	require.Contains(t, folders(), folder)
	require.Error(t, c.add(program, folder), "this library")
	require.NoError(t, os.Remove(library))
	require.NoError(t, os.Symlink(needtest.File(t, "libssl-dev", "/usr/lib/*/libcrypto.so.3"), library))
	require.NoError(t, c.add(program, folder))
	require.Len(t, c.openssl, 1)
	require.NoError(t, errors.Join(c.openssl[0].fast.stop(), c.openssl[0].noIFMA.stop()))
}

// TestFourPrimes: the composite of two parties and the key of one party that has all four
// primes are one key.
func TestFourPrimes(t *testing.T) {
	key, err := fourPrimes(4096)
	require.NoError(t, err)
	k, err := newTandem(2048, true)
	require.NoError(t, err)
	require.True(t, key.PublicKey.Equal(k.completer.PublicKey()))
}

func TestTurn(t *testing.T) {
	for text, want := range map[string]time.Duration{"25ms": 25 * time.Millisecond, "1x": 0} {
		got, err := parseTurn(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "2x", "0s", "-1s", "fast"} {
		_, err := parseTurn(text)
		require.Error(t, err, text)
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

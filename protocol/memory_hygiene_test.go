//go:build linux && !race

package protocol

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/memorytest"
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
			p.RequireWipedTwice("protocol.TestMemoryKeyPool", columnOf(c.column), runs...)
		})
	}
}

// columnOf is the column of a table of memory, which is bigmod's where there is no assembly.
func columnOf(column string) string {
	if !splitkeytest.Assembly() {
		return memorytest.Bigmod
	}
	return column
}

//go:noinline
func forgetPool(t *testing.T, waiting int) {
	pool, err := NewKeyPool(2048, waiting)
	require.NoError(t, err)
	key, blob, err := pool.NewKey(t.Context())
	require.NoError(t, err)
	key.(*splitkey.SoftwareKey).Wipe()
	loaded, err := pool.LoadKey(t.Context(), blob)
	require.NoError(t, err)
	loaded.(*splitkey.SoftwareKey).Wipe()
	memorytest.Report(t, blob)
	for range waiting { // look at each key that waits, and put it back
		k := <-pool.ready
		memorytest.Report(t, k.key.Bytes())
		pool.ready <- k
	}
	pool.Close()
}

// serverKeySecrets are the secrets of a key in the form of splitkey.SoftwareKey.Bytes.
func serverKeySecrets(blob []byte) map[string][]byte {
	one, e := big.NewInt(1), big.NewInt(65537)
	p, q := new(big.Int).SetBytes(blob[11:139]), new(big.Int).SetBytes(blob[139:])
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	lambda := new(big.Int).Mul(p1, q1)
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	return map[string][]byte{
		"p": p.Bytes(), "q": q.Bytes(), "lambda": lambda.Bytes(), "d": new(big.Int).ModInverse(e, lambda).Bytes(),
		"dp": new(big.Int).ModInverse(e, p1).Bytes(), "dq": new(big.Int).ModInverse(e, q1).Bytes(),
		"qInv": new(big.Int).ModInverse(q, p).Bytes(),
	}
}

package bench

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

var digest = sha256.Sum256([]byte("what is signed"))

// key is a split key with both of its halves.
type key struct {
	client    *splitkey.ClientShare
	server    *splitkey.ServerShare
	completer *splitkey.Completer
	own       *clocked // of a composite
}

// clocked is a server key that notes how long its last use took.
type clocked struct {
	splitkey.RSAKey
	took time.Duration
}

func (c *clocked) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	began := time.Now()
	defer func() { c.took = time.Since(began) }()
	return c.RSAKey.Exponentiate(ctx, x)
}

func newKey(tb testing.TB, bits int, s splitkey.Sharing, composite bool) *key {
	k := new(key)
	var err error
	k.client, k.server, err = splitkey.Split(splitkeytest.Key(bits), s)
	require.NoError(tb, err)
	var own splitkey.RSAKey
	if composite {
		k.own = &clocked{RSAKey: splitkeytest.ServerKey(bits)}
		own = k.own
	}
	k.completer, err = splitkey.NewCompleter(k.server, own, nil)
	require.NoError(tb, err)
	return k
}

// complete is the server's half of a signature.
func complete(c *splitkey.Completer, m *splitkey.Message, y []byte) ([]byte, error) {
	checked, err := c.Check(m, y)
	if err != nil {
		return nil, err
	}
	return c.Finish(context.Background(), checked)
}

// steps are the parts of a signature, in their order.
var steps = []string{"encode", "partial", "check", "serverkey", "finish", "verify"}

// sign makes a signature as the two parties do, each of which encodes the digest, and
// returns the time of each step.
func (k *key) sign() ([]time.Duration, error) {
	ctx := context.Background()
	final := k.completer.FinalKey()
	took := make([]time.Duration, 0, len(steps))
	began := time.Now()
	step := func() {
		now := time.Now()
		took = append(took, now.Sub(began))
		began = now
	}
	m, err := final.Encode(digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	again, err := final.Encode(digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	step()
	y, err := k.client.SignPartial(m)
	if err != nil {
		return nil, err
	}
	step()
	checked, err := k.completer.Check(again, y)
	if err != nil {
		return nil, err
	}
	step()
	sig, err := k.completer.Finish(ctx, checked)
	if err != nil {
		return nil, err
	}
	step()
	err = m.Verify(sig)
	step()
	// Finish includes the server key's work.
	var own time.Duration
	if k.own != nil {
		own = k.own.took
	}
	took[3] -= own
	return slices.Insert(took, 3, own), err
}

// BenchmarkSteps reports the median of each step of a signature, so that other work of
// the machine hardly counts. "finish" is all of Finish but the server key's work: joining
// the two halves, and verifying the result with crypto/rsa.
func BenchmarkSteps(b *testing.B) {
	for _, c := range []struct {
		bits      int
		composite bool
	}{{2048, false}, {3072, false}, {4096, false}, {2048, true}, {3072, true}} {
		for _, s := range []splitkey.Sharing{splitkey.Multiplicative, splitkey.Additive} {
			name := fmt.Sprintf("%d/two-prime-%v", c.bits, s)
			if c.composite {
				name = fmt.Sprintf("%d/composite-%v", 2*c.bits, s)
			}
			b.Run(name, func(b *testing.B) {
				k := newKey(b, c.bits, s, c.composite)
				samples := make([][]time.Duration, len(steps))
				b.ReportAllocs()
				for b.Loop() {
					took, err := k.sign()
					require.NoError(b, err)
					for i, t := range took {
						samples[i] = append(samples[i], t)
					}
				}
				for i, name := range steps {
					if name == "serverkey" && !c.composite {
						continue
					}
					slices.Sort(samples[i])
					b.ReportMetric(float64(samples[i][len(samples[i])/2].Nanoseconds()), name+"-ns/op")
				}
			})
		}
	}
}

func TestSteps(t *testing.T) {
	for _, composite := range []bool{false, true} {
		took, err := newKey(t, 2048, splitkey.Multiplicative, composite).sign()
		require.NoError(t, err)
		require.Len(t, took, len(steps))
		for i, name := range steps {
			if name != "serverkey" || composite {
				require.Positive(t, took[i], name)
			}
		}
	}
}

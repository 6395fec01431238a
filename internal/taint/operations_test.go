//go:build valgrind && linux && amd64

package taint_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/taint"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// secret returns a copy of b that is marked.
func secret(b []byte) []byte {
	b = append([]byte(nil), b...)
	taint.Secret(b)
	return b
}

// key is a split key with the parts that the operations need, none of it marked.
type key struct {
	*testing.T
	pub     *rsa.PublicKey
	sharing splitkey.Sharing
	x, d    []byte
}

func (k key) client() *splitkey.ClientShare {
	c, err := splitkey.NewClientShare(k.pub, k.sharing, secret(k.x))
	require.NoError(k, err)
	return c
}

func (k key) completer(own splitkey.RSAKey) *splitkey.Completer {
	s, err := splitkeytest.ServerShare(k.pub, k.sharing, secret(k.d))
	require.NoError(k, err)
	c, err := splitkey.NewCompleter(s, own, nil)
	require.NoError(k, err)
	return c
}

// partial returns a message and its partial signature, marked.
func (k key) partial(final *splitkey.FinalKey) (*splitkey.Message, []byte) {
	digest := sha256.Sum256([]byte("taint"))
	m, err := final.Encode(digest[:], crypto.SHA256)
	require.NoError(k, err)
	y, err := k.client().SignPartial(m)
	require.NoError(k, err)
	return m, y
}

func operations(t *testing.T) []operation {
	server := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	// ParseSoftwareKey itself marks the primes.
	own, err := splitkeytest.SoftwareKey(server)
	require.NoError(t, err)
	list := []operation{
		{"ParseSoftwareKey", func(t *testing.T) []byte {
			_, err := splitkeytest.SoftwareKey(server)
			require.NoError(t, err)
			return nil
		}, taint.ServerKeyRight},
		{"SoftwareKey.Exponentiate", func(t *testing.T) []byte {
			y, err := own.Exponentiate(t.Context(), server.N.FillBytes(make([]byte, 257))[:256])
			require.NoError(t, err)
			return y
		}, taint.Result},
	}
	for _, bits := range []int{2048, 3072} {
		for _, sharing := range []splitkey.Sharing{splitkey.Multiplicative, splitkey.Additive} {
			x := make([]byte, bits/8+8)
			for i := range x {
				x[i] = byte(i*i + 7)
			}
			c, s, err := splitkeytest.Split(splitkeytest.Key(bits), sharing, x)
			require.NoError(t, err)
			k := key{t, c.PublicKey(), sharing, x, s.Secret()}
			ops := k.operations(own)
			if bits == 2048 { // a lockbox is the same for every size
				ops = append(ops, k.lockboxOperations()...)
			}
			for _, op := range ops {
				op.name = fmt.Sprintf("%s, %v, %d bits", op.name, sharing, bits)
				list = append(list, op)
			}
		}
	}
	return list
}

func (k key) operations(own *splitkey.SoftwareKey) []operation {
	return []operation{
		{"SignPartial", func(t *testing.T) []byte {
			_, y := k.partial(splitkeytest.FinalKey(k, k.pub))
			return y
		}, taint.Result},
		{"Check of a right one", func(t *testing.T) []byte {
			m, y := k.partial(splitkeytest.FinalKey(k, k.pub))
			_, err := k.completer(nil).Check(m, y)
			require.NoError(t, err)
			return nil
		}, taint.Verdict},
		{"Check of a wrong one", func(t *testing.T) []byte {
			wrong := k
			wrong.x = bytes.Repeat([]byte{1}, len(k.x))
			m, y := wrong.partial(splitkeytest.FinalKey(k, k.pub))
			_, err := k.completer(nil).Check(m, y)
			require.ErrorIs(t, err, splitkey.ErrPartial)
			return nil
		}, taint.Verdict},
		{"Check of one out of range", func(t *testing.T) []byte {
			m, y := k.partial(splitkeytest.FinalKey(k, k.pub))
			y = secret(bytes.Repeat([]byte{0xff}, len(y)))
			_, err := k.completer(nil).Check(m, y)
			require.ErrorIs(t, err, splitkey.ErrMalformedPartial)
			return nil
		}, taint.OperandInRange},
		{"Check of 1", func(t *testing.T) []byte {
			m, y := k.partial(splitkeytest.FinalKey(k, k.pub))
			clear(y)
			y[len(y)-1] = 1
			_, err := k.completer(nil).Check(m, secret(y))
			require.ErrorIs(t, err, splitkey.ErrMalformedPartial)
			return nil
		}, taint.PartialInRange},
		{"Finish two-prime", func(t *testing.T) []byte {
			return k.finish(t, k.completer(nil))
		}, taint.VerifiedSignature},
		{"Finish composite with a SoftwareKey", func(t *testing.T) []byte {
			return k.finish(t, k.completer(own))
		}, taint.VerifiedSignature},
		{"ServerShare.Bytes", func(t *testing.T) []byte {
			s, err := splitkeytest.ServerShare(k.pub, k.sharing, secret(k.d))
			require.NoError(t, err)
			return s.Bytes()
		}, taint.Result},
		{"ParseServerShare", func(t *testing.T) []byte {
			s, err := splitkeytest.ServerShare(k.pub, k.sharing, secret(k.d))
			require.NoError(t, err)
			s, err = splitkey.ParseServerShare(s.Bytes())
			require.NoError(t, err)
			return nil
		}, taint.ShareInRange},
	}
}

func (k key) finish(t *testing.T, c *splitkey.Completer) []byte {
	m, y := k.partial(c.FinalKey())
	ch, err := c.Check(m, y)
	require.NoError(t, err)
	sig, err := c.Finish(context.Background(), ch)
	require.NoError(t, err)
	require.NoError(t, m.Verify(sig))
	return nil
}

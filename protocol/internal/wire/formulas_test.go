package wire_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

func hashOf(parts ...[]byte) wire.Hash { return sha256.Sum256(bytes.Join(parts, nil)) }

func macOf(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(bytes.Join(parts, nil))
	return mac.Sum(nil)
}

// TestFormulas: what is hashed and authenticated, as docs/protocol.md has it, put
// together here once more.
func TestFormulas(t *testing.T) {
	id := protocol.KeyID{1, 2, 3}
	key := bytes.Repeat([]byte{9}, 32)
	challenges, err := wire.NewChallengeKey(key)
	require.NoError(t, err)
	_, err = wire.NewChallengeKey(key[1:])
	require.ErrorIs(t, err, protocol.ErrConfig)
	raw := challenges.Issue(wire.ForTransaction, id, time.UnixMilli(1000), time.Minute, wire.Hash{5})
	const body = protocol.ChallengeSize - sha256.Size
	require.Equal(t, macOf(key, []byte("tandem v2 challenge"), raw[:body]), raw[body:])
	const ticket = 2 + protocol.KeyIDSize + 8 + 8 + 16
	require.Equal(t, macOf(key, []byte("tandem v2 ticket"), raw[:ticket]), raw[ticket:ticket+sha256.Size])
	c, err := wire.ParseChallenge(raw)
	require.NoError(t, err)
	require.True(t, challenges.Authentic(c))
	require.Equal(t, raw[:ticket+sha256.Size], c.Ticket()[:])
	require.True(t, challenges.AuthenticTicket(c.Ticket()))
	require.Equal(t, []any{id, int64(1000)}, []any{c.Ticket().KeyID(), c.Ticket().Issued()})
	for at := range c.Ticket() {
		changed := *c.Ticket()
		changed[at] ^= 1
		require.False(t, challenges.AuthenticTicket(&changed), at)
	}
	require.Equal(t, []any{wire.ForTransaction, id, int64(1000), int64(61000), wire.Hash{5}}, []any{c.Purpose, c.KeyID, c.Issued, c.Expires, c.Binding})
	again := challenges.Issue(wire.ForTransaction, id, time.UnixMilli(1000), time.Minute, wire.Hash{5})
	const random = 2 + protocol.KeyIDSize + 16
	require.NotEqual(t, raw[random:random+16], again[random:random+16])
	for at := range c.Raw {
		changed := *c
		changed.Raw[at] ^= 1
		require.False(t, challenges.Authentic(&changed), at)
	}

	chain, subject := wire.Hash{6}, wire.Hash{7}
	require.Equal(t, hashOf([]byte("tandem v2 chain"), chain[:], subject[:], []byte{2}), wire.NextChain(chain, subject, wire.FateWrong))
	require.Equal(t, wire.FirstChain([]byte("sealed")), hashOf([]byte("sealed")))

	own := wire.ToSign(protocol.OpConfirm, c, wire.Messages{})
	digest := hashOf([]byte("tandem v2 confirm"), raw)
	require.Equal(t, wire.Messages{Hash: 1, Padding: wire.PKCS1v15, Digests: [][]byte{digest[:]}}, own)

	r := requestOf(t, protocol.OpCancel)
	require.Equal(t, r.Target, r.Subject(wire.Hash{8}))
	r = requestOf(t, protocol.OpConfirm)
	require.Equal(t, wire.Hash{8}, r.Subject(wire.Hash{8}))
	require.Equal(t, wire.ToSign(protocol.OpConfirm, r.Challenge, wire.Messages{}), r.ToSign())
	sign := requestOf(t, protocol.OpSign)
	require.Equal(t, sign.Messages, sign.ToSign())

	hardware := protocoltest.NewHardware(t)
	signer, err := hardware.Signer()
	require.NoError(t, err)
	authKey := wire.NewSecret(key)
	plaintext, err := r.Encode(authKey, id, signer)
	require.NoError(t, err)
	end := len(plaintext) - sha256.Size
	require.Equal(t, macOf(key, []byte("tandem v2 request"), id[:], plaintext[:end]), plaintext[end:])
	parsed, err := wire.ParseRequest(plaintext)
	require.NoError(t, err)
	require.True(t, parsed.Authentic(authKey, id))
	require.False(t, parsed.Authentic(wire.DrawSecret(), id))
	require.False(t, parsed.Authentic(authKey, protocol.KeyID{}))
	require.Len(t, parsed.Hardware, 64)
	signed := hashOf([]byte("tandem v2 hardware"), id[:], parsed.Body())
	require.True(t, ecdsa.Verify(&hardware.Key.PublicKey, signed[:], new(big.Int).SetBytes(parsed.Hardware[:32]), new(big.Int).SetBytes(parsed.Hardware[32:])))
	require.True(t, wire.HardwareSigned(signer.Public, id, parsed.Body(), parsed.Hardware))
	for _, other := range []bool{
		wire.HardwareSigned(signer.Public, protocol.KeyID{}, parsed.Body(), parsed.Hardware),
		wire.HardwareSigned(signer.Public, id, parsed.Body()[1:], parsed.Hardware),
		wire.HardwareSigned(signer.Public, id, parsed.Body(), parsed.Hardware[1:]),
		wire.HardwareSigned(signer.Public, id, parsed.Body(), append(bytes.Clone(parsed.Hardware), 0)),
		wire.HardwareSigned(signer.Public, id, parsed.Body(), nil),
		wire.HardwareSigned(signer.Public[1:], id, parsed.Body(), parsed.Hardware),
		wire.HardwareSigned(nil, id, parsed.Body(), parsed.Hardware),
	} {
		require.False(t, other)
	}
	require.True(t, wire.HardwareSigned(nil, id, parsed.Body(), nil))
}

// rs is hardware that gives two numbers for a signature, and something after them.
type rs struct {
	crypto.Signer
	r, s *big.Int
	rest []byte
}

func (h rs) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{h.r, h.s})
	return append(der, h.rest...), err
}

// TestHardwareThatSignsWrongly: a request with a signature that is none is not made.
func TestHardwareThatSignsWrongly(t *testing.T) {
	hardware := protocoltest.NewHardware(t)
	good, err := hardware.Signer()
	require.NoError(t, err)
	other, err := protocoltest.NewHardware(t).Signer()
	require.NoError(t, err)
	one, long := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 256)
	order := elliptic.P256().Params().N
	broken := errors.New("broken")
	for name, key := range map[string]crypto.Signer{
		"R is 0": rs{r: new(big.Int), s: one}, "S is 0": rs{r: one, s: new(big.Int)}, "R is negative": rs{r: big.NewInt(-1), s: one}, "S is negative": rs{r: one, s: big.NewInt(-1)},
		"R is long": rs{r: long, s: one}, "S is long": rs{r: one, s: long}, "both of 256 bits": rs{r: order, s: order}, "something after it": rs{r: one, s: one, rest: []byte{0}},
		"another key's": other.Key, "none": &protocoltest.Hardware{Key: hardware.Key, Broken: broken},
	} {
		r := requestOf(t, protocol.OpConfirm)
		plaintext, err := r.Encode(wire.DrawSecret(), protocol.KeyID{}, &wire.HardwareSigner{Key: key, Public: good.Public})
		require.Error(t, err, name)
		require.Equal(t, name == "none", errors.Is(err, broken))
		require.Nil(t, plaintext, name)
	}
}

// TestMessages: the digests and options that there are, and which ask for the same.
func TestMessages(t *testing.T) {
	digests := func(n, size int) (out [][]byte) {
		for range n {
			out = append(out, make([]byte, size))
		}
		return out
	}
	pss := func(salt int) *rsa.PSSOptions { return &rsa.PSSOptions{Hash: crypto.SHA512, SaltLength: salt} }
	for _, c := range []struct {
		digests [][]byte
		opts    crypto.SignerOpts
		ok      bool
	}{
		{digests(1, 32), crypto.SHA256, true}, {digests(64, 32), crypto.SHA3_256, true}, {digests(65, 32), crypto.SHA256, false},
		{nil, crypto.SHA256, false}, {digests(1, 31), crypto.SHA256, false}, {digests(1, 33), crypto.SHA256, false}, {digests(1, 64), pss(7), true},
		{digests(1, 20), crypto.SHA1, false}, {digests(1, 0), crypto.Hash(0), false}, {digests(1, 32), nil, false}, {digests(1, 64), (*rsa.PSSOptions)(nil), false},
	} {
		m, err := wire.NewMessages(c.digests, c.opts)
		if !c.ok {
			require.ErrorIs(t, err, splitkey.ErrMessage)
			require.Equal(t, wire.Messages{}, m)
			continue
		}
		require.NoError(t, err)
		require.True(t, m.Valid())
		require.Equal(t, c.digests, m.Digests)
		require.Equal(t, c.opts, m.Options())
		require.Equal(t, len(c.digests[0]), m.DigestSize())
	}
	for _, c := range []struct {
		m  wire.Messages
		ok bool
	}{
		{wire.Messages{}, true}, {wire.Messages{Padding: wire.PSS}, false}, {wire.Messages{Hash: 1}, false}, {wire.Messages{Hash: 6, Padding: wire.PSS}, true},
		{wire.Messages{Hash: 7, Padding: wire.PSS}, false}, {wire.Messages{Hash: 6, Padding: wire.PKCS1v15}, true}, {wire.Messages{Hash: 6, Padding: 3}, false},
	} {
		require.Equal(t, c.ok, c.m.Valid(), c.m)
	}
	sent, err := wire.NewMessages(digests(2, 64), pss(64))
	require.NoError(t, err)
	for _, c := range []struct {
		digests [][]byte
		opts    crypto.SignerOpts
		same    bool
	}{
		{digests(2, 64), pss(64), true}, {digests(2, 64), pss(rsa.PSSSaltLengthAuto), true}, {digests(2, 64), pss(rsa.PSSSaltLengthEqualsHash), true},
		{digests(2, 64), pss(63), false}, {digests(1, 64), pss(64), false}, {digests(2, 64), crypto.SHA512, false}, {digests(2, 64), &rsa.PSSOptions{Hash: crypto.SHA3_512, SaltLength: 64}, false},
		{[][]byte{make([]byte, 64), bytes.Repeat([]byte{1}, 64)}, pss(64), false},
	} {
		m, err := wire.NewMessages(c.digests, c.opts)
		require.NoError(t, err)
		require.Equal(t, c.same, m.AskFor(sent), "%v", c.opts)
	}
	short := sent
	short.SaltLength = 63
	asked, err := wire.NewMessages(digests(2, 64), pss(rsa.PSSSaltLengthEqualsHash))
	require.NoError(t, err)
	require.False(t, asked.AskFor(short))
}

// TestKnown: the operations and reasons that there are.
func TestKnown(t *testing.T) {
	for n := range 256 {
		require.Equal(t, n >= 1 && n <= 7, wire.KnownOperation(protocol.Operation(n)), n)
		require.Equal(t, n == 6 || n == 7, wire.WithoutNumber(protocol.Operation(n)), n)
		require.Equal(t, n >= 1 && n <= 4, wire.KnownReason(protocol.Reason(n)), n)
	}
	require.False(t, wire.AllZero(nil), "nothing is no key of zeros")
	require.True(t, wire.AllZero(make([]byte, 1)))
	require.False(t, wire.AllZero([]byte{0, 1}))
	require.NotEqual(t, wire.DrawSecret().Get(), wire.DrawSecret().Get())
	require.Equal(t, wire.MessageJSON{}, wire.NewMessageJSON(nil, (*rsa.PSSOptions)(nil)))
	for _, pub := range []*rsa.PublicKey{nil, {}} {
		der, err := wire.PublicKeyJSON(pub)
		require.NoError(t, err)
		require.Nil(t, der)
	}
}

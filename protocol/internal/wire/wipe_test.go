package wire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
)

// TestOpenedIsWiped: Wipe takes the plaintext and the response key.
func TestOpenedIsWiped(t *testing.T) {
	private, err := KEM.GenerateKey()
	require.NoError(t, err)
	public := private.PublicKey()
	request, _, err := SealRequest(public, protocol.OpConfirm, new(Ticket), []byte("plaintext"))
	require.NoError(t, err)
	e, err := ParseEnvelope(request)
	require.NoError(t, err)
	o, err := e.Open(map[HPKEKeyID]hpke.PrivateKey{HPKEKeyIDOf(public.Bytes()): private})
	require.NoError(t, err)
	key, plaintext := o.ResponseKey.Secret.Get(), o.Plaintext.Get()
	require.False(t, AllZero(key))
	require.Equal(t, []byte("plaintext"), plaintext)
	o.Wipe()
	require.True(t, AllZero(key))
	require.Nil(t, o.ResponseKey.Secret.Get())
	require.True(t, AllZero(plaintext))
	require.Nil(t, o.Plaintext.Get())
}

// noSigner is hardware that does not sign: its owner did not unlock it.
type noSigner struct{ crypto.Signer }

func (noSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("not unlocked")
}

// TestUnsignedIsWiped: what the hardware does not sign is not kept.
func TestUnsignedIsWiped(t *testing.T) {
	body := []byte("token and partial signatures")
	_, err := (&HardwareSigner{Key: noSigner{}}).append(protocol.KeyID{1}, body)
	require.Error(t, err)
	require.True(t, AllZero(body))
}

// TestRefusedRequestIsWiped: of a request that is cut off anywhere, or whose fields do
// not go together, neither token nor body nor a partial signature is kept.
func TestRefusedRequestIsWiped(t *testing.T) {
	challenges, err := NewChallengeKey(bytes.Repeat([]byte{7}, SecretSize))
	require.NoError(t, err)
	id := protocol.KeyID{1}
	challenge, err := ParseChallenge(challenges.Issue(ForOwnUse, id, time.UnixMilli(1), time.Minute, Hash{}))
	require.NoError(t, err)
	encode := func(number uint64) []byte {
		r := &Request{Op: protocol.OpConfirm, Challenge: challenge, Number: number, Token: DrawSecret(), Salts: [][]byte{nil}, Partials: [][]byte{bytes.Repeat([]byte{9}, 256)}}
		plaintext, err := r.Encode(DrawSecret(), id, nil)
		require.NoError(t, err)
		return plaintext
	}
	whole := encode(1)
	right := new(Request)
	require.NoError(t, right.parse(whole))
	require.NotNil(t, right.Token.Get())
	refused := [][]byte{encode(0)}
	for n := range whole {
		refused = append(refused, whole[:n])
	}
	for _, plaintext := range refused {
		r := new(Request)
		require.ErrorIs(t, r.parse(plaintext), protocol.ErrMalformed)
		require.Nil(t, r.Token.Get(), len(plaintext))
		require.Nil(t, r.plaintext.Get(), len(plaintext))
		for _, y := range r.Partials {
			require.Equal(t, make([]byte, 256), y)
		}
		none, err := ParseRequest(plaintext)
		require.Error(t, err)
		require.Nil(t, none)
	}
}

// TestResponseKeyIsCopied: of what the HPKE context exports nothing stays but the
// response key's own copy.
func TestResponseKeyIsCopied(t *testing.T) {
	exported := bytes.Repeat([]byte{7}, SecretSize)
	r, err := newResponseKey(func(context string, n int) ([]byte, error) {
		require.Equal(t, "tandem v2 response", context)
		require.Equal(t, SecretSize, n)
		return exported, nil
	}, []byte("request"))
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{7}, SecretSize), r.Secret.Get())
	require.True(t, AllZero(exported))
	broken := errors.New("broken")
	_, err = newResponseKey(func(string, int) ([]byte, error) { return nil, broken }, nil)
	require.ErrorIs(t, err, broken)
}

// messageSigner is hardware that hashes by itself, and keeps what it was given.
type messageSigner struct {
	crypto.Signer
	kept []byte
}

func (s *messageSigner) SignMessage(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.kept = message
	digest := sha256.Sum256(message)
	return s.Signer.Sign(rand, digest[:], opts)
}

// TestMessageSigner: hardware may be given the message. It is signed as a digest is, and
// the message, which holds the secrets of the request, is wiped.
func TestMessageSigner(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	body, id := []byte("token and partial signatures"), protocol.KeyID{1}
	s := &messageSigner{Signer: key}
	out, err := (&HardwareSigner{Key: s, Public: public}).append(id, bytes.Clone(body))
	require.NoError(t, err)
	require.True(t, HardwareSigned(public, id, body, out[len(body)+1:]))
	require.Len(t, s.kept, len("tandem v2 hardware")+len(id)+len(body))
	require.True(t, AllZero(s.kept))
}

// TestHashForgets: a hash of what ends in secrets keeps none of its last block.
func TestHashForgets(t *testing.T) {
	secrets := bytes.Repeat([]byte{0xaa}, 100)
	h := sha256.New()
	h.Write(secrets)
	want := sha256.Sum256(secrets)
	require.Equal(t, want[:], sumAndForget(h))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	require.NoError(t, err)
	require.NotContains(t, string(state), string(secrets[:8]))
}

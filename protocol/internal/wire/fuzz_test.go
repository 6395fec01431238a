package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
)

func FuzzParseEnvelope(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEnvelope(data)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		again := append([]byte{Version, byte(e.Op)}, e.HPKEKey[:]...)
		again = append(append(append(again, e.Ticket[:]...), e.enc...), e.ciphertext...)
		require.Equal(t, data, again)
	})
}

func FuzzParseChallenge(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseChallenge(data)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		require.Equal(t, data, c.Raw[:])
		require.Less(t, c.Issued, c.Expires)
	})
}

func FuzzParseEnrollment(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEnrollment(data)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		again, err := e.Encode(e.Challenge.KeyID, nil)
		require.NoError(t, err)
		whole := append(append(bytes.Clone(e.Body.Get()), byte(len(e.Signature))), e.Signature...)
		require.Equal(t, data, whole)
		require.Equal(t, e.Body.Get(), again[:len(again)-1])
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRequest(data)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		again, err := r.Encode(NewSecret(make([]byte, SecretSize)), r.Challenge.KeyID, nil)
		require.NoError(t, err)
		require.Equal(t, r.Body(), again[:len(again)-sha256.Size-1])
		whole := append(append(bytes.Clone(r.Body()), byte(len(r.Hardware))), r.Hardware...)
		require.Equal(t, data[:len(data)-sha256.Size], whole)
		require.Equal(t, data, r.plaintext.Get())
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAnswer(data)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		again, err := a.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

var authority = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func FuzzParseKeyDocument(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		serial, key, err := ParseKeyDocument(data, nil)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		again, err := SignKeyDocument(authority, serial, key)
		require.NoError(t, err)
		require.Equal(t, data[:len(data)-64], again[:len(again)-64])
		_, _, err = ParseKeyDocument(append(data[:len(data)-64:len(data)-64], make([]byte, 64)...), authority.Public().(ed25519.PublicKey))
		require.ErrorIs(t, err, protocol.ErrMalformed, "nobody forges a signature")
	})
}

func FuzzOpenAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := ResponseKey{Secret: NewSecret(make([]byte, SecretSize))}.Open(data)
		require.ErrorIs(t, err, protocol.ErrMalformed, "nobody forges a tag")
	})
}

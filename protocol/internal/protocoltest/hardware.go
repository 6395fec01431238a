package protocoltest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"io"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Hardware is a phone's secure element in software.
type Hardware struct {
	Key    *ecdsa.PrivateKey
	Broken error
}

// Public implements crypto.Signer.
func (h *Hardware) Public() crypto.PublicKey { return h.Key.Public() }

// Sign implements crypto.Signer.
func (h *Hardware) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if h.Broken != nil {
		return nil, h.Broken
	}
	return h.Key.Sign(random, digest, opts)
}

func (h *Hardware) Signer() (*wire.HardwareSigner, error) {
	public, err := h.Key.PublicKey.Bytes()
	return &wire.HardwareSigner{Key: h, Public: public}, err
}

func NewHardware(tb testing.TB) *Hardware {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return &Hardware{Key: key}
}

func DerSignature(rs []byte) ([]byte, error) {
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])})
}

// RecordedHardware gives the signatures that the transcript recorded.
type RecordedHardware struct {
	crypto.Signer
	Signature []byte
}

// Sign implements crypto.Signer.
func (h RecordedHardware) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return DerSignature(h.Signature)
}

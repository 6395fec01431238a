package wire

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/protocol"
)

const hardwareSignatureSize = 64

// HardwareSigner signs requests. A nil one has no key, and signs nothing.
type HardwareSigner struct {
	Key    crypto.Signer
	Public []byte
}

// append appends the signature of body, with its length: without a key the length 0. body
// holds secrets: it is cleared where the hardware does not sign.
func (h *HardwareSigner) append(id protocol.KeyID, body []byte) (signed []byte, err error) {
	defer func() {
		if err != nil {
			clear(body)
		}
	}()
	if h == nil {
		return append(body, 0), nil
	}
	der, err := h.sign(id, body)
	if err != nil {
		return nil, fmt.Errorf("protocol: hardware key: %w", err)
	}
	var rs struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &rs)
	if err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return nil, errors.New("protocol: hardware key: not a signature")
	}
	out := make([]byte, hardwareSignatureSize)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	if !HardwareSigned(h.Public, id, body, out) {
		return nil, errors.New("protocol: hardware key: the signature is another key's")
	}
	return append(append(body, hardwareSignatureSize), out...), nil
}

const hardwareLabel = "tandem v2 hardware"

// sign signs what hardwareDigest is of. Hardware that hashes by itself is given the
// message, which holds the secrets of body.
func (h *HardwareSigner) sign(id protocol.KeyID, body []byte) ([]byte, error) {
	if _, hashes := h.Key.(crypto.MessageSigner); !hashes {
		return h.Key.Sign(rand.Reader, hardwareDigest(id, body), crypto.SHA256)
	}
	message := append(make([]byte, 0, len(hardwareLabel)+len(id)+len(body)), hardwareLabel...)
	message = append(append(message, id[:]...), body...)
	defer clear(message)
	return crypto.SignMessage(h.Key, rand.Reader, message, crypto.SHA256)
}

func hardwareDigest(id protocol.KeyID, body []byte) []byte {
	sum := sha256.New()
	sum.Write([]byte(hardwareLabel))
	sum.Write(id[:])
	sum.Write(body)
	return sumAndForget(sum)
}

// HardwareSigned reports whether the signature is the key's, or there is neither.
func HardwareSigned(public []byte, id protocol.KeyID, body, signature []byte) bool {
	if len(public) == 0 {
		return len(signature) == 0
	}
	key, err := ParseHardwareKey(public)
	if err != nil || len(signature) != hardwareSignatureSize {
		return false
	}
	return ecdsa.Verify(key, hardwareDigest(id, body), new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// ParseHardwareKey reads a public key of P-256, uncompressed (SEC 1).
func ParseHardwareKey(public []byte) (*ecdsa.PublicKey, error) {
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public)
}

package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
)

// HPKE (RFC 9180) in base mode with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM. Every
// random number is given.

// recipient is the server's HPKE key pair.
type recipient struct {
	seed []byte
	pq   *mlkem.DecapsulationKey768
	t    *ecdh.PrivateKey
}

func newRecipient(seed []byte) recipient {
	h := sha3.NewSHAKE256()
	h.Write(seed)
	b := make([]byte, 64+32)
	h.Read(b)
	pq, err := mlkem.NewDecapsulationKey768(b[:64])
	must(err)
	t, err := ecdh.X25519().NewPrivateKey(b[64:])
	must(err)
	return recipient{seed, pq, t}
}

func (r recipient) public() []byte {
	return append(r.pq.EncapsulationKey().Bytes(), r.t.PublicKey().Bytes()...)
}

// encapsulate returns the shared secret and enc for ML-KEM's m and an ephemeral X25519
// key.
func (r recipient) encapsulate(m, ephemeral []byte) (shared, enc []byte) {
	ssM, ctM, err := mlkemtest.Encapsulate768(r.pq.EncapsulationKey(), m)
	must(err)
	e, err := ecdh.X25519().NewPrivateKey(ephemeral)
	must(err)
	ssX, err := e.ECDH(r.t.PublicKey())
	must(err)
	h := sha3.New256()
	for _, p := range [][]byte{ssM, ssX, e.PublicKey().Bytes(), r.t.PublicKey().Bytes(), []byte(`\.//^\`)} {
		h.Write(p)
	}
	return h.Sum(nil), append(ctM, e.PublicKey().Bytes()...)
}

var suite = []byte{'H', 'P', 'K', 'E', 0x64, 0x7a, 0, 1, 0, 2}

func labeledExtract(salt []byte, label string, ikm []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, append(append(append([]byte("HPKE-v1"), suite...), label...), ikm...), salt)
	must(err)
	return prk
}

func labeledExpand(prk []byte, label string, info []byte, n int) []byte {
	in := binary.BigEndian.AppendUint16(nil, uint16(n))
	in = append(append(append(append(in, "HPKE-v1"...), suite...), label...), info...)
	out, err := hkdf.Expand(sha256.New, prk, string(in), n)
	must(err)
	return out
}

// schedule is section 5.1 of RFC 9180.
func schedule(shared []byte, info string) (key, nonce, exporter []byte) {
	context := append([]byte{0}, labeledExtract(nil, "psk_id_hash", nil)...)
	context = append(context, labeledExtract(nil, "info_hash", []byte(info))...)
	secret := labeledExtract(shared, "secret", nil)
	return labeledExpand(secret, "key", context, 32), labeledExpand(secret, "base_nonce", context, 12), labeledExpand(secret, "exp", context, 32)
}

func gcm(key, nonce, plaintext, aad []byte) []byte {
	block, err := aes.NewCipher(key)
	must(err)
	aead, err := cipher.NewGCM(block)
	must(err)
	return aead.Seal(nil, nonce, plaintext, aad)
}

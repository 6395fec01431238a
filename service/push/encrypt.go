package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Message encryption for Web Push: RFC 8291, section 3, in one record of RFC 8188.
const (
	authSize   = 16
	saltSize   = 16
	recordSize = 4096
	lastRecord = 2 // the delimiter of padding, of which there is none: all messages are one
)

// encrypt encrypts a message for a browser's key and its secret.
func encrypt(message []byte, to *ecdh.PublicKey, auth []byte) ([]byte, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return encryptWith(message, to, auth, own, salt)
}

func encryptWith(message []byte, to *ecdh.PublicKey, auth []byte, own *ecdh.PrivateKey, salt []byte) ([]byte, error) {
	shared, err := own.ECDH(to)
	if err != nil {
		return nil, err
	}
	public := own.PublicKey().Bytes()
	info := slices.Concat([]byte("WebPush: info\x00"), to.Bytes(), public)
	secret, err := hkdf.Key(sha256.New, shared, auth, string(info), sha256.Size)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	header := binary.BigEndian.AppendUint32(slices.Clone(salt), recordSize)
	header = append(header, byte(len(public)))
	header = append(header, public...)
	return aead.Seal(header, nonce, append(slices.Clone(message), lastRecord), nil), nil
}

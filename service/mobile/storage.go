package mobile

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tandem-rsa/tandem/protocol/device"
)

// Storage keeps the phone's values by name: the app has one, of a place that no backup
// takes. The values have some KiB each, and there are four names.
type Storage interface {
	// Load returns what the last Save of this name wrote. Nothing, or no bytes, is that
	// there was none.
	Load(name string) ([]byte, error)

	// Save replaces the value in one step, and returns when it is durable: whatever
	// crashes, the old value is there or the new one. It does not keep the bytes, but
	// copies them. No bytes are saved to remove a value.
	Save(name string, value []byte) error
}

// locker is a Storage that several processes share: browser tabs, say. Lock returns
// [device.ErrBusy] or a function that unlocks. gobind knows no such methods: an app for
// Android or iOS is one process.
type locker interface {
	Lock(name string) (unlock func(), err error)
}

// What is stored.
const (
	tokenName          = "token"
	transactionName    = "transaction"
	authenticationName = "authentication" // the keys of package device
	signatureName      = "signature"
)

// keyStorage is the storage of one key.
type keyStorage struct {
	storage Storage
	name    string
	token   string // names the lock within this process
}

var _ device.Storage = keyStorage{}

func (s keyStorage) Load() ([]byte, error) {
	value, err := s.storage.Load(s.name)
	if err != nil || len(value) == 0 {
		return nil, called(err)
	}
	return bytes.Clone(value), nil // which the device clears
}

func (s keyStorage) Save(value []byte) error { return called(s.storage.Save(s.name, value)) }

// callbackError is what the app's own functions say: for the app, as it is, whatever it
// may look like.
type callbackError struct{ error }

func (e callbackError) Unwrap() error { return e.error }

func called(err error) error {
	if err == nil {
		return nil
	}
	return callbackError{err}
}

// held are the locks of this process: two phones that an app has made of one storage are
// one phone.
var held sync.Map

func (s keyStorage) Lock() (func(), error) {
	id := sha256.Sum256([]byte(s.name + "\n" + s.token))
	if _, taken := held.LoadOrStore(id, true); taken {
		return nil, device.ErrBusy
	}
	release := func() { held.Delete(id) }
	shared, ok := s.storage.(locker)
	if !ok {
		return release, nil
	}
	unlock, err := shared.Lock(s.name)
	if err != nil {
		release()
		if errors.Is(err, device.ErrBusy) {
			return nil, device.ErrBusy
		}
		return nil, called(err)
	}
	return func() {
		unlock()
		release()
	}, nil
}

// The forms of a record: the first byte.
const (
	plainRecord  = 1 // of a phone without a storage key
	sealedRecord = 2 // nonce, XChaCha20-Poly1305 with the name as additional data
)

// errDamaged is for a record that is not what was saved.
var errDamaged = errors.New("mobile: the storage is damaged")

// saveRecord saves a value under the storage key, if there is one.
func saveRecord(s Storage, name string, value, key []byte) error {
	if len(key) == 0 {
		return called(s.Save(name, append([]byte{plainRecord}, value...)))
	}
	aead, err := recordAEAD(key)
	if err != nil {
		return err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	return called(s.Save(name, aead.Seal(append([]byte{sealedRecord}, nonce...), nonce, value, []byte(name))))
}

// loadRecord returns what saveRecord saved; nil if there is none.
func loadRecord(s Storage, name string, key []byte) ([]byte, error) {
	data, err := s.Load(name)
	if err != nil || len(data) == 0 {
		return nil, called(err)
	}
	const header = 1 + chacha20poly1305.NonceSizeX
	switch {
	case data[0] == plainRecord && len(key) == 0:
		return bytes.Clone(data[1:]), nil
	case data[0] == sealedRecord && len(key) != 0 && len(data) >= header:
		aead, err := recordAEAD(key)
		if err != nil {
			return nil, err
		}
		if value, err := aead.Open(nil, data[1:header], data[header:], []byte(name)); err == nil {
			return value, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", errDamaged, name)
}

func recordAEAD(storageKey []byte) (interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, error) {
	key, err := hkdf.Key(sha256.New, storageKey, nil, "tandem v2 phone record", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.NewX(key)
}

package ca

import (
	"context"
	"encoding/hex"
	"errors"
	"math/big"
	"time"
)

var (
	// ErrExists is returned by [Store.Create] for a serial number that was given before.
	ErrExists = errors.New("ca: the serial number was given before")
	// ErrNotFound is returned for a serial number that was never given, and for an
	// issuing CA that the Authority does not have.
	ErrNotFound = errors.New("ca: not found")
	// ErrConflict is returned by [Store.SetCRL] if somebody else was first.
	ErrConflict = errors.New("ca: another CRL was stored meanwhile")
)

// Store keeps what was issued. Package catest has a test of everything that is said here.
// All calls are atomic, safe for concurrent use by several processes, and durable before
// they return nil; reads see every write that was confirmed before.
type Store interface {
	// Create stores a new record. The error is ErrExists, and nothing changes, if there
	// is one with this serial number, of whatever issuer.
	Create(ctx context.Context, r Record) error
	// Record returns a record, or ErrNotFound.
	Record(ctx context.Context, serial Serial) (Record, error)
	// Revoke sets the revocation of a record that has none. One that is there already
	// stays, and the error is nil. It is ErrNotFound if there is no record.
	Revoke(ctx context.Context, serial Serial, r Revocation) error
	// Revoked returns the revoked records of an issuer that expire after a time, in any
	// order. Their DER may be left out.
	Revoked(ctx context.Context, issuer string, expireAfter time.Time) ([]Record, error)

	// CRL returns the last CRL of an issuer and its number; 0 and nil if there is none.
	CRL(ctx context.Context, issuer string) (number int64, der []byte, err error)
	// SetCRL stores CRL number, which is one more than the last. Otherwise the error is
	// ErrConflict, and nothing changes.
	SetCRL(ctx context.Context, issuer string, number int64, der []byte) error
}

// Record is one certificate that was issued. Times are in whole seconds.
type Record struct {
	Serial   Serial
	Issuer   string    // [Issuing.ID]
	Document string    // the document number; empty for an OCSP responder
	NotAfter time.Time // when it expires
	DER      []byte    // the certificate
	Revoked  *Revocation
}

// Revocation is when and why a certificate was taken back.
type Revocation struct {
	At     time.Time
	Reason Reason
}

// Reason is why a certificate is revoked, by its number in RFC 5280, section 5.3.1. That
// of a certificate on hold is not accepted: a revocation is for ever.
type Reason uint8

const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1 // a key was copied, or destroyed after wrong PINs
	AffiliationChanged   Reason = 3 // the person's name changed
	Superseded           Reason = 4 // the person has another key in place of this one
	CessationOfOperation Reason = 5 // the account was deleted
	PrivilegeWithdrawn   Reason = 9 // the account should not have been opened
)

func (r Reason) valid() bool {
	switch r {
	case Unspecified, KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn:
		return true
	}
	return false
}

// Serial is a serial number: 128 bits, big-endian. 0 is none.
type Serial [16]byte

// SerialOf returns a certificate's serial number as a Serial. No certificate of an
// [Authority] has a longer one, for which the error is ErrNotFound.
func SerialOf(n *big.Int) (Serial, error) {
	var s Serial
	if n == nil || n.Sign() <= 0 || n.BitLen() > 8*len(s) {
		return Serial{}, ErrNotFound
	}
	n.FillBytes(s[:])
	return s, nil
}

// String returns 32 hexadecimal digits.
func (s Serial) String() string { return hex.EncodeToString(s[:]) }

func (s Serial) number() *big.Int { return new(big.Int).SetBytes(s[:]) }

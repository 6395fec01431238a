package splitkey

import (
	"bytes"
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/enum"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/internal/taint"
)

// Sharing says how two shares make a private exponent. The zero value is invalid.
type Sharing uint8

const (
	// Multiplicative shares multiply: e * d_c * d_s = 1 mod lambda, with d_c = 2x+1. It
	// needs l-safe primes, which [GenerateKey] makes. It is an unproven assumption about
	// RSA that d_s tells nothing of x to whoever cannot factor n1.
	Multiplicative Sharing = 1
	// Additive shares add up: d_c + d_s = d mod lambda, with d_c = x. Any RSA key can be
	// shared so. Completing costs one more multiplication.
	//
	// A few bits of d_s tell much of x, and so of the PIN that x is locked under: the
	// lowest bit of x is always the opposite of that of d_s; d_s modulo 6, where n1 = 2
	// (mod 3), leaves 1,667 of 10,000 PINs; its upper 32 bits leave the right one alone.
	// Use it only for a key that cannot be shared multiplicatively.
	Additive Sharing = 2
)

var sharingNames = enum.Names[Sharing]{Multiplicative: "multiplicative", Additive: "additive"}

// String returns "multiplicative" or "additive".
func (s Sharing) String() string { return sharingNames.String(s) }

// MarshalText returns what String does, for JSON and logs. It returns [ErrShare] for an
// unknown sharing.
func (s Sharing) MarshalText() ([]byte, error) { return sharingNames.Marshal(s, ErrShare) }

// UnmarshalText reads what MarshalText writes, and returns [ErrShare] for anything else.
func (s *Sharing) UnmarshalText(text []byte) error { return sharingNames.Unmarshal(s, text, ErrShare) }

// check returns ErrShare for an unknown sharing.
func (s Sharing) check() error {
	if !sharingNames.Has(s) {
		return fmt.Errorf("%w: unknown sharing", ErrShare)
	}
	return nil
}

// blindingBytes is how much longer than the modulus the client's secret is: 64 bits
// more make d_c mod lambda uniform up to a statistical distance of about 2^-64.
const blindingBytes = 8

// ClientShare is the client's half of a key: x, of k1+8 bytes for a modulus of k1
// bytes. Every byte string of that length is a share, and nothing but a server can
// tell the right one from others. It is safe for concurrent use.
type ClientShare struct {
	pub     *publicKey
	sharing Sharing
	x       secret.Bytes
}

// NewClientShare returns the share with the secret x, which is copied. It returns
// [ErrKey] or [ErrShare].
func NewClientShare(pub *rsa.PublicKey, s Sharing, x []byte) (*ClientShare, error) {
	p, err := newClientKey(pub)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if len(x) != p.mod.Size()+blindingBytes {
		return nil, fmt.Errorf("%w: a secret of %d bytes, want %d", ErrShare, len(x), p.mod.Size()+blindingBytes)
	}
	return &ClientShare{p, s, secret.Copy(x)}, nil
}

// PublicKey returns a copy of the client key (n1, e), which is not the final key of a
// composite. For the zero value it is nil.
func (c *ClientShare) PublicKey() *rsa.PublicKey {
	if c == nil {
		return nil
	}
	return c.pub.rsa()
}

// Sharing returns how the key is shared.
func (c *ClientShare) Sharing() Sharing {
	if c == nil {
		return 0
	}
	return c.sharing
}

// Secret returns a copy of x, nil for a zero or wiped share. The caller clears it after
// use.
func (c *ClientShare) Secret() []byte { return bytes.Clone(c.secret()) }

// secret returns x itself, nil if there is none.
func (c *ClientShare) secret() []byte {
	if c == nil {
		return nil
	}
	return c.x.Get()
}

// Wipe clears the secret. The share and its copies cannot be used afterwards, and Wipe
// must not run at the same time as another method.
func (c *ClientShare) Wipe() {
	if c != nil {
		c.x.Wipe()
	}
}

// Format prints the kind and size of the share, for every verb.
func (c ClientShare) Format(f fmt.State, _ rune) {
	format(f, "ClientShare", c.pub.bits(), ", "+c.sharing.String())
}

// ServerShare is the server's half of a key: 0 < d_s < n1, of exactly k1 bytes.
// It is safe for concurrent use.
type ServerShare struct {
	pub     *publicKey
	sharing Sharing
	d       secret.Bytes
}

// newServerShare returns the share with the secret d_s, which is copied. It returns
// ErrKey or ErrShare.
func newServerShare(pub *rsa.PublicKey, s Sharing, d []byte) (*ServerShare, error) {
	p, err := newClientKey(pub)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if len(d) != p.mod.Size() {
		return nil, fmt.Errorf("%w: a secret of %d bytes, want %d", ErrShare, len(d), p.mod.Size())
	}
	x, err := p.mod.Elem(d)
	if err != nil {
		return nil, fmt.Errorf("%w: the secret is not below the modulus", ErrShare)
	}
	defer x.Wipe()
	if taint.Declassify(x.IsZero(), taint.ShareInRange) != 0 {
		return nil, fmt.Errorf("%w: the secret is zero", ErrShare)
	}
	return &ServerShare{p, s, secret.Copy(d)}, nil
}

// PublicKey returns a copy of the client key (n1, e). For the zero value it is nil.
func (s *ServerShare) PublicKey() *rsa.PublicKey {
	if s == nil {
		return nil
	}
	return s.pub.rsa()
}

// Sharing returns how the key is shared.
func (s *ServerShare) Sharing() Sharing {
	if s == nil {
		return 0
	}
	return s.sharing
}

// Secret returns a copy of d_s, nil for a zero or wiped share. The caller clears it after
// use.
func (s *ServerShare) Secret() []byte { return bytes.Clone(s.secret()) }

// secret returns d_s itself, nil if there is none.
func (s *ServerShare) secret() []byte {
	if s == nil {
		return nil
	}
	return s.d.Get()
}

// Wipe clears the secret. The share, its copies and a [Completer] made of it cannot be
// used afterwards, and Wipe must not run at the same time as another method.
func (s *ServerShare) Wipe() {
	if s != nil {
		s.d.Wipe()
	}
}

// Format prints the kind and size of the share, for every verb.
func (s ServerShare) Format(f fmt.State, _ rune) {
	format(f, "ServerShare", s.pub.bits(), ", "+s.sharing.String())
}

// format prints the kind and size of what has a secret; what has no size is invalid.
func format(f fmt.State, name string, bits int, kind string) {
	if bits == 0 {
		fmt.Fprintf(f, "splitkey.%s(invalid)", name)
		return
	}
	fmt.Fprintf(f, "splitkey.%s(%d bits%s, secret hidden)", name, bits, kind)
}

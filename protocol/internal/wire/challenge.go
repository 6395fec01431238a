package wire

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
)

const (
	ticketBody    = TicketSize - sha256.Size
	challengeBody = protocol.ChallengeSize - sha256.Size

	// TicketSize is the length of a [Ticket] in bytes.
	TicketSize = 2 + protocol.KeyIDSize + 8 + 8 + 16 + sha256.Size

	// MaxChallengeLife bounds how long a request can be looked at.
	MaxChallengeLife = time.Hour
)

// Purpose says what a challenge is good for.
type Purpose uint8

const (
	ForEnrolment   Purpose = 1
	ForTransaction Purpose = 2 // a list of digests with one padding, which it names
	ForOwnUse      Purpose = 3 // all other requests: what signs no digest of anybody's choice
)

// Challenge is what makes a request fresh. Any node that has the challenge key can
// check one; none remembers it.
type Challenge struct {
	Purpose Purpose
	KeyID   protocol.KeyID
	Issued  int64
	Expires int64
	Binding Hash
	Raw     [protocol.ChallengeSize]byte
}

// Ticket is where a challenge begins, up to a MAC of its own: what stands in the open in
// the envelope of a request. It says nothing of what is signed.
type Ticket [TicketSize]byte

// KeyID returns which key the challenge is for.
func (t *Ticket) KeyID() protocol.KeyID { return protocol.KeyID(t[2 : 2+protocol.KeyIDSize]) }

// Issued returns when the challenge was made.
func (t *Ticket) Issued() int64 { return int64(binary.BigEndian.Uint64(t[2+protocol.KeyIDSize:])) }

// Ticket returns the challenge's.
func (c *Challenge) Ticket() *Ticket { return (*Ticket)(c.Raw[:]) }

// ChallengeKey authenticates challenges.
type ChallengeKey struct{ key Secret }

// NewChallengeKey takes 32 bytes. The error wraps [protocol.ErrConfig].
func NewChallengeKey(key []byte) (ChallengeKey, error) {
	if len(key) != 32 {
		return ChallengeKey{}, fmt.Errorf("%w: challenge key of %d bytes, want 32", protocol.ErrConfig, len(key))
	}
	return ChallengeKey{NewSecret(key)}, nil
}

const (
	ticketLabel    = "tandem v2 ticket"
	challengeLabel = "tandem v2 challenge"
)

func (k ChallengeKey) mac(label string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.key.Get())
	mac.Write([]byte(label))
	mac.Write(body)
	return mac.Sum(nil)
}

// Issue makes a challenge. binding is zero except for a transaction.
func (k ChallengeKey) Issue(p Purpose, id protocol.KeyID, now time.Time, life time.Duration, binding Hash) []byte {
	var b cryptobyte.Builder
	b.AddUint8(Version)
	b.AddUint8(uint8(p))
	b.AddBytes(id[:])
	b.AddUint64(uint64(now.UnixMilli()))
	b.AddUint64(uint64(now.Add(life).UnixMilli()))
	random := make([]byte, 16)
	rand.Read(random)
	b.AddBytes(random)
	b.AddBytes(k.mac(ticketLabel, b.BytesOrPanic()))
	b.AddBytes(binding[:])
	b.AddBytes(k.mac(challengeLabel, b.BytesOrPanic()))
	return b.BytesOrPanic()
}

// AuthenticTicket reports whether this key made the challenge that the ticket is of.
func (k ChallengeKey) AuthenticTicket(t *Ticket) bool {
	return hmac.Equal(t[ticketBody:], k.mac(ticketLabel, t[:ticketBody]))
}

// Authentic reports whether this key made the challenge.
func (k ChallengeKey) Authentic(c *Challenge) bool {
	return hmac.Equal(c.Raw[challengeBody:], k.mac(challengeLabel, c.Raw[:challengeBody]))
}

// ParseChallenge reads a challenge, of which nothing is known to be authentic yet.
func ParseChallenge(raw []byte) (*Challenge, error) {
	if len(raw) != protocol.ChallengeSize {
		return nil, fmt.Errorf("%w: challenge of %d bytes, want %d", protocol.ErrMalformed, len(raw), protocol.ChallengeSize)
	}
	c := new(Challenge)
	copy(c.Raw[:], raw)
	s := cryptobyte.String(raw)
	var version, p uint8
	var issued, expires uint64
	if !s.ReadUint8(&version) || !s.ReadUint8(&p) || !s.CopyBytes(c.KeyID[:]) ||
		!s.ReadUint64(&issued) || !s.ReadUint64(&expires) || !s.Skip(16+sha256.Size) || !s.CopyBytes(c.Binding[:]) || version != Version {
		return nil, fmt.Errorf("%w: challenge", protocol.ErrMalformed)
	}
	c.Purpose, c.Issued, c.Expires = Purpose(p), int64(issued), int64(expires)
	switch {
	case c.Purpose < ForEnrolment || c.Purpose > ForOwnUse:
		return nil, fmt.Errorf("%w: challenge of unknown purpose", protocol.ErrMalformed)
	case c.Purpose != ForTransaction && c.Binding != Hash{}:
		return nil, fmt.Errorf("%w: challenge of no transaction that names one", protocol.ErrMalformed)
	case issued > MaxTime || expires > MaxTime || issued >= expires || c.Expires-c.Issued > MaxChallengeLife.Milliseconds():
		return nil, fmt.Errorf("%w: times of a challenge", protocol.ErrMalformed)
	}
	return c, nil
}

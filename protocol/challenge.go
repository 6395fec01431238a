package protocol

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// ChallengeSize is the length of every challenge in bytes.
const ChallengeSize = 2 + KeyIDSize + 8 + 8 + 16 + sha256.Size + sha256.Size

const (
	challengeBody = ChallengeSize - sha256.Size

	// DefaultChallengeLife is how long a challenge lives unless [Config] says otherwise. It is
	// also the time that a user has for a transaction.
	DefaultChallengeLife = 5 * time.Minute

	// maxChallengeLife bounds how long a request can be looked at.
	maxChallengeLife = time.Hour

	// answerLife is how long after its challenge expired the signature of a request that was right is made anew. After
	// that a recorded request costs the server no more use of its keys.
	answerLife = 24 * time.Hour

	// clockSkew is how far the clock of the node that issued a challenge may be ahead.
	clockSkew = time.Minute
)

// purpose says what a challenge is good for.
type purpose uint8

const (
	forEnrolment   purpose = 1
	forTransaction purpose = 2 // a list of digests with one padding, which it names
	forOwnUse      purpose = 3 // all other requests: what signs no digest of anybody's choice
)

// challenge is what makes a request fresh. Any node that has the challenge key can
// check one; none remembers it.
//
//	offset  length  content
//	0       1       version: 2
//	1       1       purpose: 1 enrolment, 2 transaction, 3 own use
//	2       16      key id
//	18      8       time of issue, milliseconds since 1970
//	26      8       time of expiry, milliseconds since 1970
//	34      16      random
//	50      32      of a transaction: SHA-256 of what is to be signed; else 0
//	82      32      HMAC-SHA256 under the challenge key of bytes 0 to 81
type challenge struct {
	purpose purpose
	keyID   KeyID
	issued  int64
	expires int64
	binding hash
	raw     [ChallengeSize]byte
}

// challengeKey authenticates challenges.
type challengeKey struct{ key secret }

func newChallengeKey(key []byte) (challengeKey, error) {
	if len(key) != 32 {
		return challengeKey{}, fmt.Errorf("%w: challenge key of %d bytes, want 32", ErrConfig, len(key))
	}
	return challengeKey{newSecret(key)}, nil
}

// Format hides the key.
func (k challengeKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.challengeKey(hidden)") }

func (k challengeKey) mac(body []byte) []byte {
	mac := hmac.New(sha256.New, k.key.bytes())
	mac.Write([]byte("tandem v2 challenge"))
	mac.Write(body)
	return mac.Sum(nil)
}

// issue makes a challenge. binding is zero except for a transaction.
func (k challengeKey) issue(p purpose, id KeyID, now time.Time, life time.Duration, binding hash) []byte {
	var b cryptobyte.Builder
	b.AddUint8(wireVersion)
	b.AddUint8(uint8(p))
	b.AddBytes(id[:])
	b.AddUint64(uint64(now.UnixMilli()))
	b.AddUint64(uint64(now.Add(life).UnixMilli()))
	random := make([]byte, 16)
	rand.Read(random)
	b.AddBytes(random)
	b.AddBytes(binding[:])
	body := b.BytesOrPanic()
	return append(body, k.mac(body)...)
}

// authentic reports whether this key made the challenge.
func (k challengeKey) authentic(c *challenge) bool {
	return hmac.Equal(c.raw[challengeBody:], k.mac(c.raw[:challengeBody]))
}

// parseChallenge reads a challenge, of which nothing is known to be authentic yet.
func parseChallenge(raw []byte) (*challenge, error) {
	if len(raw) != ChallengeSize {
		return nil, fmt.Errorf("%w: challenge of %d bytes, want %d", ErrMalformed, len(raw), ChallengeSize)
	}
	c := new(challenge)
	copy(c.raw[:], raw)
	s := cryptobyte.String(raw)
	var version, p uint8
	var issued, expires uint64
	if !s.ReadUint8(&version) || !s.ReadUint8(&p) || !s.CopyBytes(c.keyID[:]) ||
		!s.ReadUint64(&issued) || !s.ReadUint64(&expires) || !s.Skip(16) || !s.CopyBytes(c.binding[:]) || version != wireVersion {
		return nil, fmt.Errorf("%w: challenge", ErrMalformed)
	}
	c.purpose, c.issued, c.expires = purpose(p), int64(issued), int64(expires)
	switch {
	case c.purpose < forEnrolment || c.purpose > forOwnUse:
		return nil, fmt.Errorf("%w: challenge of unknown purpose", ErrMalformed)
	case c.purpose != forTransaction && c.binding != hash{}:
		return nil, fmt.Errorf("%w: challenge of no transaction that names one", ErrMalformed)
	case issued > maxTime || expires > maxTime || issued >= expires || c.expires-c.issued > maxChallengeLife.Milliseconds():
		return nil, fmt.Errorf("%w: times of a challenge", ErrMalformed)
	}
	return c, nil
}

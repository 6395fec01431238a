package protocol

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock"
)

// DefaultPendingLife is how long a new key waits for [Device.Confirm] unless [Config] says
// otherwise.
const DefaultPendingLife = 15 * time.Minute

// Config is what a [Server] works with. All nodes of a service have the same, except for
// Audit, Log, Clock and the connections behind the interfaces.
type Config struct {
	// Store keeps one record for each key and one for each modulus. Required.
	Store pinlock.Store

	// Policy limits wrong PINs. Required: see [pinlock.DefaultPolicy].
	Policy pinlock.Policy

	// Keys makes the server's own keys. nil means that new keys are two-prime: the final key
	// is then the device's own (n1, e), and the server holds no more than a share of it.
	Keys KeySource

	// Sealer encrypts what is stored. Required.
	Sealer Sealer

	// HPKE is what devices encrypt to. Required.
	HPKE HPKEKeys

	// ChallengeKey authenticates challenges: 32 random bytes, the same on all nodes. Required. Whoever has it can
	// make up enrolments. A new one voids all challenges at once.
	ChallengeKey []byte `json:"-"`

	// Signed, if not nil, is given every signature before the device is. If it
	// returns an error the device is told to send the same request again, and does:
	// so it is called at least once for each signature that the device gets, and perhaps more often with
	// the same arguments. The challenge, which the service handed out, says for which transaction.
	//
	// It may be called late: whoever recorded a request can have its signature made again until a day after the challenge
	// expired, also one that the user gave up. A service that has ended a transaction returns nil and drops the signature;
	// one that ends them by time compares Signed.Expires with its own clock. And it may be called with two signatures
	// for one challenge, of the same digest and under different PSS salts, if a device asks for them: the first is as good as the second.
	Signed func(ctx context.Context, s Signed) error

	// Audit keeps the audit events. What it does not take stops the answers: see [AuditSink]. nil means
	// that they go to Log, which does not say whether it wrote them: then an event can be lost, and
	// nothing stops. See [NewAuditLog].
	Audit AuditSink

	// Log receives the causes of refusals and failures, and the audit events if Audit is nil. nil means
	// slog.Default().
	Log *slog.Logger

	// Clock is time.Now if nil.
	Clock func() time.Time

	// ChallengeLife is how long a challenge lives, in whole milliseconds up to an hour; 0 means DefaultChallengeLife.
	ChallengeLife time.Duration

	// PendingLife is how long a new key waits for its confirmation, up to 30 days; 0 means DefaultPendingLife.
	PendingLife time.Duration
}

// HPKEKeys are the server's decryption keys, of the KEM MLKEM768-X25519:
// hpke.MLKEM768X25519().GenerateKey makes one, and its Bytes and NewPrivateKey store it.
//
// To rotate: set Next on all nodes, well before NextStart; at NextStart make Next
// the Current one and put the old one under Retiring; a day later drop it, so that what was recorded
// cannot be decrypted any more. Devices learn of Next with every answer.
//
// A Next that has not started may be taken back or replaced: each device forgets it with its next answer. Those that hear none before
// NextStart encrypt to it from then on, so a node goes on decrypting with it, as one of Retiring, for as long as devices may be away.
type HPKEKeys struct {
	Current   hpke.PrivateKey
	Retiring  []hpke.PrivateKey
	Next      hpke.PrivateKey // nil: none planned
	NextStart time.Time       `json:",omitzero"`
}

// Format hides the keys, except where package fmt cannot call it: in an unexported field of a struct that is printed.
func (k HPKEKeys) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.HPKEKeys(hidden)") }

// Signed is a finished signature, as the service gets it.
type Signed struct {
	KeyID     KeyID
	Challenge []byte    // as handed out: names the transaction
	Expires   time.Time // of the challenge; may be up to a day ago
	Digest    []byte
	Options   crypto.SignerOpts // hash function, or *rsa.PSSOptions with the salt's length
	Signature []byte
	PublicKey *rsa.PublicKey
}

// Format hides the challenge key, except where package fmt cannot call it: in an unexported field of a struct that is printed.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.Config(hidden)") }

func (c *Config) check() error {
	switch {
	case isnil.Value(c.Store):
		return fmt.Errorf("%w: no store", ErrConfig)
	case isnil.Value(c.Sealer):
		return fmt.Errorf("%w: no sealer", ErrConfig)
	case c.HPKE.Current == nil:
		return fmt.Errorf("%w: no HPKE key", ErrConfig)
	case c.Keys != nil && isnil.Value(c.Keys):
		return fmt.Errorf("%w: the key source is a nil", ErrConfig)
	case c.Keys != nil && (c.Keys.Bits() < 2048 || c.Keys.Bits() > 4096 || c.Keys.Bits()%8 != 0):
		return fmt.Errorf("%w: a source of server keys of %d bits", ErrConfig, c.Keys.Bits())
	case c.Audit != nil && isnil.Value(c.Audit):
		return fmt.Errorf("%w: the audit sink is a nil", ErrConfig)
	case c.ChallengeLife < 0 || c.ChallengeLife > maxChallengeLife || c.ChallengeLife%time.Millisecond != 0:
		return fmt.Errorf("%w: challenge life of %v, want up to %v", ErrConfig, c.ChallengeLife, maxChallengeLife)
	case c.PendingLife < 0 || c.PendingLife > 30*24*time.Hour:
		return fmt.Errorf("%w: pending life of %v, want up to 30 days", ErrConfig, c.PendingLife)
	case c.HPKE.Next != nil && (c.HPKE.NextStart.Before(time.UnixMilli(0)) || c.HPKE.NextStart.UnixMilli() > maxTime):
		return fmt.Errorf("%w: start of the next HPKE key", ErrConfig)
	}
	if allZero(c.ChallengeKey) {
		return fmt.Errorf("%w: a challenge key of zeros", ErrConfig)
	}
	if err := c.Policy.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.ChallengeLife == 0 {
		c.ChallengeLife = DefaultChallengeLife
	}
	if c.PendingLife == 0 {
		c.PendingLife = DefaultPendingLife
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Audit == nil {
		c.Audit = loggerSink{c.Log}
	}
	return nil
}

// allZero reports whether a key was never filled in.
func allZero(key []byte) bool {
	return len(key) > 0 && subtle.ConstantTimeCompare(key, make([]byte, len(key))) == 1
}

// keyring finds the private key that a request was encrypted to.
func (k HPKEKeys) keyring() (map[serverKeyID]hpke.PrivateKey, error) {
	ring := make(map[serverKeyID]hpke.PrivateKey)
	for _, key := range append([]hpke.PrivateKey{k.Current, k.Next}, k.Retiring...) {
		if key == nil {
			continue
		}
		if key.KEM().ID() != kem.ID() {
			return nil, fmt.Errorf("%w: HPKE key of another KEM than MLKEM768-X25519", ErrConfig)
		}
		seed, err := key.Bytes() // the key's own: not to be wiped
		if err != nil {
			return nil, fmt.Errorf("%w: HPKE key: %w", ErrConfig, err)
		}
		if allZero(seed) {
			return nil, fmt.Errorf("%w: an HPKE key of zeros", ErrConfig)
		}
		ring[idOf(key.PublicKey())] = key
	}
	return ring, nil
}

package server

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

const (
	// DefaultChallengeLife is how long a challenge lives unless [Config] says otherwise.
	// It is also the time that a user has for a transaction.
	DefaultChallengeLife = 5 * time.Minute

	// DefaultPendingLife is how long a new key waits for device.Device.Confirm unless
	// [Config] says otherwise.
	DefaultPendingLife = 15 * time.Minute

	// answerLife is how long after its challenge expired the signature of a request that
	// was right is made anew. After that a recorded request costs the server no more use
	// of its keys.
	answerLife = 24 * time.Hour

	// clockSkew is how far the clock of the node that issued a challenge may be ahead.
	clockSkew = time.Minute
)

// Config is what a [Server] works with. All nodes of a service have the same, except for
// Audit, Log, Clock and the connections behind the interfaces.
type Config struct {
	// Store keeps one record for each key and one for each modulus. Required.
	Store limiter.Store

	// Policy limits wrong PINs. Required: see [limiter.DefaultPolicy].
	Policy limiter.Policy

	// Keys makes server keys. nil means that new keys are two-prime: the final
	// key is then the device's own (n1, e), and the server holds no more than a share of
	// it.
	Keys KeySource

	// Sealer encrypts what is stored. Required.
	Sealer Sealer

	// HPKE is what devices encrypt to. Required.
	HPKE HPKEKeys

	// ChallengeKey authenticates challenges: 32 random bytes, the same on all nodes.
	// Required. Whoever has it can make up enrolments. A new one voids all challenges at
	// once.
	ChallengeKey []byte `json:"-"`

	// Signed, if not nil, is given the signatures of every request before the device is.
	// If it returns an error the device is told to send the same request again, and does:
	// so it is called at least once for all signatures that the device gets, and perhaps
	// more often with the same arguments. The challenge, which the service handed out,
	// says for which transaction.
	//
	// It may be called late: whoever recorded a request can have its signatures made
	// again until a day after the challenge expired. A service that has ended a
	// transaction returns nil and drops them; one that ends them by time compares
	// Signed.Expires with its own clock. And it may be called twice for one challenge,
	// with the same digests under different PSS salts, if a device asks for that: the
	// first signatures are as good as the second.
	Signed func(ctx context.Context, s Signed) error

	// Hardware, if not nil, is asked at each enrolment whether the phone's hardware key,
	// its attestation, or that there is none, will do. An error refuses the key, with its
	// text in the log. nil takes every key and asks for none.
	Hardware func(ctx context.Context, h HardwareEnrollment) error

	// Admit, if not nil, is asked once for each request that tries a PIN and that nothing
	// else stands in the way of, before its partial signatures are looked at. If it
	// returns an error the device is told "later": nothing is counted, nothing is
	// settled, and the device sends the same request again. So a service limits how often
	// PINs are tried beyond what Policy does, or stops an account. The error's text is in
	// the log. A repetition of a request that was settled is not asked about.
	Admit func(ctx context.Context, id protocol.KeyID, op protocol.Operation) error

	// Audit keeps the audit events. Events that it does not take wait in the key's
	// record, up to 8; then they stop the answers: see [AuditSink]. nil means that they
	// go to Log, which does not say whether it wrote them. See [NewAuditLog].
	Audit AuditSink

	// Log receives the causes of refusals and failures, and the audit events if Audit is
	// nil. nil means slog.Default().
	Log *slog.Logger

	// Observer, if not nil, is told what the server does, for metrics. service/metrics
	// has one for Prometheus. It never gets a key id: Audit does.
	Observer observe.Observer

	// Clock is time.Now if nil.
	Clock func() time.Time

	// ChallengeLife is how long a challenge lives, in whole milliseconds up to an hour; 0
	// means DefaultChallengeLife.
	ChallengeLife time.Duration

	// PendingLife is how long a new key waits for its confirmation, up to 30 days; 0
	// means DefaultPendingLife.
	PendingLife time.Duration
}

// HPKEKeys are the server's decryption keys, of the KEM MLKEM768-X25519:
// hpke.MLKEM768X25519().GenerateKey makes one, and its Bytes and NewPrivateKey store it.
//
// To rotate: add the next key to Retiring on all nodes; then make it the Current one,
// with a Document that names it ([SignKeyDocument]), and put the old one under Retiring.
// A device takes the document from its next answer, or from the app. Some days later drop
// the old key, so that what was recorded cannot be decrypted any more: who was away
// fetches the document.
type HPKEKeys struct {
	Current  hpke.PrivateKey
	Retiring []hpke.PrivateKey
	Document []byte // of Current; nil where the app alone brings new keys
}

// Format hides the keys, except where package fmt cannot call it: in an unexported field
// of a struct that is printed.
func (k HPKEKeys) Format(f fmt.State, _ rune) { fmt.Fprint(f, "server.HPKEKeys(hidden)") }

// Signed are the finished signatures of one request, as the service gets them.
type Signed struct {
	KeyID      protocol.KeyID
	Challenge  []byte    // as handed out: names the transaction
	Expires    time.Time // of the challenge; may be up to a day ago
	Digests    [][]byte
	Options    crypto.SignerOpts // hash function, or *rsa.PSSOptions with the salts' length
	Signatures [][]byte          // one for each digest
	PublicKey  *rsa.PublicKey
}

// Format hides the challenge key, except where package fmt cannot call it: in an
// unexported field of a struct that is printed.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "server.Config(hidden)") }

func (c *Config) check() error {
	switch {
	case isnil.Value(c.Store):
		return fmt.Errorf("%w: no store", protocol.ErrConfig)
	case isnil.Value(c.Sealer):
		return fmt.Errorf("%w: no sealer", protocol.ErrConfig)
	case c.HPKE.Current == nil:
		return fmt.Errorf("%w: no HPKE key", protocol.ErrConfig)
	case c.Keys != nil && isnil.Value(c.Keys):
		return fmt.Errorf("%w: the key source is a nil", protocol.ErrConfig)
	case c.Keys != nil && (c.Keys.Bits() < 2048 || c.Keys.Bits() > 4096 || c.Keys.Bits()%8 != 0):
		return fmt.Errorf("%w: a source of server keys of %d bits", protocol.ErrConfig, c.Keys.Bits())
	case c.Audit != nil && isnil.Value(c.Audit):
		return fmt.Errorf("%w: the audit sink is a nil", protocol.ErrConfig)
	case c.Observer != nil && isnil.Value(c.Observer):
		return fmt.Errorf("%w: the observer is a nil", protocol.ErrConfig)
	case c.ChallengeLife < 0 || c.ChallengeLife > wire.MaxChallengeLife || c.ChallengeLife%time.Millisecond != 0:
		return fmt.Errorf("%w: challenge life of %v, want up to %v", protocol.ErrConfig, c.ChallengeLife, wire.MaxChallengeLife)
	case c.PendingLife < 0 || c.PendingLife > 30*24*time.Hour:
		return fmt.Errorf("%w: pending life of %v, want up to 30 days", protocol.ErrConfig, c.PendingLife)
	}
	if wire.AllZero(c.ChallengeKey) {
		return fmt.Errorf("%w: a challenge key of zeros", protocol.ErrConfig)
	}
	if err := c.Policy.Validate(); err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrConfig, err)
	}
	if c.ChallengeLife == 0 {
		c.ChallengeLife = DefaultChallengeLife
	}
	for _, round := range c.Policy {
		// A request that is made before the lock would outlive it, and its right PIN
		// clear the counter.
		if round.Lock < c.ChallengeLife {
			return fmt.Errorf("%w: a lock of %v ends before a challenge of %v does", protocol.ErrConfig, round.Lock, c.ChallengeLife)
		}
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
	c.observe()
	return nil
}

// keyring finds the private key that a request was encrypted to.
func (k HPKEKeys) keyring() (map[wire.HPKEKeyID]hpke.PrivateKey, error) {
	ring := make(map[wire.HPKEKeyID]hpke.PrivateKey)
	for _, key := range append([]hpke.PrivateKey{k.Current}, k.Retiring...) {
		if key == nil {
			continue
		}
		if key.KEM().ID() != wire.KEM.ID() {
			return nil, fmt.Errorf("%w: HPKE key of another KEM than MLKEM768-X25519", protocol.ErrConfig)
		}
		seed, err := key.Bytes() // the key's own: not to be wiped
		if err != nil {
			return nil, fmt.Errorf("%w: HPKE key: %w", protocol.ErrConfig, err)
		}
		if wire.AllZero(seed) {
			return nil, fmt.Errorf("%w: an HPKE key of zeros", protocol.ErrConfig)
		}
		ring[wire.HPKEKeyIDOf(key.PublicKey().Bytes())] = key
	}
	if k.Document != nil {
		_, key, err := wire.ParseKeyDocument(k.Document, nil)
		if err != nil || wire.HPKEKeyIDOf(key) != wire.HPKEKeyIDOf(k.Current.PublicKey().Bytes()) {
			return nil, fmt.Errorf("%w: the key document names another key", protocol.ErrConfig)
		}
	}
	return ring, nil
}

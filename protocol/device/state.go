package device

import (
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// state is what a device's storage has. It has no x, no y, no PIN and no HPKE context, at
// any time. Answers of the server change it, each by one of the methods below:
//
//	NoKey        Enroll puts an enrolment there: Enrolling
//	Enrolling    enrolled: Unconfirmed; refused or cancelled: NoKey; destroyed: Dead
//	Unconfirmed  resolve: Ready with the first right PIN; else as Ready
//	Ready        a request is put there (pending), and resolved: Ready, Dead or Superseded
//	Superseded   a Report was answered: Dead
//
// From Unconfirmed on, nothing is pending or one request is; another one is made only
// once that is resolved.
type state struct {
	phase   Phase
	reason  protocol.Reason // of a dead or superseded key, as far as it is known
	shipped wire.HPKEKeyID  // of the key that the app was shipped with
	hpkeKey []byte          // the HPKE key
	serial  uint64          // of hpkeKey; it never goes back
	key     *enrolledKey    // of Enrolling to Ready, and what is left of one that is superseded
	pending *pending
	held    []wire.Secret // all secrets that were read or made for this operation
}

// hold returns the secret, which is wiped when the operation ends.
func (s *state) hold(x wire.Secret) wire.Secret {
	s.held = append(s.held, x)
	return x
}

func (s *state) wipe() {
	for _, x := range s.held {
		x.Wipe()
	}
}

// enrolledKey is what belongs to one key. Of a superseded one id, authKey, hardware and
// challenge are left.
type enrolledKey struct {
	id        protocol.KeyID
	authKey   wire.Secret     // K_dev
	hardware  []byte          // the hardware's public key, or nothing
	challenge *wire.Challenge // for Confirm, from the answer to the enrolment; or for a Report
	lockbox   []byte          // pinlock.Lockbox.MarshalBinary
	number    uint64          // of the last request that is resolved
	token     wire.Secret
	chain     wire.Hash
	public    rsa.PublicKey      // the final key, once known
	final     *splitkey.FinalKey // finalKey's, which is computed once an operation
}

// pending is the one request that may have been sent: of number enrolledKey.number + 1.
type pending struct {
	op        protocol.Operation
	cancel    bool // a Cancel of it may have been sent
	challenge *wire.Challenge
	messages  wire.Messages
	salts     [][]byte
	next      wire.Secret // the next token
	request   []byte      // sealed, as it is sent
	secret    wire.Secret // of the reply
}

func (p *pending) reply() wire.Reply { return wire.Reply{Secret: p.secret, Request: p.hash()} }

func (p *pending) hash() wire.Hash { return sha256.Sum256(p.request) }

// signed is what the answer's signatures must verify for. A Refresh has none.
func (p *pending) signed() wire.Messages {
	switch p.op {
	case protocol.OpSign:
		return p.messages
	case protocol.OpRefresh:
		return wire.Messages{}
	}
	return wire.OwnMessage(p.op, p.challenge.Raw[:])
}

// usable returns why there is nothing to operate with, or nil.
func (s *state) usable() error {
	switch s.phase {
	case NoKey:
		return fmt.Errorf("%w: no key", ErrPhase)
	case Enrolling:
		return fmt.Errorf("%w: the enrolment", ErrPending)
	case Dead:
		return &protocol.DestroyedError{Reason: s.reason}
	case Superseded:
		return ErrSuperseded
	}
	return nil
}

// challengeFor parses a challenge that this key's requests may carry.
func (k *enrolledKey) challengeFor(raw []byte) (*wire.Challenge, error) {
	c, err := wire.ParseChallenge(raw)
	if err == nil && (c.KeyID != k.id || c.Purpose == wire.ForEnrolment) {
		err = fmt.Errorf("%w: the challenge is for another key or an enrolment", protocol.ErrMalformed)
	}
	return c, err
}

// enrolled takes up the final key, if it is made of the device's own.
func (s *state) enrolled(a *wire.Answer) error {
	own, err := s.key.clientKey()
	if err != nil {
		return err
	}
	if a.Parsed.KeyID != s.key.id || !divides(own, &a.Public) {
		return fmt.Errorf("%w: %w: enrolment", ErrUnanswered, errAnswer)
	}
	s.phase, s.pending = Unconfirmed, nil
	s.key.public, s.key.challenge = a.Public, a.Parsed
	return nil
}

// resolve changes the state as the answer to the pending request says, or the answer to a
// Cancel of it, and reports whether nothing is pending any more. The reply key of a
// Cancel was never stored, so that nobody can have forged its answer.
func (s *state) resolve(a *wire.Answer, fresh bool) (bool, error) {
	k, p := s.key, s.pending
	f := wire.FateWrong
	switch {
	case a.Code == wire.CodeRight:
		f, k.token = wire.FateRight, p.next
		s.phase, k.challenge = Ready, nil // before it was confirmed the server finds nothing right
	case a.Code == wire.CodeCancelled && p.cancel:
		f = wire.FateCancelled
	case a.Code == wire.CodeWrong && a.Verdict.Total > 0:
	case a.Code == wire.CodeWrong:
		s.end(protocol.ReasonPIN, a.Parsed, fresh)
		return true, nil
	case a.Code == wire.CodeDestroyed:
		s.end(a.Reason, a.Parsed, fresh)
		return true, nil
	case a.Code == wire.CodeSuperseded:
		s.end(protocol.ReasonClone, a.Parsed, false)
		return true, nil
	case a.Code == wire.CodeCancelled: // no challenge comes with it, and a Report takes the request's own
		s.end(protocol.ReasonClone, p.challenge, false)
		return true, nil
	case fresh, a.Code == wire.CodeEnrolled, a.Code == wire.CodeKeyRefused:
		return false, fmt.Errorf("%w: %w: code %d", ErrUnanswered, errAnswer, a.Code)
	default:
		if a.Code == wire.CodeExpired && k.challenge != nil && k.challenge.Raw == p.challenge.Raw {
			k.challenge = nil
		}
		return false, nil
	}
	k.number++
	k.chain = wire.NextChain(k.chain, p.hash(), f)
	s.pending = nil
	return true, nil
}

// forget is for an enrolment that leaves no key.
func (s *state) forget() { s.phase, s.key, s.pending = NoKey, nil, nil }

// end is for a key that is not to be used any more. It is dead if only the server can
// have said so, and has to be reported else: then K_dev stays until a Report is answered.
func (s *state) end(why protocol.Reason, challenge *wire.Challenge, dead bool) {
	k := s.key
	s.phase, s.reason, s.pending, s.key = Dead, why, nil, nil
	if dead {
		return
	}
	none := wire.NewSecret(make([]byte, wire.SecretSize))
	s.phase = Superseded
	s.key = &enrolledKey{id: k.id, authKey: k.authKey, hardware: k.hardware, challenge: challenge, token: none}
}

// consistent refuses combinations that no device writes.
func (s *state) consistent() bool {
	over := s.phase == Dead || s.phase == Superseded
	inUse := s.phase >= Enrolling && s.phase <= Ready
	enrolls := s.pending != nil && s.pending.op == protocol.OpEnroll
	known := s.key != nil && s.key.public.N != nil
	return s.phase <= Superseded && over == wire.KnownReason(s.reason) && (over || s.reason == 0) &&
		(inUse || s.phase == Superseded) == (s.key != nil) && (s.pending == nil || inUse) &&
		enrolls == (s.phase == Enrolling) && known == (s.phase == Unconfirmed || s.phase == Ready) &&
		(s.key == nil || inUse == (len(s.key.lockbox) > 0))
}

// clientKey is (n1, e), as the lockbox has it.
func (k *enrolledKey) clientKey() (*rsa.PublicKey, error) {
	box, err := pinlock.ParseLockbox(k.lockbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return box.PublicKey()
}

// finalKey returns the final key of an enrolled device, which is checked once an
// operation.
func (k *enrolledKey) finalKey() (*splitkey.FinalKey, error) {
	if k.final != nil {
		return k.final, nil
	}
	client, err := k.clientKey()
	if err != nil {
		return nil, err
	}
	if k.final, err = splitkey.CheckFinalKey(&k.public, client); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return k.final, nil
}

// divides reports whether the final key is one that splitkey accepts for the client key,
// and has full length: that key itself, or its product with another of the same length.
func divides(device, final *rsa.PublicKey) bool {
	if _, err := splitkey.CheckFinalKey(final, device); err != nil {
		return false
	}
	n2 := new(big.Int).Quo(final.N, device.N)
	return n2.BitLen() == 1 || n2.BitLen() == device.N.BitLen() && final.N.BitLen() == 2*device.N.BitLen()
}

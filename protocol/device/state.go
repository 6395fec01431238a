package device

import (
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// state is what a device's storage has. It has no x, no y, no PIN and no HPKE context, at
// any time. Answers of the server change it (enrolled, resolve, forget, end):
//
//	NoKey        Enroll puts an enrolment there: Enrolling
//	Enrolling    enrolled: Unconfirmed; refused or cancelled: NoKey; destroyed: Dead
//	Unconfirmed  resolve: Ready with the first right PIN; else as Ready
//	Ready        a request is put there (pending); resolved: Ready, Dead or Superseded
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
	release func()        // gives back the storage that open has taken
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

// close ends the operation: it wipes the secrets and gives the storage back.
func (s *state) close() {
	defer s.release()
	s.wipe()
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
	public    rsa.PublicKey // the final key, once known

	box   *pinlock.Lockbox   // lockbox, as parse reads it once an operation
	final *splitkey.FinalKey // public, likewise
}

// parse reads the lockbox, once an operation, and checks that the final key is one of its
// client key.
func (k *enrolledKey) parse() error {
	if k.final != nil {
		return nil
	}
	box, err := pinlock.ParseLockbox(k.lockbox)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	client, err := box.PublicKey()
	if err != nil {
		return err
	}
	final, err := splitkey.CheckFinalKey(&k.public, client)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	k.box, k.final = box, final
	return nil
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

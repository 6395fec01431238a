package device

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// EnrollOptions says what key to make.
type EnrollOptions struct {
	// Challenge is what the service got from server.Server.ChallengeEnroll. Required.
	Challenge []byte

	// PIN is 4 to 12 digits and passes [pinlock.CheckPIN]. Required.
	PIN []byte `json:"-"`

	// Bits is the length of the client modulus: 2048, 3072 or 4096; 0 means 2048. With a
	// server that has keys of its own the final key is twice as long.
	Bits int

	// Sharing is how the key is split; 0 means splitkey.Multiplicative.
	Sharing splitkey.Sharing `json:",omitzero"`

	// Client and Server, if not nil, are the shares of a key that exists, from
	// splitkey.Split. Enroll wipes neither. Bits and Sharing are ignored then.
	Client *splitkey.ClientShare
	Server *splitkey.ServerShare

	// Attestation is what the maker of [Config].Hardware says of its key, up to 16 KiB,
	// for the service's policy (server.Config.Hardware); it should name Challenge.
	Attestation []byte
}

// Enroll makes a key, splits it, locks the device's half with the PIN, and sends the
// server's half to the server. Afterwards the device is Unconfirmed, and [Device.Confirm]
// is next.
//
// An enrolment that was not answered ([ErrUnanswered]) is taken up by [Device.Resume], or
// by Enroll with the same challenge, which uses neither PIN nor options again. Enroll
// with another challenge starts over, with a new key; also where the server knows an
// unconfirmed key, which may be in use by now if a [Device.Confirm] was not answered, or
// the key is dead. A key that is superseded is reported first: the error is
// [ErrSuperseded] where that is not answered.
//
// Errors of this call alone: [ErrPhase] for a device with a key in use,
// [pinlock.ErrPINFormat], a [*pinlock.WeakPINError], [pinlock.ErrParams],
// [protocol.ErrMalformed] for the challenge, splitkey.ErrKey and splitkey.ErrShare for
// bad options. Answers of the server: [ErrRejected], [ErrNotCarriedOut], a
// [*protocol.DestroyedError] (not confirmed in time).
func (d *Device) Enroll(ctx context.Context, o EnrollOptions) error {
	c, err := wire.ParseChallenge(o.Challenge)
	if err == nil && c.Purpose != wire.ForEnrolment {
		err = fmt.Errorf("%w: not a challenge for an enrolment", protocol.ErrMalformed)
	}
	if err != nil {
		return err
	}
	if err := pinlock.CheckPIN(o.PIN); err != nil {
		return err
	}
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case s.phase == Ready:
		return fmt.Errorf("%w: there is a key in use", ErrPhase)
	case s.phase == Superseded:
		if err := d.report(ctx, s, nil); s.phase != Dead {
			return err
		}
	case s.phase == Enrolling && s.pending.challenge.Raw == c.Raw:
		_, err := d.finishEnrollment(ctx, s)
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	before := *s
	if err := d.beginEnrollment(s, c, o); err != nil {
		return err
	}
	if err := d.saveUnsent(ctx, s, &before); err != nil {
		return err
	}
	_, err = d.finishEnrollment(ctx, s)
	return err
}

// beginEnrollment makes the key and the request.
func (d *Device) beginEnrollment(s *state, c *wire.Challenge, o EnrollOptions) error {
	client, server, err := o.shares()
	if err != nil {
		return err
	}
	if o.Client == nil {
		defer client.Wipe()
		defer server.Wipe()
	}
	lockbox, err := d.lock(client, o.PIN)
	if err != nil {
		return err
	}
	key := &enrolledKey{id: c.KeyID, lockbox: lockbox, authKey: s.hold(wire.DrawSecret()), token: s.hold(wire.DrawSecret()), hardware: d.hardware}
	e := wire.Enrollment{
		Challenge: c, Share: secret.Own(server.Bytes()), AuthKey: key.authKey, Commitment: key.token.Commitment(),
		Hardware: d.hardware,
	}
	defer e.Share.Wipe()
	if d.hardware != nil {
		e.Attestation = o.Attestation
	}
	hardware, err := d.hardwareSigner(key)
	if err != nil {
		return err
	}
	pub, err := d.hpkeKey(s)
	if err != nil {
		return err
	}
	sealed, responseKey, err := e.Seal(pub, key.id, hardware)
	if err != nil {
		return err
	}
	key.chain = wire.FirstChain(sealed)
	s.phase, s.reason, s.key = Enrolling, 0, key
	s.pending = &pending{op: protocol.OpEnroll, challenge: c, next: key.token, request: sealed, secret: s.hold(responseKey.Secret)}
	return nil
}

// finishEnrollment sends the enrolment, which is saved, and acts on the answer.
func (d *Device) finishEnrollment(ctx context.Context, s *state) (*Request, error) {
	p := s.pending
	a, err := d.send(ctx, s, p.request, p.responseKey())
	if err != nil {
		return nil, err
	}
	switch a.Code {
	case wire.CodeEnrolled:
		if err := s.enrolled(a); err != nil {
			return nil, err
		}
	case wire.CodeKeyRefused, wire.CodeExpired, wire.CodeRejected:
		s.forget()
	case wire.CodeDestroyed: // it was not confirmed: there is nothing to report
		s.end(a.Reason, nil, true)
	default:
		return nil, fmt.Errorf("%w: %w: code %d to an enrolment", ErrUnanswered, errAnswer, a.Code)
	}
	if err := errors.Join(outcome(a), d.save(s)); err != nil {
		return nil, err
	}
	return p.shown(), nil
}

// enrolled takes up the final key, if it is made of the device's own.
func (s *state) enrolled(a *wire.Answer) error {
	box, err := pinlock.ParseLockbox(s.key.lockbox)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	own, err := box.PublicKey()
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

// divides reports whether the final key is one that splitkey accepts for the client key,
// and has full length: that key itself, or its product with another of the same length.
func divides(device, final *rsa.PublicKey) bool {
	if _, err := splitkey.CheckFinalKey(final, device); err != nil {
		return false
	}
	n2 := new(big.Int).Quo(final.N, device.N)
	return n2.BitLen() == 1 || n2.BitLen() == device.N.BitLen() && final.N.BitLen() == 2*device.N.BitLen()
}

func (o EnrollOptions) shares() (*splitkey.ClientShare, *splitkey.ServerShare, error) {
	if (o.Client == nil) != (o.Server == nil) {
		return nil, nil, fmt.Errorf("%w: one share without the other", splitkey.ErrShare)
	}
	if o.Client != nil {
		if o.Client.PublicKey() == nil || o.Server.PublicKey() == nil {
			return nil, nil, fmt.Errorf("%w: zero value", splitkey.ErrShare)
		}
		if !o.Client.PublicKey().Equal(o.Server.PublicKey()) || o.Client.Sharing() != o.Server.Sharing() {
			return nil, nil, fmt.Errorf("%w: shares of two keys", splitkey.ErrShare)
		}
		return o.Client, o.Server, nil
	}
	bits, sharing := o.Bits, o.Sharing
	if bits == 0 {
		bits = 2048
	}
	if sharing == 0 {
		sharing = splitkey.Multiplicative
	}
	return splitkey.GenerateKey(bits, sharing)
}

// Format hides the PIN, except where package fmt cannot call it: in an unexported field
// of a struct that is printed.
func (o EnrollOptions) Format(f fmt.State, _ rune) { fmt.Fprint(f, "device.EnrollOptions(hidden)") }

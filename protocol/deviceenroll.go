package protocol

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// EnrollOptions says what key to make.
type EnrollOptions struct {
	// Challenge is what the service got from [Server.ChallengeEnroll]. Required.
	Challenge []byte

	// PIN is 4 to 12 digits and passes [pinlock.CheckPIN]. Required.
	PIN []byte `json:"-"`

	// Bits is the length of the device's modulus: 2048, 3072 or 4096; 0 means 2048. With a server that has keys
	// of its own the final key is twice as long.
	Bits int

	// Sharing is how the key is split; 0 means splitkey.Multiplicative.
	Sharing splitkey.Sharing `json:",omitzero"`

	// Client and Server, if not nil, are the shares of a key that exists, from
	// splitkey.Split. Enroll wipes neither. Bits and Sharing are ignored then.
	Client *splitkey.ClientShare
	Server *splitkey.ServerShare
}

// Enroll makes a key, splits it, locks the device's half with the PIN, and sends the server's half to the
// server. Afterwards the device is Unconfirmed, and [Device.Confirm] is next.
//
// An enrolment that was not answered ([ErrUnanswered]) is taken up by [Device.Resume], or by Enroll with the same challenge, which
// looks at neither PIN nor options again. Enroll with another challenge
// starts over, with a new key; also where the server knows an unconfirmed key, which may be in use by now if a [Device.Confirm] was
// not answered, or the key is dead.
//
// Errors of this call alone: [ErrEnrolled], [pinlock.ErrPINFormat], a [*pinlock.WeakPINError],
// [pinlock.ErrParams], [ErrMalformed] for the challenge, splitkey.ErrKey and splitkey.ErrShare for bad options. Answers of
// the server: [ErrKeyRefused], [ErrExpired], [ErrRejected], a [*DestroyedError] (not confirmed in time).
func (d *Device) Enroll(ctx context.Context, o EnrollOptions) error {
	if err := d.made(ctx); err != nil {
		return err
	}
	c, err := parseChallenge(o.Challenge)
	if err == nil && c.purpose != forEnrolment {
		err = fmt.Errorf("%w: not a challenge for an enrolment", ErrMalformed)
	}
	if err != nil {
		return err
	}
	if err := pinlock.CheckPIN(o.PIN); err != nil {
		return err
	}
	return d.exclusively(func(s *deviceState) error {
		switch {
		case s.phase == Ready:
			return ErrEnrolled
		case s.phase == Enrolling && s.pending.challenge.raw == c.raw:
			_, err := d.finish(ctx, s)
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.begin(s, c, o); err != nil {
			return err
		}
		if err := d.save(s); err != nil {
			return err
		}
		_, err := d.finish(ctx, s)
		return err
	})
}

// begin makes the key and the request.
func (d *Device) begin(s *deviceState, c *challenge, o EnrollOptions) error {
	client, server, err := o.shares()
	if err != nil {
		return err
	}
	if o.Client == nil {
		defer client.Wipe()
		defer server.Wipe()
	}
	box, err := pinlock.Lock(client, o.PIN, d.config.Params)
	if err != nil {
		return err
	}
	lockbox, err := box.MarshalBinary()
	if err != nil {
		return err
	}
	key := &enrolledKey{id: c.keyID, lockbox: lockbox, deviceKey: drawSecret(), tokens: []secret{drawSecret()}}
	e := enrollment{challenge: c, share: hide(server.Bytes()), deviceKey: key.deviceKey, commitment: key.tokens[0].commitment()}
	defer clear(e.share())
	plaintext, err := e.encode()
	if err != nil {
		return err
	}
	defer clear(plaintext)
	p := &pending{op: OpEnroll, challenge: c}
	if err := d.seal(s, p, c.keyID, plaintext); err != nil {
		return err
	}
	s.phase, s.reason, s.key, s.pending = Enrolling, 0, key, p
	return nil
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

// Format hides the PIN, except where package fmt cannot call it: in an unexported field of a struct that is printed.
func (o EnrollOptions) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.EnrollOptions(hidden)") }

func drawSecret() secret {
	var b [secretSize]byte
	rand.Read(b[:])
	defer clear(b[:])
	return newSecret(b[:])
}

// seal encrypts a request to the server's key of the challenge's time. The announced key does not become the current one
// before an answer shows that the challenge was the server's: finishWith.
func (d *Device) seal(s *deviceState, p *pending, id KeyID, plaintext []byte) error {
	pub := s.next.key
	if pub == nil || p.challenge.issued < s.next.start {
		var err error
		if pub, err = d.publicKey(s); err != nil {
			return err
		}
	}
	request, r, err := sealRequest(pub, p.op, id, plaintext)
	p.request, p.secret = request, r.secret
	return err
}

package device

import (
	"bytes"
	"context"
	"crypto/hpke"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// operation is what a caller asks of the device.
type operation struct {
	op        protocol.Operation
	challenge []byte
	messages  wire.Messages
	pin       []byte
	newPIN    []byte
}

// operate makes a request, saves it, sends it and acts on the answer.
func (d *Device) operate(ctx context.Context, o operation) (done *Request, err error) {
	err = d.exclusively(ctx, func(s *state) error {
		if s.phase == Superseded {
			return d.report(ctx, s, o.challenge)
		}
		if err := s.usable(); err != nil {
			return err
		}
		c, err := o.parse(s.key)
		if err != nil {
			return err
		}
		if p := s.pending; p != nil {
			if o.repeats(p, c) {
				done, err = d.finish(ctx, s, nil)
				return err
			}
			if err := d.makeRoom(ctx, s, c); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err = d.begin(ctx, s, &o, c)
		return err
	})
	return done, err
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

// parse reads the operation's challenge, and refuses one that is for something else.
func (o *operation) parse(k *enrolledKey) (*wire.Challenge, error) {
	if o.challenge == nil && o.op == protocol.OpConfirm {
		if k.challenge == nil {
			return nil, fmt.Errorf("%w: no challenge, and none that came with the answer to the enrolment", protocol.ErrMalformed)
		}
		return k.challenge, nil
	}
	c, err := k.challengeFor(o.challenge)
	switch {
	case err != nil:
		return nil, err
	case (c.Purpose == wire.ForTransaction) != (o.op == protocol.OpSign):
		return nil, fmt.Errorf("%w: the challenge is for another purpose", protocol.ErrMalformed)
	case o.op == protocol.OpSign && c.Binding != o.messages.Binding():
		return nil, fmt.Errorf("%w: the challenge is for other digests, another hash function or another padding", ErrRejected)
	}
	return c, nil
}

// challengeFor parses a challenge that this key's requests may carry.
func (k *enrolledKey) challengeFor(raw []byte) (*wire.Challenge, error) {
	c, err := wire.ParseChallenge(raw)
	if err == nil && (c.KeyID != k.id || c.Purpose == wire.ForEnrolment) {
		err = fmt.Errorf("%w: the challenge is for another key or an enrolment", protocol.ErrMalformed)
	}
	return c, err
}

// repeats reports whether the pending request is this operation, so that it is to be sent
// again.
func (o *operation) repeats(p *pending, c *wire.Challenge) bool {
	return p.op == o.op && p.challenge.Raw == c.Raw && o.messages.AskFor(p.messages) && o.op != protocol.OpChangePIN
}

// makeRoom resolves the pending request in favour of a new one: it is cancelled if that
// was asked for already, or if its challenge had expired when the new one was issued.
func (d *Device) makeRoom(ctx context.Context, s *state, c *wire.Challenge) error {
	if !s.pending.cancel && c.Issued < s.pending.challenge.Expires {
		return ErrPending
	}
	err := d.cancel(ctx, s, c)
	if s.pending == nil && s.usable() == nil {
		return nil // whatever became of it: the caller has given it up
	}
	return err
}

// begin makes the request: without a PIN for a Refresh, and else with partial signatures
// by the share that the PIN opens.
func (d *Device) begin(ctx context.Context, s *state, o *operation, c *wire.Challenge) (*Request, error) {
	k, next := s.key, s.hold(wire.DrawSecret())
	signer, err := d.signer(k)
	if err != nil {
		return nil, err
	}
	r := &wire.Request{Op: o.op, Challenge: c, Number: k.number + 1, Token: k.token, Chain: k.chain, Target: next.Commitment(), Messages: o.messages}
	var share *splitkey.ClientShare
	if o.op != protocol.OpRefresh {
		encoded, err := k.encode(r)
		if err != nil {
			return nil, err
		}
		box, err := k.box()
		if err != nil {
			return nil, err
		}
		if share, err = box.Unlock(o.pin, d.config.Limit); err != nil {
			return nil, err
		}
		defer share.Wipe()
		defer r.WipePartials()
		for _, m := range encoded {
			y, err := share.SignPartial(m)
			if err != nil {
				return nil, err
			}
			r.Partials = append(r.Partials, y)
		}
	}
	sealed, reply, err := d.seal(s, r, signer)
	if err != nil {
		return nil, err
	}
	before := *s
	s.pending = &pending{op: o.op, challenge: c, messages: r.Messages, next: next, request: sealed, secret: s.hold(reply.Secret)}
	if o.op == protocol.OpSign {
		s.pending.salts = r.Salts
	}
	if err := d.saveUnsent(ctx, s, &before); err != nil {
		return nil, err
	}
	if o.newPIN == nil {
		return d.finish(ctx, s, nil)
	}
	return d.finish(ctx, s, func() (err error) {
		k.lockbox, err = d.lock(share, o.newPIN)
		return err
	})
}

// signer returns what signs the requests of a key beside their MAC; nil where nothing
// does.
func (d *Device) signer(k *enrolledKey) (*wire.HardwareSigner, error) {
	switch {
	case len(k.hardware) == 0:
		return nil, nil
	case d.config.Hardware == nil:
		return nil, fmt.Errorf("%w: no hardware key, and the key was enrolled with one", protocol.ErrConfig)
	}
	return &wire.HardwareSigner{Key: d.config.Hardware, Public: k.hardware}, nil
}

// encode pads what the request signs, and fills in the salts that were drawn for it.
func (k *enrolledKey) encode(r *wire.Request) ([]*splitkey.Message, error) {
	final, err := k.finalKey()
	if err != nil {
		return nil, err
	}
	signed := r.Signed()
	encoded := make([]*splitkey.Message, len(signed.Digests))
	for i, digest := range signed.Digests {
		if encoded[i], err = final.Encode(digest, signed.Options()); err != nil {
			return nil, err
		}
		salt := encoded[i].Salt()
		if len(salt) > wire.MaxSalt {
			return nil, fmt.Errorf("%w: a salt of %d bytes", splitkey.ErrMessage, len(salt))
		}
		r.Salts, r.Messages.SaltLength = append(r.Salts, salt), len(salt)
	}
	return encoded, nil
}

// finalKey returns the final key, and checks, once an operation, that it is one of the
// lockbox's client key.
func (k *enrolledKey) finalKey() (*splitkey.FinalKey, error) {
	if k.final != nil {
		return k.final, nil
	}
	box, err := k.box()
	if err != nil {
		return nil, err
	}
	client, err := box.PublicKey()
	if err != nil {
		return nil, err
	}
	if k.final, err = splitkey.CheckFinalKey(&k.public, client); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return k.final, nil
}

// box is the lockbox.
func (k *enrolledKey) box() (*pinlock.Lockbox, error) {
	box, err := pinlock.ParseLockbox(k.lockbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return box, nil
}

// lock puts a share under a PIN.
func (d *Device) lock(share *splitkey.ClientShare, pin []byte) ([]byte, error) {
	box, err := pinlock.Lock(share, pin, d.config.Params)
	if err != nil {
		return nil, err
	}
	return box.MarshalBinary()
}

// seal authenticates a request and encrypts it to the HPKE key of now.
func (d *Device) seal(s *state, r *wire.Request, signer *wire.HardwareSigner) ([]byte, wire.Reply, error) {
	plaintext, err := r.Encode(s.key.authKey, s.key.id, signer)
	if err != nil {
		return nil, wire.Reply{}, err
	}
	defer clear(plaintext)
	return d.encrypt(s, r.Op, s.key.id, plaintext)
}

// encrypt encrypts a request or an enrolment to the HPKE key of now, and refuses one that
// is too long to travel.
func (d *Device) encrypt(s *state, op protocol.Operation, id protocol.KeyID, plaintext []byte) ([]byte, wire.Reply, error) {
	pub, err := d.publicKey(s)
	if err != nil {
		return nil, wire.Reply{}, err
	}
	sealed, reply, err := wire.SealRequest(pub, op, id, plaintext)
	if err == nil && len(sealed) > protocol.MaxRequest {
		reply.Secret.Wipe()
		return nil, wire.Reply{}, fmt.Errorf("%w: the request would have %d bytes; sign fewer documents", splitkey.ErrMessage, len(sealed))
	}
	return sealed, reply, err
}

// publicKey returns the HPKE key to encrypt to. Parsing one costs a tenth of
// encrypting to it, so the usual one is parsed once.
func (d *Device) publicKey(s *state) (hpke.PublicKey, error) {
	if bytes.Equal(s.hpkeKey, d.config.HPKEKey) {
		return d.shipped, nil
	}
	pub, err := wire.KEM.NewPublicKey(s.hpkeKey)
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE key: %w", ErrStorage, err)
	}
	return pub, nil
}

// saveUnsent saves a request that is about to be sent. If the context ends meanwhile, the
// state from before is saved again, so that nothing is pending.
func (d *Device) saveUnsent(ctx context.Context, s, before *state) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.save(s); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		if saveErr := d.save(before); saveErr != nil {
			return fmt.Errorf("%w: %w", err, saveErr)
		}
		return err
	}
	return nil
}

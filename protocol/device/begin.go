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

// begin makes the request, without a PIN for a Refresh, and else with partial signatures
// by the share that the PIN opens; saves it, and sends it.
func (d *Device) begin(ctx context.Context, s *state, o *operation, c *wire.Challenge) (*Request, error) {
	k, next := s.key, s.hold(wire.DrawSecret())
	hardware, err := d.hardwareSigner(k)
	if err != nil {
		return nil, err
	}
	pub, err := d.hpkeKey(s)
	if err != nil {
		return nil, err
	}
	r := &wire.Request{Op: o.op, Challenge: c, Number: k.number + 1, Token: k.token, Chain: k.chain, Target: next.Commitment(), Messages: o.messages}
	defer r.WipePartials()
	var share *splitkey.ClientShare
	if o.op != protocol.OpRefresh {
		if err := k.parse(); err != nil {
			return nil, err
		}
		padded, err := k.pad(r)
		if err != nil {
			return nil, err
		}
		if share, err = k.box.Unlock(o.pin, d.config.Limit); err != nil {
			return nil, err
		}
		defer share.Wipe()
		for _, m := range padded {
			y, err := share.SignPartial(m)
			if err != nil {
				return nil, err
			}
			r.Partials = append(r.Partials, y)
		}
	}
	sealed, key, err := r.Seal(pub, k.authKey, k.id, hardware)
	if err != nil {
		return nil, err
	}
	before := *s // what s points at has not changed, and will not until this is saved
	s.pending = &pending{op: o.op, challenge: c, messages: r.Messages, next: next, request: sealed, secret: s.hold(key.Secret)}
	if o.op == protocol.OpSign {
		s.pending.salts = r.Salts
	}
	if err := d.saveUnsent(ctx, s, &before); err != nil {
		return nil, err
	}
	if o.newPIN == nil {
		return d.exchange(ctx, s, nil)
	}
	return d.exchange(ctx, s, func() (err error) {
		k.lockbox, err = d.lock(share, o.newPIN)
		return err
	})
}

// pad encodes for the final key what the request signs, and fills in the salts that were
// drawn for it.
func (k *enrolledKey) pad(r *wire.Request) ([]*splitkey.Message, error) {
	toSign := r.ToSign()
	padded := make([]*splitkey.Message, len(toSign.Digests))
	for i, digest := range toSign.Digests {
		var err error
		if padded[i], err = k.final.Encode(digest, toSign.Options()); err != nil {
			return nil, err
		}
		salt := padded[i].Salt()
		if len(salt) > wire.MaxSalt {
			return nil, fmt.Errorf("%w: a salt of %d bytes", splitkey.ErrMessage, len(salt))
		}
		r.Salts, r.Messages.SaltLength = append(r.Salts, salt), len(salt)
	}
	return padded, nil
}

// hardwareSigner returns what signs the requests of a key beside their MAC; nil where
// nothing does.
func (d *Device) hardwareSigner(k *enrolledKey) (*wire.HardwareSigner, error) {
	switch {
	case len(k.hardware) == 0:
		return nil, nil
	case d.config.Hardware == nil:
		return nil, fmt.Errorf("%w: no hardware key, and the key was enrolled with one", protocol.ErrConfig)
	}
	return &wire.HardwareSigner{Key: d.config.Hardware, Public: k.hardware}, nil
}

// hpkeKey returns the HPKE key to encrypt to. Parsing one costs a tenth of encrypting to
// it, so the usual one is parsed once.
func (d *Device) hpkeKey(s *state) (hpke.PublicKey, error) {
	if bytes.Equal(s.hpkeKey, d.config.HPKEKey) {
		return d.shipped, nil
	}
	pub, err := wire.KEM.NewPublicKey(s.hpkeKey)
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE key: %w", ErrStorage, err)
	}
	return pub, nil
}

// lock puts a share under a PIN.
func (d *Device) lock(share *splitkey.ClientShare, pin []byte) ([]byte, error) {
	box, err := pinlock.Lock(share, pin, d.config.Params)
	if err != nil {
		return nil, err
	}
	return box.MarshalBinary()
}

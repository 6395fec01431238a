package hsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/keystock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// ServerKeys makes RSA keys for composite keys, one for each user. They are generated in
// the token, leave it wrapped under an AES key of the token, are stored by the caller,
// and come back into the token for one operation at a time: no token holds millions of
// keys. It is safe for concurrent use.
type ServerKeys struct {
	keys  *keySet
	bits  int
	stock *keystock.Stock[pooledKey]
}

type pooledKey struct {
	key  *Key
	blob []byte
}

// GenerateWrappingKey makes version 1 of a wrapping key under a label that has no AES key
// yet.
//
// Errors: ErrKeyExists and ErrExposed.
func (t *Token) GenerateWrappingKey(ctx context.Context, label string) error {
	if err := t.made(ctx); err != nil {
		return err
	}
	if t.caps.Wrap == "" {
		return fmt.Errorf("%w: wrapping keys", ErrUnsupported)
	}
	_, err := t.keySet(ctx, label, roleWrap, (*keySet).create)
	return err
}

// ServerKeys makes and uses keys with moduli of the given number of bits, wrapped under
// the wrapping key with this label. It keeps ready (0 to 1024) keys in stock, since a
// token takes from a tenth of a second to seconds for one; they are lost at Close. With
// ready = 0 each NewKey makes its own.
//
// Errors: ErrKeyNotFound and ErrExposed.
func (t *Token) ServerKeys(ctx context.Context, label string, bits, ready int) (*ServerKeys, error) {
	if err := cmp.Or(t.made(ctx), checkBits(bits)); err != nil {
		return nil, err
	}
	switch {
	case ready < 0 || ready > 1024:
		return nil, fmt.Errorf("%w: %d keys in stock, must be 0 to 1024", ErrInput, ready)
	case t.caps.Wrap == "":
		return nil, fmt.Errorf("%w: wrapping keys", ErrUnsupported)
	}
	ks, err := t.keySet(ctx, label, roleWrap, (*keySet).load)
	if err != nil {
		return nil, err
	}
	p := &ServerKeys{keys: ks, bits: bits}
	p.stock = keystock.New(ready, p.draw, func(k pooledKey) { clear(k.blob) })
	return p, nil
}

// draw makes a key for the stock, which tries again after a second while the token is
// away.
func (p *ServerKeys) draw(ctx context.Context) (pooledKey, error) {
	k, err := p.generate(ctx)
	switch {
	case errors.Is(err, ErrClosed):
		return pooledKey{}, keystock.ErrEnd
	case err != nil && ctx.Err() == nil:
		p.keys.t.log.Warn("hsm: no key for the stock", slog.Any("cause", err))
	}
	return k, err
}

// Close stops filling the stock, and drops the keys in it. Keys that were given out stay
// usable.
func (p *ServerKeys) Close() {
	if p.made() {
		p.stock.Close()
	}
}

// Rotate makes a new version of the wrapping key, for the keys made from now on. Keys in
// stock and keys already stored stay under the old version, which must stay in the token.
//
// Errors: those of Token.ServerKeys.
func (p *ServerKeys) Rotate(ctx context.Context) error {
	if !p.made() || ctx == nil {
		return errNothing
	}
	return p.keys.rotate(ctx)
}

// Bits returns the length of the keys' moduli.
func (p *ServerKeys) Bits() int {
	if !p.made() {
		return 0
	}
	return p.bits
}

// NewKey returns a key that nobody else has, and its wrapped form to store and give to
// LoadKey. The blob is secret only as far as the token's wrapping key is safe. The key
// was used once in its wrapped form.
//
// Errors: ErrExposed.
func (p *ServerKeys) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	if !p.made() || ctx == nil {
		return nil, nil, errNothing
	}
	k, ok := p.stock.Take()
	if !ok {
		var err error
		if k, err = p.generate(ctx); err != nil {
			return nil, nil, err
		}
	}
	return k.key, k.blob, nil
}

// LoadKey returns the key in a blob that NewKey made. It is checked in memory; the module
// sees it when the key is used.
//
// Errors: ErrBlob, together with ErrKeyNotFound when the token has no key of the version
// that the blob names.
func (p *ServerKeys) LoadKey(ctx context.Context, wrapped []byte) (splitkey.RSAKey, error) {
	if !p.made() || ctx == nil {
		return nil, errNothing
	}
	b, kek, err := p.keys.authentic(ctx, wrappedBlob, nil, append([]byte(nil), wrapped...))
	if err != nil {
		return nil, err
	}
	w, err := parseWrapped(b.body)
	if err != nil {
		return nil, err
	}
	return p.keys.t.newKey(w.pub, p.keys.t.wrapping.by, func(s *session) (handle, func(), error) {
		h, err := s.find(kek.aes)
		if err != nil {
			return 0, nil, err
		}
		return s.unwrap(h, w)
	}), nil
}

// generate makes a key, wraps it, forgets it and proves that it comes back.
func (p *ServerKeys) generate(ctx context.Context) (pooledKey, error) {
	t := p.keys.t
	kek := p.keys.current()
	for {
		sealed, err := runOn(ctx, t, operation{name: "generate wrapped key", long: true}, kek.aes, func(s *session, h handle) ([]byte, error) {
			w, err := s.generateWrapped(h, t.wrapping.method, p.bits)
			if err == nil && w.pub.N.BitLen() != p.bits {
				err = t.fault("key generation")
			}
			if err != nil {
				return nil, err
			}
			return kek.blob(wrappedBlob, nil, w.marshal())
		})
		if err != nil {
			return pooledKey{}, err
		}
		loaded, err := p.LoadKey(ctx, sealed)
		if err != nil {
			return pooledKey{}, err
		}
		k := loaded.(*Key)
		if k.pub.N.Cmp(splitkey.LeastServerModulus(p.bits)) < 0 {
			continue
		}
		if err := k.prove(ctx); err != nil {
			return pooledKey{}, err
		}
		return pooledKey{k, sealed}, nil
	}
}

// Ping asks the token for the wrapping key: nil means that the token answers, is logged
// in, and has the key for unwrapping. It uses no key. A token that is away is recovered
// first, as in every call.
//
// Errors: ErrKeyNotFound and ErrExposed.
func (p *ServerKeys) Ping(ctx context.Context) error {
	if !p.made() || ctx == nil {
		return errNothing
	}
	key := p.keys.current()
	_, err := runOn(ctx, p.keys.t, operation{name: "ping", proven: true}, key.aes, func(s *session, h handle) (struct{}, error) {
		// The handle may be a remembered one: this asks the token.
		return struct{}{}, s.check(h, key.aes.name, []attributeCheck{{pkcs11.CKA_UNWRAP, "CKA_UNWRAP", true}})
	})
	return err
}

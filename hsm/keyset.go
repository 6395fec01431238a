package hsm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// keySet is the AES keys of one label and role, by id. Each comes with a generic secret
// of the same label, from which the authentication key of its blobs is derived. The
// secret's id is that of the AES key and one byte more: NSS replaces a secret key by a
// later one of the same id, whatever its type.
type keySet struct {
	t     *Token
	label string
	role  role

	mu      sync.RWMutex
	keys    map[keyID]*setKey
	newest  *setKey
	refresh pause         // of looks for a key that another process made
	loaded  uint64        // the load whose result is in keys
	loads   atomic.Uint64 // that began
}

type setKey struct {
	id  keyID
	aes *object
	mac *macKey
}

// authenticationLabel separates what is derived from the generic secret.
const authenticationLabel = "tandem/hsm v1 blob authentication"

// keySet finds the keys of a label, or makes the first one.
func (t *Token) keySet(ctx context.Context, label string, r role, first bool) (*keySet, error) {
	err := cmp.Or(t.made(ctx), checkLabel(label))
	switch {
	case err != nil:
		return nil, err
	case r == roleSeal && t.caps.Seal == "":
		return nil, fmt.Errorf("%w: sealing", ErrUnsupported)
	case r == roleWrap && t.caps.Wrap == "":
		return nil, fmt.Errorf("%w: wrapping keys", ErrUnsupported)
	}
	ks := &keySet{t: t, label: label, role: r}
	if first {
		return ks, ks.generate(ctx, true)
	}
	return ks, ks.load(ctx)
}

// maxKeys bounds the versions of one key.
const maxKeys = 1024

// load reads the keys of the label anew. A set that was once loaded is never empty again:
// a token that shows nothing where there were keys is away.
func (ks *keySet) load(ctx context.Context) error {
	turn := ks.loads.Add(1)
	keys, err := run(ctx, ks.t, operation{name: "find AES key"}, func(s *session) (map[keyID]*setKey, error) {
		list, ids, err := s.ids(secretKeys(ks.label, pkcs11.CKK_AES))
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, ks.missing()
		}
		keys := make(map[keyID]*setKey)
		for i, h := range list {
			if len(ids[i]) != idBytes {
				return nil, ks.foreign()
			}
			if err := ks.check(s, h, true); err != nil {
				return nil, err
			}
			id := keyID(ids[i])
			if keys[id], err = ks.key(s, id); err != nil {
				return nil, err
			}
		}
		return keys, nil
	})
	if err != nil {
		return err
	}
	newest := slices.MaxFunc(slices.Collect(maps.Values(keys)), func(a, b *setKey) int { return bytes.Compare(a.id[:], b.id[:]) })
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if turn > ks.loaded { // else a load that began later has ended
		ks.loaded, ks.keys, ks.newest = turn, keys, newest
	}
	return nil
}

// check refuses a key with another role, one that the token would give away, and one that
// can be given another use although this token has means against that. If it was found
// and not made just now, the last is a warning only: an earlier version of the module may
// have made it, or another tool, and to refuse it would make what is under it unreadable.
func (ks *keySet) check(s *session, h handle, found bool) error {
	name := fmt.Sprintf("AES key %q", ks.label)
	if err := s.check(h, name, slices.Concat(ks.role.uses(), kept), pkcs11.CKA_VALUE); err != nil {
		return err
	}
	err := s.check(h, name, s.t.guard)
	if err == nil && ks.role == roleWrap && s.t.unwrapTemplate {
		var template []byte
		if template, err = s.mod.Attribute(s.h, h, pkcs11.CKA_UNWRAP_TEMPLATE); err == nil && len(template) == 0 {
			err = fmt.Errorf("%w: %s has no CKA_UNWRAP_TEMPLATE", ErrExposed, name)
		}
	}
	if found && errors.Is(err, ErrExposed) {
		s.t.log.Warn("hsm: key can be given another use", slog.Any("cause", err))
		return nil
	}
	return err
}

func (ks *keySet) foreign() error {
	return fmt.Errorf("%w: AES key %q was not made by this package", ErrUnsupported, ks.label)
}

// missing is the error for a token that shows no key of the set. The newest key is never
// destroyed, so where there was one, a login may show it again.
func (ks *keySet) missing() error {
	err := ErrKeyNotFound
	if ks.current() != nil {
		err = errVanished
	}
	return fmt.Errorf("%w: AES key %q", err, ks.label)
}

// key derives the authentication key of one id. Every AES key has its secret, which is
// made first.
func (ks *keySet) key(s *session, id keyID) (*setKey, error) {
	name := fmt.Sprintf("AES key %q, version %d", ks.label, id.version())
	k := &setKey{id: id, aes: &object{name: name, template: secretKeys(ks.label, pkcs11.CKK_AES, id[:]...)}}
	if _, err := s.find(k.aes); err != nil {
		return nil, err
	}
	secret := &object{name: "authentication secret of " + name, template: secretKeys(ks.label, pkcs11.CKK_GENERIC_SECRET, secretID(id[:])...)}
	h, err := s.find(secret)
	if err == nil {
		err = s.check(h, secret.name, kept)
	}
	if err != nil {
		return nil, err
	}
	derived, err := s.mod.Use(bySign, s.h, mechanism{kind: pkcs11.CKM_SHA256_HMAC}, h, append([]byte(authenticationLabel), id[:]...))
	defer clear(derived)
	if err == nil && len(derived) != tagBytes {
		err = s.t.fault("HMAC")
	}
	if err == nil {
		k.mac = s.t.macKey(id, derived)
	}
	return k, err
}

func secretID(id []byte) []byte { return append(id[:len(id):len(id)], 'a') }

// secretKeys is the template of all secret keys of a label and type, or of the one with
// an id.
func secretKeys(label string, keyType uint, id ...byte) []attribute {
	list := labelled(pkcs11.CKO_SECRET_KEY, label, attrUint(pkcs11.CKA_KEY_TYPE, keyType))
	if len(id) > 0 {
		list = append(list, attribute{pkcs11.CKA_ID, id})
	}
	return list
}

// generate makes the first version of a label that has no AES key yet, or the next one,
// and loads it. Looking and generating are one step under one login: without a login no
// keys show, and a second one would be made under a taken label.
func (ks *keySet) generate(ctx context.Context, first bool) error {
	nonce := make([]byte, idBytes-4) // the same at each try
	rand.Read(nonce)
	err := do(ctx, ks.t, operation{name: "generate AES key"}, func(s *session) error {
		return s.makeOnce(secretKeys(ks.label, pkcs11.CKK_AES), nonce, func(h handle) error { return ks.check(s, h, false) },
			func(ids [][]byte) (handle, error) {
				version, err := ks.nextVersion(ids, first)
				if err != nil {
					return 0, err
				}
				return ks.generateVersion(s, append(binary.BigEndian.AppendUint32(nil, version), nonce...))
			})
	})
	if err == nil {
		err = ks.load(ctx)
	}
	return err
}

// nextVersion is the version after all that there are.
func (ks *keySet) nextVersion(ids [][]byte, first bool) (uint32, error) {
	newest := uint32(0)
	for _, id := range ids {
		if len(id) != idBytes {
			return 0, ks.foreign()
		}
		newest = max(newest, keyID(id).version())
	}
	switch {
	case len(ids) == 0 && !first:
		return 0, ks.missing()
	case len(ids) > 0 && first:
		return 0, fmt.Errorf("%w: %q", ErrKeyExists, ks.label)
	case newest == math.MaxUint32:
		return 0, fmt.Errorf("%w: next version of AES key %q", ErrUnsupported, ks.label)
	}
	return newest + 1, nil
}

// generateVersion makes the secret and the AES key of one id.
func (ks *keySet) generateVersion(s *session, id []byte) (handle, error) {
	label := attribute{pkcs11.CKA_LABEL, []byte(ks.label)}
	// An earlier try may have made a secret, and its answer be lost.
	if err := s.remove(secretKeys(ks.label, pkcs11.CKK_GENERIC_SECRET, secretID(id)...)); err != nil {
		return 0, err
	}
	secret, err := s.generateSecret(true, label, attribute{pkcs11.CKA_ID, secretID(id)})
	if err != nil {
		return 0, err
	}
	if err := s.check(secret, "the new secret", slices.Concat(kept, s.t.guard)); err != nil {
		return 0, s.discard(secret, err)
	}
	h, err := s.generateAES(ks.role, true, label, attribute{pkcs11.CKA_ID, id})
	if err != nil {
		// If only the answer was lost, the key needs its secret.
		if list, e := s.mod.FindObjects(s.h, secretKeys(ks.label, pkcs11.CKK_AES, id...), 1); e == nil && len(list) == 0 {
			_ = s.mod.DestroyObject(s.h, secret)
		}
	}
	return h, err
}

// DestroyKeys removes all versions of the sealing or wrapping key with this label from
// the token, and what a GenerateSealingKey or GenerateWrappingKey that failed left of it.
// Everything under it is lost for good, in every backup too. No key is no error.
func (t *Token) DestroyKeys(ctx context.Context, label string) error {
	if err := t.made(ctx); err != nil {
		return err
	}
	return do(ctx, t, operation{name: "destroy keys"}, func(s *session) error {
		return s.remove(secretKeys(label, pkcs11.CKK_AES), secretKeys(label, pkcs11.CKK_GENERIC_SECRET))
	})
}

// current is the version that seals and wraps. It is nil only before the first load, when
// nobody but this file has the set.
func (ks *keySet) current() *setKey {
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	return ks.newest
}

// lookup returns the key that a blob names. Another process may have made it since, so an
// unknown id causes a look into the token. It does not do so every time, since anybody
// can write an unknown id.
func (ks *keySet) lookup(ctx context.Context, id keyID) (*setKey, error) {
	for {
		ks.mu.Lock()
		k := ks.keys[id]
		look := k == nil && ks.refresh.ready(time.Now())
		ks.mu.Unlock()
		switch {
		case k != nil:
			return k, nil
		case !look:
			return nil, fmt.Errorf("%w: %w: AES key %q, version %d", ErrBlob, ErrKeyNotFound, ks.label, id.version())
		}
		if err := ks.load(ctx); err != nil {
			return nil, err
		}
	}
}

// blob makes a blob of one kind.
func (k *setKey) blob(kind blobKind, aad, body []byte) ([]byte, error) {
	header := append([]byte{blobVersion, byte(kind)}, k.id[:]...)
	tag, err := k.mac.sum(header, aad, body)
	return slices.Concat(header, body, tag), err
}

// authentic parses a blob of one kind, and returns it with its key. A changed blob ends
// here: modules have crashed at one, and unwrapped one without complaint, and every
// failure of C_Decrypt costs memory (see module).
func (ks *keySet) authentic(ctx context.Context, kind blobKind, aad, raw []byte) (*blob, *setKey, error) {
	b, err := parseBlob(raw)
	if err != nil {
		return nil, nil, err
	}
	if b.kind != kind {
		return nil, nil, fmt.Errorf("%w: of another kind", ErrBlob)
	}
	key, err := ks.lookup(ctx, b.id)
	if err != nil {
		return nil, nil, err
	}
	tag, err := key.mac.sum(b.header, aad, b.body)
	if err == nil && !hmac.Equal(tag, b.tag) { // in constant time
		err = fmt.Errorf("%w: wrong authentication tag", ErrBlob)
	}
	return b, key, err
}

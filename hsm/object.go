package hsm

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/miekg/pkcs11"
)

// object is an object of the token: a template that exactly one object matches, and its
// handle in the current generation.
type object struct {
	name     string
	template []attribute
	located  atomic.Pointer[located]
}

type located struct {
	gen uint64
	h   handle
}

// labelled is the template of the objects of a class and label.
func labelled(class uint, label string, more ...attribute) []attribute {
	return append([]attribute{attrUint(pkcs11.CKA_CLASS, class), attribute{pkcs11.CKA_LABEL, []byte(label)}}, more...)
}

func checkLabel(label string) error {
	if label == "" {
		return fmt.Errorf("%w: empty label", ErrInput)
	}
	return nil
}

// errVanished is for an object that was there.
var errVanished = fmt.Errorf("%w: it has vanished from the token", ErrKeyNotFound)

// find returns the handle of an object. Handles are looked up once for each login: some
// modules invalidate all of them, and a search costs a look at every object of the token.
func (s *session) find(o *object) (handle, error) {
	last := o.located.Load()
	if last != nil && last.gen == s.gen {
		return last.h, nil
	}
	list, err := s.search(o.template, 2)
	switch {
	case err == nil && len(list) == 1:
		o.located.Store(&located{s.gen, list[0]})
		return list[0], nil
	case err == nil && len(list) > 1:
		err = ErrAmbiguous
	case err == nil && last != nil:
		err = errVanished
	case err == nil:
		err = ErrKeyNotFound
	}
	return 0, fmt.Errorf("%w: %s", err, o.name)
}

// search is C_FindObjects for objects that may not exist. All modules say CKR_OK and show
// no private objects to whoever is not logged in, so nothing found counts only in a
// session that is.
func (s *session) search(template []attribute, limit int) ([]handle, error) {
	list, err := s.mod.FindObjects(s.h, template, limit)
	if err == nil && len(list) == 0 {
		err = s.loggedIn()
	}
	return list, err
}

// loggedIn returns CKR_USER_NOT_LOGGED_IN, which causes a login, if the session does not
// see private objects.
func (s *session) loggedIn() error {
	if !s.t.needsLogin {
		return nil
	}
	state, err := s.mod.SessionState(s.h)
	if err == nil && state != pkcs11.CKS_RW_USER_FUNCTIONS && state != pkcs11.CKS_RO_USER_FUNCTIONS {
		err = CKR(pkcs11.CKR_USER_NOT_LOGGED_IN)
	}
	return err
}

// flag reads a boolean attribute. A module that does not know the attribute gives the
// error.
func (s *session) flag(h handle, kind uint) (bool, error) {
	v, err := s.mod.Attribute(s.h, h, kind)
	return len(v) == 1 && v[0] != 0, err
}

// attributeCheck is a boolean attribute and what it must be.
type attributeCheck struct {
	kind uint
	name string
	want bool
}

func (c attributeCheck) String() string { return fmt.Sprintf("%s = %t", c.name, c.want) }

// ping asks for an object whose handle may be a remembered one, and for what it must be.
func (t *Token) ping(ctx context.Context, o *object, list []attributeCheck) error {
	_, err := runOn(ctx, t, operation{name: "ping", proven: true}, o, func(s *session, h handle) (struct{}, error) {
		return struct{}{}, s.check(h, o.name, list)
	})
	return err
}

// check refuses an object with other attributes than it should have, and one with a
// secret that can be read. Modules accept templates and do something else (opencryptoki's
// C_UnwrapKey ignores CKA_SENSITIVE), so all that matters is what can be read back. A
// secret is hidden if the token says so, or does not have it: other errors say nothing.
func (s *session) check(h handle, name string, list []attributeCheck, secrets ...uint) error {
	for _, c := range list {
		got, err := s.flag(h, c.kind)
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", c.name, name, err)
		}
		if got != c.want {
			return fmt.Errorf("%w: %s has %s = %t", ErrExposed, name, c.name, got)
		}
	}
	for _, kind := range secrets {
		v, err := s.mod.Attribute(s.h, h, kind)
		clear(v) // the token is as bad as feared
		switch {
		case err == nil && len(v) > 0:
			return fmt.Errorf("%w: the secret of %s can be read", ErrExposed, name)
		case err != nil && !isCode(err, pkcs11.CKR_ATTRIBUTE_SENSITIVE, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID):
			return fmt.Errorf("asking for the secret of %s: %w", name, err)
		}
	}
	return nil
}

// discard destroys an object that must not be used. Its session is closed next, because
// of the error.
func (s *session) discard(h handle, err error) error {
	_ = s.mod.DestroyObject(s.h, h)
	return err
}

func (s *session) destroy(list []handle) error {
	for _, h := range list {
		if err := s.mod.DestroyObject(s.h, h); err != nil {
			return err
		}
	}
	return nil
}

// remove destroys all objects that match one of the templates.
func (s *session) remove(templates ...[]attribute) error {
	for _, template := range templates {
		list, err := s.search(template, maxKeys)
		if err == nil {
			err = s.destroy(list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ids returns the objects that match a template, and their ids.
func (s *session) ids(template []attribute) (list []handle, ids [][]byte, err error) {
	list, err = s.search(template, maxKeys)
	ids = make([][]byte, len(list))
	for i := 0; i < len(list) && err == nil; i++ {
		ids[i], err = s.mod.Attribute(s.h, list[i], pkcs11.CKA_ID)
	}
	return list, ids, err
}

// makeOnce makes a key under a label, however often a call is tried. An earlier try whose
// answer was lost may have made it: then its id ends in mine. The key passes the same
// check either way, or is destroyed. ids are those of all keys that match the template.
func (s *session) makeOnce(template []attribute, mine []byte, check func(handle) error, generate func(ids [][]byte) (handle, error)) error {
	list, ids, err := s.ids(template)
	if err != nil {
		return err
	}
	var h handle
	if i := slices.IndexFunc(ids, func(id []byte) bool { return bytes.HasSuffix(id, mine) }); i >= 0 {
		h = list[i]
	} else if h, err = generate(ids); err != nil {
		return err
	}
	if err := check(h); err != nil {
		return s.discard(h, err)
	}
	return nil
}

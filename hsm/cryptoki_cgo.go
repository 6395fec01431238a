//go:build cgo && unix && !nopkcs11

package hsm

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/miekg/pkcs11"
)

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "shim.h"
*/
import "C"

const loadable = true

// module drives a loaded library. Loading, slots, sessions and key generation
// go through miekg/pkcs11. What it cannot do well goes through the shim over
// the same function list: miekg/pkcs11 v1.1.2 loses its output buffer at
// every call that fails, asks for the length first (which makes AES-GCM and
// KWP unusable on NSS softoken), and leaves PINs and plaintexts in freed
// memory.
type module struct {
	ctx      *pkcs11.Ctx
	fn       C.hsm_functions
	reserved unsafe.Pointer // C string, or nil
}

// load opens the library at path. It stays loaded for the life of the
// process: a module that was unloaded while one of its threads still runs
// takes the process with it.
func load(path, parameters string) (cryptoki, error) {
	if err := checkLibrary(path); err != nil {
		return nil, err
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	m := new(module)
	// The same library that miekg/pkcs11 opens below, opened here first
	// because it hides the loader's message.
	if msg := C.hsm_open(name, &m.fn); msg != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrModule, path, C.GoString(msg))
	}
	if m.ctx = pkcs11.New(path); m.ctx == nil {
		return nil, fmt.Errorf("%w: %s: cannot be loaded", ErrModule, path)
	}
	if parameters != "" {
		m.reserved = unsafe.Pointer(C.CString(parameters))
	}
	return m, nil
}

// checkLibrary says in words what the loader says in numbers.
func checkLibrary(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a file", ErrModule, path)
	}
	return checkArchitecture(path)
}

func toCKR(err error) error {
	var e pkcs11.Error
	if errors.As(err, &e) {
		return CKR(e)
	}
	return err
}

func ckr(rv C.ulong) error {
	if rv == 0 {
		return nil
	}
	return CKR(rv)
}

func (m *module) Initialize() error {
	if m.reserved == nil {
		return toCKR(m.ctx.Initialize())
	}
	return toCKR(m.ctx.Initialize(pkcs11.InitializeWithReserved(m.reserved)))
}

func (m *module) Finalize() error { return toCKR(m.ctx.Finalize()) }

func (m *module) Slots() ([]uint, error) {
	slots, err := m.ctx.GetSlotList(true)
	return slots, toCKR(err)
}

func (m *module) TokenInfo(slot uint) (tokenInfo, error) {
	info, err := m.ctx.GetTokenInfo(slot)
	if err != nil {
		return tokenInfo{}, toCKR(err)
	}
	return tokenInfo{
		label:         trimName(info.Label),
		serial:        trimName(info.SerialNumber),
		model:         trimName(info.Model),
		flags:         info.Flags,
		maxRWSessions: info.MaxRwSessionCount,
	}, nil
}

func (m *module) Mechanisms(slot uint) ([]uint, error) {
	list, err := m.ctx.GetMechanismList(slot)
	if err != nil {
		return nil, toCKR(err)
	}
	kinds := make([]uint, len(list))
	for i, l := range list {
		kinds[i] = l.Mechanism
	}
	return kinds, nil
}

func (m *module) OpenSession(slot uint) (handle, error) {
	s, err := m.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	return handle(s), toCKR(err)
}

func (m *module) CloseSession(s handle) error {
	return toCKR(m.ctx.CloseSession(pkcs11.SessionHandle(s)))
}

func (m *module) CloseAllSessions(slot uint) error {
	return toCKR(m.ctx.CloseAllSessions(slot))
}

func (m *module) Login(s handle, pin []byte) error {
	return ckr(C.hsm_login(&m.fn, C.ulong(s), bytesPtr(pin), C.ulong(len(pin))))
}

func (m *module) FindObjects(s handle, template []attribute, limit int) ([]handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	found := make([]C.ulong, limit)
	r := C.hsm_find(&m.fn, C.ulong(s), t, n, unsafe.SliceData(found), C.ulong(limit))
	if r.rv != 0 {
		return nil, CKR(r.rv)
	}
	handles := make([]handle, min(int(r.n), limit))
	for i := range handles {
		handles[i] = handle(found[i])
	}
	return handles, nil
}

func (m *module) Attribute(s, object handle, kind uint, buf []byte) (int, error) {
	return size(C.hsm_attribute(&m.fn, C.ulong(s), C.ulong(object), C.ulong(kind), bytesPtr(buf), C.ulong(len(buf))), -1)
}

func (m *module) SetAttributes(s, object handle, template []attribute) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return ckr(C.hsm_set_attributes(&m.fn, C.ulong(s), C.ulong(object), t, n))
}

func (m *module) CreateObject(s handle, template []attribute) (handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return handleOf(C.hsm_create(&m.fn, C.ulong(s), t, n))
}

func (m *module) DestroyObject(s, object handle) error {
	return toCKR(m.ctx.DestroyObject(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(object)))
}

func (m *module) GenerateKey(s handle, mech mechanism, template []attribute) (handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return handleOf(C.hsm_generate(&m.fn, C.ulong(s), C.ulong(mech.kind), t, n))
}

func (m *module) GenerateKeyPair(s handle, mech mechanism, public, private []attribute) (handle, handle, error) {
	pub, priv, err := m.ctx.GenerateKeyPair(pkcs11.SessionHandle(s),
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(mech.kind, nil)}, attributes(public), attributes(private))
	return handle(pub), handle(priv), toCKR(err)
}

func attributes(template []attribute) []*pkcs11.Attribute {
	list := make([]*pkcs11.Attribute, len(template))
	for i, a := range template {
		list[i] = pkcs11.NewAttribute(a.kind, a.value)
	}
	return list
}

func (m *module) Sign(s handle, mech mechanism, key handle, in, out []byte) (int, error) {
	return m.crypt(C.hsm_sign, s, mech, key, in, out)
}

func (m *module) Decrypt(s handle, mech mechanism, key handle, in, out []byte) (int, error) {
	return m.crypt(C.hsm_decrypt, s, mech, key, in, out)
}

func (m *module) Encrypt(s handle, mech mechanism, key handle, in, out []byte) (int, error) {
	return m.crypt(C.hsm_encrypt, s, mech, key, in, out)
}

func (m *module) crypt(op C.int, s handle, mech mechanism, key handle, in, out []byte) (int, error) {
	gcm := C.int(0)
	if mech.kind == pkcs11.CKM_AES_GCM {
		gcm = 1
	}
	return size(C.hsm_crypt(&m.fn, op, C.ulong(s), C.ulong(mech.kind), C.ulong(key), gcm,
		bytesPtr(mech.param), C.ulong(len(mech.param)), bytesPtr(mech.aad), C.ulong(len(mech.aad)),
		inputPtr(in), C.ulong(len(in)), inputPtr(out), C.ulong(len(out))), len(out))
}

func (m *module) WrapKey(s handle, mech mechanism, kek, key handle, out []byte) (int, error) {
	return size(C.hsm_wrap(&m.fn, C.ulong(s), C.ulong(mech.kind), bytesPtr(mech.param), C.ulong(len(mech.param)),
		C.ulong(kek), C.ulong(key), bytesPtr(out), C.ulong(len(out))), len(out))
}

func (m *module) UnwrapKey(s handle, mech mechanism, kek handle, wrapped []byte, template []attribute) (handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return handleOf(C.hsm_unwrap(&m.fn, C.ulong(s), C.ulong(mech.kind), bytesPtr(mech.param), C.ulong(len(mech.param)),
		C.ulong(kek), bytesPtr(wrapped), C.ulong(len(wrapped)), t, n))
}

func (m *module) DeriveKey(s handle, mech mechanism, key handle, template []attribute) (handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return handleOf(C.hsm_derive(&m.fn, C.ulong(s), C.ulong(mech.kind), bytesPtr(mech.param), C.ulong(len(mech.param)),
		C.ulong(key), t, n))
}

// bytesPtr is nil for an empty slice: SoftHSM refuses a parameter of length 0
// that has an address.
func bytesPtr(b []byte) *C.uchar {
	if len(b) == 0 {
		return nil
	}
	return (*C.uchar)(unsafe.SliceData(b))
}

// inputPtr is never nil: SoftHSM refuses data without an address even if there
// are none.
func inputPtr(b []byte) *C.uchar {
	if len(b) == 0 {
		b = make([]byte, 1)
	}
	return (*C.uchar)(unsafe.SliceData(b))
}

// size refuses a length beyond the buffer, which no module may report.
func size(r C.hsm_result, limit int) (int, error) {
	if r.rv != 0 {
		return 0, CKR(r.rv)
	}
	if limit >= 0 && uint64(r.n) > uint64(limit) || uint64(r.n) > 1<<30 {
		return 0, CKR(pkcs11.CKR_BUFFER_TOO_SMALL)
	}
	return int(r.n), nil
}

func handleOf(r C.hsm_result) (handle, error) {
	if r.rv != 0 {
		return 0, CKR(r.rv)
	}
	return handle(r.n), nil
}

// pinTemplate lays a template out as C expects it. The values stay where they
// are in Go memory, pinned until the caller unpins: secrets are not copied.
func pinTemplate(pin *runtime.Pinner, template []attribute) (*C.hsm_attr, C.ulong) {
	if len(template) == 0 {
		return nil, 0
	}
	list := make([]C.hsm_attr, len(template))
	pin.Pin(&list[0])
	for i, a := range template {
		list[i].kind = C.ulong(a.kind)
		if a.nested != nil {
			p, n := pinTemplate(pin, a.nested)
			list[i].value = unsafe.Pointer(p)
			list[i].len = n * C.ulong(unsafe.Sizeof(C.hsm_attr{}))
			continue
		}
		list[i].len = C.ulong(len(a.value))
		if len(a.value) > 0 {
			p := &a.value[0]
			pin.Pin(p)
			list[i].value = unsafe.Pointer(p)
		}
	}
	return &list[0], C.ulong(len(list))
}

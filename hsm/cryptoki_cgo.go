//go:build cgo && unix && !nopkcs11

package hsm

import (
	"fmt"
	"os"
	"runtime"
	"strings"
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

// module drives a loaded library through the shim. miekg/pkcs11 gives the
// numbers of the standard; its calls are not used. v1.1.2 loses its output
// buffer at every call that fails, asks for the length first (which makes
// AES-GCM and KWP unusable on NSS softoken), and leaves PINs and plaintexts in
// freed memory. And the two cannot be mixed: p11-kit's client gives out a
// separate connection with each C_GetFunctionList.
type module struct {
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
	if msg := C.hsm_open(name, &m.fn); msg != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrModule, path, C.GoString(msg))
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

func ckr(rv C.ulong) error {
	if rv == 0 {
		return nil
	}
	return CKR(rv)
}

func (m *module) Initialize() error { return ckr(C.hsm_initialize(&m.fn, m.reserved)) }

func (m *module) Finalize() error { return ckr(C.hsm_finalize(&m.fn)) }

// Limits of lists that a module gives out.
const (
	maxSlots      = 4096
	maxMechanisms = 4096
)

func (m *module) Slots() ([]uint, error) {
	list := make([]C.ulong, maxSlots)
	return numbers(list, C.hsm_slots(&m.fn, unsafe.SliceData(list), maxSlots))
}

func (m *module) Mechanisms(slot uint) ([]uint, error) {
	list := make([]C.ulong, maxMechanisms)
	return numbers(list, C.hsm_mechanisms(&m.fn, C.ulong(slot), unsafe.SliceData(list), maxMechanisms))
}

func numbers(list []C.ulong, r C.hsm_result) ([]uint, error) {
	n, err := size(r, len(list))
	if err != nil {
		return nil, err
	}
	out := make([]uint, n)
	for i := range out {
		out[i] = uint(list[i])
	}
	return out, nil
}

func (m *module) TokenInfo(slot uint) (tokenInfo, error) {
	info := new(C.hsm_token)
	if err := ckr(C.hsm_token_info(&m.fn, C.ulong(slot), info)); err != nil {
		return tokenInfo{}, err
	}
	return tokenInfo{
		label:         fixedName(info.label[:]),
		serial:        fixedName(info.serial[:]),
		model:         fixedName(info.model[:]),
		flags:         uint(info.flags),
		maxRWSessions: uint(info.max_rw_sessions),
	}, nil
}

// fixedName strips the padding of PKCS #11's fixed-width names: blanks by the
// standard, zero bytes by habit.
func fixedName(b []C.uchar) string {
	name := C.GoBytes(unsafe.Pointer(&b[0]), C.int(len(b)))
	return strings.TrimRight(string(name), " \x00")
}

func (m *module) OpenSession(slot uint) (handle, error) {
	return handleOf(C.hsm_open_session(&m.fn, C.ulong(slot)))
}

func (m *module) SessionState(s handle) (uint, error) {
	r := C.hsm_session_state(&m.fn, C.ulong(s))
	return uint(r.n), ckr(r.rv)
}

func (m *module) CloseSession(s handle) error {
	return ckr(C.hsm_close_session(&m.fn, C.ulong(s)))
}

func (m *module) CloseAllSessions(slot uint) error {
	return ckr(C.hsm_close_all_sessions(&m.fn, C.ulong(slot)))
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

func (m *module) CopyObject(s, object handle, template []attribute) (handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return handleOf(C.hsm_copy(&m.fn, C.ulong(s), C.ulong(object), t, n))
}

func (m *module) DestroyObject(s, object handle) error {
	return ckr(C.hsm_destroy(&m.fn, C.ulong(s), C.ulong(object)))
}

func (m *module) GenerateKey(s handle, mech mechanism, template []attribute) (handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	t, n := pinTemplate(&pin, template)
	return handleOf(C.hsm_generate(&m.fn, C.ulong(s), C.ulong(mech.kind), t, n))
}

func (m *module) GenerateKeyPair(s handle, mech mechanism, public, private []attribute) (handle, handle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	pub, pubCount := pinTemplate(&pin, public)
	priv, privCount := pinTemplate(&pin, private)
	var handles [2]C.ulong
	err := ckr(C.hsm_generate_pair(&m.fn, C.ulong(s), C.ulong(mech.kind), pub, pubCount, priv, privCount, &handles[0]))
	return handle(handles[0]), handle(handles[1]), err
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
	ecdh := C.int(0)
	if mech.kind == pkcs11.CKM_ECDH1_DERIVE {
		ecdh = 1
	}
	return handleOf(C.hsm_derive(&m.fn, C.ulong(s), C.ulong(mech.kind), ecdh, bytesPtr(mech.param), C.ulong(len(mech.param)),
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

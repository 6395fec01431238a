//go:build cgo && unix && !nopkcs11

package hsm

import (
	"debug/elf"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/miekg/pkcs11"
)

const loadable = true

// module is a loaded library, called through miekg/pkcs11. What to know of that:
//
//   - It asks for the length of each output first. NSS softoken encrypts by AES-GCM and
//     wraps by AES-KWP at that call already, so both fail there.
//   - It frees an output's buffer without wiping it, and not at all if the second call
//     fails. So what comes out is small or no secret (see sealer.go), and what makes a
//     second call fail, a number out of range or a changed blob, is refused before.
//   - A length that a module reports is believed.
type module struct {
	ctx *pkcs11.Ctx
	// A search is alone with respect to calls that make and destroy the objects of a
	// session: SoftHSM 2.6.1 looks at objects while they are freed. Searches are rare.
	search sync.RWMutex
}

// load opens the library at path. It stays loaded for the life of the process: a module
// that was unloaded while one of its threads still runs takes the process with it.
func load(path string) (cryptoki, error) {
	// The loader says no reason, and the process dies of a library that was cut off.
	// Where libraries are not ELF files, it decides.
	if runtime.GOOS != "darwin" && runtime.GOOS != "aix" {
		f, err := elf.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not a shared library: %w", ErrModule, path, err)
		}
		_ = f.Close()
	}
	ctx := pkcs11.New(path)
	if ctx == nil {
		return nil, fmt.Errorf("%w: %s is no PKCS #11 module for this machine, or needs a library that is missing (see what ldd says)", ErrModule, path)
	}
	// New does not look at what C_GetFunctionList returned. Without its list every call
	// would crash, so this reads what struct ctx of pkcs11.go holds.
	if c := *(**struct{ library, functions unsafe.Pointer })(unsafe.Pointer(ctx)); c.functions == nil {
		return nil, fmt.Errorf("%w: %s: C_GetFunctionList failed", ErrModule, path)
	}
	return &module{ctx: ctx}, nil
}

// ckr gives an error of miekg/pkcs11 this package's type.
func ckr(err error) error {
	var code pkcs11.Error
	if errors.As(err, &code) {
		return CKR(code)
	}
	return err
}

func result[T any](v T, err error) (T, error) { return v, ckr(err) }

func made(h pkcs11.ObjectHandle, err error) (handle, error) { return handle(h), ckr(err) }

// Error names the code as miekg/pkcs11 does.
func (r CKR) Error() string { return pkcs11.Error(r).Error() }

func (m *module) Initialize(parameters string) error {
	if parameters == "" {
		return ckr(m.ctx.Initialize())
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	c := append([]byte(parameters), 0)
	pin.Pin(&c[0])
	return ckr(m.ctx.Initialize(pkcs11.InitializeWithReserved(unsafe.Pointer(&c[0]))))
}

func (m *module) Finalize() error { return ckr(m.ctx.Finalize()) }

func (m *module) Slots() ([]uint, error) { return result(m.ctx.GetSlotList(true)) }

func (m *module) TokenInfo(slot uint) (tokenInfo, error) {
	info, err := m.ctx.GetTokenInfo(slot)
	// Names of fixed length end with blanks by the standard, with zero bytes by habit.
	name := func(s string) string { return strings.TrimRight(s, " \x00") }
	return result(tokenInfo{name(info.Label), name(info.SerialNumber), name(info.Model), info.Flags, info.MaxRwSessionCount}, err)
}

func (m *module) Mechanisms(slot uint) ([]uint, error) {
	list, err := m.ctx.GetMechanismList(slot)
	kinds := make([]uint, len(list))
	for i, k := range list {
		kinds[i] = k.Mechanism
	}
	return result(kinds, err)
}

func (m *module) OpenSession(slot uint, readOnly bool) (handle, error) {
	flags := uint(pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION)
	if readOnly {
		flags = pkcs11.CKF_SERIAL_SESSION
	}
	s, err := m.ctx.OpenSession(slot, flags)
	return result(handle(s), err)
}

func (m *module) SessionState(s handle) (uint, error) {
	info, err := m.ctx.GetSessionInfo(pkcs11.SessionHandle(s))
	return result(info.State, err)
}

func (m *module) CloseSession(s handle) error {
	m.search.RLock()
	defer m.search.RUnlock()
	return ckr(m.ctx.CloseSession(pkcs11.SessionHandle(s)))
}

func (m *module) CloseAllSessions(slot uint) error { return ckr(m.ctx.CloseAllSessions(slot)) }

// Login makes no Go string of the PIN, which could not be wiped. The C string that
// miekg/pkcs11 makes is freed and not wiped.
func (m *module) Login(s handle, pin []byte) error {
	return ckr(m.ctx.Login(pkcs11.SessionHandle(s), pkcs11.CKU_USER, unsafe.String(unsafe.SliceData(pin), len(pin))))
}

func (m *module) FindObjects(s handle, template []attribute, limit int) ([]handle, error) {
	m.search.Lock()
	defer m.search.Unlock()
	session := pkcs11.SessionHandle(s)
	if err := m.ctx.FindObjectsInit(session, attributes(template)); err != nil {
		return nil, ckr(err)
	}
	list, _, err := m.ctx.FindObjects(session, limit)
	if end := m.ctx.FindObjectsFinal(session); err == nil {
		err = end
	}
	found := make([]handle, len(list))
	for i, h := range list {
		found[i] = handle(h)
	}
	return result(found, err)
}

func (m *module) Attribute(s, object handle, kind uint) ([]byte, error) {
	list, err := m.ctx.GetAttributeValue(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(object), []*pkcs11.Attribute{{Type: kind}})
	if err != nil {
		return nil, ckr(err)
	}
	return list[0].Value, nil
}

func (m *module) SetAttributes(s, object handle, template []attribute) error {
	return ckr(m.ctx.SetAttributeValue(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(object), attributes(template)))
}

func (m *module) CreateObject(s handle, template []attribute) (handle, error) {
	return made(m.ctx.CreateObject(pkcs11.SessionHandle(s), attributes(template)))
}

func (m *module) CopyObject(s, object handle, template []attribute) (handle, error) {
	return made(m.ctx.CopyObject(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(object), attributes(template)))
}

func (m *module) DestroyObject(s, object handle) error {
	m.search.RLock()
	defer m.search.RUnlock()
	return ckr(m.ctx.DestroyObject(pkcs11.SessionHandle(s), pkcs11.ObjectHandle(object)))
}

func (m *module) GenerateKey(s handle, mech mechanism, template []attribute) (handle, error) {
	return made(m.ctx.GenerateKey(pkcs11.SessionHandle(s), mech.list(), attributes(template)))
}

func (m *module) GenerateKeyPair(s handle, mech mechanism, public, private []attribute) (handle, handle, error) {
	pub, priv, err := m.ctx.GenerateKeyPair(pkcs11.SessionHandle(s), mech.list(), attributes(public), attributes(private))
	return handle(pub), handle(priv), ckr(err)
}

func (m *module) Use(function string, s handle, mech mechanism, key handle, in []byte) ([]byte, error) {
	start, run := m.ctx.EncryptInit, m.ctx.Encrypt
	switch function {
	case bySign:
		start, run = m.ctx.SignInit, m.ctx.Sign
	case byDecrypt:
		start, run = m.ctx.DecryptInit, m.ctx.Decrypt
	}
	if err := start(pkcs11.SessionHandle(s), mech.list(), pkcs11.ObjectHandle(key)); err != nil {
		return nil, ckr(err)
	}
	return result(run(pkcs11.SessionHandle(s), in))
}

func (m *module) WrapKey(s handle, mech mechanism, kek, key handle) ([]byte, error) {
	return result(m.ctx.WrapKey(pkcs11.SessionHandle(s), mech.list(), pkcs11.ObjectHandle(kek), pkcs11.ObjectHandle(key)))
}

func (m *module) UnwrapKey(s handle, mech mechanism, kek handle, wrapped []byte, template []attribute) (handle, error) {
	if len(wrapped) == 0 { // miekg/pkcs11 panics
		return 0, CKR(pkcs11.CKR_WRAPPED_KEY_LEN_RANGE)
	}
	m.search.RLock()
	defer m.search.RUnlock()
	return made(m.ctx.UnwrapKey(pkcs11.SessionHandle(s), mech.list(), pkcs11.ObjectHandle(kek), wrapped, attributes(template)))
}

func (m mechanism) list() []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(m.kind, m.param)}
}

func attributes(template []attribute) []*pkcs11.Attribute {
	list := make([]*pkcs11.Attribute, len(template))
	for i, a := range template {
		list[i] = &pkcs11.Attribute{Type: a.kind, Value: a.value}
	}
	return list
}

var pinned runtime.Pinner // is never unpinned

// layOut returns CK_ATTRIBUTEs as C has them, to be the value of another attribute. They
// point to their values in Go memory.
func layOut(template []attribute) []byte {
	list := make([]struct {
		kind   uint
		value  unsafe.Pointer
		length uint
	}, len(template))
	for i, a := range template {
		p := unsafe.SliceData(a.value)
		pinned.Pin(p)
		list[i].kind, list[i].value, list[i].length = a.kind, unsafe.Pointer(p), uint(len(a.value))
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&list[0])), len(list)*int(unsafe.Sizeof(list[0])))
}

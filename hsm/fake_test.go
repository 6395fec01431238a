package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// fake is a module in memory that does everything right, records what it sees,
// and fails when it is told to.
type fake struct {
	mu          sync.Mutex
	initialized bool
	loggedIn    bool
	sessions    map[handle]bool
	objects     map[handle]*fakeObject
	next        handle
	wrapped     map[string]*rsa.PrivateKey
	info        tokenInfo
	gone        bool   // the slot is empty
	pin         string // what C_Login wants

	// trouble is asked before each call, by the name of the function in
	// PKCS #11, without the lock: it may block.
	trouble func(call string) error
	// corrupt may change a result that is returned with CKR_OK.
	corrupt func(call string, out []byte)

	calls      map[string]int
	violations []string // inputs that should never have come here
	unwraps    int
}

type fakeObject struct {
	attrs   map[uint][]byte
	rsa     *rsa.PrivateKey
	session handle // 0: token object
}

func newFake() *fake {
	return &fake{
		sessions: map[handle]bool{},
		objects:  map[handle]*fakeObject{},
		wrapped:  map[string]*rsa.PrivateKey{},
		calls:    map[string]int{},
		pin:      "1234",
		next:     100,
		info: tokenInfo{label: "fake", serial: "1", flags: pkcs11.CKF_TOKEN_INITIALIZED |
			pkcs11.CKF_LOGIN_REQUIRED | pkcs11.CKF_USER_PIN_INITIALIZED},
	}
}

func noPIN(context.Context) ([]byte, error) { return []byte("0000"), nil }

// openFake opens a token on a fake.
func openFake(t testing.TB, f *fake, change func(*Config)) (*Token, error) {
	t.Helper()
	cfg := Config{Module: "fake", Label: "fake", PIN: func(context.Context) ([]byte, error) { return []byte("1234"), nil }}
	if change != nil {
		change(&cfg)
	}
	cfg, err := cfg.complete()
	require.NoError(t, err)
	return open(t.Context(), cfg, &owned{mod: f})
}

func mustOpenFake(t testing.TB, f *fake, change func(*Config)) *Token {
	t.Helper()
	tok, err := openFake(t, f, change)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, tok.Close(ctx))
	})
	return tok
}

// setLimits changes the time limits of a token that is open, once no recovery reads them.
func setLimits(t testing.TB, tok *Token, limit time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		tok.mu.Lock()
		defer tok.mu.Unlock()
		if tok.recovery != nil {
			return false
		}
		tok.cfg.CallTimeout, tok.cfg.GenerateTimeout = limit, limit
		return true
	}, time.Minute, time.Millisecond)
}

// set changes how the fake behaves, while it is in use.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[call]
}

// enter is the start of every call. It returns with the lock held if there is
// no error.
func (f *fake) enter(call string, s handle) error {
	f.mu.Lock()
	f.calls[call]++
	trouble := f.trouble
	f.mu.Unlock()
	if trouble != nil {
		if err := trouble(call); err != nil {
			return err
		}
	}
	f.mu.Lock()
	switch {
	case call != "C_Initialize" && !f.initialized:
		f.mu.Unlock()
		return CKR(pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED)
	case s != 0 && !f.sessions[s]:
		f.mu.Unlock()
		return CKR(pkcs11.CKR_SESSION_HANDLE_INVALID)
	}
	return nil
}

func (f *fake) done(call string, out []byte) []byte {
	if f.corrupt != nil && out != nil {
		f.corrupt(call, out)
	}
	f.mu.Unlock()
	return out
}

func (f *fake) Initialize(string) error {
	if err := f.enter("C_Initialize", 0); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if f.initialized {
		return CKR(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)
	}
	f.initialized = true
	return nil
}

func (f *fake) Finalize() error {
	if err := f.enter("C_Finalize", 0); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.initialized = false
	f.closeAll()
	return nil
}

func (f *fake) closeAll() {
	clear(f.sessions)
	f.loggedIn = false
	maps.DeleteFunc(f.objects, func(_ handle, o *fakeObject) bool { return o.session != 0 })
}

func (f *fake) Slots() ([]uint, error) {
	if err := f.enter("C_GetSlotList", 0); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if f.gone {
		return nil, nil
	}
	return []uint{7}, nil
}

func (f *fake) TokenInfo(slot uint) (tokenInfo, error) {
	if err := f.enter("C_GetTokenInfo", 0); err != nil {
		return tokenInfo{}, err
	}
	defer f.mu.Unlock()
	if f.gone {
		return tokenInfo{}, CKR(pkcs11.CKR_TOKEN_NOT_PRESENT)
	}
	return f.info, nil
}

func (f *fake) Mechanisms(slot uint) ([]uint, error) {
	if err := f.enter("C_GetMechanismList", 0); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	return []uint{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, pkcs11.CKM_RSA_X_509, pkcs11.CKM_SHA256_HMAC, pkcs11.CKM_AES_CBC,
		pkcs11.CKM_AES_KEY_GEN, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, ckmAESKeyWrapKWP}, nil
}

func (f *fake) OpenSession(slot uint, readOnly bool) (handle, error) {
	if err := f.enter("C_OpenSession", 0); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	f.next++
	f.sessions[f.next] = true
	return f.next, nil
}

func (f *fake) SessionState(s handle) (uint, error) {
	if err := f.enter("C_GetSessionInfo", s); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if f.loggedIn {
		return pkcs11.CKS_RW_USER_FUNCTIONS, nil
	}
	return pkcs11.CKS_RW_PUBLIC_SESSION, nil
}

func (f *fake) CloseSession(s handle) error {
	if err := f.enter("C_CloseSession", s); err != nil {
		return err
	}
	defer f.mu.Unlock()
	delete(f.sessions, s)
	maps.DeleteFunc(f.objects, func(_ handle, o *fakeObject) bool { return o.session == s })
	if len(f.sessions) == 0 {
		f.loggedIn = false
	}
	return nil
}

func (f *fake) CloseAllSessions(slot uint) error {
	if err := f.enter("C_CloseAllSessions", 0); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.closeAll()
	return nil
}

func (f *fake) Login(s handle, pin []byte) error {
	if err := f.enter("C_Login", s); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if f.loggedIn {
		return CKR(pkcs11.CKR_USER_ALREADY_LOGGED_IN)
	}
	if string(pin) != f.pin {
		return CKR(pkcs11.CKR_PIN_INCORRECT)
	}
	f.loggedIn = true
	return nil
}

func (f *fake) FindObjects(s handle, template []attribute, limit int) ([]handle, error) {
	if err := f.enter("C_FindObjects", s); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	var found []handle
	if !f.loggedIn {
		return nil, nil // as all modules do
	}
	for h, o := range f.objects {
		match := true
		for _, a := range template {
			match = match && bytes.Equal(o.attrs[a.kind], a.value)
		}
		if match && len(found) < limit {
			found = append(found, h)
		}
	}
	return found, nil
}

func (f *fake) object(h handle) (*fakeObject, error) {
	o := f.objects[h]
	if o == nil || !f.loggedIn {
		return nil, CKR(pkcs11.CKR_OBJECT_HANDLE_INVALID)
	}
	return o, nil
}

func (f *fake) Attribute(s, h handle, kind uint) ([]byte, error) {
	if err := f.enter("C_GetAttributeValue", s); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	o, err := f.object(h)
	if err != nil {
		return nil, err
	}
	v, ok := o.attrs[kind]
	switch {
	case !ok:
		return nil, CKR(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
	case kind == pkcs11.CKA_VALUE && len(o.attrs[pkcs11.CKA_SENSITIVE]) == 1 && o.attrs[pkcs11.CKA_SENSITIVE][0] == 1:
		return nil, CKR(pkcs11.CKR_ATTRIBUTE_SENSITIVE)
	}
	return bytes.Clone(v), nil
}

func (f *fake) SetAttributes(s, h handle, template []attribute) error {
	if err := f.enter("C_SetAttributeValue", s); err != nil {
		return err
	}
	defer f.mu.Unlock()
	o, err := f.object(h)
	if err != nil {
		return err
	}
	if bytes.Equal(o.attrs[pkcs11.CKA_MODIFIABLE], []byte{0}) {
		return CKR(pkcs11.CKR_ATTRIBUTE_READ_ONLY)
	}
	for _, a := range template {
		o.attrs[a.kind] = bytes.Clone(a.value)
	}
	return nil
}

func (f *fake) CreateObject(s handle, template []attribute) (handle, error) {
	if err := f.enter("C_CreateObject", s); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if !f.loggedIn {
		return 0, CKR(pkcs11.CKR_USER_NOT_LOGGED_IN)
	}
	return f.add(s, nil, template), nil
}

func (f *fake) CopyObject(s, h handle, template []attribute) (handle, error) {
	if err := f.enter("C_CopyObject", s); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	o, err := f.object(h)
	if err != nil {
		return 0, err
	}
	if bytes.Equal(o.attrs[pkcs11.CKA_COPYABLE], []byte{0}) {
		return 0, CKR(pkcs11.CKR_ACTION_PROHIBITED)
	}
	var old []attribute
	for kind, value := range o.attrs {
		old = append(old, attribute{kind, value})
	}
	return f.add(s, o.rsa, old, template), nil
}

// add makes an object. The lock is held.
func (f *fake) add(s handle, key *rsa.PrivateKey, templates ...[]attribute) handle {
	o := &fakeObject{rsa: key, session: s, attrs: map[uint][]byte{
		pkcs11.CKA_ENCRYPT: {0}, pkcs11.CKA_DECRYPT: {0}, pkcs11.CKA_WRAP: {0}, pkcs11.CKA_UNWRAP: {0},
	}}
	for _, t := range templates {
		for _, a := range t {
			o.attrs[a.kind] = bytes.Clone(a.value)
		}
	}
	if bytes.Equal(o.attrs[pkcs11.CKA_TOKEN], []byte{1}) {
		o.session = 0
	}
	f.next++
	f.objects[f.next] = o
	return f.next
}

func (f *fake) DestroyObject(s, h handle) error {
	if err := f.enter("C_DestroyObject", s); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if _, err := f.object(h); err != nil {
		return err
	}
	delete(f.objects, h)
	return nil
}

func (f *fake) GenerateKey(s handle, m mechanism, template []attribute) (handle, error) {
	if err := f.enter("C_GenerateKey", s); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if !f.loggedIn {
		return 0, CKR(pkcs11.CKR_USER_NOT_LOGGED_IN)
	}
	value := make([]byte, 32)
	rand.Read(value)
	return f.add(s, nil, template, []attribute{attribute{pkcs11.CKA_VALUE, value}}), nil
}

// right reports whether y is x^d mod n: whether y^e is x.
func right(mod *modexp.Modulus, x, y []byte) bool {
	want, err := mod.Elem(x)
	if err != nil {
		return false
	}
	_, err = mod.CheckedRootVarTime(y, publicExponent, want)
	return err == nil
}

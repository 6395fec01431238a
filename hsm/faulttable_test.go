//go:build cgo && linux && !nopkcs11

package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// use is a token with keys of every kind, and all that is done with them.
type use struct {
	tok     *hsm.Token
	key     splitkey.RSAKey
	sealer  *hsm.Sealer
	keys    *hsm.ServerKeys
	sealed  []byte
	wrapped []byte
	made    int // labels of new keys
}

func newUse(t testing.TB, tok *hsm.Token) *use {
	t.Helper()
	ctx := t.Context()
	u := &use{tok: tok}
	_, err := tok.GenerateKey(ctx, "key", 2048)
	require.NoError(t, err)
	_, err = tok.GenerateSealingKey(ctx, "seal")
	require.NoError(t, err)
	require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
	u.reopen(t, tok)
	u.sealed, err = u.sealer.Seal(ctx, []byte("user"), []byte("share"))
	require.NoError(t, err)
	_, u.wrapped, err = u.keys.NewKey(ctx)
	require.NoError(t, err)
	return u
}

// reopen finds the keys in a token that was opened anew.
func (u *use) reopen(t testing.TB, tok *hsm.Token) {
	t.Helper()
	ctx := t.Context()
	u.tok = tok
	var err error
	u.key, err = tok.Key(ctx, "key")
	require.NoError(t, err)
	u.sealer, err = tok.Sealer(ctx, "seal")
	require.NoError(t, err)
	u.keys, err = tok.ServerKeys(ctx, "wrap", 2048, 0)
	require.NoError(t, err)
	t.Cleanup(u.keys.Close)
}

type step struct {
	name string
	do   func(context.Context) error
}

// steps are everything that a server does with a token. Each can be repeated until it
// succeeds.
func (u *use) steps() []step {
	u.made++
	label := fmt.Sprint("-", u.made)
	return []step{
		{"sign", func(ctx context.Context) error { return sign(ctx, u.key) }},
		{"seal", func(ctx context.Context) error {
			b, err := u.sealer.Seal(ctx, []byte("user"), []byte("share"))
			if err == nil {
				u.sealed = b
			}
			return err
		}},
		{"open", func(ctx context.Context) error {
			got, err := u.sealer.Open(ctx, []byte("user"), u.sealed)
			if err == nil && string(got) != "share" {
				return errWrongNumber
			}
			return err
		}},
		{"load key", func(ctx context.Context) error {
			key, err := u.keys.LoadKey(ctx, u.wrapped)
			if err != nil {
				return err
			}
			return sign(ctx, key)
		}},
		{"find key", func(ctx context.Context) error {
			key, err := u.tok.Key(ctx, "key")
			if err != nil {
				return err
			}
			return sign(ctx, key)
		}},
		{"find sealer", func(ctx context.Context) error { _, err := u.tok.Sealer(ctx, "seal"); return err }},
		{"find server keys", func(ctx context.Context) error {
			keys, err := u.tok.ServerKeys(ctx, "wrap", 2048, 0)
			if err == nil {
				keys.Close()
			}
			return err
		}},
		{"new key", func(ctx context.Context) error {
			key, b, err := u.keys.NewKey(ctx)
			if err != nil {
				return err
			}
			u.wrapped = b
			return sign(ctx, key)
		}},
		{"rotate sealer", func(ctx context.Context) error { return u.sealer.Rotate(ctx) }},
		{"rotate server keys", func(ctx context.Context) error { return u.keys.Rotate(ctx) }},
		{"generate key", func(ctx context.Context) error {
			key, err := u.tok.GenerateKey(ctx, "key"+label, 2048)
			if errors.Is(err, hsm.ErrKeyExists) {
				// An earlier try made it, and its answer was lost.
				key, err = u.tok.Key(ctx, "key"+label)
			}
			if err != nil {
				return err
			}
			return sign(ctx, key)
		}},
		{"generate sealing key", func(ctx context.Context) error {
			_, err := u.tok.GenerateSealingKey(ctx, "seal"+label)
			if errors.Is(err, hsm.ErrKeyExists) {
				_, err = u.tok.Sealer(ctx, "seal"+label)
			}
			return err
		}},
		{"generate wrapping key", func(ctx context.Context) error {
			err := u.tok.GenerateWrappingKey(ctx, "wrap"+label)
			if errors.Is(err, hsm.ErrKeyExists) {
				err = nil
			}
			return err
		}},
		{"save data", func(ctx context.Context) error {
			value := []byte("value" + label)
			if err := u.tok.SetData(ctx, "data", value); err != nil {
				return err
			}
			got, err := u.tok.Data(ctx, "data")
			if err == nil && !bytes.Equal(got, value) {
				return errWrongNumber
			}
			return err
		}},
	}
}

var whole = flag.Bool("faults", false, "the whole of TestFaultTable and TestFaultsAtOpen (make failures)")

// codes are error codes by class. The first of each is in the short form.
var codes = []struct {
	class string
	codes []uint
}{
	{"device", []uint{pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT}},
	{"general", []uint{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED}},
	{"session", []uint{pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_SESSION_COUNT, pkcs11.CKR_OPERATION_ACTIVE}},
	{"login", []uint{pkcs11.CKR_USER_NOT_LOGGED_IN}},
	{"pin", []uint{pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED}},
	{"key handle", []uint{pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID}},
	{"memory", []uint{pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_DEVICE_MEMORY}},
	{"vendor", []uint{pkcs11.CKR_VENDOR_DEFINED + 0x4E53}},
	{"unsupported", []uint{pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_MECHANISM_INVALID}},
}

// triggers are errors of C_SignInit that make the package call functions that it calls in
// trouble only.
var triggers = map[string]uint{
	"C_Initialize":       pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
	"C_Finalize":         pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
	"C_GetSlotList":      pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
	"C_GetTokenInfo":     pkcs11.CKR_USER_NOT_LOGGED_IN,
	"C_CloseAllSessions": pkcs11.CKR_USER_NOT_LOGGED_IN,
	"C_Login":            pkcs11.CKR_USER_NOT_LOGGED_IN,
	"C_OpenSession":      pkcs11.CKR_SESSION_CLOSED,
	"C_CloseSession":     pkcs11.CKR_SESSION_CLOSED,
}

// fault is one cell of the table.
type fault struct {
	function, class string
	code            uint
	action          hsmtest.Action
	times           int
}

func (c fault) String() string {
	action, times := "refused", fmt.Sprint(c.times, " times")
	if c.action == hsmtest.Lose {
		action = "done, and the answer lost"
	}
	if c.times == hsmtest.ForEver {
		times = "for ever"
	}
	return fmt.Sprintf("%s %s with %v (%s) %s", c.function, action, pkcs11.Error(c.code), c.class, times)
}

func (c fault) rule() hsmtest.Rule {
	return hsmtest.Rule{Function: c.function, Action: c.action, Value: c.code, Times: c.times}
}

// allowed reports whether an error is one that the fault may cause.
func (c fault) allowed(err error) bool {
	switch {
	case err == nil, errors.Is(err, hsm.ErrUnavailable):
		return true
	case errors.Is(err, hsm.ErrUnsupported):
		return c.class == "unsupported"
	case errors.Is(err, hsm.ErrPIN):
		return c.class == "pin" || c.function == "C_Login"
	}
	return false
}

// faultsOf lists the cells of one function: every class, action and duration, with the
// codes of a class in turn. The short form has two of the nine classes for each function
// (with -short, one), and goes through classes, actions and durations in turn.
func faultsOf(function string, number int) []fault {
	var list []fault
	actions, times := []hsmtest.Action{hsmtest.Refuse, hsmtest.Lose}, []int{1, 3, hsmtest.ForEver}
	for i, c := range codes {
		for n := range len(actions) * len(times) {
			list = append(list, fault{function, c.class, c.codes[(i+n)%len(c.codes)], actions[n%2], times[n/2]})
		}
	}
	if *whole {
		return list
	}
	var few []fault
	for n := range map[bool]int{false: 2, true: 1}[testing.Short()] {
		few = append(few, list[(7*number+29*n)%len(list)])
	}
	return few
}

// called returns what f makes the package call.
func called(f *hsmtest.Fault, do func()) (functions []string) {
	before := f.Counts().Calls
	do()
	for name, n := range f.Counts().Calls {
		if n > before[name] {
			functions = append(functions, name)
		}
	}
	slices.Sort(functions)
	return functions
}

// Every function that the package calls fails, in every class of error, once, three
// times and for ever, before its work and after. Then no number is wrong, no PIN is tried
// twice, every error is of the right kind, and when the fault is over all works again:
// at the second try at the latest, the longest pause apart, which with the default pauses
// is a second. Keys made under faults are as strong as others, and none is made twice.
func TestFaultTable(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	// What each step calls. The functions that are called only in trouble come with the
	// step that the trigger meets.
	uses := map[string][]int{}
	for i, s := range u.steps() {
		for _, function := range called(f, func() { require.NoError(t, s.do(t.Context()), s.name) }) {
			uses[function] = append(uses[function], i)
		}
	}
	for function := range triggers {
		uses[function] = []int{0}
	}
	closeToken(t, tok)
	clean := strength(t, f)
	functions := slices.Sorted(maps.Keys(uses))
	t.Log("functions:", functions)
	require.Greater(t, len(functions), 20)

	// A token has a limited number of versions, so that the whole table takes a fresh one
	// for each function.
	groups := map[string][]string{"short": functions}
	if *whole {
		groups = map[string][]string{}
		for _, function := range functions {
			groups[function] = []string{function}
		}
	}
	most := 1 // steps for each fault
	if *whole {
		most = 2
	}
	for name, group := range groups {
		t.Run(name, func(t *testing.T) {
			f := faulty(t)
			u := newUse(t, openFaulty(t, f, nil))
			for _, function := range group {
				all := uses[function] // in turn
				for n, c := range faultsOf(function, slices.Index(functions, function)) {
					steps := u.steps()
					var touched []step
					for i := range min(len(all), most) {
						touched = append(touched, steps[all[(n*most+i)%len(all)]])
					}
					u.under(t, f, c, touched)
				}
			}
			require.Zero(t, u.tok.Stats().Faults)
			closeToken(t, u.tok)
			requireClean(t, f)
			for kind, is := range strength(t, f) {
				require.Equal(t, clean[kind], is, kind)
			}
		})
	}
}

// under does the steps under a fault, and after it.
func (u *use) under(t *testing.T, f *hsmtest.Fault, c fault, steps []step) {
	t.Helper()
	before := f.Counts()
	remove := f.Add(c.rule())
	if trigger := triggers[c.function]; trigger != 0 {
		f.Add(hsmtest.Rule{Function: "C_SignInit", Action: hsmtest.Refuse, Value: trigger, Times: 1})
	}
	for _, s := range steps {
		err := s.do(t.Context())
		require.True(t, c.allowed(err), "%v: %s: %v", c, s.name, err)
	}
	after := f.Counts()
	require.Greater(t, after.Faults[c.function], before.Faults[c.function], "%v was not met", c)
	logins := after.Calls["C_Login"] - before.Calls["C_Login"]
	if c.function == "C_Login" && !passing[c.code] {
		require.Equal(t, 1, logins, "%v: the PIN was tried more than once", c)
	}
	remove()
	f.Clear()
	if u.tok.Stats().PINRefused {
		require.True(t, c.allowed(hsm.ErrPIN), "%v latched the PIN", c)
		closeToken(t, u.tok)
		u.reopen(t, openFaulty(t, f, nil))
	}
	for _, s := range steps {
		u.back(t, c, s)
	}
	stats := u.tok.Stats()
	require.False(t, stats.Down, c)
	require.Zero(t, stats.Running, c)
}

// back requires that a step succeeds at the second try.
func (u *use) back(t *testing.T, c fault, s step) {
	t.Helper()
	var err error
	for range 2 {
		if err = s.do(t.Context()); err == nil {
			return
		}
		time.Sleep(backoff)
	}
	require.NoError(t, err, "%v: %s after the end of the fault", c, s.name)
}

// Every function that Open calls fails in the same ways. Then Open fails with an error of
// the right kind, or gives the whole token: a passing error takes no capability away, and
// makes no key weaker. The PIN is tried once, and the next Open works.
func TestFaultsAtOpen(t *testing.T) {
	f := faulty(t)
	var tok *hsm.Token
	functions := called(f, func() { tok = openFaulty(t, f, nil) })
	caps := tok.Capabilities()
	require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"))
	closeToken(t, tok)
	clean := strength(t, f)
	t.Log("functions:", functions)
	made := 0
	for number, function := range functions {
		if testing.Short() && number%3 != 0 {
			continue
		}
		for i, c := range faultsOf(function, number) {
			if !*whole && i > 0 {
				break
			}
			before := f.Counts()
			f.Add(c.rule())
			tok, err := hsm.Open(t.Context(), faultyConfig(t, f))
			after := f.Counts()
			require.Greater(t, after.Faults[function], before.Faults[function], "%v was not met", c)
			if function == "C_Login" && !passing[c.code] {
				require.Equal(t, 1, after.Calls["C_Login"]-before.Calls["C_Login"], "%v: the PIN was tried more than once", c)
			}
			var other *hsm.TokenError
			switch {
			case err == nil && c.class != "unsupported":
				require.Equal(t, caps, tok.Capabilities(), c)
				made++
				err := tok.GenerateWrappingKey(t.Context(), fmt.Sprint("wrap-", made))
				require.True(t, c.allowed(err), "%v: %v", c, err)
			case errors.As(err, &other): // a token that cannot be read is not the one
				require.Contains(t, []string{"C_GetTokenInfo", "C_GetSlotList"}, function, "%v: %v", c, err)
			default:
				require.True(t, c.allowed(err), "%v: %v", c, err)
			}
			f.Clear()
			if err == nil {
				closeToken(t, tok)
				continue
			}
			tok, err = hsm.Open(t.Context(), faultyConfig(t, f))
			require.NoError(t, err, c)
			require.Equal(t, caps, tok.Capabilities(), c)
			closeToken(t, tok)
		}
	}
	requireClean(t, f)
	for kind, is := range strength(t, f) {
		require.Equal(t, clean[kind], is, kind)
	}
}

// passing are the codes of C_Login that say that the PIN was not looked at, so that it
// may be tried again.
var passing = map[uint]bool{
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED: true, pkcs11.CKR_DEVICE_REMOVED: true, pkcs11.CKR_TOKEN_NOT_PRESENT: true,
	pkcs11.CKR_SLOT_ID_INVALID: true, pkcs11.CKR_SESSION_HANDLE_INVALID: true, pkcs11.CKR_SESSION_CLOSED: true,
}

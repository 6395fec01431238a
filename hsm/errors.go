package hsm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// Each of these stands for one decision that a caller can take. Test them with errors.Is.
var (
	// ErrNoPKCS11: this program was built without cgo, or with the tag nopkcs11.
	ErrNoPKCS11 = errors.New("hsm: built without PKCS #11 (needs cgo on a Unix, and no nopkcs11 tag)")
	// ErrModule: the module's file is missing, is not a PKCS #11 module, or is built for
	// another machine. Correct the path.
	ErrModule = errors.New("hsm: cannot load the module")
	// ErrInUse: the module already has an owner in this process.
	ErrInUse = errors.New("hsm: the module is already in use in this process")
	// ErrConfig: a setting is missing or out of range.
	ErrConfig = errors.New("hsm: bad configuration")
	// ErrInput: the caller's value has a wrong length or range. The module never saw it.
	ErrInput = errors.New("hsm: bad input")
	// ErrBlob: a sealed or wrapped blob is damaged, truncated, made under another key or
	// for other associated data. The module never saw it.
	ErrBlob = errors.New("hsm: blob is not authentic")
	// ErrUnsupported: the module or the token cannot do this, or does it wrongly.
	// Repeating the call is of no use.
	ErrUnsupported = errors.New("hsm: not supported by the module")
	// ErrUnavailable: not now, and the call may be repeated. If it makes or destroys
	// something, that may have happened, or may happen yet (docs/hsm.md).
	ErrUnavailable = errors.New("hsm: unavailable")
	// ErrPIN: the module refused the PIN, or asking it might lock the token. No further
	// attempt is made: correct the PIN and open the token anew.
	ErrPIN = errors.New("hsm: PIN refused")
	// ErrKeyNotFound: the token holds no key with this label or id.
	ErrKeyNotFound = errors.New("hsm: key not found")
	// ErrNoData: nothing was saved under this label.
	ErrNoData = errors.New("hsm: no data")
	// ErrKeyExists: the token holds a key with this label already.
	ErrKeyExists = errors.New("hsm: key exists")
	// ErrAmbiguous: more than one object matches.
	ErrAmbiguous = errors.New("hsm: more than one object matches")
	// ErrExposed: a key that must not leave the token can be read or exported, or has two
	// roles that together reveal other keys. It is not used.
	ErrExposed = errors.New("hsm: key is not protected by the token")
	// ErrFault: the module reported success and gave a wrong result. The result was
	// dropped. More than one of these means a sick module.
	ErrFault = errors.New("hsm: the module gave a wrong result")
	// ErrClosed: the token was closed.
	ErrClosed = errors.New("hsm: token is closed")
)

// TokenError is returned unless exactly one token has the label and serial number asked
// for. It says which tokens there are.
type TokenError struct {
	Label, Serial string
	Matches       int
	// Found lists the tokens of the module as label/serial.
	Found []string
}

func (e *TokenError) Error() string {
	if e == nil {
		return "hsm: nil TokenError"
	}
	return fmt.Sprintf("hsm: %d tokens have label %q and serial %q; the module has %q", e.Matches, e.Label, e.Serial, e.Found)
}

// CKR is a return value of a module. It is wrapped in the errors of this package for logs
// and for errors.As. What a number means differs from module to module: decide by the
// errors above.
type CKR uint

// isCode reports whether the module returned one of these values.
func isCode(err error, codes ...CKR) bool {
	var code CKR
	return errors.As(err, &code) && slices.Contains(codes, code)
}

// unavailable wraps the cause of a passing failure, if there is one.
func unavailable(op string, cause error) error {
	if cause == nil || errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, op, cause)
}

// reaction is what an error of a call asks this package to do.
type reaction uint8

const (
	giveUp     reaction = iota // ErrUnavailable
	dropPool                   // sessions died: drop them all (lend does), and try again
	shrinkPool                 // too many sessions: use fewer for a while (lend does), and try again
	logIn                      // logged out, or handles are stale
	restart                    // the module lost its state
	doubt                      // as restart, but at growing intervals: the code has other meanings
	refused                    // the module does not do this: ErrUnsupported
	latchPIN                   // never try this PIN again: ErrPIN
	passOn                     // no code of the module: tell the caller
)

// level is how far a recovery goes.
type level uint8

const (
	levelStart   level = iota + 1 // the first: C_Initialize, find the token, log in
	levelLogin                    // sessions and login anew
	levelRestart                  // C_Finalize, and all of the first
)

// remedies says what is done before a call is tried again, how often in one call, and
// what the reaction is after that.
var remedies = [...]struct {
	level  level
	budget int
	next   reaction
}{
	giveUp:     {budget: 1},
	dropPool:   {0, 3, giveUp},
	shrinkPool: {0, 32, giveUp},
	logIn:      {levelLogin, 2, doubt}, // meanwhile somebody may have taken the login away again
	restart:    {levelRestart, 2, giveUp},
	doubt:      {levelRestart, 1, giveUp},
}

// react sorts the errors of a call. An operation that was seen to work is not refused:
// the token is in trouble then, or on its way back from it.
func react(err error, proven bool) reaction {
	var code CKR
	switch {
	case errors.Is(err, errVanished):
		return doubt // some modules look again only after a restart
	case !errors.As(err, &code):
		return passOn
	}
	if what := code.react(); what != refused || !proven {
		return what
	}
	return doubt
}

// react sorts return values as measured on SoftHSM, NSS softoken, opencryptoki and
// tpm2-pkcs11, and as reported by users of others. Codes that are not listed, among them
// all vendor codes, count as the module's trouble.
func (r CKR) react() reaction {
	switch r {
	case pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE, pkcs11.CKR_ENCRYPTED_DATA_INVALID,
		pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, pkcs11.CKR_SIGNATURE_INVALID, pkcs11.CKR_SIGNATURE_LEN_RANGE,
		pkcs11.CKR_WRAPPED_KEY_INVALID, pkcs11.CKR_WRAPPED_KEY_LEN_RANGE, pkcs11.CKR_WRAPPING_KEY_SIZE_RANGE,
		pkcs11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, pkcs11.CKR_UNWRAPPING_KEY_SIZE_RANGE, pkcs11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
		pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_ATTRIBUTE_READ_ONLY,
		pkcs11.CKR_ATTRIBUTE_SENSITIVE, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
		pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED,
		pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_KEY_UNEXTRACTABLE, pkcs11.CKR_KEY_NOT_WRAPPABLE,
		pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_ACTION_PROHIBITED,
		pkcs11.CKR_BUFFER_TOO_SMALL, pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_SESSION_READ_ONLY:
		return refused
	case pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
		pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_OPERATION_NOT_INITIALIZED:
		return dropPool
	case pkcs11.CKR_SESSION_COUNT:
		return shrinkPool
	case pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID,
		pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_WRAPPING_KEY_HANDLE_INVALID,
		pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		return logIn
	case pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_DEVICE_REMOVED,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID:
		return restart
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED,
		pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_INVALID:
		return latchPIN
	}
	return doubt
}

// pinNotTried lists what C_Login returns before the token has looked at the PIN. Whatever
// else it returns but CKR_OK may be a module's word for a wrong one.
var pinNotTried = []CKR{
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
	pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_SLOT_ID_INVALID,
	pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
}

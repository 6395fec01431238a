package hsm

import (
	"errors"
	"fmt"
	"slices"
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
	// ErrUnavailable: not now, and the call may be repeated. No secret was used up, and
	// nothing that exists was changed. A call that makes or destroys a key may have done
	// so all the same, or may do so yet: then it goes on after a time limit. Repeated, it
	// says ErrKeyExists or ErrKeyNotFound.
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

// unavailable wraps the cause of a passing failure.
func unavailable(op string, cause error) error {
	if errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, op, cause)
}

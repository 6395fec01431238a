package splitkey

import (
	"crypto/fips140"
	"errors"
	"fmt"
)

// ErrFIPS is returned, together with [ErrKey] or [ErrMessage], for a key or salt whose
// signatures crypto/rsa does not verify where the process enforces FIPS 140-3
// (GODEBUG=fips140=only).
var ErrFIPS = errors.New("splitkey: FIPS 140-only mode (GODEBUG=fips140=only) does not allow it")

// The rules are crypto/rsa's. What they forbid is refused where it first shows: the
// verification before release would refuse it only after the PIN was typed and the
// attempt counted.

func fipsExponent(e int) error {
	if fips140.Enforced() && e <= 1<<16 {
		return fmt.Errorf("%w: public exponent %d: %w", ErrKey, e, ErrFIPS)
	}
	return nil
}

func fipsModulus(bits int) error {
	if fips140.Enforced() && bits%2 == 1 {
		return fmt.Errorf("%w: a final modulus of %d bits, an odd number: %w", ErrKey, bits, ErrFIPS)
	}
	return nil
}

func fipsSalt(salt, hash int) error {
	if fips140.Enforced() && salt > hash {
		return fmt.Errorf("%w: a salt of %d bytes, longer than the hash's %d: %w", ErrMessage, salt, hash, ErrFIPS)
	}
	return nil
}

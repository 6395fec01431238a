package pinlock

import (
	"crypto/subtle"
	"errors"

	"github.com/tandem-rsa/tandem/internal/taint"
)

// A PIN is 4 to 12 ASCII digits. Leading zeros count: "0012" is a PIN and "12" is none.
const (
	minPINLen = 4
	maxPINLen = 12
)

// ErrPINFormat is returned for a PIN that is not 4 to 12 ASCII digits. It reaches no
// server, so no attempt counts.
var ErrPINFormat = errors.New("pinlock: PIN is not 4 to 12 digits")

// WeakPINError says that a PIN is too easily guessed to protect a share. It carries the
// rule that refused it, never the PIN.
type WeakPINError struct {
	// Rule is the name of the first rule that the PIN breaks, from the table at
	// [CheckPIN]. The names are stable: programs may switch on them.
	Rule string
}

func (e *WeakPINError) Error() string {
	if e == nil {
		return "pinlock: nil WeakPINError"
	}
	return "pinlock: PIN is too easily guessed: " + e.Rule
}

// CheckPIN reports whether a lockbox may be made with pin. It returns nil if so,
// [ErrPINFormat] if pin is not 4 to 12 ASCII digits, and a [*WeakPINError] if people
// choose PINs like it so often that it is among a thief's first guesses. It keeps
// nothing. [Lock] calls it. [Lockbox.Unlock] does not, since the rules may change while
// lockboxes live on.
//
// Three wrong PINs lock a key and nine destroy it, so what counts is the chance of the
// few most likely PINs. Markert et al., "This PIN Can Be Easily Guessed" (IEEE S&P 2020),
// find that refusing about a tenth of the 4-digit PINs helps and that short lists do not.
// The rules below are patterns, not a list of leaked PINs, so that a second
// implementation can follow them. Each covers a habit that studies name (Bonneau et al.,
// "A Birthday Present Every Eleven Wallets?", FC 2012; Wang et al., "Understanding
// Human-Chosen PINs", ASIACCS 2017). A PIN is refused by the first rule that applies, in
// this order; n is its length, steps are taken modulo 10, and the keypad is 123 / 456 /
// 789 with 0 below the 8.
//
//	same-digit        all digits equal: 7777
//	run               max(4, n-1) consecutive digits with one constant step,
//	                  from -2 to 2: 1234, 8901, 9753, 123455
//	repeated-block    a block of at most n/2 digits, rounded up, repeated to the end,
//	                  the last copy cut off if need be: 4747, 12312
//	doubled-digits    equal groups of at least 2 and at most n/2 digits, one digit
//	                  each: 1122, 111222
//	mirror            reads the same backwards: 1221, 12321
//	two-digits        n >= 5: at most two different digits: 11221, 70700
//	interleaved-runs  n >= 6: the digits in odd places have one constant step from
//	                  -2 to 2, and so have those in even places: 102938, 121314
//	stairs            all steps 0 or 1, or all 0 or -1: 1233, 5443
//	first-digits      n <= 9: the digits 1 to n in any order: 1324, 132456
//	zeros             more than n/2 zeros at the beginning or at the end: 0007, 5000,
//	                  12000
//	keypad-lines      lines of three adjacent keys, with one 0 before or after if n
//	                  is not a multiple of three: 2580, 1590, 789456, 7894561230
//	keypad-path       each key adjacent to the one before, none twice: 1478; n = 4:
//	                  side by side only, n >= 5: diagonally also
//	keypad-shape      n = 4: the corners 1, 3, 7, 9, or the sides 2, 4, 6, 8, or a
//	                  square of four keys, in any order: 1397, 2684, 1245
//	year              n = 4: 1940 to 2039; n = 5: such a year and one digit, before
//	                  or after it
//	date              n = 4: DDMM, MMDD; n = 6: DDMMYY, MMDDYY, YYMMDD;
//	                  n = 6 to 8: a year from 1940 to 2039 before or after what is
//	                  left, read as D M, M D, MM (2 digits), DMM, DDM, MDD, MMD
//	                  (3 digits), DDMM, MMDD (4 digits). Months are 1 to 12, days
//	                  1 to the month's last, 29 in February
//	word              one of the words in famous.go, on a telephone keypad
//	                  (ITU-T E.161): 5683 is LOVE
//	number            the first n digits of one of the sequences in famous.go
//	                  (pi, e, primes, even numbers ...) or one of its few famous
//	                  numbers: 3141, 4200, 246810, 12300
//	weak-parts        n >= 8: cut in two parts of at least 4 digits, each refused by
//	                  a rule above: 19842580
//
// Refused are, counted up to 6 digits and of a million random PINs each above:
//
//	digits    refused  share      digits  share      digits  share
//	4           1,336  13.4 %     7       1.4 %      10      3.1 %
//	5           7,576   7.6 %     8       1.9 %      11      1.9 %
//	6         112,315  11.2 %     9       2.0 %      12      1.5 %
//
// All refused PINs of 4 digits are listed in testdata/weak_pins_4.txt. (5 digits have no
// dates with a two-digit year: those would be more than a quarter of all PINs.)
//
// CheckPIN takes the same time for all accepted PINs of one length. For a refused PIN it
// may leak which rule refused it, which is what it answers.
func CheckPIN(pin []byte) error {
	if !validPIN(pin) {
		return ErrPINFormat
	}
	var buf [maxPINLen]int
	d := buf[:len(pin)]
	for i, b := range pin {
		d[i] = int(b - '0')
	}
	defer clear(buf[:])
	if rule := weakRule(d); rule != "" {
		return &WeakPINError{Rule: rule}
	}
	return nil
}

// validPIN looks at every byte before it answers: it leaks the length and whether all
// bytes are digits, and nothing else.
func validPIN(pin []byte) bool {
	if len(pin) < minPINLen || len(pin) > maxPINLen {
		return false
	}
	ok := 1
	for _, b := range pin {
		ok &= subtle.ConstantTimeLessOrEq('0', int(b)) & subtle.ConstantTimeLessOrEq(int(b), '9')
	}
	return taint.Declassify(ok, taint.PINFormat) == 1
}

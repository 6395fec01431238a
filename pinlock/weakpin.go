package pinlock

import (
	"crypto/subtle"

	"github.com/tandem-rsa/tandem/internal/taint"
)

// The weak-PIN rules, as documented at CheckPIN. A PIN is secret while it is chosen, too:
// every rule is computed for every PIN, with masks in place of branches and scans in
// place of table look-ups. Each returns 1 if it refuses the digits, 0 if not. Only the
// number of digits decides what is computed.

// ruleNames are in the order of refusals.
var ruleNames = [...]string{
	"same-digit", "run", "repeated-block", "doubled-digits", "mirror", "two-digits", "interleaved-runs",
	"stairs", "first-digits", "zeros", "keypad-lines", "keypad-path", "keypad-shape", "year", "date", "word", "number",
}

// refusals says for every rule whether it refuses d. (Plain calls, not a table of
// functions, which would move the digits to the heap.)
func refusals(d []int) [len(ruleNames)]int {
	return [...]int{
		sameDigit(d), run(d), repeatedBlock(d), doubledDigits(d), mirror(d), twoDigits(d), interleavedRuns(d),
		stairs(d), firstDigits(d), zeros(d), keypadLines(d), keypadPath(d), keypadShape(d), year(d), date(d), word(d), number(d),
	}
}

// weakRule returns the name of the first rule that refuses d, or "".
func weakRule(d []int) string {
	refused := refusals(d)
	parts := weakParts(d)
	// From here on time depends on the answer alone.
	for i, r := range refused {
		if answer(r) {
			return ruleNames[i]
		}
	}
	if answer(parts) {
		return "weak-parts"
	}
	return ""
}

func answer(refused int) bool { return taint.Declassify(refused, taint.WeakPIN) == 1 }

// weakParts cuts d in two at every place that leaves 4 digits on each side.
func weakParts(d []int) int {
	found := 0
	for i := minPINLen; i <= len(d)-minPINLen; i++ {
		found |= anyRule(d[:i]) & anyRule(d[i:])
	}
	return found
}

func anyRule(d []int) int {
	found := 0
	for _, r := range refusals(d) {
		found |= r
	}
	return found
}

func eq(a, b int) int { return subtle.ConstantTimeEq(int32(a), int32(b)) }

func between(lo, x, hi int) int {
	return subtle.ConstantTimeLessOrEq(lo, x) & subtle.ConstantTimeLessOrEq(x, hi)
}

// step returns b - a modulo 10.
func step(a, b int) int {
	s := b - a
	return s + 10&(s>>31)
}

// value reads d as a decimal number.
func value(d []int) int {
	v := 0
	for _, x := range d {
		v = 10*v + x
	}
	return v
}

func sameDigit(d []int) int {
	ok := 1
	for _, x := range d[1:] {
		ok &= eq(x, d[0])
	}
	return ok
}

// constantStep says whether every digit follows the one before by the same step, from -2
// to 2: what people count in.
func constantStep(d []int) int {
	first := step(d[0], d[1])
	ok := between(0, first, 2) | between(8, first, 9)
	for i := 2; i < len(d); i++ {
		ok &= eq(step(d[i-1], d[i]), first)
	}
	return ok
}

func run(d []int) int {
	w := max(4, len(d)-1)
	found := 0
	for i := 0; i+w <= len(d); i++ {
		found |= constantStep(d[i : i+w])
	}
	return found
}

func repeatedBlock(d []int) int {
	found := 0
	for size := 1; size <= (len(d)+1)/2; size++ {
		ok := 1
		for i := size; i < len(d); i++ {
			ok &= eq(d[i], d[i-size])
		}
		found |= ok
	}
	return found
}

func doubledDigits(d []int) int {
	found := 0
	for size := 2; size <= len(d)/2; size++ {
		if len(d)%size != 0 {
			continue
		}
		ok := 1
		for i := 0; i < len(d); i += size {
			ok &= sameDigit(d[i : i+size])
		}
		found |= ok
	}
	return found
}

func mirror(d []int) int {
	ok := 1
	for i := range d {
		ok &= eq(d[i], d[len(d)-1-i])
	}
	return ok
}

func twoDigits(d []int) int {
	if len(d) < 5 {
		return 0
	}
	different := 0
	for v := range 10 {
		different += present(d, v)
	}
	return between(1, different, 2)
}

// present says whether v is one of the digits.
func present(d []int, v int) int {
	found := 0
	for _, x := range d {
		found |= eq(x, v)
	}
	return found
}

func interleavedRuns(d []int) int {
	if len(d) < 6 {
		return 0
	}
	var odd, even [maxPINLen / 2]int
	for i, x := range d {
		if i%2 == 0 {
			odd[i/2] = x
		} else {
			even[i/2] = x
		}
	}
	ok := constantStep(odd[:(len(d)+1)/2]) & constantStep(even[:len(d)/2])
	clear(odd[:])
	clear(even[:])
	return ok
}

// stairs says whether every digit is the one before or the next above it, or every digit
// is the one before or the next below it.
func stairs(d []int) int {
	up, down := 1, 1
	for i := 1; i < len(d); i++ {
		s := step(d[i-1], d[i])
		up &= eq(s, 0) | eq(s, 1)
		down &= eq(s, 0) | eq(s, 9)
	}
	return up | down
}

// firstDigits says whether n digits are 1 to n in some order.
func firstDigits(d []int) int {
	if len(d) > 9 {
		return 0
	}
	ok := 1
	for v := 1; v <= len(d); v++ {
		ok &= present(d, v)
	}
	return ok
}

// zeros says whether most of the digits, the first ones or the last, are zeros.
func zeros(d []int) int {
	first, last := 1, 1
	for i := range len(d)/2 + 1 {
		first &= eq(d[i], 0)
		last &= eq(d[len(d)-1-i], 0)
	}
	return first | last
}

// isYear says whether four digits are a year of a living person's past or near future.
func isYear(d []int) int { return between(1940, value(d), 2039) }

func year(d []int) int {
	switch len(d) {
	case 4:
		return isYear(d)
	case 5:
		return isYear(d[:4]) | isYear(d[1:])
	}
	return 0
}

// dayMonth says whether day and month name a day of a leap year.
func dayMonth(day, month int) int {
	thirty := eq(month, 4) | eq(month, 6) | eq(month, 9) | eq(month, 11)
	last := 31 - thirty - 2*eq(month, 2)
	return between(1, month, 12) & between(1, day, last)
}

// isDay says whether 2, 3 or 4 digits name a day of the year or a month.
func isDay(d []int) int {
	switch len(d) {
	case 2:
		return dayMonth(d[0], d[1]) | between(1, value(d), 12) // each month has 1 to 9
	case 3:
		return dayMonth(d[0], value(d[1:])) | dayMonth(value(d[:2]), d[2]) |
			dayMonth(value(d[1:]), d[0]) | dayMonth(d[2], value(d[:2]))
	}
	return dayMonth(value(d[:2]), value(d[2:])) | dayMonth(value(d[2:]), value(d[:2]))
}

func date(d []int) int {
	n := len(d)
	if n == 4 {
		return isDay(d)
	}
	if n < 6 || n > 8 {
		return 0
	}
	found := isYear(d[:4])&isDay(d[4:]) | isYear(d[n-4:])&isDay(d[:n-4])
	if n == 6 {
		// A two-digit year is any: DDMMYY and MMDDYY, then YYMMDD.
		found |= isDay(d[:4]) | dayMonth(value(d[4:]), value(d[2:4]))
	}
	return found
}

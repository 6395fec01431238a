package pinlock

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A second implementation of the weak-PIN rules, written from the table at CheckPIN with
// strings, sets and package time, in variable time, as another program would.

// referenceRule returns the name of the first rule that refuses pin, or "".
func referenceRule(pin string) string {
	if rule := referenceBaseRule(pin); rule != "" {
		return rule
	}
	for i := 4; i <= len(pin)-4; i++ {
		if referenceBaseRule(pin[:i]) != "" && referenceBaseRule(pin[i:]) != "" {
			return "weak-parts"
		}
	}
	return ""
}

func referenceBaseRule(pin string) string {
	n := len(pin)
	switch {
	case strings.Count(pin, pin[:1]) == n:
		return "same-digit"
	case hasRun(pin, max(4, n-1)):
		return "run"
	case isRepeated(pin):
		return "repeated-block"
	case isDoubled(pin):
		return "doubled-digits"
	case reversed(pin) == pin:
		return "mirror"
	case n >= 5 && distinct(pin) <= 2:
		return "two-digits"
	case n >= 6 && hasRun(everySecond(pin, 0), (n+1)/2) && hasRun(everySecond(pin, 1), n/2):
		return "interleaved-runs"
	case isStairs(pin):
		return "stairs"
	case n <= 9 && sorted(pin) == "123456789"[:n]:
		return "first-digits"
	case 2*(n-len(strings.TrimLeft(pin, "0"))) > n, 2*(n-len(strings.TrimRight(pin, "0"))) > n:
		return "zeros"
	case linesPattern.MatchString(pin):
		return "keypad-lines"
	case isPath(pin):
		return "keypad-path"
	case slices.Contains([]string{"1379", "2468", "1245", "2356", "4578", "5689"}, sorted(pin)):
		return "keypad-shape"
	case n == 4 && referenceYear(pin), n == 5 && (referenceYear(pin[:4]) || referenceYear(pin[1:])):
		return "year"
	case referenceDate(pin):
		return "date"
	case referenceWords[pin]:
		return "word"
	case referenceNumber(pin):
		return "number"
	}
	return ""
}

// countings are what people count with: long enough that every run is a part of one.
var countings = func() []string {
	var out []string
	for _, s := range []string{"0123456789", "02468", "13579"} {
		s = strings.Repeat(s, 4)
		out = append(out, s, reversed(s))
	}
	for d := range 10 {
		out = append(out, strings.Repeat(strconv.Itoa(d), 12))
	}
	return out
}()

func hasRun(s string, length int) bool {
	for i := 0; i+length <= len(s); i++ {
		for _, c := range countings {
			if strings.Contains(c, s[i:i+length]) {
				return true
			}
		}
	}
	return false
}

func isRepeated(s string) bool {
	for size := 1; size <= (len(s)+1)/2; size++ {
		if strings.HasPrefix(s, s[size:]) {
			return true
		}
	}
	return false
}

// isStairs leaves out repetitions, and looks for the rest among what people count by one.
func isStairs(s string) bool {
	b := slices.Compact([]byte(s))
	counting := strings.Repeat("0123456789", 2)
	return strings.Contains(counting, string(b)) || strings.Contains(reversed(counting), string(b))
}

func isDoubled(s string) bool {
	for size := 2; size <= len(s)/2; size++ {
		heads := ""
		for i := 0; i < len(s); i += size {
			heads += strings.Repeat(s[i:i+1], size)
		}
		if heads == s {
			return true
		}
	}
	return false
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

func distinct(s string) int { return len(slices.Compact([]byte(sorted(s)))) }

func everySecond(s string, from int) string {
	out := ""
	for i := from; i < len(s); i += 2 {
		out += s[i : i+1]
	}
	return out
}

var linesPattern = func() *regexp.Regexp {
	line := "(123|456|789|147|258|369|580|159|357|321|654|987|741|852|963|085|951|753)"
	return regexp.MustCompile("^(" + line + "+|0" + line + "+|" + line + "+0)$")
}()

// beside and diagonal list the neighbours of the keys 0 to 9.
var (
	beside   = []string{"8", "24", "135", "26", "157", "2468", "359", "48", "5790", "68"}
	diagonal = []string{"79", "5", "46", "5", "28", "1379", "28", "50", "46", "50"}
)

func isPath(s string) bool {
	if distinct(s) != len(s) {
		return false
	}
	for i := 1; i < len(s); i++ {
		near := beside[s[i-1]-'0']
		if len(s) > 4 {
			near += diagonal[s[i-1]-'0']
		}
		if !strings.Contains(near, s[i:i+1]) {
			return false
		}
	}
	return true
}

func referenceYear(s string) bool { return s >= "1940" && s <= "2039" }

// days has every day of a leap year, padded and not, and every month, as digits.
var days = func() map[string]bool {
	set := make(map[string]bool)
	for d := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == 2000; d = d.AddDate(0, 0, 1) {
		for _, layout := range []string{"0201", "0102", "201", "102", "021", "012", "21", "12"} {
			set[d.Format(layout)] = true
		}
		set[d.Format("01")] = true
	}
	return set
}()

func referenceDate(s string) bool {
	n := len(s)
	if n == 4 {
		return days[s]
	}
	if n < 6 || n > 8 {
		return false
	}
	if referenceYear(s[:4]) && days[s[4:]] || referenceYear(s[n-4:]) && days[s[:n-4]] {
		return true
	}
	if n > 6 {
		return false
	}
	return days[s[:4]] || days[s[2:]] && s[2:4] <= "12"
}

// referenceWords are the words as one types them.
var referenceWords = func() map[string]bool {
	set := make(map[string]bool)
	for _, s := range strings.Fields(`5683 2229 5464 4663 4263 7277 2633 26435 58259 42779 53787 43278 79378
		456838 666539 372466 627837 762237 356937 326459 786637 732738 793789 747837 668437 328437
		5683968 3673837 5386346 9352663 3733366 45683968 72779673 77462377 78674463 36682255 22732255
		288837359 246265283 2275382255`) {
		set[s] = true
	}
	return set
}()

var referenceNumbers = strings.Fields(`31416 3141593 31415927 3141592654 31415926536 314159265359
	0070 1235 1318 1337 4200 5150 5425 7942 12300 31337 38317 42069 90210 8675309 5201314 1314520`)

var referenceSequences = []string{
	"314159265358", "271828182845", "141421356237", "173205080756", "161803398874",
	join(1, 1, 2, 3, 5, 8, 13, 21, 34), join(2, 3, 5, 7, 11, 13, 17, 19),
	join(1, 2, 4, 8, 16, 32, 64, 12), join(1, 4, 9, 16, 25, 36, 49, 6),
	join(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1), join(1, 3, 5, 7, 9, 11, 13, 15, 1), join(2, 4, 6, 8, 10, 12, 14, 16),
	join(10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
}

func join(numbers ...any) string { return strings.ReplaceAll(fmt.Sprintln(numbers...), " ", "") }

func referenceNumber(s string) bool {
	return slices.Contains(referenceNumbers, s) ||
		slices.ContainsFunc(referenceSequences, func(q string) bool { return strings.HasPrefix(q, s) })
}

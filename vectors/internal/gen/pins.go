package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// The rules for weak PINs, in the order in which they refuse. README.md has them in
// words.
var pinRules = []struct {
	name, flag string
	refuses    func(pin string) bool
}{
	{"same-digit", "SameDigit", sameDigit},
	{"run", "Run", run},
	{"repeated-block", "RepeatedBlock", repeatedBlock},
	{"doubled-digits", "DoubledDigits", doubledDigits},
	{"mirror", "Mirror", func(p string) bool { return p == reversed(p) }},
	{"two-digits", "TwoDigits", func(p string) bool { return len(p) >= 5 && len(different(p)) <= 2 }},
	{"interleaved-runs", "InterleavedRuns", interleavedRuns},
	{"stairs", "Stairs", stairs},
	{"first-digits", "FirstDigits", func(p string) bool { return len(p) <= 9 && different(p) == "123456789"[:len(p)] }},
	{"zeros", "Zeros", func(p string) bool {
		most := strings.Repeat("0", len(p)/2+1)
		return strings.HasPrefix(p, most) || strings.HasSuffix(p, most)
	}},
	{"keypad-lines", "KeypadLines", keypadLines},
	{"keypad-path", "KeypadPath", keypadPath},
	{"keypad-shape", "KeypadShape", func(p string) bool {
		return len(p) == 4 && slices.Contains(shapes, different(p))
	}},
	{"year", "Year", func(p string) bool {
		return len(p) == 4 && isYear(p) || len(p) == 5 && (isYear(p[:4]) || isYear(p[1:]))
	}},
	{"date", "Date", date},
	{"word", "Word", func(p string) bool { return slices.Contains(words(), p) }},
	{"number", "Number", func(p string) bool {
		return slices.Contains(famous, p) || slices.ContainsFunc(sequences, func(s string) bool { return strings.HasPrefix(s, p) })
	}},
}

// weakParts is the last rule: the PIN is two parts that other rules refuse.
func weakParts(p string) bool {
	for i := 4; i <= len(p)-4; i++ {
		if first, _ := firstRule(p[:i]); first == "" {
			continue
		}
		if second, _ := firstRule(p[i:]); second != "" {
			return true
		}
	}
	return false
}

// firstRule is the first rule but the last that refuses a PIN or a part of one.
func firstRule(p string) (name, flag string) {
	for _, r := range pinRules {
		if r.refuses(p) {
			return r.name, r.flag
		}
	}
	return "", ""
}

func weakRule(p string) (name, flag string) {
	if name, flag = firstRule(p); name == "" && weakParts(p) {
		name, flag = "weak-parts", "WeakParts"
	}
	return name, flag
}

var (
	sequences = []string{"314159265358", "271828182845", "141421356237", "173205080756", "161803398874",
		"112358132134", "235711131719", "124816326412", "149162536496",
		"123456789101", "135791113151", "246810121416", "109876543210"}
	famous = []string{"31416", "3141593", "31415927", "3141592654", "31415926536", "314159265359",
		"0070", "42069", "8675309", "90210", "1337", "31337", "5201314", "1314520", "38317",
		"1235", "1318", "4200", "5150", "5425", "7942", "12300"}
	shapes  = []string{"1379", "2468", "1245", "2356", "4578", "5689"}
	letters = []string{"love", "baby", "king", "home", "game", "pass", "code",
		"angel", "lucky", "happy", "jesus", "heart", "qwert",
		"iloveu", "monkey", "dragon", "master", "soccer", "flower", "family", "summer", "secret", "qwerty", "sister", "mother", "father",
		"loveyou", "forever", "letmein", "welcome", "freedom",
		"iloveyou", "password", "princess", "sunshine", "football", "baseball", "butterfly", "chocolate", "basketball"}
)

func words() (out []string) {
	for _, w := range letters {
		out = append(out, strings.Map(func(r rune) rune { return rune("22233344455566677778889999"[r-'a']) }, w))
	}
	return out
}

func reversed(p string) string {
	b := []byte(p)
	slices.Reverse(b)
	return string(b)
}

// different returns the different digits of p in order.
func different(p string) string {
	b := []byte(p)
	slices.Sort(b)
	return string(slices.Compact(b))
}

func sameDigit(p string) bool { return len(different(p)) == 1 }

// constant reports whether every digit follows the one before by the same step from -2 to
// 2.
func constant(p string) bool {
	for step := -2; step <= 2; step++ {
		ok := true
		for i := 1; i < len(p); i++ {
			ok = ok && (int(p[i])-int(p[i-1])-step+20)%10 == 0
		}
		if ok {
			return true
		}
	}
	return false
}

func run(p string) bool {
	w := max(4, len(p)-1)
	for i := 0; i+w <= len(p); i++ {
		if constant(p[i : i+w]) {
			return true
		}
	}
	return false
}

func repeatedBlock(p string) bool {
	for size := 1; size <= (len(p)+1)/2; size++ {
		if strings.Repeat(p[:size], len(p))[:len(p)] == p {
			return true
		}
	}
	return false
}

func doubledDigits(p string) bool {
	for size := 2; size <= len(p)/2; size++ {
		if len(p)%size != 0 {
			continue
		}
		ok := true
		for i := 0; i < len(p); i += size {
			ok = ok && sameDigit(p[i:i+size])
		}
		if ok {
			return true
		}
	}
	return false
}

func interleavedRuns(p string) bool {
	if len(p) < 6 {
		return false
	}
	var odd, even strings.Builder
	for i := range len(p) {
		if i%2 == 0 {
			odd.WriteByte(p[i])
		} else {
			even.WriteByte(p[i])
		}
	}
	return constant(odd.String()) && constant(even.String())
}

// stairs reports whether all steps are 0 or 1, or all 0 or -1.
func stairs(p string) bool {
	seen := [10]bool{}
	for i := 1; i < len(p); i++ {
		seen[(int(p[i])-int(p[i-1])+10)%10] = true
	}
	for s := 2; s <= 8; s++ {
		if seen[s] {
			return false
		}
	}
	return !seen[1] || !seen[9]
}

// keypad is 123 / 456 / 789 with 0 below the 8.
func keypad(d byte) (row, col int) {
	i := strings.IndexByte("123456789 0 ", d)
	return i / 3, i % 3
}

func move(a, b byte) (rows, cols int) {
	ar, ac := keypad(a)
	br, bc := keypad(b)
	return br - ar, bc - ac
}

func adjacent(a, b byte, diagonal bool) bool {
	r, c := move(a, b)
	if diagonal {
		return a != b && max(r, -r) <= 1 && max(c, -c) <= 1
	}
	return r*r+c*c == 1
}

func lines(p string) bool {
	for ; p != ""; p = p[3:] {
		r1, c1 := move(p[0], p[1])
		r2, c2 := move(p[1], p[2])
		if r1 != r2 || c1 != c2 || !adjacent(p[0], p[1], true) {
			return false
		}
	}
	return true
}

func keypadLines(p string) bool {
	switch len(p) % 3 {
	case 0:
		return lines(p)
	case 1:
		return p[0] == '0' && lines(p[1:]) || p[len(p)-1] == '0' && lines(p[:len(p)-1])
	}
	return false
}

func keypadPath(p string) bool {
	for i := 1; i < len(p); i++ {
		if !adjacent(p[i-1], p[i], len(p) > 4) {
			return false
		}
	}
	return len(different(p)) == len(p)
}

func number(p string) int {
	n := 0
	for _, c := range p {
		n = 10*n + int(c-'0')
	}
	return n
}

func isYear(p string) bool { return number(p) >= 1940 && number(p) <= 2039 }

func isDate(day, month string) bool {
	m, d := number(month), number(day)
	return m >= 1 && m <= 12 && d >= 1 && d <= []int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m-1]
}

// isDay reads two digits as D M, M D or MM, three as DMM, DDM, MDD or MMD, four as DDMM
// or MMDD.
func isDay(p string) bool {
	if len(p) == 2 && number(p) >= 1 && number(p) <= 12 {
		return true
	}
	for i := 1; i < len(p); i++ {
		if i > 2 || len(p)-i > 2 {
			continue
		}
		if isDate(p[:i], p[i:]) || isDate(p[i:], p[:i]) {
			return true
		}
	}
	return false
}

func date(p string) bool {
	n := len(p)
	if n == 4 {
		return isDay(p)
	}
	if n < 6 || n > 8 {
		return false
	}
	// Four digits and a year of two: DDMMYY, MMDDYY and YYMMDD.
	if n == 6 && (isDay(p[:4]) || isDate(p[4:], p[2:4])) {
		return true
	}
	return isYear(p[:4]) && isDay(p[4:]) || isYear(p[n-4:]) && isDay(p[:n-4])
}

func weakPINs() *file {
	f := &file{name: "weak_pins", algorithm: "tandem-check-pin", schema: "weak_pins", notes: map[string]note{
		"Accepted": {"NORMAL", "No rule refuses this PIN.", "", nil},
		"NearMiss": {"EDGE_CASE", "A PIN that no rule refuses, one digit away from one that a rule refuses.", "A rule that refuses too much.", nil},
		"All":      {"NORMAL", "All PINs of one length.", "A rule that refuses too much or too little.", nil},
	}}
	f.notes["WeakParts"] = note{"WEAK_PARAMS", "Refused by the rule weak-parts.", "A thief's first guesses.", nil}
	var names []string
	for _, r := range pinRules {
		f.notes[r.flag] = note{"WEAK_PARAMS", "Refused by the rule " + r.name + ".", "A thief's first guesses.", nil}
		names = append(names, r.name)
	}
	names = append(names, "weak-parts")
	g := f.group("CheckPIN", nil)
	seen := map[string]bool{}
	put := func(pin, comment string, extra ...string) {
		if seen[pin] {
			return
		}
		seen[pin] = true
		rule, flag := weakRule(pin)
		t := T{"pin": pin, "rule": rule}
		if rule == "" {
			g.add(f.next(), comment, flags(append(extra, "Accepted")...), t)
			return
		}
		g.add(f.next(), comment, flags(flag), refuse(t, "check-pin", "WeakPINError"))
	}
	// For every rule and length, up to four PINs that it refuses, spread over all that
	// were found.
	byRule := map[string][]string{}
	for n := 4; n <= 12; n++ {
		found := map[string][]string{}
		for _, pin := range pinCandidates(n) {
			rule, _ := weakRule(pin)
			if rule != "" {
				found[rule] = append(found[rule], pin)
			}
		}
		for _, name := range names {
			list := found[name]
			slices.Sort(list)
			list = slices.Compact(list)
			for i := range min(4, len(list)) {
				pin := list[i*(len(list)-1)/max(1, min(4, len(list))-1)]
				put(pin, fmt.Sprintf("%s, %d digits", name, n))
				byRule[name] = append(byRule[name], pin)
			}
		}
	}
	// One digit away from each of them.
	for _, name := range names {
		for _, pin := range byRule[name] {
			h := stream("weak_pins/near/"+pin, 8)
			for i := range 4 {
				b := []byte(pin)
				at := int(h[2*i]) % len(b)
				b[at] = '0' + (b[at]-'0'+1+h[2*i+1]%9)%10
				if rule, _ := weakRule(string(b)); rule == "" {
					put(string(b), "near "+pin, "NearMiss")
					break
				}
			}
		}
	}
	for n := 4; n <= 12; n++ {
		for i := range 6 {
			put(derivedPIN(fmt.Sprintf("weak_pins/random/%d/%d", n, i), n), fmt.Sprintf("random, %d digits", n))
		}
	}
	sum := sha256.New()
	for _, t := range g.tests {
		fmt.Fprintf(sum, "%s %s\n", t["pin"], t["rule"])
	}
	g.fields["sha256"] = hex.EncodeToString(sum.Sum(nil))
	g = f.group("MalformedPIN", nil)
	for _, c := range malformedPINs {
		g.add(f.next(), c.comment, flags(c.flag), refuse(T{"pinEnc": hex.EncodeToString([]byte(c.pin))}, "check-pin", "ErrPINFormat"))
	}
	g = f.group("AllPINs", nil)
	for n := 4; n <= 5; n++ {
		h := sha256.New()
		refused := 0
		all := pow10(n)
		for i := range all {
			pin := fmt.Sprintf("%0*d", n, i)
			if rule, _ := weakRule(pin); rule != "" {
				refused++
				fmt.Fprintf(h, "%s %s\n", pin, rule)
			}
		}
		g.add(f.next(), fmt.Sprintf("all PINs of %d digits", n), flags("All"), T{"digits": n, "refused": refused, "sha256": hex.EncodeToString(h.Sum(nil))})
	}
	return f
}

var malformedPINs = []struct{ comment, pin, flag string }{
	{"no PIN", "", "PinEmpty"},
	{"one digit", "7", "PinTooShort"}, {"two digits", "12", "PinTooShort"}, {"three digits", "274", "PinTooShort"},
	{"13 digits", "2749163850274", "PinTooLong"}, {"14 digits", "27491638502749", "PinTooLong"}, {"64 digits", strings.Repeat("27491638", 8), "PinTooLong"},
	{"a letter", "27a9", "PinNonAscii"}, {"the byte before 0", "27/9", "PinNonAscii"}, {"the byte after 9", "27:9", "PinNonAscii"},
	{"a space after four digits", "2749 ", "PinNonAscii"}, {"a space before four digits", " 2749", "PinNonAscii"}, {"a newline after four digits", "2749\n", "PinNonAscii"},
	{"a zero byte after four digits", "2749\x00", "PinNonAscii"}, {"a sign", "+2749", "PinNonAscii"}, {"a minus sign", "-274", "PinNonAscii"},
	{"a decimal point", "27.9", "PinNonAscii"}, {"digits with bit 7 set", "\xb2\xb7\xb4\xb9", "PinNonAscii"},
	{"full-width digits", "２７４９", "PinNonAscii"}, {"Arabic-Indic digits", "٢٧٤٩", "PinNonAscii"}, {"one full-width digit", "２749", "PinNonAscii"},
	{"hexadecimal", "0x27", "PinNonAscii"}, {"exponent", "27e9", "PinNonAscii"},
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// derivedPIN is OS2IP of 16 derived bytes modulo 10^n, with leading zeros.
func derivedPIN(label string, n int) string {
	v := os2ip(stream(label, 16))
	v.Mod(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil))
	return fmt.Sprintf("%0*s", n, v)
}

// pinCandidates are PINs of n digits; each rule that can refuse PINs of this length
// refuses some of them.
func pinCandidates(n int) (out []string) {
	if n <= 5 {
		for i := range pow10(n) {
			out = append(out, fmt.Sprintf("%0*d", n, i))
		}
		return out
	}
	add := func(p string) {
		if len(p) == n {
			out = append(out, p)
		}
	}
	cut := func(p string) { add(p[:n]) }
	for i := range 400 {
		r := derivedPIN(fmt.Sprintf("weak_pins/candidate/%d/%d", n, i), 12)
		d := r[:1]
		add(strings.Repeat(d, n))
		for size := 2; size <= n/2; size++ {
			cut(strings.Repeat(r[:size], n))
			var b strings.Builder
			for _, c := range r {
				b.WriteString(strings.Repeat(string(c), size))
			}
			if n%size == 0 {
				cut(b.String())
			}
		}
		add(r[:n/2] + reversed(r[:n-n/2])[:n-n/2])
		add(r[:n/2] + reversed(r[:(n+1)/2]))
		two := []byte(r[:n])
		for i := range two {
			two[i] = r[int(two[i])%2]
		}
		add(string(two))
		// Runs, and interleaved runs.
		a, b, s, u := int(r[0]-'0'), int(r[1]-'0'), int(r[2]-'0')%5-2, int(r[3]-'0')%5-2
		one, other := make([]byte, n), make([]byte, n)
		for i := range n {
			one[i] = byte('0' + (a+i*s+50)%10)
			other[i] = one[i]
			if i%2 == 1 {
				other[i] = byte('0' + (b+i/2*u+50)%10)
			} else {
				other[i] = byte('0' + (a+i/2*s+50)%10)
			}
		}
		add(string(one))
		add(string(other))
		add(r[4:5] + string(one[1:]))
		// Stairs, the first digits in some order, and zeros.
		stair, order := []byte{r[0]}, []byte("123456789"[:min(n, 9)])
		for j := 1; j < n; j++ {
			stair = append(stair, '0'+(stair[j-1]-'0'+(r[j]&1)*(1+8*(r[11]&1)))%10)
		}
		add(string(stair))
		for j := len(order) - 1; j > 0; j-- {
			at := int(r[j]-'0') % (j + 1)
			order[j], order[at] = order[at], order[j]
		}
		add(string(order))
		zeros := strings.Repeat("0", n/2+1)
		add(zeros + r[:n-len(zeros)])
		add(r[:n-len(zeros)] + zeros)
		add(string(one[:n-1]) + r[4:5])
		// Lines of the keypad, and paths over it.
		ls := []string{"123", "456", "789", "147", "258", "369", "159", "357", "580"}
		var l strings.Builder
		for _, c := range r[:4] {
			line := ls[int(c)%len(ls)]
			if c > '4' {
				line = reversed(line)
			}
			l.WriteString(line)
		}
		switch n % 3 {
		case 0:
			cut(l.String())
		case 1:
			add("0" + l.String()[:n-1])
			add(l.String()[:n-1] + "0")
		}
		path := r[:1]
		for steps := 0; len(path) < n && steps < 200; steps++ {
			c := string(stream(fmt.Sprintf("weak_pins/path/%d/%d/%d", n, i, steps), 1)[0]%10 + '0')
			if adjacent(path[len(path)-1], c[0], true) && !strings.Contains(path, c) {
				path += c
			}
		}
		add(path)
		// Dates with a year, and parts of which each is weak.
		y := fmt.Sprint(1940 + int(number(r[:4])%100))
		add(y + r[4:n])
		add(r[:n-4] + y)
		if n == 6 {
			add(fmt.Sprintf("%02d%02d%s", 1+number(r[:2])%28, 1+number(r[2:4])%12, r[4:6]))
			add(fmt.Sprintf("%s%02d%02d", r[4:6], 1+number(r[2:4])%12, 1+number(r[:2])%28))
		}
		if n == 8 {
			add(fmt.Sprintf("%02d%02d%s", 1+number(r[:2])%28, 1+number(r[2:4])%12, y))
			add(fmt.Sprintf("%s%02d%02d", y, 1+number(r[2:4])%12, 1+number(r[:2])%28))
		}
		if n >= 8 {
			add(y + strings.Repeat(r[4:6], 4)[:n-4])
			add(strings.Repeat(r[4:6], 4)[:n-4] + y)
		}
	}
	for _, w := range words() {
		add(w)
	}
	for _, s := range sequences {
		cut(s)
	}
	for _, s := range famous {
		add(s)
	}
	return out
}

package pinlock

// words are common words of 4 to 12 letters that people type on a keypad with letters.
// LOVE is 5683, the sixth most frequent iPhone code in Amitay's count of 2011 and among
// the first in every count since. The others are words of affection, play and computers
// that head every ranking of passwords.
var words = keyed(
	"love", "baby", "king", "home", "game", "pass", "code",
	"angel", "lucky", "happy", "jesus", "heart", "qwert",
	"iloveu", "monkey", "dragon", "master", "soccer", "flower", "family",
	"summer", "secret", "qwerty", "sister", "mother", "father",
	"loveyou", "forever", "letmein", "welcome", "freedom",
	"iloveyou", "password", "princess", "sunshine", "football", "baseball",
	"butterfly", "chocolate", "basketball",
)

// sequences are those that people know by heart. A PIN of n digits is refused if it is
// the first n of one. Each has at least 12 digits.
var sequences = plain(
	"314159265358", // pi
	"271828182845", // e
	"141421356237", // square root of 2
	"173205080756", // square root of 3
	"161803398874", // golden ratio
	"112358132134", // Fibonacci numbers
	"235711131719", // primes
	"124816326412", // powers of two
	"149162536496", // squares
	"123456789101", // numbers from 1
	"135791113151", // odd numbers
	"246810121416", // even numbers
	"109876543210", // numbers down from 10
)

// numbers are refused if the PIN is one of them.
var numbers = plain(
	// pi again, rounded where that differs.
	"31416", "3141593", "31415927", "3141592654", "31415926536", "314159265359",
	// Berry, "PIN analysis" (DataGenetics, 2012): 420 and 69, a song's telephone
	// number, a television series' postal code, James Bond; "leet"; "I love you for ever"
	// in Chinese digits, both ways round; a word on a pocket calculator held upside down.
	"0070", "42069", "8675309", "90210", "1337", "31337", "5201314", "1314520", "38317",
	// What no rule refuses of the 160 most frequent of 4 digits in the same count
	// (in SecLists: four-digit-pin-codes-sorted-by-frequency-withcount.csv).
	"1235", "1318", "4200", "5150", "5425", "7942",
	"12300",
)

func word(d []int) int { return oneOf(words, d, len(d)) }

func number(d []int) int { return oneOf(sequences, d, maxPINLen) | oneOf(numbers, d, len(d)) }

// oneOf compares d with the start of each entry that has n digits.
func oneOf(list [][]int, d []int, n int) int {
	found := 0
	for _, l := range list {
		if len(l) != n {
			continue
		}
		ok := 1
		for i := range d {
			ok &= eq(d[i], l[i])
		}
		found |= ok
	}
	return found
}

// keyed spells words on the keypad of ITU-T E.161: ABC on 2 to WXYZ on 9.
func keyed(list ...string) [][]int {
	const keys = "22233344455566677778889999"
	for i, w := range list {
		b := []byte(w)
		for j := range b {
			b[j] = keys[b[j]-'a']
		}
		list[i] = string(b)
	}
	return plain(list...)
}

func plain(list ...string) [][]int {
	out := make([][]int, len(list))
	for i, s := range list {
		for _, c := range s {
			out[i] = append(out[i], int(c-'0'))
		}
	}
	return out
}

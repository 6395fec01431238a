package pinlock

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documentedRules reads the table of rules at CheckPIN: name and text of each, in order.
func documentedRules(t *testing.T) (names []string, texts map[string]string) {
	source, err := os.ReadFile("pin.go")
	require.NoError(t, err)
	row, more := regexp.MustCompile(`^//\t([a-z]+(?:-[a-z]+)*) {2,}(.*)$`), regexp.MustCompile(`^//\t {10,}(.*)$`)
	texts = make(map[string]string)
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSuffix(line, "\n")
		if m := row.FindStringSubmatch(line); m != nil && m[1] != "digits" {
			names = append(names, m[1])
			texts[m[1]] = m[2]
		} else if m := more.FindStringSubmatch(line); m != nil {
			texts[names[len(names)-1]] += " " + m[1]
		}
	}
	return names, texts
}

// TestDocumentedExamples: each PIN in the table at CheckPIN is refused by the rule beside
// it, and the table has the rules in the order in which they refuse.
func TestDocumentedExamples(t *testing.T) {
	names, texts := documentedRules(t)
	require.Equal(t, append(ruleNames[:], "weak-parts"), names)
	for _, name := range names {
		pins := regexp.MustCompile(`\b\d{4,12}\b`).FindAllString(texts[name], -1)
		if name == "date" {
			// Its row has forms, and the range of years, in place of examples.
			require.Equal(t, []string{"1940", "2039"}, pins)
			pins = []string{"3112", "1231", "311284", "123184", "841231", "112001", "2001311", "31122001", "20011231"}
		}
		require.NotEmpty(t, pins, name)
		for _, pin := range pins {
			require.Equal(t, name, ruleOf(t, pin), pin)
		}
	}

	// What scheme.md, 4.1, says of leading zeros.
	require.NotErrorIs(t, CheckPIN([]byte("0012")), ErrPINFormat)
	require.ErrorIs(t, CheckPIN([]byte("12")), ErrPINFormat)
}

// TestDocumentedCounts checks the numbers of refused PINs at CheckPIN, and that they stay
// a small share: with rules, a thief's search must not become shorter.
func TestDocumentedCounts(t *testing.T) {
	source, err := os.ReadFile("pin.go")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^//\t(\d) +([\d,]+) +([\d.]+) %`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, rows, 3)
	all := 1000
	for i, row := range rows {
		n := 4 + i
		all *= 10
		require.Equal(t, strconv.Itoa(n), row[1])
		if n > longest() {
			break
		}
		refused := 0
		for _, count := range refusedByRule(t, n) {
			refused += count
		}
		require.Equal(t, strconv.Itoa(refused), strings.ReplaceAll(row[2], ",", ""))
		require.Equal(t, fmt.Sprintf("%.1f", 100*float64(refused)/float64(all)), row[3])
		require.LessOrEqual(t, refused, all*15/100, "%d digits", n)
	}
}

// TestPublishedPINs: the 160 most frequent PINs of 4 digits after Berry's count of 3.4
// million (DataGenetics, 2012; in SecLists as
// four-digit-pin-codes-sorted-by-frequency-withcount.csv) are all refused.
func TestPublishedPINs(t *testing.T) {
	pins := strings.Fields(`
		1234 1111 0000 1212 7777 1004 2000 4444 2222 6969 9999 3333 5555 6666 1122 1313 8888 2001 4321 1010
		0909 2580 0007 1818 1230 1984 1986 0070 1985 0987 1000 1231 1987 1999 2468 2002 2323 0123 1123 1233
		1357 1221 1324 1988 2112 2121 5150 1024 1112 1224 1969 1225 1235 1982 1983 1001 1978 1979 7410 1020
		1223 1974 1975 1977 1980 1981 1029 1121 1213 1973 1976 2020 2345 2424 2525 1515 1970 1972 1989 0001
		1023 1414 9876 0101 0907 1245 1966 1967 1971 8520 1964 1968 4545 1318 5678 1011 1124 1211 1963 4200
		4567 1007 1012 1025 1120 1125 1214 1236 1965 7942 1028 1209 1227 3535 7890 0420 1210 1222 1701 1919
		5425 1113 1226 1717 1957 1959 1990 5252 0202 1002 1003 1114 1205 1215 1220 1228 1956 1962 3232 0124
		0303 0505 0815 1013 1014 1021 1022 1027 1030 1101 1128 1133 1945 1955 1960 3030 3210 5050 9090 0077`)
	require.Len(t, pins, 160)
	var passed []string
	for _, pin := range pins {
		if ruleOf(t, pin) == "" {
			passed = append(passed, pin)
		}
	}
	require.Empty(t, passed)
}

package comparison

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Headline is what this run says in a sentence, "" if it has no composite signature: the
// whole signature of two parties against OpenSSL's ordinary ones of the same length, of
// one party, by the shape of the key, with and without AVX-512 IFMA. It names the
// processor, and is true of the rows of the table, whatever they are.
func (r *Result) Headline() string {
	var parts []string
	for _, v := range []struct {
		own, other, says string
		versions         int // of OpenSSL, Debian's first; -1 is all
	}{{"", "", "", -1}, {"no IFMA", "no IFMA", "without IFMA on both sides, ", 1}, {"pure Go", "", "in pure Go, ", 1}} {
		own := r.find(4096, "tandem, composite", v.own)
		if own == nil {
			continue
		}
		var names []string
		ratios := map[string][]string{}
		for _, c := range r.Rows {
			name, ok := strings.CutSuffix(c.Name, ", unsplit")
			if !ok || !strings.HasPrefix(name, "OpenSSL ") || c.Bits != 4096 || c.Variant != v.other {
				continue
			}
			if !slices.Contains(names, name) {
				if len(names) == v.versions {
					continue
				}
				names = append(names, name)
			}
			ratios[name] = append(ratios[name], fmt.Sprintf("%.2f (%s)", own.Time.Median/c.Time.Median, c.Shape()))
		}
		for i, name := range names {
			names[i] = "by " + name + " " + list(ratios[name])
		}
		if len(names) > 0 {
			parts = append(parts, v.says+strings.Join(names, ", "))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("a composite RSA-4096 signature of two parties, every check included, takes this part of the processor time of an ordinary RSA-4096 signature of one party (%s): %s",
		r.Machine.Kind(), strings.Join(parts, "; "))
}

func (r *Result) find(bits int, name, variant string) *Row {
	for i, row := range r.Rows {
		if row.Task == "signature" && row.Bits == bits && row.Name == name && row.Variant == variant {
			return &r.Rows[i]
		}
	}
	return nil
}

// list joins with commas, and "and" before the last.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func upper(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

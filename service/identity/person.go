package identity

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Person is what a certificate says of its subject.
type Person struct {
	ID      ID
	Given   string
	Surname string
	Born    time.Time // of which only the date counts, in its own time zone; zero if unknown
}

// MaxName is the most characters that a surname, a comma and a given name have together:
// ub-common-name of RFC 5280, appendix A.1.
const MaxName = 64

// Check refuses a Person whom no certificate can name. The error is an [*Error]. Names
// are of printable characters: a control character, a line break or a mark that changes
// the direction of text would show one name and mean another. A comma would end the
// surname where software splits the common name.
func (p Person) Check() error {
	if err := p.ID.Check(); err != nil {
		return err
	}
	for _, name := range []struct{ field, text string }{{"surname", p.Surname}, {"given name", p.Given}} {
		switch {
		case name.text == "":
			return &Error{name.field, "is empty"}
		case !utf8.ValidString(name.text):
			return &Error{name.field, "is not UTF-8"}
		case strings.ContainsFunc(name.text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
			return &Error{name.field, "has a character that does not print"}
		case strings.Contains(name.text, ","):
			return &Error{name.field, "has a comma"}
		case strings.TrimSpace(name.text) != name.text || strings.Contains(name.text, "  "):
			return &Error{name.field, "has a space too many"}
		}
	}
	if n := utf8.RuneCountInString(p.CommonName()); n > MaxName {
		return &Error{"name", "has more than 64 characters, comma included"}
	}
	if !p.Born.IsZero() && (p.Born.Year() < 1850 || p.Born.After(time.Now())) {
		return &Error{"date of birth", "is before 1850 or in the future"}
	}
	return nil
}

// CommonName returns "SURNAME,GIVEN".
func (p Person) CommonName() string { return p.Surname + "," + p.Given }

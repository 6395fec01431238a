// Package identity has the names of persons and of their accounts: the semantics
// identifier of ETSI EN 319 412-1 ("PNOEE-40504040001"), the document number, which names
// one account of a person ("PNOEE-40504040001-7TRE-Q"), the level of its certificates,
// and what a certificate says of the person.
//
// All of it is public as far as certificates are. Parsing takes canonical text only:
// upper case, no space, nothing left over, so that two texts are the same name exactly if
// they are equal.
package identity

import (
	"crypto/rand"
	"strings"
)

// An Error says which part of a name is not acceptable, and why.
type Error struct {
	Field   string // such as "country" or "given name"
	Problem string
}

func (e *Error) Error() string {
	if e == nil {
		return "identity: nil Error"
	}
	return "identity: the " + e.Field + " " + e.Problem
}

// Level is how well the person behind an account is known: [Qualified] or [Advanced]. The
// zero Level is neither.
type Level uint8

const (
	Advanced  Level = 1 // "NQ" in a document number
	Qualified Level = 2 // "Q"
)

// String returns the name of the relying-party API.
func (l Level) String() string {
	switch l {
	case Advanced:
		return "ADVANCED"
	case Qualified:
		return "QUALIFIED"
	}
	return "UNKNOWN"
}

func (l Level) suffix() string {
	switch l {
	case Advanced:
		return "NQ"
	case Qualified:
		return "Q"
	}
	return ""
}

// ID is a semantics identifier of a natural person. The zero ID is nobody's.
type ID struct {
	Type    string // "PNO" (personal number), "IDC" (identity card) or "PAS" (passport)
	Country string // ISO 3166-1, alpha-2
	Number  string // 1 to 40 of A-Z, a-z, 0-9 and, between these, "-"
}

const maxNumber = 40

// ParseID reads an ID. The error is an [*Error].
func ParseID(s string) (ID, error) {
	prefix, number, found := strings.Cut(s, "-")
	if !found || len(prefix) != 5 {
		return ID{}, &Error{"identifier", `does not begin with a type, a country and "-"`}
	}
	id := ID{prefix[:3], prefix[3:], number}
	return id, id.Check()
}

// Check refuses an ID that ParseID would not read. The error is an [*Error].
func (id ID) Check() error {
	switch {
	case id.Type != "PNO" && id.Type != "IDC" && id.Type != "PAS":
		return &Error{"type of the identifier", "is not a natural person's: PNO, IDC or PAS"}
	case !Country(id.Country):
		return &Error{"country", "is not a code of ISO 3166-1 in upper case"}
	case id.Number == "" || len(id.Number) > maxNumber:
		return &Error{"number", "does not have 1 to 40 characters"}
	case id.Number[0] == '-' || id.Number[len(id.Number)-1] == '-' || !all(id.Number, func(c byte) bool { return alphanumeric(c) || c == '-' }):
		return &Error{"number", `is not of letters, digits and "-"`}
	}
	return nil
}

// String returns the text that ParseID reads.
func (id ID) String() string { return id.Type + id.Country + "-" + id.Number }

// Document is a document number: it names one account. The zero Document names none.
type Document struct {
	ID    ID
	Label string // 4 of A-Z and 0-9
	Level Level
}

const labelSize = 4

// NewDocument draws a document number. Whether another account has it already, of the 1.7
// million that one person can have, is for the caller to find out.
func NewDocument(id ID, level Level) (Document, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	label := make([]byte, 0, labelSize)
	for len(label) < labelSize {
		var b [1]byte
		rand.Read(b[:])
		// 252 = 7 * 36: each character is as probable as any other.
		if b[0] < 252 {
			label = append(label, alphabet[int(b[0])%len(alphabet)])
		}
	}
	d := Document{id, string(label), level}
	return d, d.Check()
}

// ParseDocument reads a document number. The error is an [*Error].
func ParseDocument(s string) (Document, error) {
	rest, suffix, ok := cutLast(s)
	id, label, ok2 := cutLast(rest)
	if !ok || !ok2 {
		return Document{}, &Error{"document number", `is not an identifier, "-", 4 characters, "-" and Q or NQ`}
	}
	d := Document{Label: label}
	switch suffix {
	case "Q":
		d.Level = Qualified
	case "NQ":
		d.Level = Advanced
	}
	var err error
	if d.ID, err = ParseID(id); err != nil {
		return Document{}, err
	}
	return d, d.Check()
}

// Check refuses a Document that ParseDocument would not read. The error is an [*Error].
func (d Document) Check() error {
	if err := d.ID.Check(); err != nil {
		return err
	}
	if len(d.Label) != labelSize || !all(d.Label, func(c byte) bool { return alphanumeric(c) && (c < 'a' || c > 'z') }) {
		return &Error{"label of the document number", "does not have 4 of A-Z and 0-9"}
	}
	if d.Level.suffix() == "" {
		return &Error{"end of the document number", "is neither Q nor NQ"}
	}
	return nil
}

// String returns the text that ParseDocument reads.
func (d Document) String() string {
	return d.ID.String() + "-" + d.Label + "-" + d.Level.suffix()
}

func cutLast(s string) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

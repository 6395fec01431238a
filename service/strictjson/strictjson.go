// Package strictjson reads JSON objects from strangers (RFC 8259, and I-JSON of RFC
// 7493): a member twice, a lone surrogate, bytes that are not UTF-8, a number that is
// none, more than 64 KiB and deep nesting are errors, each with a JSON pointer (RFC 6901)
// to its place. encoding/json takes most of these, and takes members in any case of
// letters, so that two readers of one body may see two things.
package strictjson

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxBytes is the length of the longest body.
	MaxBytes = 64 << 10
	// MaxDepth is how many objects and arrays may be in one another.
	MaxDepth = 8
)

// An Error says what is wrong with a body, and where.
type Error struct {
	Pointer string // RFC 6901: "" is the body itself, "/a/0" the first element of member a
	Problem string
}

func (e *Error) Error() string {
	if e == nil {
		return "strictjson: nil Error"
	}
	if e.Pointer == "" {
		return "strictjson: the body " + e.Problem
	}
	return "strictjson: " + e.Pointer + " " + e.Problem
}

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

// value is one JSON value. A number is kept as it is written.
type value struct {
	kind    kind
	bool    bool
	text    string
	items   []value
	members []member // in the order of the body
}

type member struct {
	name  string
	value value
}

// parser reads one body. The first error stays.
type parser struct {
	in  string
	at  int
	err *Error
}

func parse(body []byte) (value, error) {
	if len(body) > MaxBytes {
		return value{}, &Error{"", "has more than 64 KiB"}
	}
	if !utf8.Valid(body) {
		return value{}, &Error{"", "is not UTF-8"}
	}
	p := &parser{in: string(body)}
	v := p.value("", 0)
	p.space()
	if p.err == nil && p.at < len(p.in) {
		p.malformed()
	}
	if p.err != nil {
		return value{}, p.err
	}
	return v, nil
}

func (p *parser) fail(pointer, problem string) {
	if p.err == nil {
		p.err = &Error{pointer, problem}
	}
	p.at = len(p.in)
}

func (p *parser) malformed() { p.fail("", "is not JSON, at byte "+strconv.Itoa(p.at)) }

func (p *parser) space() {
	for p.at < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.at]) >= 0 {
		p.at++
	}
}

// next returns the next byte that is not white space, or 0 at the end.
func (p *parser) next() byte {
	p.space()
	if p.at == len(p.in) {
		return 0
	}
	return p.in[p.at]
}

// take reports whether s comes next, and skips it.
func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.in[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) value(pointer string, depth int) value {
	c := p.next()
	switch {
	case (c == '{' || c == '[') && depth == MaxDepth:
		p.fail(pointer, "is nested too deeply")
	case c == '{':
		return p.object(pointer, depth)
	case c == '[':
		return p.array(pointer, depth)
	case c == '"':
		return value{kind: text, text: p.string()}
	case c == '-' || c >= '0' && c <= '9':
		return value{kind: number, text: p.number()}
	case p.take("true"):
		return value{kind: boolean, bool: true}
	case p.take("false"):
		return value{kind: boolean}
	case p.take("null"):
		return value{}
	default:
		p.malformed()
	}
	return value{}
}

func (p *parser) object(pointer string, depth int) value {
	v := value{kind: object}
	p.at++
	if p.next() == '}' {
		p.at++
		return v
	}
	seen := map[string]bool{}
	for p.err == nil {
		if p.next() != '"' {
			p.malformed()
			break
		}
		name := p.string()
		if p.err == nil && p.next() != ':' {
			p.malformed()
		}
		if p.err != nil {
			break
		}
		p.at++
		at := pointer + "/" + escape(name)
		if seen[name] {
			p.fail(at, "is there twice")
			break
		}
		seen[name] = true
		v.members = append(v.members, member{name, p.value(at, depth+1)})
		if !p.more('}') {
			break
		}
	}
	return v
}

func (p *parser) array(pointer string, depth int) value {
	v := value{kind: array}
	p.at++
	if p.next() == ']' {
		p.at++
		return v
	}
	for p.err == nil {
		v.items = append(v.items, p.value(pointer+"/"+strconv.Itoa(len(v.items)), depth+1))
		if !p.more(']') {
			break
		}
	}
	return v
}

// more skips a comma, and returns true, or the end of an array or an object.
func (p *parser) more(end byte) bool {
	if p.err != nil {
		return false
	}
	switch p.next() {
	case ',':
		p.at++
		return true
	case end:
		p.at++
	default:
		p.malformed()
	}
	return false
}

// number returns a number as it is written.
func (p *parser) number() string {
	begin := p.at
	digits := func() bool {
		from := p.at
		for p.at < len(p.in) && p.in[p.at] >= '0' && p.in[p.at] <= '9' {
			p.at++
		}
		return p.at > from
	}
	p.take("-")
	ok := p.take("0") || digits()
	if ok && p.take(".") {
		ok = digits()
	}
	if ok && (p.take("e") || p.take("E")) {
		_ = p.take("+") || p.take("-")
		ok = digits()
	}
	if !ok {
		p.malformed()
		return ""
	}
	return p.in[begin:p.at]
}

// string returns what a string stands for. Its quote comes next.
func (p *parser) string() string {
	var out strings.Builder
	for p.at++; p.at < len(p.in); {
		switch c := p.in[p.at]; {
		case c == '"':
			p.at++
			return out.String()
		case c < ' ':
			p.malformed()
			return ""
		case c == '\\':
			p.at++
			r, ok := p.escaped()
			if !ok {
				p.malformed()
				return ""
			}
			out.WriteRune(r)
		default:
			out.WriteByte(c)
			p.at++
		}
	}
	p.malformed()
	return ""
}

// escaped reads what follows a backslash. A surrogate must have its other half.
func (p *parser) escaped() (rune, bool) {
	if p.at == len(p.in) {
		return 0, false
	}
	c := p.in[p.at]
	p.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), true
	}
	if c != 'u' {
		return 0, false
	}
	r, ok := p.hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !p.take(`\u`) {
		return 0, false
	}
	low, ok := p.hex()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (p *parser) hex() (rune, bool) {
	if len(p.in)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(p.in[p.at:p.at+4], 16, 16)
	p.at += 4
	return rune(n), err == nil
}

// escape writes a name in a JSON pointer. A stranger chose the name: a long one is cut.
func escape(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "..."
	}
	return escaper.Replace(name)
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// canonical appends a value with its members in the order of their names, and without
// white space. Two values with the same canonical form are equal.
func (v value) canonical(b []byte) []byte {
	switch v.kind {
	case boolean:
		return strconv.AppendBool(b, v.bool)
	case number:
		return append(b, v.text...)
	case text:
		return appendText(b, v.text)
	case array:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.canonical(b)
		}
		return append(b, ']')
	case object:
		members := slices.Clone(v.members)
		slices.SortFunc(members, func(x, y member) int { return strings.Compare(x.name, y.name) })
		b = append(b, '{')
		for i, m := range members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, m.name), ':')
			b = m.value.canonical(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendText(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string is always encoded
	}
	return append(b, quoted...)
}

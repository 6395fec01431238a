// Package phoneops calls the methods of a mobile.Phone by name, for whatever speaks to it
// in messages: the browser's worker, and tests that drive phones of several kinds.
package phoneops

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"

	"github.com/tandem-rsa/tandem/service/mobile"
)

// Args are the arguments of a call, by name. What is missing is empty.
type Args interface {
	String(name string) string
	Int(name string) int
	Bytes(name string) []byte // that the call may clear
}

// Op is one operation.
type Op struct {
	call func(p *mobile.Phone, a Args) (*mobile.Outcome, error)
	// Changes says that it changes the phone: one of these at a time.
	Changes bool
	// PIN says that it has a PIN: what is in memory afterwards should not stay there.
	PIN bool
}

// Ops are all operations, by name: the methods of mobile.Phone, with a small first
// letter.
var Ops = map[string]Op{
	"enrol": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Enrol(a.String("code"), a.String("label"), a.Bytes("pin1"), a.Bytes("pin2"))
	}, true, true},
	"resumeEnrolment": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.ResumeEnrolment(a.Bytes("pin1"), a.Bytes("pin2"))
	}, true, true},
	"ask":  {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Ask(a.String("label")) }, true, false},
	"scan": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Scan(a.String("request")) }, true, false},
	"approve": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Approve(a.String("request"), a.String("device"), a.Bytes("pin"))
	}, true, true},
	"home":        {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Home() }, false, false},
	"readHistory": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.ReadHistory(a.String("before")) }, false, false},
	"changePIN": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.ChangePIN(a.String("key"), a.Bytes("oldPIN"), a.Bytes("newPIN"))
	}, true, true},
	"delete": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Delete() }, true, false},
	"forget": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Forget() }, true, false},
	"poll": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Poll(a.Int("wait"), a.String("known"))
	}, false, false},
	// The arguments of listen are the listener, too.
	"listen": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		l, _ := a.(mobile.Listener)
		return p.Listen(l)
	}, false, false},
	"hush": {func(p *mobile.Phone, _ Args) (*mobile.Outcome, error) {
		p.Hush()
		return &mobile.Outcome{Code: mobile.CodeOK}, nil
	}, false, false},
	"subscribe": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Subscribe(a.String("kind"), a.String("address"))
	}, false, false},
	"open":     {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Open(a.String("session")) }, true, false},
	"openLink": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.OpenLink(a.String("link")) }, true, false},
	"choose": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Choose(a.String("session"), a.String("code"))
	}, true, false},
	"useAccount": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.UseAccount(a.String("session")) }, true, false},
	"sign": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Sign(a.String("session"), a.Bytes("pin"))
	}, true, true},
	"refuse": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		return p.Refuse(a.String("session"), a.String("screen"))
	}, true, false},
	"resume": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Resume() }, true, false},
	"giveUp": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.GiveUp(a.String("key")) }, true, false},
	"status": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) { return p.Status() }, true, false},
	"checkPIN": {func(p *mobile.Phone, a Args) (*mobile.Outcome, error) {
		pin, other := a.Bytes("pin"), a.Bytes("other")
		defer clear(pin)
		defer clear(other)
		return mobile.CheckPIN(pin, other), nil
	}, false, true},
}

// Result is what became of a call: the outcome's code, and all that it has, by the names
// of its fields and methods with a small first letter.
type Result struct {
	Outcome string         `json:"outcome"`
	Result  map[string]any `json:"result"`
}

// Call calls an operation.
func Call(p *mobile.Phone, name string, a Args) (Result, error) {
	op, ok := Ops[name]
	if !ok {
		return Result{}, fmt.Errorf("phone: no operation %q", name)
	}
	o, err := op.call(p, a)
	if err != nil {
		return Result{}, err
	}
	r := object(reflect.ValueOf(o))
	delete(r, "code")
	for name, v := range map[string]any{
		"holder": o.Holder(), "found": o.Found(), "shown": o.Shown(), "now": state(o.Now()), "lines": lines(o.Lines()),
		"newDevice": o.NewDevice(), "request": o.Request(), "revocationCode": o.RevocationCode(), "callbackURL": o.CallbackURL(),
	} {
		if rv := reflect.ValueOf(v); rv.IsValid() && !rv.IsZero() {
			r[name] = value(rv)
		}
	}
	return Result{o.Code, r}, nil
}

func state(s *mobile.State) map[string]any {
	if s == nil {
		return nil
	}
	out := object(reflect.ValueOf(s))
	if t := s.Shown(); t != nil {
		out["shown"] = object(reflect.ValueOf(t))
	}
	return out
}

func lines(h *mobile.History) []any {
	if h == nil {
		return nil
	}
	out := []any{}
	for i := range h.Len() {
		out = append(out, object(reflect.ValueOf(h.At(i))))
	}
	return out
}

// object has the exported fields that are not empty.
func object(p reflect.Value) map[string]any {
	out := map[string]any{}
	for t, i := p.Elem().Type(), 0; i < t.NumField(); i++ {
		if f := t.Field(i); f.IsExported() && !p.Elem().Field(i).IsZero() {
			out[small(f.Name)] = value(p.Elem().Field(i))
		}
	}
	return out
}

// value is what JavaScript has too.
func value(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case map[string]any, []any:
		return x
	case int64:
		return int(x)
	}
	if v.Kind() == reflect.Pointer {
		return object(v)
	}
	return v.Interface()
}

func small(name string) string {
	if strings.ToUpper(name) == name {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}

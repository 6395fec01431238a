package niltest_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
)

// failures is a test that may fail.
type failures struct {
	testing.TB
	said string
}

func (f *failures) Helper() {}

func (f *failures) Errorf(format string, args ...any) { f.said += fmt.Sprintf(format, args...) }

func (f *failures) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	f.FailNow()
}

func (f *failures) FailNow() { panic(f) }

func check(t *testing.T, p niltest.Package) (said string) {
	f := &failures{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
		said = f.said
	}()
	niltest.Check(f, p)
	return f.said
}

type good struct{ n int }

func (g *good) Do(b []byte, r io.Reader) error {
	if g == nil || g.n == 0 || r == nil || r == (*reader)(nil) {
		return errors.New("nothing")
	}
	return nil
}

type crashes struct{ n int }

func (c *crashes) Get() int { return c.n }

type passes struct{}

func (p *passes) Do() error { return nil }

type prints struct{ n *int }

func (p prints) Format(f fmt.State, _ rune) { fmt.Fprint(f, *p.n) }

type reader struct{ b []byte }

func (r *reader) Read(b []byte) (int, error) { return copy(b, r.b), nil }

func refuses(r io.Reader) error {
	if r == nil {
		return errors.New("nothing")
	}
	_, err := r.Read(nil)
	return err
}

func TestCheck(t *testing.T) {
	check := func(p niltest.Package) string {
		if p.Functions == nil {
			p.Functions = map[string]any{}
		}
		p.Functions["Check"] = func() {}
		return check(t, p)
	}
	require.Empty(t, check(niltest.Package{
		Types: []any{(*good)(nil)}, Values: []func() any{func() any { return &good{1} }}, Good: []any{&reader{}}, Nils: []any{(*reader)(nil)},
	}))
	require.Contains(t, check(niltest.Package{Types: []any{(*crashes)(nil)}}), "crashes.Get panics")
	require.Contains(t, check(niltest.Package{Types: []any{(*passes)(nil)}}), "passes.Do returns no error")
	require.Empty(t, check(niltest.Package{Types: []any{(*passes)(nil)}, May: map[string]string{"passes.Do": "it may"}}))
	require.Contains(t, check(niltest.Package{May: map[string]string{"passes.Do": "it may"}}), "is not called")
	require.Contains(t, check(niltest.Package{Types: []any{(*prints)(nil)}}), "prints")
	require.Empty(t, check(niltest.Package{Functions: map[string]any{"f": refuses}}))
	require.Contains(t, check(niltest.Package{Functions: map[string]any{"f": refuses}, Nils: []any{(*reader)(nil)}}), "f panics")
	require.Contains(t, check(niltest.Package{Functions: map[string]any{"f": func(io.Reader) error { return nil }}, Good: []any{&reader{}}}), "f returns no error")
	require.Contains(t, check(niltest.Package{
		Values: []func() any{func() any { return &good{1} }}, Good: []any{&reader{}}, Nils: []any{(*other)(nil)},
	}), "good.Do:1")
	// What the package exports is in the table: here, all but Check.
	f := &failures{TB: t}
	func() {
		defer func() { require.Equal(t, any(f), recover()) }()
		niltest.Check(f, niltest.Package{})
	}()
	require.Contains(t, f.said, "Check is exported")
}

type other struct{ b []byte }

func (o *other) Read(b []byte) (int, error) { return copy(b, o.b), nil }

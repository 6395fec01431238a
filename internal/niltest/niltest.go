// Package niltest calls everything that a package exports with nothing: methods of nil
// pointers and of zero values, functions and methods without arguments, interface values
// that hold nil pointers. Whatever can return an error must do so, and nothing may panic.
//
// What a package exports is read from its source, so that nothing is forgotten.
package niltest

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Package is what Check calls.
type Package struct {
	// Types has a nil pointer of each exported type that has methods.
	Types []any
	// Values makes a usable value of a type (a pointer). Its methods are called with good
	// arguments but one. Each call gets a new value.
	Values []func() any
	// Functions are the exported functions, by name.
	Functions map[string]any
	// Good has a good argument for each type of parameters that has one.
	Good []any
	// Nils are nil pointers that implement the interfaces of parameters.
	Nils []any
	// May names functions, methods ("Type.Method") and parameters of them ("Name:1") that
	// accept nothing: they need return no error. The value says why.
	May map[string]string
}

var (
	errorType   = reflect.TypeFor[error]()
	contextType = reflect.TypeFor[context.Context]()
)

// Check fails the test if something panics, returns a nil error, or is exported and not
// called. It runs in the directory of the package.
func Check(t testing.TB, p Package) {
	called := map[string]bool{}
	may := map[string]bool{}
	for name := range p.May {
		may[name] = false
	}
	excused := func(names ...string) bool {
		for _, name := range names {
			if _, ok := may[name]; ok {
				may[name] = true
				return true
			}
		}
		return false
	}
	for _, pointer := range p.Types {
		typ := reflect.TypeOf(pointer)
		name := typ.Elem().Name()
		require.True(t, reflect.ValueOf(pointer).IsNil(), name)
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			called[name+"."+m.Name] = true
			if m.Name == "Format" { // fmt's own, below
				continue
			}
			receivers := map[string]reflect.Value{"zero": reflect.New(typ.Elem())}
			if _, byValue := typ.Elem().MethodByName(m.Name); !byValue {
				receivers["nil"] = reflect.Zero(typ)
			}
			for kind, r := range receivers {
				what := kind + " " + name + "." + m.Name
				for _, args := range nothings(m.Func.Type(), 1, p.Nils) {
					out := call(t, what, m.Func, append([]reflect.Value{r}, args...))
					requireRefusal(t, what, out, excused(name+"."+m.Name))
				}
			}
		}
		// Methods of values have no nil receiver: fmt prints nil pointers itself.
		for _, v := range []any{pointer, reflect.New(typ.Elem()).Interface(), reflect.Zero(typ.Elem()).Interface()} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
				require.NotContains(t, fmt.Sprintf(verb, v), "PANIC", name)
			}
		}
	}
	for name, f := range p.Functions {
		called[name] = true
		v := reflect.ValueOf(f)
		for _, args := range nothings(v.Type(), 0, p.Nils) {
			requireRefusal(t, name, call(t, name, v, args), excused(name))
		}
		allButOne(t, p, name, v, 0, nil, excused)
	}
	for _, value := range p.Values {
		typ := reflect.TypeOf(value())
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			if m.Name == "Format" {
				continue
			}
			allButOne(t, p, typ.Elem().Name()+"."+m.Name, m.Func, 1, value, excused)
		}
	}
	for _, name := range exported(t) {
		require.True(t, called[name], "%s is exported, and not in the table", name)
	}
	for name, used := range may {
		require.True(t, used, "%s may do without, but is not called", name)
	}
}

// allButOne calls a function with good arguments, but for one that is nothing.
func allButOne(t testing.TB, p Package, name string, f reflect.Value, first int, receiver func() any, excused func(...string) bool) {
	typ := f.Type()
	for i := first; i < typ.NumIn(); i++ {
		in := typ.In(i)
		switch in.Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice:
		default:
			continue
		}
		for _, nothing := range nothing(in, p.Nils) {
			var args []reflect.Value
			if receiver != nil {
				args = append(args, reflect.ValueOf(receiver()))
			}
			for j := first; j < typ.NumIn(); j++ {
				if j == i {
					args = append(args, nothing)
				} else {
					args = append(args, good(typ.In(j), p.Good))
				}
			}
			what := fmt.Sprintf("%s:%d", name, i-first)
			// A context may be unused, and a slice empty.
			lax := in == contextType || in.Kind() == reflect.Slice
			requireRefusal(t, what, call(t, what, f, args), lax || excused(name, what))
		}
	}
}

// nothings returns the lists of arguments with nothing in them: of nils, and of
// interfaces that hold nils.
func nothings(typ reflect.Type, first int, nils []any) [][]reflect.Value {
	var plain, holding []reflect.Value
	for i := first; i < typ.NumIn(); i++ {
		n := nothing(typ.In(i), nils)
		plain, holding = append(plain, n[0]), append(holding, n[len(n)-1])
	}
	return [][]reflect.Value{plain, holding}
}

// nothing returns the zero value of a type, and of an interface also those that hold a
// nil.
func nothing(typ reflect.Type, nils []any) []reflect.Value {
	out := []reflect.Value{reflect.Zero(typ)}
	if typ.Kind() == reflect.Interface && typ.NumMethod() > 0 {
		for _, n := range nils {
			if reflect.TypeOf(n).Implements(typ) {
				v := reflect.New(typ).Elem()
				v.Set(reflect.ValueOf(n))
				out = append(out, v)
			}
		}
	}
	return out
}

func good(typ reflect.Type, values []any) reflect.Value {
	if typ == contextType {
		return reflect.ValueOf(context.Background())
	}
	for _, v := range values {
		if r := reflect.ValueOf(v); r.Type().AssignableTo(typ) {
			return r
		}
	}
	return reflect.Zero(typ)
}

func call(t testing.TB, what string, f reflect.Value, args []reflect.Value) (out []reflect.Value) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%s panics: %v", what, r)
		}
	}()
	if f.Type().IsVariadic() {
		return f.CallSlice(args)
	}
	return f.Call(args)
}

func requireRefusal(t testing.TB, what string, out []reflect.Value, lax bool) {
	t.Helper()
	if len(out) == 0 || lax {
		return
	}
	if last := out[len(out)-1]; last.Type() == errorType {
		require.False(t, last.IsNil(), "%s returns no error", what)
	}
}

// exported returns the exported functions and methods of the package in the working
// directory, but for those of value receivers, which have no nil.
func exported(t testing.TB) []string {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			if f.Recv == nil {
				out = append(out, f.Name.Name)
			} else if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok && ast.IsExported(fmt.Sprint(star.X)) {
				out = append(out, fmt.Sprint(star.X)+"."+f.Name.Name)
			}
		}
	}
	require.NotEmpty(t, out)
	return out
}

package bolt_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// TestNothing: every method of a nil store, of the zero value, and of a store that gets
// no context or no id returns an error, and none panics.
func TestNothing(t *testing.T) {
	open := func() *bolt.Store {
		s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	typ := reflect.TypeFor[*bolt.Store]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		for name, s := range map[string]*bolt.Store{"nil": nil, "zero": new(bolt.Store), "open": open()} {
			if m.Type.NumIn() == 1 && name == "open" {
				continue // nothing is what it takes
			}
			args := []reflect.Value{reflect.ValueOf(s)}
			for j := 1; j < m.Type.NumIn(); j++ {
				args = append(args, reflect.Zero(m.Type.In(j)))
			}
			var out []reflect.Value
			require.NotPanics(t, func() { out = m.Func.Call(args) }, "%s Store.%s", name, m.Name)
			if n := len(out); n > 0 && out[n-1].Type() == reflect.TypeFor[error]() {
				require.False(t, out[n-1].IsNil(), "%s Store.%s returns no error", name, m.Name)
			}
		}
	}
	require.NotZero(t, typ.NumMethod())
	_, err := bolt.Open("", bolt.Options{})
	require.Error(t, err)
}

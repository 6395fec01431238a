package secret_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/internal/secret"
)

type exported struct{ V any }

type unexported struct{ v any }

// embedded has no Format method: that of neither field is promoted.
type embedded struct {
	secret.Bytes
	secret.Value[string]
}

// TestHidden: no printer finds what is held: as a value or a pointer, by itself, in a
// field or embedded, whatever T is.
func TestHidden(t *testing.T) {
	const text = "a secret of 32 bytes: 8395172640"
	b := secret.Own([]byte(text))
	s, p, m := secret.Hide(text), secret.Hide(&[]string{text}), secret.Hide(map[string][]byte{text: []byte(text)})
	array := secret.Hide([32]byte([]byte(text)))
	nested := secret.Hide(exported{unexported{text}})
	values := []any{b, &b, s, &s, p, &p, m, &m, array, &array, nested, &nested,
		embedded{b, s}, &embedded{b, s}, struct{ v embedded }{embedded{b, s}}}
	for _, v := range values {
		values = append(values, exported{v}, unexported{v}, &exported{&v}, &unexported{&v}, []any{v})
	}
	printtest.Hidden(t, map[string][]byte{"the secret": []byte(text)}, values...)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.Equal(t, "secret(hidden)", fmt.Sprintf(verb, b))
		require.Equal(t, "secret(hidden)", fmt.Sprintf(verb, &s))
		require.Equal(t, "secret(hidden)", fmt.Sprintf(verb, secret.Value[int]{}))
	}
	require.Equal(t, text, string(b.Get()))
	require.Equal(t, text, s.Get())
	require.Equal(t, []string{text}, *p.Get())
}

// TestWipe: the bytes themselves are cleared, and no copy of the holder has any
// afterwards.
func TestWipe(t *testing.T) {
	given := []byte("secret")
	own := secret.Own(given)
	copied := own
	require.Same(t, &given[0], &own.Get()[0])
	own.Wipe()
	require.Equal(t, make([]byte, 6), given)
	require.Nil(t, own.Get())
	require.Nil(t, copied.Get())
	own.Wipe()
}

// TestCopy: the caller's bytes stay his.
func TestCopy(t *testing.T) {
	given := []byte("secret")
	b := secret.Copy(given)
	clear(given)
	require.Equal(t, "secret", string(b.Get()))
	given = []byte("secret")
	b = secret.Copy(given)
	b.Wipe()
	require.Equal(t, "secret", string(given))
}

// TestZero: a holder of nothing.
func TestZero(t *testing.T) {
	require.Nil(t, secret.Bytes{}.Get())
	secret.Bytes{}.Wipe()
	require.Nil(t, secret.Copy(nil).Get())
	require.Zero(t, secret.Value[int]{}.Get())
}

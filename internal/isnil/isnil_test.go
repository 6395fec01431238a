package isnil_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

type pointer struct{}

func (*pointer) Error() string { return "" }

type function func()

func (function) Error() string { return "" }

func TestValue(t *testing.T) {
	for _, v := range []error{nil, (*pointer)(nil), function(nil)} {
		require.True(t, isnil.Value(v), "%T", v)
	}
	require.True(t, isnil.Value(context.Context(nil)))
	require.True(t, isnil.Value(map[int]int(nil)))
	require.True(t, isnil.Value([]byte(nil)))
	require.True(t, isnil.Value(chan int(nil)))
	for _, v := range []any{0, "", struct{}{}, &pointer{}, function(func() {}), []byte{}, errors.New("x"), t.Context()} {
		require.False(t, isnil.Value(v), "%T", v)
	}
}

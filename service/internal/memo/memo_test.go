package memo

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemo(t *testing.T) {
	m := New[int](3)
	parsed := 0
	parse := func(text string) (int, error) { parsed++; return strconv.Atoi(text) }
	number := func(want int) {
		t.Helper()
		n, err := m.Parse(strconv.Itoa(want), parse)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for range 2 {
		number(1)
		_, err := m.Parse("one", parse)
		require.ErrorIs(t, err, strconv.ErrSyntax)
	}
	require.Equal(t, 3, parsed, "an error is not kept")
	m.Put("2", 2)
	number(2)
	require.Equal(t, 3, parsed)

	// What is asked for stays, of what is not no more than the last.
	for n := range 1000 {
		number(1)
		number(1000 + n)
	}
	require.Equal(t, 1003, parsed)
	kept := 0
	m.All(func(text string, v int) {
		kept++
		require.Equal(t, text, strconv.Itoa(v))
	})
	require.LessOrEqual(t, kept, 6)
	number(1001)
	require.Equal(t, 1004, parsed)
}

func TestMemoAtOnce(t *testing.T) {
	m := New[string](10)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 200 {
				text := fmt.Sprint(n % 25)
				got, err := m.Parse(text, func(text string) (string, error) { return "=" + text, nil })
				if err != nil || got != "="+text {
					panic(errors.Join(err, errors.New(got)))
				}
			}
		})
	}
	all.Wait()
}

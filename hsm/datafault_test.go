//go:build cgo && linux && !nopkcs11

package hsm_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// dataObjects counts the data objects in a token.
func dataObjects(t *testing.T, f *hsmtest.Fault) int {
	r := openRaw(t, f.Real)
	defer r.close(t)
	return len(r.find(t, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA)))
}

// saver is the environment variable that makes this test binary save a value and no more.
const saver = "TANDEM_HSM_SAVE"

// A process that is killed while it saves a value, at any call, leaves the old value or
// the new one; the new one once it is made. The next save leaves one object.
func TestDataKilled(t *testing.T) {
	if value := os.Getenv(saver); value != "" {
		tok, err := hsm.Open(t.Context(), hsm.Config{
			Module: os.Getenv(saver + "_MODULE"), Label: os.Getenv(saver + "_LABEL"), Sessions: 1, CallTimeout: patience,
			PIN: func(context.Context) ([]byte, error) { return []byte(os.Getenv(saver + "_PIN")), nil },
		})
		require.NoError(t, err)
		t.Fatal("still alive: ", tok.SetData(t.Context(), "data", []byte(value)))
	}
	f := faulty(t)
	ctx := t.Context()
	tok := openFaulty(t, f, nil)
	require.NoError(t, tok.SetData(ctx, "data", []byte("old")))
	closeToken(t, tok)
	for i, kill := range []struct {
		function string
		want     string
		objects  int
	}{
		{"C_FindObjectsInit", "old", 1}, {"C_CreateObject", "old", 1}, {"C_DestroyObject", "new", 2},
	} {
		// The self-test destroys what it made.
		skip := 0
		if kill.function == "C_DestroyObject" {
			before := f.Counts().Calls[kill.function]
			closeToken(t, openFaulty(t, f, nil))
			skip = f.Counts().Calls[kill.function] - before
		}
		want := fmt.Sprint(kill.want, i)
		if kill.want == "old" {
			want = "old"
		}
		remove := f.Add(hsmtest.Rule{Function: kill.function, Action: hsmtest.Hold, Skip: skip, Times: 1})
		cmd := exec.Command(os.Args[0], "-test.run", "^TestDataKilled$", "-test.count", "1")
		cmd.Env = append(os.Environ(), saver+"="+fmt.Sprint("new", i), saver+"_MODULE="+f.Module, saver+"_LABEL="+f.Label,
			saver+"_PIN="+f.PIN, "TMPDIR="+t.TempDir())
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond, kill.function)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		remove()
		f.Forget()
		require.Equal(t, kill.objects, dataObjects(t, f), kill.function)
		tok := openFaulty(t, f, nil)
		got, err := tok.Data(ctx, "data")
		require.NoError(t, err)
		require.Equal(t, want, string(got), kill.function)
		require.NoError(t, tok.SetData(ctx, "data", []byte("old")))
		closeToken(t, tok)
		require.Equal(t, 1, dataObjects(t, f))
	}
}

// A save that was given up goes on; until it has ended no other begins, so that it cannot
// end after a later one.
func TestDataAbandoned(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	require.NoError(t, tok.SetData(t.Context(), "data", []byte("1")))
	remove := f.Add(hsmtest.Rule{Function: "C_CreateObject", Action: hsmtest.Hold, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	result := newResult(func() error { return tok.SetData(ctx, "data", []byte("2")) })
	require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, returns(t, "save", result), hsm.ErrUnavailable)
	require.ErrorIs(t, tok.SetData(t.Context(), "data", []byte("3")), hsm.ErrUnavailable)
	got, err := tok.Data(t.Context(), "data")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
	remove()
	require.Eventually(t, func() bool { return tok.Stats().Running == 0 }, patience, time.Millisecond)
	require.NoError(t, tok.SetData(t.Context(), "data", []byte("3")))
	got, err = tok.Data(t.Context(), "data")
	require.NoError(t, err)
	require.Equal(t, "3", string(got))
	closeToken(t, tok)
	requireClean(t, f)
	require.Equal(t, 1, dataObjects(t, f))
}

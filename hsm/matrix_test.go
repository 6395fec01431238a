//go:build cgo && unix && !nopkcs11

package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// expected is what each module can do in the versions that Debian 12 and later ship. "*"
// stands for anything that is not empty.
var expected = map[string]Capabilities{
	"SoftHSM":      {Seal: sealCBC, Wrap: "*"},
	"NSS":          {Seal: sealCBC, Wrap: "*"},
	"opencryptoki": {Seal: sealCBC, Wrap: "*"},
}

// One matrix over three independent modules.
func TestModules(t *testing.T) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "module\traw RSA\tgenerate\tseal\twrap\tguards\tdata")
	for _, m := range hsmtest.Modules {
		t.Run(m.Name, func(t *testing.T) {
			tok := openToken(t, config(m.New(t)))
			caps := tok.Capabilities()
			for _, r := range caps.Refused {
				t.Log("refused: ", r)
			}
			var sizes []string
			for _, bits := range []int{2048, 3072} {
				require.Equal(t, "C_Sign", testKey(t, tok, bits).by)
				sizes = append(sizes, fmt.Sprint(bits))
			}
			testSealer(t, tok)
			data := testData(t, tok)
			require.Equal(t, m.Name != "NSS", data, "data objects")
			testServerKeys(t, tok, 2048)
			testServerKeys(t, tok, 3072)
			want := expected[m.Name]
			for got, want := range map[string]string{caps.Seal: want.Seal, caps.Wrap: want.Wrap} {
				require.NotEmpty(t, got)
				require.True(t, want == "*" || got == want, "%s, want %s", got, want)
			}
			require.Zero(t, tok.Stats().Faults)
			require.Zero(t, tok.Stats().Recoveries, "nothing above is a reason to recover")
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%t\n", m.Name, tok.wrapping.by, strings.Join(sizes, " "), caps.Seal, caps.Wrap, caps.Guards, data)
		})
	}
	require.NoError(t, w.Flush())
	fmt.Fprintf(os.Stdout, "\n%s\n", table.String())
}

func testKey(t *testing.T, tok *Token, bits int) *Key {
	ctx := t.Context()
	label := fmt.Sprintf("key %d", bits)
	_, err := tok.Key(ctx, label)
	require.ErrorIs(t, err, ErrKeyNotFound)
	require.NotErrorIs(t, err, ErrUnavailable)
	key, err := tok.GenerateKey(ctx, label, bits)
	require.NoError(t, err)
	require.Equal(t, bits, key.pub.N.BitLen())
	for i := range 10 {
		exponentiate(t, key, i)
	}
	_, err = tok.GenerateKey(ctx, label, bits)
	require.ErrorIs(t, err, ErrKeyExists)
	again, err := tok.Key(ctx, label)
	require.NoError(t, err)
	require.Equal(t, key.Public(), again.Public())

	x := make([]byte, len(key.n))
	x[0] = 1
	for name, bad := range map[string][]byte{
		"empty": nil, "short": x[1:], "long": append([]byte{0}, x...), "zero": make([]byte, len(x)),
		"n": key.n, "max": bytes.Repeat([]byte{0xff}, len(x)),
	} {
		_, err := key.Exponentiate(ctx, bad)
		require.ErrorIs(t, err, ErrInput, name)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = key.Exponentiate(canceled, x)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, ErrUnavailable)

	for _, n := range []int{0, 1024, 2047, 16384} {
		_, err = tok.GenerateKey(ctx, "other", n)
		require.ErrorIs(t, err, ErrInput)
	}
	_, err = tok.GenerateKey(ctx, "", bits)
	require.ErrorIs(t, err, ErrInput)
	return key
}

func testSealer(t *testing.T, tok *Token) {
	ctx := t.Context()
	_, err := tok.Sealer(ctx, "seal")
	require.ErrorIs(t, err, ErrKeyNotFound)
	s, err := tok.GenerateSealingKey(ctx, "seal")
	require.NoError(t, err)
	_, err = tok.GenerateSealingKey(ctx, "seal")
	require.ErrorIs(t, err, ErrKeyExists)
	_, err = tok.ServerKeys(ctx, "seal", 2048, 0)
	require.ErrorIs(t, err, ErrExposed, "a sealing key must not wrap")

	blobs := make(map[string][]byte)
	for _, size := range []int{0, 1, 15, 16, 17, 256, 264, MaxSealed} {
		plain := make([]byte, size)
		rand.Read(plain)
		b, err := s.Seal(ctx, []byte("user 1"), plain)
		require.NoError(t, err)
		require.Equal(t, 126, len(b)-size)
		got, err := s.Open(ctx, []byte("user 1"), b)
		require.NoError(t, err)
		require.Empty(t, bytes.Compare(plain, got))
		blobs[string(plain)] = b
		_, err = s.Open(ctx, []byte("user 2"), b)
		require.ErrorIs(t, err, ErrBlob)
		for _, i := range []int{0, 1, 2, 17, 18, len(b) / 2, len(b) - 33, len(b) - 1} {
			bad := bytes.Clone(b)
			bad[i] ^= 1
			_, err = s.Open(ctx, []byte("user 1"), bad)
			require.ErrorIs(t, err, ErrBlob, "byte %d", i)
			_, err = s.Open(ctx, []byte("user 1"), b[:i])
			require.ErrorIs(t, err, ErrBlob, "%d bytes", i)
		}
	}
	for _, long := range [][2]int{{MaxSealed + 1, 0}, {0, MaxSealed + 1}} {
		_, err = s.Seal(ctx, make([]byte, long[0]), make([]byte, long[1]))
		require.ErrorIs(t, err, ErrInput)
	}

	// Rotation by one process, seen by another.
	other, err := tok.Sealer(ctx, "seal")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.keys.current().id.version())
	require.NoError(t, s.Rotate(ctx))
	require.EqualValues(t, 2, s.keys.current().id.version())
	require.EqualValues(t, 1, other.keys.current().id.version())
	b, err := s.Seal(ctx, nil, []byte("new"))
	require.NoError(t, err)
	parsed, err := parseBlob(b)
	require.NoError(t, err)
	require.EqualValues(t, 2, parsed.id.version())
	got, err := other.Open(ctx, nil, b)
	require.NoError(t, err)
	require.Equal(t, "new", string(got))
	require.EqualValues(t, 2, other.keys.current().id.version())
	for plain, b := range blobs {
		got, err := s.Open(ctx, []byte("user 1"), b)
		require.NoError(t, err)
		require.Equal(t, plain, string(got))
	}
	// An old version is destroyed.
	require.NoError(t, tok.use(t, func(ss *session) error {
		for id := range s.keys.keys {
			if id.version() == 1 {
				return ss.remove(secretKeys("seal", pkcs11.CKK_AES, id[:]...), secretKeys("seal", pkcs11.CKK_GENERIC_SECRET, secretID(id[:])...))
			}
		}
		return ErrKeyNotFound
	}))
	s, err = tok.Sealer(ctx, "seal")
	require.NoError(t, err)
	for _, b := range blobs {
		_, err := s.Open(ctx, []byte("user 1"), b)
		require.ErrorIs(t, err, ErrBlob)
		require.ErrorIs(t, err, ErrKeyNotFound)
	}
	got, err = s.Open(ctx, nil, b)
	require.NoError(t, err)
	require.Equal(t, "new", string(got))
}

// testData reports whether the token keeps data.
func testData(t *testing.T, tok *Token) bool {
	ctx := t.Context()
	_, err := tok.Data(ctx, "data")
	require.ErrorIs(t, err, ErrNoData)
	value := make([]byte, MaxData)
	for i := range 3 {
		rand.Read(value)
		err := tok.SetData(ctx, "data", value[:MaxData-i])
		if err != nil {
			require.ErrorIs(t, err, ErrUnsupported)
			require.Zero(t, i)
			_, err := tok.Data(ctx, "data")
			require.ErrorIs(t, err, ErrNoData)
			return false
		}
		got, err := tok.Data(ctx, "data")
		require.NoError(t, err)
		require.Equal(t, value[:MaxData-i], got)
	}
	return true
}

func testServerKeys(t *testing.T, tok *Token, bits int) {
	ctx := t.Context()
	label := fmt.Sprintf("wrap %d", bits)
	_, err := tok.ServerKeys(ctx, label, bits, 0)
	require.ErrorIs(t, err, ErrKeyNotFound)
	require.NoError(t, tok.GenerateWrappingKey(ctx, label))
	require.ErrorIs(t, tok.GenerateWrappingKey(ctx, label), ErrKeyExists)
	_, err = tok.Sealer(ctx, label)
	require.ErrorIs(t, err, ErrExposed, "a wrapping key must not decrypt")

	stock := 1
	if bits > 2048 {
		stock = 0
	}
	keys, err := tok.ServerKeys(ctx, label, bits, stock)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	// The module, too, refuses to decrypt with it (Clulow's attack).
	for _, mechanism := range []mechanism{
		{kind: pkcs11.CKM_AES_CBC_PAD, param: make([]byte, 16)}, {kind: pkcs11.CKM_AES_ECB},
	} {
		var code CKR
		err := tok.use(t, func(s *session) error {
			h, err := s.find(keys.keys.current().aes)
			require.NoError(t, err)
			_, err = s.mod.Use(byDecrypt, s.h, mechanism, h, make([]byte, 32))
			return err
		})
		require.ErrorAs(t, err, &code)
		require.Contains(t, []CKR{pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_TYPE_INCONSISTENT}, code)
	}
	key, b, err := keys.NewKey(ctx)
	require.NoError(t, err)
	if bits > 2048 { // all else is of any length
		again, err := keys.LoadKey(ctx, b)
		require.NoError(t, err)
		exponentiate(t, again, 0)
		return
	}
	other, otherBlob, err := keys.NewKey(ctx)
	require.NoError(t, err)
	require.NotEqual(t, key.Public(), other.Public())
	for range 3 {
		exponentiate(t, key, 0)
		exponentiate(t, other, 0)
	}
	require.NoError(t, keys.Rotate(ctx))
	again, err := keys.LoadKey(ctx, b)
	require.NoError(t, err)
	require.Equal(t, key.Public(), again.Public())
	exponentiate(t, again, 1)
	require.GreaterOrEqual(t, key.(*Key).pub.N.Cmp(splitkey.LeastServerModulus(key.(*Key).pub.N.BitLen())), 0)

	bad := map[string][]byte{"empty": nil, "short": b[:40], "cut": b[:len(b)-1], "long": append(bytes.Clone(b), 0)}
	for i := 0; i < len(b); i += 37 {
		bad[fmt.Sprint("byte ", i)] = bytes.Clone(b)
		bad[fmt.Sprint("byte ", i)][i] ^= 0x10
	}
	// The halves of two authentic blobs.
	bad["spliced"] = append(bytes.Clone(b[:len(b)/2]), otherBlob[min(len(b)/2, len(otherBlob)):]...)
	for name, b := range bad {
		_, err := keys.LoadKey(ctx, b)
		require.ErrorIs(t, err, ErrBlob, name)
	}
}

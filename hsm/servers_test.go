//go:build cgo && linux && !nopkcs11

package hsm_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// serves is what a module of hsmtest.Servers can do. None wraps keys.
type serves struct {
	sizes  []int // of RSA keys in the token, of 2048, 3072 and 4096 bits
	seal   string
	guards []string
	data   bool
}

func servedBy(t *testing.T, tokens hsmtest.Token) serves {
	if tokens.Name == "TPM2" { // which has RSA keys only
		return serves{sizes: []int{2048, 3072}, data: true}
	}
	// p11-kit passes AES on from 0.25 on. Then it lists it.
	p11 := serves{sizes: []int{2048, 3072, 4096}, guards: []string{"C_SetAttributeValue", "C_CopyObject"}, data: true}
	r := openRaw(t, tokens)
	defer r.close(t)
	list, err := r.GetMechanismList(r.slot)
	require.NoError(t, err)
	if slices.ContainsFunc(list, func(m *pkcs11.Mechanism) bool { return m.Mechanism == pkcs11.CKM_AES_CBC }) {
		p11.seal = "AES-CBC+HMAC"
	}
	return p11
}

// TestServers: each row works as it says, what it does not say is refused as unsupported,
// and a server that dies and comes back is a token that does.
func TestServers(t *testing.T) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "module\tRSA\tseal\twrap\tguards\tdata")
	for _, m := range hsmtest.Servers {
		t.Run(m.Name, func(t *testing.T) {
			ctx := t.Context()
			tokens := m.New(t)
			want := servedBy(t, tokens)
			pin := tokens.PIN
			cfg := hsm.Config{
				Module: tokens.Module, Label: tokens.Label, CallTimeout: patience, MaxBackoff: backoff,
				PIN: func(context.Context) ([]byte, error) { return []byte(pin), nil },
			}
			if testing.Verbose() {
				cfg.Logger = slog.New(slog.NewTextHandler(toTest{t}, nil))
			}
			// A wrong PIN is one try.
			pin = "wrong"
			_, err := hsm.Open(ctx, cfg)
			require.ErrorIs(t, err, hsm.ErrPIN)
			pin = tokens.PIN
			tok, err := hsm.Open(ctx, cfg)
			require.NoError(t, err)
			caps := tok.Capabilities()
			for _, r := range caps.Refused {
				t.Log("refused: ", r)
			}
			var sizes []int
			for _, bits := range []int{2048, 3072, 4096} {
				label := fmt.Sprint("key-", bits)
				_, err := tok.Key(ctx, label)
				require.ErrorIs(t, err, hsm.ErrKeyNotFound)
				key, err := tok.GenerateKey(ctx, label, bits)
				if err != nil {
					require.ErrorIs(t, err, hsm.ErrUnsupported)
					continue
				}
				for range 3 {
					require.NoError(t, sign(ctx, key))
				}
				found, err := tok.Key(ctx, label)
				require.NoError(t, err)
				require.Equal(t, key.Public(), found.Public())
				_, err = tok.GenerateKey(ctx, label, bits)
				require.ErrorIs(t, err, hsm.ErrKeyExists)
				sizes = append(sizes, bits)
			}
			saved := tok.SetData(ctx, "data", []byte("value"))
			if saved != nil {
				require.ErrorIs(t, saved, hsm.ErrUnsupported)
			}
			require.Equal(t, want, serves{sizes, caps.Seal, caps.Guards, saved == nil})
			require.Empty(t, caps.Wrap)
			sealer, err := tok.GenerateSealingKey(ctx, "seal")
			if caps.Seal == "" {
				require.ErrorIs(t, err, hsm.ErrUnsupported)
			} else {
				require.NoError(t, err)
				blob, err := sealer.Seal(ctx, nil, []byte("share"))
				require.NoError(t, err)
				got, err := sealer.Open(ctx, nil, blob)
				require.NoError(t, err)
				require.Equal(t, "share", string(got))
			}
			require.ErrorIs(t, tok.GenerateWrappingKey(ctx, "wrap"), hsm.ErrUnsupported)
			_, err = tok.ServerKeys(ctx, "wrap", 2048, 0)
			require.ErrorIs(t, err, hsm.ErrUnsupported)
			require.Zero(t, tok.Stats().Faults)
			closeToken(t, tok)
			fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%v\t%t\n", m.Name, sizes, caps.Seal, caps.Wrap, caps.Guards, saved == nil)
			// The keys are there when it is opened again.
			tok, err = hsm.Open(ctx, cfg)
			require.NoError(t, err)
			key, err := tok.Key(ctx, "key-2048")
			require.NoError(t, err)
			require.NoError(t, sign(ctx, key))
			got, err := tok.Data(ctx, "data")
			if want.data {
				require.NoError(t, err)
				require.Equal(t, "value", string(got))
			} else {
				require.ErrorIs(t, err, hsm.ErrNoData)
			}
			// Its server dies, and comes back.
			tokens.Server.Stop()
			for range 3 {
				require.ErrorIs(t, sign(ctx, key), hsm.ErrUnavailable)
			}
			tokens.Server.Start()
			eventually(t, "with a new server", func() error { return sign(ctx, key) })
			require.False(t, tok.Stats().PINRefused)
			closeToken(t, tok)
		})
	}
	require.NoError(t, w.Flush())
	fmt.Fprintf(os.Stdout, "\n%s\n", table.String())
}

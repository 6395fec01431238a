package splitkey_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestNothingPrinted prints every type that holds a secret in every way that Go has,
// by value and by pointer, alone and nested, and looks for the secrets in the output.
func TestNothingPrinted(t *testing.T) {
	key := splitkeytest.Key(2048)
	own := splitkeytest.ServerKey(2048)
	p := splitOf(t, key, splitkey.Multiplicative, own)
	m, err := p.final().Encode(make([]byte, 32), crypto.SHA256)
	require.NoError(t, err)
	y, err := p.client.SignPartial(m)
	require.NoError(t, err)
	ch, err := p.completer.Check(m, y)
	require.NoError(t, err)
	s1 := new(big.Int).Exp(new(big.Int).SetBytes(m.Bytes()), key.D, key.N).Bytes()
	server := splitkeytest.NamedKey(splitkeytest.Server, 2048)

	secrets := map[string][]byte{"x": p.client.Secret(), "d_s": p.server.Secret(), "s1": s1,
		"p2": server.Primes[0].Bytes(), "q2": server.Primes[1].Bytes(), "dp": server.Precomputed.Dp.Bytes(), "qinv": server.Precomputed.Qinv.Bytes()}
	check := func(how, out string) {
		t.Helper()
		for name, secret := range secrets {
			for _, form := range forms(secret) {
				require.NotContains(t, out, form, "%s shows %s", how, name)
			}
		}
	}
	values := map[string]any{
		"client": p.client, "client value": *p.client, "server": p.server, "server value": *p.server,
		"completer": p.completer, "completer value": *p.completer, "checked": ch, "checked value": *ch, "own": own, "own value": *own,
		"signer":   p.client.Signer(t.Context(), p.final(), p.complete),
		"nested":   struct{ c, d any }{p.client, *p.client},
		"embedded": struct{ splitkey.ServerShare }{*p.server},
		"unexported": struct {
			c  splitkey.ClientShare
			s  splitkey.ServerShare
			k  splitkey.SoftwareKey
			ch splitkey.Checked
		}{*p.client, *p.server, *own, *ch},
		"slice":         []splitkey.ClientShare{*p.client},
		"map":           map[string]*splitkey.ServerShare{"a": p.server},
		"nested in any": []any{[]any{*p.client, p.server}},
	}
	for name, v := range values {
		for _, verb := range strings.Fields("%v %+v %#v %s %d %x %X %q %o %b %c %U %e %g %t %p %T %w") {
			check(name+" "+verb, fmt.Sprintf(verb, v))
		}
		check(name+" Sprint", fmt.Sprint(v)+fmt.Sprintln(v))
		check(name+" error", fmt.Errorf("failed: %v", v).Error()+errors.Join(fmt.Errorf("%+v", v)).Error())
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v, slog.Any("any", v))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v, slog.Any("any", v))
		check(name+" slog", log.String())
		js, _ := json.Marshal(v)
		check(name+" json", string(js))
		var g bytes.Buffer
		gob.NewEncoder(&g).Encode(v)
		check(name+" gob", g.String())
		func() {
			defer func() { check(name+" panic", fmt.Sprint(recover())) }()
			panic(v)
		}()
	}
	require.Equal(t, "splitkey.ClientShare(2048 bits, multiplicative, secret hidden)", fmt.Sprint(p.client))
	require.Equal(t, "splitkey.Completer(4096 bits, composite, secret hidden)", fmt.Sprint(p.completer))
	require.Equal(t, "splitkey.Signer(4096 bits, secret hidden)", fmt.Sprint(values["signer"]))
	for _, zero := range []any{splitkey.ClientShare{}, splitkey.ServerShare{}, splitkey.Completer{}, splitkey.SoftwareKey{}, new(splitkey.ClientShare).Signer(t.Context(), nil, nil)} {
		require.Contains(t, fmt.Sprint(zero), "invalid")
	}
}

// forms are the ways in which bytes are likely to be printed. The first 16 bytes do:
// a secret in part is a secret out.
func forms(b []byte) []string {
	head := b[:16]
	words := new(big.Int).SetBytes(b).Bits()
	word := uint64(words[len(words)/2])
	return []string{
		string(head), hex.EncodeToString(head), strings.ToUpper(hex.EncodeToString(head)),
		base64.StdEncoding.EncodeToString(b)[:20],
		strings.Trim(fmt.Sprint(head), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(head), "[]"), " ", ", "),
		new(big.Int).SetBytes(b).String()[:30],
		fmt.Sprint(word), fmt.Sprintf("%x", word), fmt.Sprintf("%X", word), fmt.Sprintf("%o", word), fmt.Sprintf("%b", word),
	}
}

//go:build cgo && linux && !nopkcs11

package hsm_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// backoff is the longest pause between two looks for a lost token in these tests. The
// default is half a second, so that two looks take a second at most.
const backoff = 20 * time.Millisecond

// patience bounds what must end. Only what hangs takes so long.
const patience = 2 * time.Minute

// faulty returns a token behind faults. What a test leaves initialized is ended after it,
// since SoftHSM is in the process once, whoever loads it.
func faulty(t testing.TB) *hsmtest.Fault {
	t.Helper()
	f := hsmtest.Faulty(t)
	t.Cleanup(func() {
		f.Clear()
		_ = pkcs11.New(f.Real.Module).Finalize()
	})
	return f
}

func faultyConfig(t testing.TB, f *hsmtest.Fault) hsm.Config {
	cfg := hsm.Config{
		Module:      f.Module,
		Label:       f.Label,
		PIN:         func(context.Context) ([]byte, error) { return []byte(f.PIN), nil },
		Sessions:    4,
		CallTimeout: patience,
		MaxBackoff:  backoff,
		// No test makes a token that takes long for a key.
		GenerateTimeout: patience,
	}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(toTest{t}, nil))
	}
	return cfg
}

type toTest struct{ t testing.TB }

func (l toTest) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}

func openFaulty(t testing.TB, f *hsmtest.Fault, change func(*hsm.Config)) *hsm.Token {
	t.Helper()
	cfg := faultyConfig(t, f)
	if change != nil {
		change(&cfg)
	}
	tok, err := hsm.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeToken(t, tok) })
	return tok
}

func closeToken(t testing.TB, tok *hsm.Token) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, tok.Close(ctx))
}

var errWrongNumber = errors.New("a wrong number")

// sign uses a key once, and checks the result without the package.
func sign(ctx context.Context, key splitkey.RSAKey) error {
	pub := key.Public().(*rsa.PublicKey)
	x := make([]byte, pub.Size())
	rand.Read(x[1:])
	y, err := key.Exponentiate(ctx, x)
	if err != nil {
		return err
	}
	got := new(big.Int).Exp(new(big.Int).SetBytes(y), big.NewInt(int64(pub.E)), pub.N)
	if len(y) != len(x) || got.Cmp(new(big.Int).SetBytes(x)) != 0 {
		return errWrongNumber
	}
	return nil
}

// raw is a login past the package, while the package has the module closed.
type raw struct {
	*pkcs11.Ctx
	slot uint
	s    pkcs11.SessionHandle
}

func openRaw(t testing.TB, tokens hsmtest.Token) *raw {
	t.Helper()
	p := pkcs11.New(tokens.Module)
	require.NotNil(t, p)
	require.NoError(t, p.Initialize())
	slots, err := p.GetSlotList(true)
	require.NoError(t, err)
	for _, slot := range slots {
		info, err := p.GetTokenInfo(slot)
		require.NoError(t, err)
		if strings.TrimRight(info.Label, " \x00") != tokens.Label {
			continue
		}
		s, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		require.NoError(t, err)
		require.NoError(t, p.Login(s, pkcs11.CKU_USER, tokens.PIN))
		return &raw{p, slot, s}
	}
	t.Fatal("the token is not there")
	return nil
}

func (r *raw) close(t testing.TB) {
	require.NoError(t, r.Finalize())
}

func (r *raw) find(t testing.TB, template ...*pkcs11.Attribute) []pkcs11.ObjectHandle {
	t.Helper()
	require.NoError(t, r.FindObjectsInit(r.s, template))
	list, _, err := r.FindObjects(r.s, 10_000)
	require.NoError(t, err)
	require.NoError(t, r.FindObjectsFinal(r.s))
	return list
}

func (r *raw) value(h pkcs11.ObjectHandle, kind uint) string {
	a, err := r.GetAttributeValue(r.s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return err.Error()
	}
	return string(a[0].Value)
}

// guards are the attributes that make a key strong.
var guards = map[string]uint{
	"PRIVATE": pkcs11.CKA_PRIVATE, "SENSITIVE": pkcs11.CKA_SENSITIVE, "EXTRACTABLE": pkcs11.CKA_EXTRACTABLE,
	"ALWAYS_SENSITIVE": pkcs11.CKA_ALWAYS_SENSITIVE, "NEVER_EXTRACTABLE": pkcs11.CKA_NEVER_EXTRACTABLE,
	"MODIFIABLE": pkcs11.CKA_MODIFIABLE, "COPYABLE": pkcs11.CKA_COPYABLE, "LOCAL": pkcs11.CKA_LOCAL,
	"ENCRYPT": pkcs11.CKA_ENCRYPT, "DECRYPT": pkcs11.CKA_DECRYPT, "WRAP": pkcs11.CKA_WRAP, "UNWRAP": pkcs11.CKA_UNWRAP,
	"SIGN": pkcs11.CKA_SIGN, "DERIVE": pkcs11.CKA_DERIVE, "MODULUS_BITS": pkcs11.CKA_MODULUS_BITS, "VALUE_LEN": pkcs11.CKA_VALUE_LEN,
}

// strength describes the keys of the token by what they are for: the label up to a
// hyphen, class and type. All of one kind must be alike.
func strength(t testing.TB, f *hsmtest.Fault) map[string]string {
	t.Helper()
	r := openRaw(t, f.Real)
	defer r.close(t)
	kinds := map[string]string{}
	for _, h := range r.find(t) {
		label, _, _ := strings.Cut(r.value(h, pkcs11.CKA_LABEL), "-")
		kind := fmt.Sprintf("%s, class %x, type %x", label, r.value(h, pkcs11.CKA_CLASS), r.value(h, pkcs11.CKA_KEY_TYPE))
		var words []string
		for name, attribute := range guards {
			words = append(words, fmt.Sprintf("%s=%x", name, r.value(h, attribute)))
		}
		slices.Sort(words)
		// SoftHSM says of every private key and every generic secret that it unwraps.
		aes := string(pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES).Value)
		if r.value(h, pkcs11.CKA_KEY_TYPE) == aes && r.value(h, pkcs11.CKA_WRAP) == "\x01" {
			words = append(words, "unwraps a key readable: "+r.unwrapsReadable(t, h))
		}
		all := strings.Join(words, " ")
		if known, ok := kinds[kind]; ok {
			require.Equal(t, known, all, "two keys of the kind %s", kind)
		}
		kinds[kind] = all
	}
	return kinds
}

// unwrapsReadable says what happens when a key wrapped under kek is unwrapped for all to
// read, which CKA_UNWRAP_TEMPLATE forbids.
func (r *raw) unwrapsReadable(t testing.TB, kek pkcs11.ObjectHandle) string {
	t.Helper()
	wrapping := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_WRAP_PAD, nil)}
	secret, err := r.GenerateKey(r.s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.DestroyObject(r.s, secret)) }()
	wrapped, err := r.WrapKey(r.s, wrapping, kek, secret)
	require.NoError(t, err)
	h, err := r.UnwrapKey(r.s, wrapping, kek, wrapped, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
	})
	if err != nil {
		return err.Error()
	}
	require.NoError(t, r.DestroyObject(r.s, h))
	return "yes"
}

// Without faults: the module in the middle changes nothing, counts, and finds nothing to
// complain of; and the keys are what they must be.
func TestFaultless(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	for _, step := range u.steps() {
		require.NoError(t, step.do(t.Context()), step.name)
	}
	require.Zero(t, tok.Stats().Recoveries)
	closeToken(t, tok)
	c := f.Counts()
	t.Logf("%+v", c)
	requireClean(t, f)
	require.Equal(t, 1, c.Calls["C_Login"])
	require.Equal(t, 1, c.Calls["C_Initialize"])
	require.Empty(t, c.Faults)
	require.Zero(t, c.Sessions, "all are closed")
	require.NotZero(t, c.Nested, "wrapping keys have a template for what they unwrap")
	for kind, is := range strength(t, f) {
		t.Log(kind, "\n   ", is)
		if strings.Contains(is, "SIGN=01") || strings.Contains(is, "DECRYPT=01") || strings.Contains(is, "UNWRAP=01") {
			require.Contains(t, is, "SENSITIVE=01")
			require.Contains(t, is, " EXTRACTABLE=00")
			require.Contains(t, is, "NEVER_EXTRACTABLE=01")
			require.Contains(t, is, "MODIFIABLE=00")
			require.Contains(t, is, "COPYABLE=00")
			require.Contains(t, is, "PRIVATE=01")
		}
		if strings.Contains(is, "unwraps a key readable") {
			require.Contains(t, is, "CKR_TEMPLATE_INCONSISTENT")
		}
	}
}

// requireClean says that nothing came to the module that must never come.
func requireClean(t testing.TB, f *hsmtest.Fault) {
	t.Helper()
	c := f.Counts()
	require.Zero(t, c.BadOperands, "operands of raw RSA out of range")
	require.Zero(t, c.Overlaps, "calls in a busy session, or C_Finalize during calls")
	require.Zero(t, c.HiddenUsed, "mechanisms that are not listed")
}

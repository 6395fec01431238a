package mobile_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/mobile"
)

// TestNothing: no nil or zero value causes a panic or is accepted: an app's language
// makes zero values of all types.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*mobile.Phone)(nil), (*mobile.Outcome)(nil), (*mobile.History)(nil), (*mobile.State)(nil)},
		Functions: map[string]any{
			"NewPhone": mobile.NewPhone, "NewConfig": mobile.NewConfig, "ReadConfig": mobile.ReadConfig, "CheckPIN": mobile.CheckPIN,
		},
		Nils: []any{(*storage)(nil), (*keys)(nil), (*ears)(nil)},
		May: map[string]string{
			"Phone.Cancel": "nothing runs", "Phone.Hush": "nobody listens", "Outcome.Holder": "a getter", "Outcome.Found": "a getter", "Outcome.Shown": "a getter",
			"Outcome.Lines": "a getter", "Outcome.Now": "a getter", "Outcome.NewDevice": "a getter", "Outcome.Request": "a getter",
			"Outcome.RevocationCode": "a getter", "Outcome.CallbackURL": "a getter", "History.Len": "a getter", "History.At": "a getter",
			"State.Shown": "a getter", "NewConfig": "NewPhone refuses it", "CheckPIN": "its answer is an outcome",
		},
	})
	require.Equal(t, mobile.CodePINFormat, mobile.CheckPIN(nil, nil).Code)
	good := newApp(t, newWorld(t))
	for _, bad := range []func(*mobile.Config){
		func(c *mobile.Config) { c.URL = "http://id.example" },
		func(c *mobile.Config) { c.Scheme = "" },
		func(c *mobile.Config) { c.HPKEKey = nil },
		func(c *mobile.Config) { c.Lanes = 256 },
		func(c *mobile.Config) { c.Passes = -1 },
		func(c *mobile.Config) { c.MemoryKiB = 1 << 30 },
	} {
		c, err := mobile.ReadConfig(good.json)
		require.NoError(t, err)
		c.Passes, c.MemoryKiB, c.Lanes = 1, 8, 1
		bad(c)
		_, err = mobile.NewPhone(c, good.storage, good.keys)
		require.Error(t, err)
	}
	for _, bad := range []string{"", "{}", `{"url":"https://id.example","scheme":"x"}`, `{"url":1}`, string(make([]byte, 1<<20))} {
		_, err := mobile.ReadConfig([]byte(bad))
		require.ErrorContains(t, err, "phone.json")
	}

	// A key of the platform that is none.
	if !sealing(t, newWorld(t)) {
		return
	}
	for _, bad := range []func(*keys){func(k *keys) { k.storage = k.storage[1:] }, func(k *keys) { k.request.X = k.request.Y }} {
		a := newApp(t, newWorld(t))
		bad(a.keys)
		_, err := a.Status()
		require.Error(t, err)
	}
}

// TestNothingIsPrinted: neither fmt nor toString, which shows exported fields, finds a
// token, a revocation code or a callback URL.
func TestNothingIsPrinted(t *testing.T) {
	w := newWorld(t)
	a := newApp(t, w)
	net := newInterceptor()
	a.storage.http = net
	a.Restart()
	o, err := a.Enrol(w.Register(), "Mari's phone", []byte(pin1), []byte(pin2))
	require.NoError(t, err)
	require.NotEmpty(t, o.RevocationCode())
	for _, v := range []any{o, *o, a.Phone} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			shown := fmt.Sprintf(verb, v)
			require.NotContains(t, shown, o.RevocationCode())
			require.NotContains(t, shown, net.tokens[0])
		}
	}
}

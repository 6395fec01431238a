package deviceclient_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
)

// TestNothing: no nil or zero value causes a panic or is accepted.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{
			(*deviceclient.Phone)(nil), (*deviceclient.Transaction)(nil), (*deviceclient.Config)(nil), (*deviceclient.Error)(nil), (*deviceclient.PINs)(nil),
			(*deviceclient.Request)(nil),
		},
		Functions: map[string]any{"New": deviceclient.New, "NewHTTP": deviceclient.NewHTTP, "NewHTTPStream": deviceclient.NewHTTPStream, "NewToken": deviceclient.NewToken, "Is": deviceclient.Is},
		May: map[string]string{
			"Phone.Authentication": "a getter", "Phone.Signature": "a getter", "Transaction.CallbackURL": "none is an answer", "Transaction.Awaits": "nothing awaits nothing", "Error.Error": "it is a text",
			"NewToken": "it draws one", "NewHTTP": "a client of its own", "NewHTTPStream": "likewise", "Is": "nothing is no Error",
		},
	})
	s := servicetest.New(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.NewPhone(t, "http://127.0.0.1:1")
	for _, bad := range []func(*deviceclient.Config){
		func(c *deviceclient.Config) { c.URL = "http://id.example" },
		func(c *deviceclient.Config) { c.URL = "https://id.example/?x" },
		func(c *deviceclient.Config) { c.URL = "" },
		func(c *deviceclient.Config) { c.Token = "" },
		func(c *deviceclient.Config) { c.Scheme = "" },
		func(c *deviceclient.Config) { c.Signature = device.Config{} },
	} {
		c := p.Config
		bad(&c)
		_, err := deviceclient.New(c)
		require.ErrorIs(t, err, deviceclient.ErrConfig)
	}
	_, err := p.Open(t.Context(), nil)
	require.ErrorIs(t, err, deviceclient.ErrConfig)
	require.ErrorIs(t, p.Approve(t.Context(), nil, nil), deviceclient.ErrConfig)
	require.ErrorIs(t, p.Listen(t.Context(), nil), deviceclient.ErrConfig)
	_, err = p.Poll(t.Context(), nil, time.Second)
	require.Error(t, err, "nobody answers there")
}

// TestNothingIsPrinted: tokens, PINs and verifiers are not.
func TestNothingIsPrinted(t *testing.T) {
	s := servicetest.New(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.NewPhone(t, "http://127.0.0.1:1")
	for _, v := range []any{p.Config, *p.Phone, servicetest.PINs, deviceclient.Transaction{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
			text := fmt.Sprintf(verb, v)
			require.NotContains(t, text, p.Config.Token)
			require.NotContains(t, text, "4917")
			require.Contains(t, text, "deviceclient.")
		}
	}
}

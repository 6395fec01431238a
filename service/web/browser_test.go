package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/web/bank/asice"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

func TestMain(m *testing.M) { webtest.Main(m) }

// order is what the browser's script asks of a phone.
type order struct {
	Do, Phone, Code, Text, Screen, Link string
}

// phones are those of the persons, by names.
type phones map[string]*webtest.Phone

func (p phones) carryOut(ctx context.Context, o order) (any, error) {
	phone := p[o.Phone]
	if phone == nil {
		return nil, fmt.Errorf("no phone %q", o.Phone)
	}
	var t *deviceclient.Transaction
	var err error
	switch o.Do {
	case "link":
		if t, err = phone.OpenLink(ctx, o.Link); err == nil {
			err = phone.Answer(ctx, t, "")
		}
		return map[string]string{"callback": t.CallbackURL()}, err
	case "code":
		return map[string]string{"code": phone.Code}, nil
	case "lock":
		return nil, lock(ctx, phone)
	}
	if t, err = phone.Next(ctx); err != nil {
		return nil, err
	}
	switch o.Do {
	case "answer":
		if o.Text != "" && o.Text != t.Interaction.Text {
			return nil, fmt.Errorf("the phone shows %q", t.Interaction.Text)
		}
		return nil, phone.Answer(ctx, t, o.Code)
	case "refuse":
		return nil, t.Refuse(ctx, o.Screen)
	case "wrongcode":
		for _, code := range t.Codes {
			if code != o.Code {
				if err := t.Choose(ctx, code); !deviceclient.Is(err, deviceclient.CodeWrongCode) {
					return nil, fmt.Errorf("the wrong code: %w", err)
				}
				return nil, nil
			}
		}
	}
	return nil, fmt.Errorf("no order %q", o.Do)
}

// lock has a phone try wrong PINs until its first key is locked.
func lock(ctx context.Context, phone *webtest.Phone) error {
	for {
		challenge, err := phone.Challenge(ctx, phone.Authentication())
		if err != nil {
			return err
		}
		err = phone.Authentication().ChangePIN(ctx, challenge, []byte("5093"), []byte("6182"))
		var locked *limiter.LockedError
		var wrong *limiter.WrongPINError
		switch {
		case errors.As(err, &locked):
			return nil
		case !errors.As(err, &wrong):
			return fmt.Errorf("a wrong PIN: %w", err)
		}
	}
}

// TestBrowser: Chromium drives the bank and the self-service from the first page to the
// last, and axe-core finds nothing on any screen; then OpenSSL and xmlsec1 verify the
// file that was signed there.
func TestBrowser(t *testing.T) {
	drive := newDriver(t)
	needtest.Program(t, "xmlsec1", "xmlsec1")
	w := webtest.New(t, nil)
	mari, lost, last := webtest.Person("40504040001", "MARI", "MÄND"), webtest.Person("30303030303", "OTTO", "SAAR"), webtest.Person("37101010021", "JAAN", "TAMM")
	all := phones{
		"mari": w.Enrol(t, mari, identity.Qualified, "Mari's phone"),
		"lost": w.Enrol(t, lost, identity.Qualified, "Lost phone"),
		"new":  w.Enrol(t, lost, identity.Qualified, "New phone"),
		"last": w.Enrol(t, last, identity.Qualified, "Only phone"),
	}
	control := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var o order
		var out any
		err := json.NewDecoder(r.Body).Decode(&o)
		if err == nil {
			out, err = all.carryOut(r.Context(), o)
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(rw).Encode(out)
	}))
	defer control.Close()
	file := filepath.Join(t.TempDir(), "contract.txt.asice")
	drive(w, "pages.mjs", map[string]string{"phones": control.URL, "file": file})
	require.Empty(t, w.Log.Errors())

	container, err := os.ReadFile(file)
	require.NoError(t, err)
	s, err := asice.Open(container)
	require.NoError(t, err)
	require.Equal(t, "I owe you one.\n", string(s.Content))
	webtest.VerifyOutside(t, container, s.Digest(), s.Signature, s.Signer, w.CA, w.Root)
}

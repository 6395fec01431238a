package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/web/bank/asice"
	"github.com/tandem-rsa/tandem/service/web/phone"
	"github.com/tandem-rsa/tandem/service/web/webtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// phoneTexts are the words of the phone's screens, by language.
func phoneTexts(t *testing.T) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, language := range []string{"en", "et", "lv", "lt"} {
		text, err := os.ReadFile(filepath.Join("phone", "app", "texts", language+".json"))
		require.NoError(t, err)
		table := map[string]string{}
		require.NoError(t, json.Unmarshal(text, &table))
		out[language] = table
	}
	return out
}

// TestPhoneTexts: each text that a screen asks for is there in all languages, with the
// same arguments, and none is there for nothing.
func TestPhoneTexts(t *testing.T) {
	texts := phoneTexts(t)
	asked := map[string]bool{}
	for _, name := range []string{"app.js", "pad.js", "scan.js", "sw.js"} {
		script, err := os.ReadFile(filepath.Join("phone", "app", name))
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`'([a-z]+[0-9]?(?:\.[a-z0-9_]+)?)'`).FindAllSubmatch(script, -1) {
			asked[string(found[1])] = true
		}
	}
	byOutcome := regexp.MustCompile(`^(out|kind|result)\.`)
	argument := regexp.MustCompile(`\{\d\}`)
	for key, english := range texts["en"] {
		require.True(t, asked[key] || byOutcome.MatchString(key), "nobody asks for %q", key)
		for language, table := range texts {
			require.ElementsMatch(t, argument.FindAllString(english, -1), argument.FindAllString(table[key], -1), "%s: %s", language, key)
			require.NotEmpty(t, table[key], "%s: %s", language, key)
		}
	}
	for language, table := range texts {
		require.Len(t, table, len(texts["en"]), language)
	}
	called := regexp.MustCompile(`\bt\('([^']+)'`)
	for _, name := range []string{"app.js", "pad.js", "scan.js"} {
		script, err := os.ReadFile(filepath.Join("phone", "app", name))
		require.NoError(t, err)
		for _, found := range called.FindAllSubmatch(script, -1) {
			if key := string(found[1]); key[len(key)-1] != '.' {
				require.Contains(t, texts["en"], key)
			}
		}
	}
}

// TestPhoneWritesNoHTML: no script of the page has a way to make HTML, or code, of a
// text.
func TestPhoneWritesNoHTML(t *testing.T) {
	ways := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|createContextualFragment|srcdoc|\beval\b|new Function`)
	for _, name := range []string{"app.js", "dom.js", "pad.js", "scan.js", "texts.js", "phone.js", "wake.js"} {
		script, err := os.ReadFile(filepath.Join("phone", "app", name))
		require.NoError(t, err)
		require.Empty(t, ways.FindString(string(script)), name)
	}
}

// pusher is Web Push whose messages the test gets.
type pusher struct {
	*push.Web
	sent chan string
}

func (p *pusher) Send(_ context.Context, address string) error {
	p.sent <- address
	return nil
}

// newPusher returns nil where there is no Web Push: in FIPS 140-only mode.
func newPusher(t *testing.T) *pusher {
	web, err := push.NewWeb(bytes.Repeat([]byte{5}, 32), "")
	if errors.Is(err, splitkey.ErrFIPS) {
		return nil
	}
	require.NoError(t, err)
	return &pusher{web, make(chan string, 100)}
}

// TestPhone: Chromium is a person's phone, from the enrolment to the end of the account,
// beside a second browser with the bank; axe-core finds nothing on any screen.
func TestPhone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "letter.txt.asice")
	w := drivePhone(t, nil, "phone.mjs", map[string]string{"file": file})
	container, err := os.ReadFile(file)
	require.NoError(t, err)
	signed, err := asice.Open(container)
	require.NoError(t, err)
	require.Equal(t, "Yes.\n", string(signed.Content))
	webtest.VerifyOutside(t, container, signed.Digest(), signed.Signature, signed.Signer, w.CA, w.Root)
}

// TestWoken: an app that is seen shows what comes by itself; one that is closed has a
// message, which becomes a notification.
func TestWoken(t *testing.T) {
	if p := newPusher(t); p != nil {
		drivePhone(t, p, "phone.mjs", map[string]string{"push": "yes"})
	}
}

// drivePhone runs the browser's script with a service and its registrar.
func drivePhone(t *testing.T, pushes *pusher, script string, input map[string]string) *webtest.World {
	drive := newDriver(t)
	w := webtest.New(t, func(c *node.Config) {
		c.Pages.Phone = phone.Files
		if pushes != nil {
			c.Push = map[string]push.Sender{push.KindWeb: pushes}
		}
	})
	mari := webtest.Person("40504040001", "MARI", "MÄND")
	control := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var o order
		out := map[string]string{}
		err := json.NewDecoder(r.Body).Decode(&o)
		switch {
		case err != nil:
		case o.Do == "register":
			var registered accounts.Registered
			registered, err = w.Node.Accounts().Register(r.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
			out["code"] = registered.Code
		case o.Do == "pushed": // waits for a message, and has its address
			select {
			case out["address"] = <-pushes.sent:
			case <-r.Context().Done():
			}
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(rw).Encode(out)
	}))
	defer control.Close()
	texts, err := json.Marshal(phoneTexts(t))
	require.NoError(t, err)
	input["phones"], input["texts"], input["number"] = control.URL, string(texts), mari.ID.Number
	drive(w, script, input)
	require.Empty(t, w.Log.Errors())
	return w
}

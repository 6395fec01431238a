package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

// TestDeadStream: a phone that listens and does not answer is woken by push all the same:
// its connection may be dead, which takes minutes to show.
func TestDeadStream(t *testing.T) {
	pushes := newPusher(t)
	if pushes == nil {
		return
	}
	w := webtest.New(t, func(c *node.Config) { c.Push = map[string]push.Sender{push.KindWeb: pushes} })
	mari := webtest.Person("40504040001", "MARI", "MÄND")
	phone := w.Enrol(t, mari, identity.Qualified, "Mari's phone")
	require.Equal(t, pushes.PublicKey(), w.Node.PushKey())
	const address = `{"endpoint":"https://push.example.com/x","keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`
	require.NoError(t, phone.Subscribe(t.Context(), "web", address))
	require.Error(t, phone.Subscribe(t.Context(), "web", strings.Replace(address, "push.example.com", "127.0.0.1", 1)))
	ctx, stop := context.WithCancel(t.Context())
	looks, ended := make(chan bool, 10), make(chan error)
	go func() {
		// The service may end a stream at any time: an app opens another.
		for {
			if err := phone.Listen(ctx, func() error { looks <- true; return nil }); err != nil {
				ended <- err
				return
			}
		}
	}()
	<-looks
	w.Browser(t).Post("/bank/login/id", url.Values{"country": {"EE"}, "number": {mari.ID.Number}})
	<-looks
	select {
	case got := <-pushes.sent:
		require.Equal(t, address, got)
	case <-time.After(2 * time.Minute):
		require.Fail(t, "nobody is woken")
	}
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestOfflineFiles: the service worker keeps each file of the app, so that it opens
// without a network.
func TestOfflineFiles(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("phone", "app", "sw.js"))
	require.NoError(t, err)
	n := 0
	require.NoError(t, filepath.WalkDir(filepath.Join("phone", "app"), func(path string, d os.DirEntry, err error) error {
		name, _ := filepath.Rel(filepath.Join("phone", "app"), path)
		// Nobody but the browser's installation asks for these; index.html is "./".
		if err != nil || d.IsDir() || name == "sw.js" || name == "icon-512.png" || name == "index.html" || strings.HasPrefix(filepath.Base(name), "LICENSE") || strings.HasSuffix(name, ".md") {
			return err
		}
		n++
		require.Contains(t, string(script), "'"+filepath.ToSlash(name)+"'")
		return nil
	}))
	require.Greater(t, n, 15)
	require.Contains(t, string(script), "'./'")
}

// TestPhoneConfig: the page is told what to subscribe to Web Push for, where there is
// one.
func TestPhoneConfig(t *testing.T) {
	pushes := newPusher(t)
	for _, senders := range []map[string]push.Sender{nil, {push.KindWeb: pushes}} {
		if senders != nil && pushes == nil {
			return
		}
		w := webtest.New(t, func(c *node.Config) { c.Push = senders })
		r, err := w.Web.Client().Get(w.URL + "/phone/phone.json")
		require.NoError(t, err)
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, senders != nil, strings.Contains(string(text), `"push_key":"`), fmt.Sprint(senders))
	}
}

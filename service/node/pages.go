package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/bank"
	"github.com/tandem-rsa/tandem/service/web/self"
)

// Pages says which pages a node has for browsers: the self-service always.
type Pages struct {
	// URL is where browsers reach them, such as "https://id.example".
	URL string
	// Bank is a demonstration of an e-service. Production has none.
	Bank bool
	// Phone returns the files of the phone as a web app: it is called when somebody first
	// asks for them. nil, or an error, and a page says how they are built.
	Phone func() (fs.FS, error)
}

// The relying parties of the pages.
const (
	bankParty = "7c1f0a52-3c0e-4f0b-9d0e-6d1f4c1b8a01"
	selfParty = "7c1f0a52-3c0e-4f0b-9d0e-6d1f4c1b8a02"
)

// pages makes the pages. They are relying parties like any other: they call this node's
// API over HTTP, through a listener of its own that nobody else reaches.
func (n *Node) pages(ctx context.Context) error {
	c := n.config.Pages
	if c == nil {
		return nil
	}
	frame, err := web.New(web.Config{URL: c.URL, Trial: !n.config.Production, Log: n.config.Log})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	guard, err := web.NewGuard(n.db, "page", web.DefaultRules(), func(r *http.Request) netip.Addr { return n.api.Source(r).Address })
	if err != nil {
		return err
	}
	n.inside = newInside(n)
	sessions, client, err := n.party(ctx, "self", selfParty, "Tandem self-service", true)
	if err != nil {
		return err
	}
	selfService, err := self.New(self.Config{Frame: frame, Client: client, Sessions: sessions, Guard: guard, Accounts: n.accounts, Keys: n.server})
	if err != nil {
		return err
	}
	n.browsers = map[string]http.Handler{
		"/assets/": http.StripPrefix("/assets", frame.Assets()),
		"/self/":   selfService,
	}
	sites := []web.Site{{Path: "/self/", Name: "self.name", About: "home.self"}, {Path: "/phone/", Name: "home.phonename", About: "home.phone"}}
	if c.Bank {
		sessions, client, err := n.party(ctx, "bank", bankParty, "Tree Bank", false)
		if err != nil {
			return err
		}
		b, err := bank.New(bank.Config{Frame: frame, Client: client, Sessions: sessions, Guard: guard, Roots: n.roots()})
		if err != nil {
			return err
		}
		n.browsers["/bank/"] = b
		sites = append([]web.Site{{Path: "/bank/", Name: "bank.name", About: "home.bank"}}, sites...)
	}
	n.browsers["/phone/"], n.browsers["/phone/phone.json"] = n.phone(frame), n.phoneConfig()
	phone := ""
	if c.Phone != nil {
		phone = "/phone/"
	}
	n.browsers["/"], n.browsers[linkPath] = frame.Home(sites...), frame.DeviceLink(phone)
	return nil
}

// phone serves the phone in a browser.
func (n *Node) phone(frame *web.Frame) http.Handler {
	find := sync.OnceValue(func() http.Handler {
		if n.config.Pages.Phone == nil {
			return frame.NoPhone()
		}
		folder, err := n.config.Pages.Phone()
		if err != nil {
			n.config.Log.Warn("no phone in browsers", "cause", err)
			return frame.NoPhone()
		}
		files, err := web.NewFiles(folder, web.PhonePolicy)
		if err != nil {
			n.config.Log.Error("no phone in browsers", "cause", err)
			return frame.NoPhone()
		}
		return http.StripPrefix("/phone", files)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { find().ServeHTTP(w, r) })
}

// phoneConfig serves what the phone in a browser is shipped with: nothing of it is
// secret.
func (n *Node) phoneConfig() http.Handler {
	text, err := json.Marshal(devicewire.AppConfig{URL: n.config.Pages.URL + devicePath, Scheme: n.config.Scheme, HPKEKey: n.HPKEKey(), PushKey: n.PushKey()})
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			http.Error(w, "no configuration", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(text)
	})
}

// browser returns the page of a path; nil if there is none.
func (n *Node) browser(path string) http.Handler {
	if h := n.browsers[path]; h != nil {
		return h
	}
	if i := strings.IndexByte(strings.TrimPrefix(path, "/"), '/'); i >= 0 {
		return n.browsers[path[:i+2]]
	}
	return nil
}

// party registers a page's relying party, which calls from inside and has a token that
// follows from the service's secret, so that it is the same on each node. It returns what
// the page works with.
func (n *Node) party(ctx context.Context, site, uuid, name string, advanced bool) (*web.Sessions, *rpclient.Client, error) {
	h := hmac.New(sha256.New, n.config.Secret)
	h.Write([]byte("tandem page 1 " + site))
	token := hex.EncodeToString(h.Sum(nil))
	want := accounts.RelyingParty{
		UUID: uuid, Names: []string{name}, Networks: []netip.Prefix{netip.PrefixFrom(insideAddress, insideAddress.BitLen())},
		TokenHash: sha256.Sum256([]byte(token)), Advanced: advanced,
	}
	// Whatever it was before, an operator's Disabled stays.
	before, err := n.accounts.RelyingParty(ctx, uuid)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return nil, nil, err
	}
	want.Disabled = before.Disabled
	if err := n.accounts.SetRelyingParty(ctx, want); err != nil {
		return nil, nil, err
	}
	sessions, err := web.NewSessions(n.db, site, nil)
	if err != nil {
		return nil, nil, err
	}
	client, err := rpclient.New(rpclient.Config{
		URL: insideURL + rpPath, HTTP: n.inside.client(), UUID: uuid, Name: name, Token: token, Scheme: n.config.Scheme,
		Roots: n.roots(), Profile: n.config.Profile, Revoked: rpclient.OCSP(n.inside.client(), insideURL+caPath+"/ocsp"),
	})
	return sessions, client, err
}

// roots are the CAs that the pages believe: those that issue, and issued.
func (n *Node) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, i := range n.config.Issuing {
		pool.AddCert(i.Certificate)
	}
	return pool
}

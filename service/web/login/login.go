// Package login lets persons log in to a page, through the relying-party API: by a QR
// code that changes each second, by their number with a code to compare, and by the app
// on the same device.
//
//	in, err := login.New(login.Config{Frame: frame, Client: client, ...})
//	in.Routes(mux)                      // below "/bank/login", and "/bank/logout"
//	visit, err := in.Visit(r)           // whoever is logged in; nil if nobody is
//
// # Security
//
// A login is bound to the browser that began it, by a cookie: only this browser sees its
// end, and gets a new cookie then. On the same device the app opens a URL with a value
// that was drawn for this login: a browser without the cookie is told so, another value
// or verifier is refused, and each URL works once. What a login proves is checked by
// package rpclient.
//
// That a person has no account and that an account cannot be used is told in the same
// words.
package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web"
)

//go:embed templates
var own embed.FS

// Config is what [New] makes a Login of. What has no other remark is required.
type Config struct {
	Frame    *web.Frame
	Client   *rpclient.Client
	Sessions *web.Sessions
	Guard    *web.Guard
	Site     string // the first part of the paths, such as "bank"
	Name     string // the key of the site's name
	Text     string // the key of what the phone shows, at most 60 characters
	Level    identity.Level
	// More is the key of a text with a link below the ways to log in, and Link its
	// address. They may be empty.
	More, Link string
	Life       time.Duration // of a visit
}

// Login is the part of a site that lets persons in. It is safe for concurrent use.
type Login struct {
	config Config
	pages  *web.Pages

	mu      sync.Mutex
	waiting map[string]bool // sessions of which one request waits
}

// New returns a Login. The error wraps web.ErrConfig.
func New(c Config) (*Login, error) {
	if c.Frame == nil || c.Client == nil || c.Sessions == nil || c.Guard == nil || c.Site == "" || c.Life <= 0 {
		return nil, fmt.Errorf("%w: a part of a login is missing", web.ErrConfig)
	}
	files, err := sub(own)
	if err != nil {
		return nil, err
	}
	l := &Login{config: c, waiting: map[string]bool{}}
	l.pages, err = c.Frame.Pages(l.path(""), c.Name, files, "login", "wait")
	return l, err
}

// path is one of the site's.
func (l *Login) path(p string) string { return "/" + l.config.Site + "/" + p }

// Routes adds the login's paths to the site's.
func (l *Login) Routes(mux *http.ServeMux) {
	if l == nil || mux == nil {
		return
	}
	mux.HandleFunc("GET "+l.path("login"), l.show)
	mux.HandleFunc("POST "+l.path("login/qr"), func(w http.ResponseWriter, r *http.Request) { l.begin(w, r, byQR) })
	mux.HandleFunc("POST "+l.path("login/id"), func(w http.ResponseWriter, r *http.Request) { l.begin(w, r, byID) })
	mux.HandleFunc("POST "+l.path("login/device"), func(w http.ResponseWriter, r *http.Request) { l.begin(w, r, onDevice) })
	mux.HandleFunc("GET "+l.path("login/state"), l.poll)
	mux.HandleFunc("GET "+l.path("login/return"), l.comeBack)
	mux.HandleFunc("POST "+l.path("login/cancel"), l.Leave)
	mux.HandleFunc("POST "+l.path("logout"), l.Leave)
}

// The ways to log in.
const (
	byQR     = "qr"
	byID     = "id"
	onDevice = "device"
)

// kept is what a cookie stands for.
type kept struct {
	// A login that is under way, or has failed.
	Way    string          `json:"way,omitempty"`
	Login  *rpclient.Login `json:"login,omitempty"`
	Value  string          `json:"value,omitempty"`  // of the URL to come back to
	Failed string          `json:"failed,omitempty"` // the key of why

	// A visit of a person who is logged in.
	Person *rpclient.Person `json:"person,omitempty"`
	At     time.Time        `json:"at,omitzero"`
	Data   json.RawMessage  `json:"data,omitempty"` // the site's
}

// pendingLife is how long a login may take, with some time to read what came of it.
const pendingLife = 10 * time.Minute

// Visit is of a person who has logged in.
type Visit struct {
	Person rpclient.Person
	At     time.Time // of the login

	login *Login
	id    string
	data  json.RawMessage
}

// Visit returns who is logged in, in a request's browser; nil if nobody is.
func (l *Login) Visit(r *http.Request) (*Visit, error) {
	if l == nil || l.pages == nil || r == nil {
		return nil, fmt.Errorf("%w: no login", web.ErrConfig)
	}
	id, k, err := l.kept(r)
	if err != nil || k.Person == nil {
		return nil, err
	}
	return &Visit{*k.Person, k.At, l, id, k.Data}, nil
}

// Name is what the page calls the person.
func (v *Visit) Name() string {
	if v == nil {
		return ""
	}
	return v.Person.Given + " " + v.Person.Surname
}

// Read reads what the site keeps of the visit; value stays as it is if there is nothing.
func (v *Visit) Read(value any) error {
	if v == nil || v.login == nil {
		return web.ErrNoSession
	}
	if v.data == nil {
		return nil
	}
	return json.Unmarshal(v.data, value)
}

// Change changes what the site keeps of the visit, in a transaction: f gets value as it
// is, and may run again.
func (v *Visit) Change(ctx context.Context, value any, f func() error) error {
	if v == nil || v.login == nil || f == nil {
		return web.ErrNoSession
	}
	var k kept
	return v.login.config.Sessions.Change(ctx, v.id, &k, func() error {
		if k.Data != nil {
			if err := json.Unmarshal(k.Data, value); err != nil {
				return err
			}
		}
		if err := f(); err != nil {
			return err
		}
		data, err := json.Marshal(value)
		k.Data, v.data = data, data
		return err
	})
}

// kept returns what the browser's cookie stands for; nothing if it stands for nothing.
func (l *Login) kept(r *http.Request) (id string, k kept, err error) {
	id = l.config.Sessions.Cookie(r, l.config.Frame)
	if id == "" {
		return "", k, nil
	}
	err = l.config.Sessions.Get(r.Context(), id, &k)
	if errors.Is(err, web.ErrNoSession) {
		return "", kept{}, nil
	}
	return id, k, err
}

// begin begins a login, in place of whatever the browser had.
func (l *Login) begin(w http.ResponseWriter, r *http.Request, way string) {
	ctx := r.Context()
	k := kept{Way: way}
	failed, err := l.start(ctx, r, &k)
	if err != nil {
		l.config.Frame.Failed(w, r, err)
		return
	}
	k.Failed = failed
	l.keep(w, r, k, pendingLife, l.path("login"))
}

// start asks the service. failed is the key of what to tell the person.
func (l *Login) start(ctx context.Context, r *http.Request, k *kept) (failed string, err error) {
	if err := r.ParseForm(); err != nil {
		return "login.again", nil
	}
	var person identity.ID
	if k.Way == byID {
		if person, err = readPerson(r.PostForm.Get("country"), r.PostForm.Get("number")); err != nil {
			return "login.badnumber", nil
		}
	}
	var later *quota.Later
	if err := l.config.Guard.Allow(ctx, r); errors.As(err, &later) {
		return "login.later", nil
	} else if err != nil {
		return "", err
	}
	lang := web.LanguageOf(r)
	text := rp.Interaction{Type: rp.DisplayTextAndPIN, Text: lang.Text(l.config.Text)}
	var login rpclient.Login
	if k.Way == byID {
		login, err = l.config.Client.LoginByID(ctx, person, l.config.Level, text)
	} else {
		callback := ""
		if k.Way == onDevice {
			k.Value = rand.Text()
			callback = l.config.Frame.URL() + l.path("login/return") + "?value=" + k.Value
		}
		login, err = l.config.Client.LoginByLink(ctx, callback, l.config.Level, text)
	}
	k.Login = &login
	var answer *rpclient.Error
	switch {
	case err == nil:
		return "", nil
	case rpclient.NoAccount(err):
		k.Login = nil
		return "login.noaccount", nil
	case errors.As(err, &answer) && answer.Status == http.StatusTooManyRequests:
		k.Login = nil
		return "login.later", nil
	}
	return "", err
}

// readPerson reads what a person types. Latvia's numbers have a hyphen, which may be left
// out.
func readPerson(country, number string) (identity.ID, error) {
	number = strings.ToUpper(strings.Join(strings.Fields(number), ""))
	if country == "LV" && len(number) == 11 && !strings.Contains(number, "-") {
		number = number[:6] + "-" + number[6:]
	}
	id := identity.ID{Type: "PNO", Country: country, Number: number}
	return id, id.Check()
}

// keep has the browser's cookie stand for something else, and leads it on.
func (l *Login) keep(w http.ResponseWriter, r *http.Request, k kept, life time.Duration, to string) {
	old, _, err := l.kept(r)
	var id string
	if err == nil {
		id, err = l.config.Sessions.Replace(r.Context(), old, k, life)
	}
	if errors.Is(err, web.ErrNoSession) { // another request of this browser was first
		http.Redirect(w, r, l.path("login"), http.StatusSeeOther)
		return
	}
	if err != nil {
		l.config.Frame.Failed(w, r, err)
		return
	}
	l.config.Sessions.SetCookie(w, l.config.Frame, id)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// Leave forgets a login that is under way, or a visit, and leads to the login.
func (l *Login) Leave(w http.ResponseWriter, r *http.Request) {
	if l == nil || l.pages == nil {
		http.Error(w, "no login", http.StatusInternalServerError)
		return
	}
	if id := l.config.Sessions.Cookie(r, l.config.Frame); id != "" {
		if err := l.config.Sessions.Delete(r.Context(), id); err != nil {
			l.config.Frame.Failed(w, r, err)
			return
		}
	}
	l.config.Sessions.SetCookie(w, l.config.Frame, "")
	http.Redirect(w, r, l.path("login"), http.StatusSeeOther)
}

// same compares in constant time.
func same(a, b string) bool { return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

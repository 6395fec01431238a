// Package self is the self-service: a person who has logged in with an account sees all
// accounts and their locks, what was done with them, and their certificates, and ends
// accounts, such as that of a lost phone by another one. Whoever has no other phone ends
// an account by its revocation code, without a login.
//
// # Security
//
// The page shows and ends accounts of the person who has logged in, and of nobody else.
// It ends one only within ten minutes of a login, and only if the login was at the
// account's level, or above: who is known less well does not end what was given to
// somebody known better. A visit is over when the account with which it began has ended.
//
// Tries of codes count against their source, as in the device API.
package self

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/login"
)

//go:embed templates
var own embed.FS

// Keys is what of a [server.Server] this package uses.
type Keys interface {
	Status(ctx context.Context, id protocol.KeyID) (*server.KeyStatus, error)
}

// Config is what [New] makes a Self of. What has no other remark is required.
type Config struct {
	Frame    *web.Frame
	Client   *rpclient.Client // of the self-service's own registration
	Sessions *web.Sessions    // of the site "self"
	Guard    *web.Guard
	Accounts *accounts.Accounts
	Keys     Keys
	Clock    func() time.Time // time.Now if nil
}

// Self is a site below "/self/". It is safe for concurrent use.
type Self struct {
	config  Config
	login   *login.Login
	pages   *web.Pages
	handler http.Handler
}

const (
	visitLife = 20 * time.Minute
	// freshLife is how long after a login an account may be ended.
	freshLife = 10 * time.Minute
	formSize  = 1 << 14
)

// New returns a Self. The error wraps web.ErrConfig.
func New(c Config) (*Self, error) {
	if c.Accounts == nil || c.Keys == nil {
		return nil, fmt.Errorf("%w: a part of the self-service is missing", web.ErrConfig)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	in, err := login.New(login.Config{
		Frame: c.Frame, Client: c.Client, Sessions: c.Sessions, Guard: c.Guard, Site: "self", Name: "self.name", Text: "self.login",
		Level: identity.Advanced, More: "self.lost", Link: "/self/code", Life: visitLife,
	})
	if err != nil {
		return nil, err
	}
	s := &Self{config: c, login: in}
	files, err := fs.Sub(own, "templates")
	if err != nil {
		return nil, err
	}
	if s.pages, err = c.Frame.Pages("/self/", "self.name", files, "accounts", "history", "end", "code"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	in.Routes(mux)
	mux.HandleFunc("GET /self/{$}", s.visit(s.accounts))
	mux.HandleFunc("GET /self/history", s.visit(s.history))
	mux.HandleFunc("GET /self/certificate/{document}/{use}", s.visit(s.certificate))
	mux.HandleFunc("GET /self/end/{document}", s.visit(s.askEnd))
	mux.HandleFunc("POST /self/end/{document}", s.visit(s.end))
	mux.HandleFunc("GET /self/code", s.code)
	mux.HandleFunc("POST /self/code", s.code)
	s.handler = c.Frame.Handler(formSize, mux)
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Self) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s == nil || s.handler == nil {
		http.Error(w, "no self-service", http.StatusInternalServerError)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// visit has whoever is not logged in log in first, and whose account has ended meanwhile.
func (s *Self) visit(f func(http.ResponseWriter, *http.Request, *login.Visit, []accounts.Account) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.login.Visit(r)
		var all []accounts.Account
		if err == nil && v != nil {
			all, err = s.config.Accounts.AllByPerson(r.Context(), v.Person.ID)
		}
		if err == nil {
			switch {
			case v == nil:
				http.Redirect(w, r, "/self/login", http.StatusSeeOther)
				return
			case !usable(all, v.Person.Document):
				s.login.Leave(w, r)
				return
			}
			err = f(w, r, v, all)
		}
		if errors.Is(err, web.ErrNoSession) {
			http.Redirect(w, r, "/self/login", http.StatusSeeOther)
			return
		}
		if err != nil {
			s.config.Frame.Failed(w, r, err)
		}
	}
}

// usable reports whether the account of a login may still speak for its person.
func usable(all []accounts.Account, d identity.Document) bool {
	a := find(all, d.String())
	return a != nil && a.State == accounts.Active
}

func find(all []accounts.Account, document string) *accounts.Account {
	for i := range all {
		if all[i].Document.String() == document {
			return &all[i]
		}
	}
	return nil
}

// Package bank is an e-service as anyone would write it against the relying-party API: a
// bank at which persons log in, transfer money with PIN2 and one of three codes, and sign
// a file. It is a demonstration: its money is not, and what it keeps of a visit ends with
// it.
//
// # Security
//
// Whoever signs must be who is logged in, by the same account: the signature is verified
// over the digest that the bank computed of what it showed. A transfer or a file is
// signed once, in the visit that began it. The signature of a transfer is kept with it.
package bank

import (
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/bank/asice"
	"github.com/tandem-rsa/tandem/service/web/login"
)

//go:embed templates
var own embed.FS

// Config is what [New] makes a Bank of; all of it is required.
type Config struct {
	Frame    *web.Frame
	Client   *rpclient.Client // of the bank's own registration
	Sessions *web.Sessions    // of the site "bank"
	Guard    *web.Guard
	Roots    *x509.CertPool // of the CAs by which signed files are verified
}

// Bank is a site below "/bank/". It is safe for concurrent use.
type Bank struct {
	config  Config
	login   *login.Login
	pages   *web.Pages
	handler http.Handler
}

const (
	visitLife = 30 * time.Minute
	// fileRoom is for the other parts of a form with a file.
	fileRoom = 1 << 14
)

// New returns a Bank. The error wraps web.ErrConfig.
func New(c Config) (*Bank, error) {
	if c.Roots == nil {
		return nil, fmt.Errorf("%w: a part of the bank is missing", web.ErrConfig)
	}
	in, err := login.New(login.Config{
		Frame: c.Frame, Client: c.Client, Sessions: c.Sessions, Guard: c.Guard, Site: "bank", Name: "bank.name", Text: "bank.login",
		Level: identity.Qualified, More: "bank.verifylink", Link: "/bank/verify", Life: visitLife,
	})
	if err != nil {
		return nil, err
	}
	b := &Bank{config: c, login: in}
	files, err := fs.Sub(own, "templates")
	if err != nil {
		return nil, err
	}
	if b.pages, err = c.Frame.Pages("/bank/", "bank.name", files, "home", "sign", "verify"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	in.Routes(mux)
	mux.HandleFunc("GET /bank/{$}", b.visit(b.home))
	mux.HandleFunc("POST /bank/transfer", b.visit(b.transfer))
	mux.HandleFunc("POST /bank/document", b.visit(b.document))
	mux.HandleFunc("GET /bank/document/{number}", b.visit(b.download))
	mux.HandleFunc("GET /bank/sign", b.visit(b.wait))
	mux.HandleFunc("GET /bank/sign/state", b.visit(b.poll))
	mux.HandleFunc("POST /bank/sign/cancel", b.visit(b.cancel))
	mux.HandleFunc("GET /bank/verify", b.verify)
	mux.HandleFunc("POST /bank/verify", b.verify)
	b.handler = c.Frame.Handler(asice.MaxContainer+fileRoom, mux)
	return b, nil
}

// ServeHTTP implements [http.Handler].
func (b *Bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b == nil || b.handler == nil {
		http.Error(w, "no bank", http.StatusInternalServerError)
		return
	}
	b.handler.ServeHTTP(w, r)
}

// account is what the bank keeps of a visit.
type account struct {
	Opened    bool
	Balance   int64 // cents
	Transfers []transfer
	Documents []document
	Signing   *signing // under way
	Done      string   // the key of what to tell the person, once
	Failed    string
}

// welcome is what everybody has at first.
const welcome = 100_000

func (a *account) open() {
	if !a.Opened {
		a.Opened, a.Balance = true, welcome
	}
}

// visit has whoever is not logged in log in first.
func (b *Bank) visit(f func(http.ResponseWriter, *http.Request, *login.Visit, *account) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := b.login.Visit(r)
		if err == nil && v == nil {
			http.Redirect(w, r, "/bank/login", http.StatusSeeOther)
			return
		}
		var a account
		if err == nil {
			err = v.Read(&a)
		}
		a.open()
		if err == nil {
			err = f(w, r, v, &a)
		}
		if errors.Is(err, web.ErrNoSession) {
			http.Redirect(w, r, "/bank/login", http.StatusSeeOther)
			return
		}
		if err != nil {
			b.config.Frame.Failed(w, r, err)
		}
	}
}

// tell notes what the first page says, and leads there.
func (b *Bank) tell(w http.ResponseWriter, r *http.Request, v *login.Visit, done, failed string) error {
	var a account
	err := v.Change(r.Context(), &a, func() error {
		a.open()
		a.Done, a.Failed = done, failed
		return nil
	})
	if err == nil {
		http.Redirect(w, r, "/bank/", http.StatusSeeOther)
	}
	return err
}

func (b *Bank) home(w http.ResponseWriter, r *http.Request, v *login.Visit, a *account) error {
	if a.Done != "" || a.Failed != "" {
		var now account
		err := v.Change(r.Context(), &now, func() error {
			now.Done, now.Failed = "", ""
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.pages.Render(w, r, "home", web.View{Who: v.Name(), Data: a})
	return nil
}

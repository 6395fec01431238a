package self

import (
	"errors"
	"net/http"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// ending is what the page says of an account that is about to end.
type ending struct {
	Account accounts.Account
	Number  string
	Current bool
	// Problem is the key of why it cannot be ended now; Again says that a new login
	// helps.
	Problem string
	Again   bool
}

// mayEnd says whether a visit may end an account.
func (s *Self) mayEnd(v *login.Visit, a *accounts.Account) ending {
	e := ending{Account: *a, Number: a.Document.String(), Current: a.Document == v.Person.Document}
	switch {
	case !a.State.Open():
		e.Problem = "self.hasended"
	case v.Person.Document.Level < a.Level:
		e.Problem = "self.lowlevel"
	case s.config.Clock().Sub(v.At) > freshLife:
		e.Problem, e.Again = "self.notfresh", true
	}
	return e
}

func (s *Self) askEnd(w http.ResponseWriter, r *http.Request, v *login.Visit, all []accounts.Account) error {
	a := find(all, r.PathValue("document"))
	if a == nil {
		http.NotFound(w, r)
		return nil
	}
	s.pages.Render(w, r, "end", web.View{Who: v.Name(), Data: s.mayEnd(v, a)})
	return nil
}

func (s *Self) end(w http.ResponseWriter, r *http.Request, v *login.Visit, all []accounts.Account) error {
	a := find(all, r.PathValue("document"))
	if a == nil {
		http.NotFound(w, r)
		return nil
	}
	if e := s.mayEnd(v, a); e.Problem != "" {
		s.pages.Render(w, r, "end", web.View{Status: http.StatusForbidden, Who: v.Name(), Data: e})
		return nil
	}
	// The rest of an end that is not finished the service does by itself.
	if err := s.config.Accounts.End(r.Context(), a.Document, accounts.ByOwner); err != nil && !errors.Is(err, accounts.ErrUnfinished) {
		return err
	}
	http.Redirect(w, r, "/self/", http.StatusSeeOther)
	return nil
}

// tried is what the page says of a revocation code.
type tried struct{ Done, Failed, Number string }

// code ends the account of a revocation code, for whoever has it.
func (s *Self) code(w http.ResponseWriter, r *http.Request) {
	var out tried
	status := http.StatusOK
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "not a form", http.StatusBadRequest)
			return
		}
		document, err := s.config.Accounts.EndByCode(r.Context(), r.PostForm.Get("code"), s.config.Guard.Source(r))
		var later *quota.Later
		switch {
		case err == nil || errors.Is(err, accounts.ErrUnfinished):
			out.Done, out.Number = "self.codedone", document.String()
		case errors.Is(err, accounts.ErrCode):
			out.Failed, status = "self.codewrong", http.StatusForbidden
		case errors.As(err, &later):
			out.Failed, status = "login.later", http.StatusTooManyRequests
		default:
			s.config.Frame.Failed(w, r, err)
			return
		}
	}
	s.pages.Render(w, r, "code", web.View{Status: status, Data: out})
}

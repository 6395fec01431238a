package self

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// states are what accounts are called.
var states = map[accounts.State]string{
	accounts.Active: "self.active", accounts.Suspended: "self.suspended", accounts.Deleted: "self.deleted", accounts.Expired: "self.expired",
}

// shownAccount is an account as the page shows it.
type shownAccount struct {
	accounts.Account
	Number    string
	StateText string
	LevelText string
	Current   bool // the one with which the person has logged in
	Locks     [2]lock
}

// lock is how the PIN of a key is.
type lock struct {
	Text  string // the key of a text
	Class string
	Left  int       // wrong PINs until the next lock
	Until time.Time // of a lock
}

func (s *Self) accounts(w http.ResponseWriter, r *http.Request, v *login.Visit, all []accounts.Account) error {
	var open, ended []shownAccount
	for _, a := range all {
		shown := shownAccount{
			Account: a, Number: a.Document.String(), StateText: states[a.State], LevelText: levels[a.Level.String()], Current: a.Document == v.Person.Document,
		}
		if !a.State.Open() {
			ended = append(ended, shown)
			continue
		}
		for i, k := range a.Keys {
			var err error
			if shown.Locks[i], err = s.lock(r.Context(), k); err != nil {
				return err
			}
		}
		open = append(open, shown)
	}
	s.pages.Render(w, r, "accounts", web.View{Who: v.Name(), Wide: true, Data: struct{ Open, Ended []shownAccount }{open, ended}})
	return nil
}

var levels = map[string]string{"QUALIFIED": "self.qualified", "ADVANCED": "self.advanced"}

// lock asks the server how many wrong PINs are left.
func (s *Self) lock(ctx context.Context, k accounts.Key) (lock, error) {
	status, err := s.config.Keys.Status(ctx, k.ID)
	switch {
	case errors.Is(err, server.ErrUnknownKey):
		return lock{Text: "self.destroyed", Class: "bad"}, nil
	case err != nil:
		return lock{}, err
	case status.Condition == server.Destroyed || status.Attempts.Destroyed:
		return lock{Text: "self.destroyed", Class: "bad"}, nil
	case status.Attempts.LockedUntil.After(s.config.Clock()):
		return lock{Text: "self.locked", Class: "warn", Until: status.Attempts.LockedUntil}, nil
	}
	return lock{Text: "self.unlocked", Left: status.Attempts.Remaining}, nil
}

// certificate gives out a certificate, of one of the person's accounts.
func (s *Self) certificate(w http.ResponseWriter, r *http.Request, _ *login.Visit, all []accounts.Account) error {
	use, known := map[string]ca.Use{"authentication": ca.Authentication, "signature": ca.Signature}[r.PathValue("use")]
	a := find(all, r.PathValue("document"))
	if !known || a == nil {
		http.NotFound(w, r)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/pkix-cert")
	h.Set("Content-Disposition", `attachment; filename="`+a.Document.String()+"-"+r.PathValue("use")+`.cer"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(a.Key(use).Certificate)
	return nil
}

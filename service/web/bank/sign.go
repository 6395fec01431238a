package bank

import (
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// signing is a signature that is under way, and what it is for: one of the two.
type signing struct {
	Signing  rpclient.Signing
	Transfer *transfer
	Document *document
}

// ask asks the phone with which the person logged in.
func (b *Bank) ask(w http.ResponseWriter, r *http.Request, v *login.Visit, s *signing, digest []byte, algorithm rp.Algorithm, show []rp.Interaction) error {
	var later *quota.Later
	if err := b.config.Guard.Allow(r.Context(), r); errors.As(err, &later) {
		return b.tell(w, r, v, "", "login.later")
	} else if err != nil {
		return err
	}
	var err error
	s.Signing, err = b.config.Client.Sign(r.Context(), v.Person.Document, digest, algorithm, rand.Text(), show...)
	var answer *rpclient.Error
	switch {
	case rpclient.NoAccount(err):
		return b.tell(w, r, v, "", "end.unusable")
	case errors.As(err, &answer) && answer.Status == http.StatusTooManyRequests:
		return b.tell(w, r, v, "", "login.later")
	case err != nil:
		return err
	}
	var a account
	err = v.Change(r.Context(), &a, func() error {
		a.open()
		a.Signing, a.Done, a.Failed = s, "", ""
		return nil
	})
	if err == nil {
		http.Redirect(w, r, "/bank/sign", http.StatusSeeOther)
	}
	return err
}

func (b *Bank) wait(w http.ResponseWriter, r *http.Request, v *login.Visit, a *account) error {
	if a.Signing == nil {
		http.Redirect(w, r, "/bank/", http.StatusSeeOther)
		return nil
	}
	b.pages.Render(w, r, "sign", web.View{Script: "wait.js", Who: v.Name(), Data: a.Signing})
	return nil
}

// cancel forgets a signature: what the phone makes of it nobody takes.
func (b *Bank) cancel(w http.ResponseWriter, r *http.Request, v *login.Visit, _ *account) error {
	var a account
	err := v.Change(r.Context(), &a, func() error {
		a.open()
		a.Signing = nil
		return nil
	})
	if err == nil {
		http.Redirect(w, r, "/bank/", http.StatusSeeOther)
	}
	return err
}

// signWait is how long a page waits for an answer, and signPause between two questions.
const (
	signWait  = 10 * time.Second
	signPause = 500
)

// mostTransfers is how many of the last transfers a visit shows.
const mostTransfers = 20

func (b *Bank) poll(w http.ResponseWriter, r *http.Request, v *login.Visit, a *account) error {
	if a.Signing == nil {
		login.Send(w, login.State{To: "/bank/"})
		return nil
	}
	leave := b.login.Enter(a.Signing.Signing.Session)
	if leave == nil {
		login.Send(w, login.State{Pause: 2 * signPause})
		return nil
	}
	defer leave()
	signature, person, err := b.config.Client.SignStatus(r.Context(), a.Signing.Signing, signWait)
	why, known := login.Reason(err)
	switch {
	case err != nil && !known:
		return err
	case err == nil && signature == nil:
		login.Send(w, login.State{Pause: signPause})
		return nil
	}
	s := a.Signing
	if err == nil && s.Document != nil {
		if err := b.finish(r, s.Document, signature); err != nil {
			return err
		}
	}
	var now account
	err = v.Change(r.Context(), &now, func() error {
		if now.Signing == nil || now.Signing.Signing.Session != s.Signing.Session {
			return nil // another window was first, or the person has cancelled
		}
		now.Signing = nil
		switch {
		case known:
			now.Failed = why
		case s.Document != nil:
			now.Documents, now.Done = append(now.Documents, *s.Document), "bank.signed"
		case s.Transfer.Cents > now.Balance:
			now.Failed = "bank.toolittle"
		default:
			t := *s.Transfer
			t.Signature, t.By = signature, person.Certificate
			now.Balance, now.Transfers, now.Done = now.Balance-t.Cents, append(now.Transfers, t), "bank.transferred"
			now.Transfers = now.Transfers[max(len(now.Transfers)-mostTransfers, 0):]
		}
		return nil
	})
	if err == nil {
		login.Send(w, login.State{To: "/bank/"})
	}
	return err
}

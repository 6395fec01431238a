package mobile

import (
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Poll looks for a transaction: CodeNone is "No transaction found". It waits for one, for
// about so many seconds, and for another one than known, a session, if that is not empty.
// The outcome has Found.
func (p *Phone) Poll(waitSeconds int, known string) (*Outcome, error) {
	wait := time.Duration(min(max(waitSeconds, 0), 120)) * time.Second
	return p.read(wait, func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		var before *deviceclient.Pending
		if known != "" {
			before = &deviceclient.Pending{Session: known}
		}
		found, err := c.phone.Poll(c.ctx, before, wait)
		if err != nil {
			return err
		}
		if found == nil {
			c.out.Code = CodeNone
			return nil
		}
		c.out.waiting = &Waiting{Session: found.Session, Kind: found.Kind, RelyingParty: found.RelyingParty}
		return nil
	})
}

// Open opens a session that Poll has found. The outcome has Shown.
func (p *Phone) Open(session string) (*Outcome, error) {
	return p.open(func(c *call) (*deviceclient.Transaction, error) {
		return c.phone.Open(c.ctx, &deviceclient.Pending{Session: session})
	})
}

// OpenLink opens the session of a device link: what a QR code says, or what opened the
// app. The outcome has Shown.
func (p *Phone) OpenLink(link string) (*Outcome, error) {
	return p.open(func(c *call) (*deviceclient.Transaction, error) { return c.phone.OpenLink(c.ctx, link) })
}

func (p *Phone) open(claim func(*call) (*deviceclient.Transaction, error)) (*Outcome, error) {
	return p.change(func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		t, err := claim(c)
		if err != nil {
			return err
		}
		return c.keep(t)
	})
}

// keep stores a transaction, so that the app may end before the person answers.
func (c *call) keep(t *deviceclient.Transaction) error {
	data, err := t.Save()
	if err != nil {
		return err
	}
	defer clear(data)
	if err := saveRecord(c.storage, transactionName, data, c.keys.storage.Get()); err != nil {
		return err
	}
	c.out.transaction = newTransaction(t)
	return nil
}

// kept is the transaction that is open; nil if there is none.
func (c *call) kept() (*deviceclient.Transaction, error) {
	data, err := loadRecord(c.storage, transactionName, c.keys.storage.Get())
	if err != nil || data == nil {
		return nil, err
	}
	defer clear(data)
	return c.phone.Restore(data)
}

// transaction is the one that the person has seen.
func (c *call) transaction(session string) (*deviceclient.Transaction, error) {
	if err := c.known(); err != nil {
		return nil, err
	}
	t, err := c.kept()
	switch {
	case err != nil:
		return nil, err
	case t == nil || t.Session != session:
		return nil, errOther
	}
	c.out.transaction = newTransaction(t)
	return t, nil
}

// over forgets a transaction.
func (c *call) over(t *deviceclient.Transaction) error {
	c.out.callback = secret.Hide(t.CallbackURL())
	return called(c.storage.Save(transactionName, nil))
}

// ended forgets it if the error says that it has ended.
func (c *call) ended(t *deviceclient.Transaction, err error) error {
	for _, code := range []string{
		deviceclient.CodeGone, deviceclient.CodeWrongCode, deviceclient.CodeNotFound, deviceclient.CodeUnusable, deviceclient.CodeEnded, deviceclient.CodeUnauthorized,
	} {
		if deviceclient.Is(err, code) {
			return errors.Join(err, c.over(t))
		}
	}
	if errors.Is(err, deviceclient.ErrNotTaken) {
		return errors.Join(err, c.over(t))
	}
	return err
}

// Choose tells the service which of the three codes the person picked. Another one than
// the e-service's ends the transaction: CodeWrongCode. session is that of what was shown,
// here and below: CodeOther if another transaction is open by now, which Status has.
func (p *Phone) Choose(session, code string) (*Outcome, error) {
	return p.change(func(c *call) error {
		t, err := c.transaction(session)
		if err != nil {
			return err
		}
		if err := t.Choose(c.ctx, code); err != nil {
			return c.ended(t, err)
		}
		return c.keep(t)
	})
}

// UseAccount answers a choice of a certificate: with this account. If Awaits is set in
// the outcome's Shown, a signature may follow, which Poll finds; Refuse ends that wait.
func (p *Phone) UseAccount(session string) (*Outcome, error) {
	return p.change(func(c *call) error {
		t, err := c.transaction(session)
		if err != nil {
			return err
		}
		if err := t.Use(c.ctx); err != nil {
			return c.ended(t, err)
		}
		if t.Awaits() {
			return c.keep(t)
		}
		return c.over(t)
	})
}

// Sign signs, with the PIN of the transaction's key. CodeOK says that the relying party
// has the signature; the outcome has CallbackURL then. After CodeWrongPIN it may be
// called again, as long as the transaction lasts; after CodeUnanswered Resume is called.
func (p *Phone) Sign(session string, pin []byte) (*Outcome, error) {
	defer clear(pin)
	return p.change(func(c *call) error {
		t, err := c.transaction(session)
		if err != nil {
			return err
		}
		c.out.Key = keyOf(t.Kind)
		if err := t.Sign(c.ctx, pin); err != nil {
			return c.ended(t, err)
		}
		return c.over(t)
	})
}

// The screens on which a person refuses.
const (
	ScreenNone         = "" // without a look
	ScreenAccount      = "account"
	ScreenCodes        = "codes"
	ScreenConfirmation = "confirmation"
	ScreenPIN          = "pin"
)

// Refuse ends the transaction, on one of the screens above. The outcome has CallbackURL.
func (p *Phone) Refuse(session, screen string) (*Outcome, error) {
	return p.change(func(c *call) error {
		t, err := c.transaction(session)
		if err != nil {
			return err
		}
		if err := t.Refuse(c.ctx, screen); err != nil {
			return c.ended(t, err)
		}
		return c.over(t)
	})
}

// Resume finds out what became of what was not answered, without a PIN. CodeOK says that
// it was carried out: a relying party has a signature, and the outcome CallbackURL;
// CodeNone that nothing waits; CodeUnanswered that the service still does not answer. The
// other codes are those of what was begun.
func (p *Phone) Resume() (*Outcome, error) {
	return p.change(func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		t, err := c.kept()
		if err != nil && !errors.Is(err, deviceclient.ErrMismatch) {
			return err
		}
		if t != nil && t.Kind != rp.CertificateChoice {
			switch err := t.Resume(c.ctx); {
			case err == nil:
				c.out.transaction = newTransaction(t)
				return c.over(t)
			case !errors.Is(err, device.ErrNothingPending):
				c.out.Key, c.out.transaction = keyOf(t.Kind), newTransaction(t)
				return c.ended(t, err)
			}
		}
		found := false
		for _, key := range []string{KeyAuthentication, KeySignature} {
			d, err := c.device(key)
			if err != nil {
				return err
			}
			_, err = d.Resume(c.ctx)
			switch {
			case errors.Is(err, device.ErrNothingPending):
				continue
			case err != nil && !errors.Is(err, device.ErrCarriedOut):
				c.out.Key = key
				return err
			}
			found = true
		}
		if !found {
			return device.ErrNothingPending
		}
		return nil
	})
}

// GiveUp takes back what is not answered: CodeOK says that nothing waits any more. It
// needs the service's answer, too, but for an enrolment.
func (p *Phone) GiveUp(key string) (*Outcome, error) {
	return p.change(func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		c.out.Key = key
		d, err := c.device(key)
		if err != nil {
			return err
		}
		if s, err := d.Status(); err != nil || s.Phase == device.Enrolling {
			return errors.Join(err, d.Cancel(c.ctx, nil))
		}
		return c.phone.Cancel(c.ctx, d)
	})
}

// Status says what an app that starts has to show: the outcome has Now. It asks nobody.
func (p *Phone) Status() (*Outcome, error) {
	return p.change(func(c *call) error {
		s := &State{Phase: PhaseFresh}
		c.out.state = s
		if c.phone == nil {
			return nil
		}
		switch {
		case c.record.Enrolled:
			s.Phase = PhaseEnrolled
		case c.record.Asked:
			s.Phase = PhaseEnrolling
		}
		for _, key := range []string{KeyAuthentication, KeySignature} {
			d, err := c.device(key)
			if err != nil {
				return err
			}
			k, err := d.Status()
			if err != nil {
				return fmt.Errorf("key for %s: %w", key, err)
			}
			s.Pending = s.Pending || k.Pending != nil
			switch k.Phase {
			case device.Dead, device.Superseded:
				s.Phase = PhaseDead
			case device.NoKey:
			default:
				if s.Phase == PhaseFresh {
					s.Phase = PhaseEnrolling
				}
			}
		}
		t, err := c.kept()
		if err != nil && !errors.Is(err, deviceclient.ErrMismatch) {
			return err
		}
		if t != nil && time.Now().Before(t.Deadline) {
			s.transaction = newTransaction(t)
		}
		return nil
	})
}

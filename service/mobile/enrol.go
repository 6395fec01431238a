package mobile

import (
	"context"
	"errors"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/deviceclient"
)

// Enrol makes an account: with a registrar's code, a label for this phone, and two PINs
// that differ. Cut off, it is called again with the same code and PINs, or
// ResumeEnrolment. The outcome has Holder and RevocationCode.
func (p *Phone) Enrol(code, label string, pin1, pin2 []byte) (*Outcome, error) {
	return p.enrol(pin1, pin2, func(c *call, pins deviceclient.PINs) (deviceclient.Opened, error) {
		if err := c.draw(); err != nil {
			return deviceclient.Opened{}, err
		}
		return c.phone.Enrol(c.ctx, code, label, pins)
	})
}

// ResumeEnrolment goes on with an enrolment that was cut off, or that the old phone has
// approved: CodeNotApproved before.
func (p *Phone) ResumeEnrolment(pin1, pin2 []byte) (*Outcome, error) {
	return p.enrol(pin1, pin2, func(c *call, pins deviceclient.PINs) (deviceclient.Opened, error) {
		if err := c.known(); err != nil {
			return deviceclient.Opened{}, err
		}
		return c.phone.Resume(c.ctx, pins)
	})
}

func (p *Phone) enrol(pin1, pin2 []byte, open func(*call, deviceclient.PINs) (deviceclient.Opened, error)) (*Outcome, error) {
	defer clear(pin1)
	defer clear(pin2)
	return p.change(func(c *call) error {
		if c.record.Enrolled {
			c.out.Code = CodeEnrolled
			return nil
		}
		for _, check := range []struct {
			key        string
			pin, other []byte
		}{{KeyAuthentication, pin1, nil}, {KeySignature, pin2, pin1}} {
			if o := CheckPIN(check.pin, check.other); o.Code != CodeOK {
				*c.out = *o
				c.out.Key = check.key
				return nil
			}
		}
		opened, err := open(c, deviceclient.PINs{Authentication: pin1, Signature: pin2})
		if errors.Is(err, device.ErrRejected) {
			err = device.ErrNotCarriedOut // another key will do
		}
		if err != nil {
			c.out.Key = c.unconfirmed()
			return err
		}
		r := c.record
		r.Enrolled = true
		if err := c.note(r); err != nil {
			return err
		}
		c.out.account, c.out.revocation = newAccount(opened.Account), secret.Hide(opened.RevocationCode)
		return nil
	})
}

// unconfirmed names the first key that is not ready.
func (c *call) unconfirmed() string {
	if c.phone == nil {
		return ""
	}
	for _, key := range []string{KeyAuthentication, KeySignature} {
		d, err := c.device(key)
		if err != nil {
			return ""
		}
		if s, err := d.Status(); err == nil && s.Phase != device.Ready {
			return key
		}
	}
	return ""
}

// draw draws a token for a phone that has none.
func (c *call) draw() error {
	if c.phone != nil {
		return nil
	}
	return c.note(record{Token: deviceclient.NewToken()})
}

// Ask begins an enrolment in place of an old phone. The outcome's Request is shown as a
// QR code, which the old phone scans and approves: Scan, Approve. Then ResumeEnrolment
// makes the account.
func (p *Phone) Ask(label string) (*Outcome, error) {
	return p.change(func(c *call) (err error) {
		if c.record.Enrolled {
			c.out.Code = CodeEnrolled
			return nil
		}
		if err := c.draw(); err != nil {
			return err
		}
		if c.out.request, err = c.phone.Ask(c.ctx, label); err != nil {
			return err
		}
		r := c.record
		r.Asked = true
		return c.note(r)
	})
}

// Scan looks at the QR code of a new phone. The outcome has NewDevice, its label, for the
// person to compare. Nothing has happened yet.
func (p *Phone) Scan(request string) (*Outcome, error) {
	return p.change(func(c *call) error {
		_, err := c.scan(request)
		return err
	})
}

func (c *call) scan(request string) (*deviceclient.NewPhone, error) {
	if err := c.known(); err != nil {
		return nil, err
	}
	n, err := c.phone.Scanned(c.ctx, request)
	if err == nil {
		c.out.device = n.Device
	}
	return n, err
}

// Approve lets a new phone take this one's place, by a signature with PIN2. device is the
// label that the person has seen: CodeMismatch if it is another one now.
func (p *Phone) Approve(request, device string, pin2 []byte) (*Outcome, error) {
	defer clear(pin2)
	return p.change(func(c *call) error {
		c.out.Key = KeySignature
		n, err := c.scan(request)
		if err != nil {
			return err
		}
		if n.Device != device {
			return deviceclient.ErrMismatch
		}
		if err := c.settle(c.phone.Signature()); err != nil {
			return err
		}
		return c.phone.Approve(c.ctx, n, pin2)
	})
}

// Home asks the service for the account, also for one that has ended.
func (p *Phone) Home() (*Outcome, error) {
	return p.read(0, func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		a, err := c.phone.Account(c.ctx)
		if err == nil {
			c.out.account = newAccount(a)
		}
		return err
	})
}

// ReadHistory reads the last lines of what was done with the person's accounts, the
// latest first: those before a line's ID, if that is not empty. The outcome has Lines.
func (p *Phone) ReadHistory(before string) (*Outcome, error) {
	return p.read(0, func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		lines, err := c.phone.History(c.ctx, before)
		c.out.history = newHistory(lines)
		return err
	})
}

// ChangePIN changes the PIN of a key, KeyAuthentication or KeySignature. After
// CodeUnanswered Resume says whether the old one holds: with CodePINUnchanged it does.
func (p *Phone) ChangePIN(key string, oldPIN, newPIN []byte) (*Outcome, error) {
	defer clear(oldPIN)
	defer clear(newPIN)
	return p.change(func(c *call) error {
		c.out.Key = key
		if err := c.known(); err != nil {
			return err
		}
		d, err := c.device(key)
		if err != nil {
			return err
		}
		if o := CheckPIN(newPIN, oldPIN); o.Code == CodePINFormat || o.Code == CodeWeakPIN {
			*c.out = *o
			c.out.Key = key
			return nil
		}
		if err := c.settle(d); err != nil {
			return err
		}
		challenge, err := c.phone.Challenge(c.ctx, d)
		if err != nil {
			return err
		}
		return d.ChangePIN(c.ctx, challenge, oldPIN, newPIN)
	})
}

// Delete ends the account, for ever. Forget is next.
func (p *Phone) Delete() (*Outcome, error) {
	return p.change(func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		return c.phone.Delete(c.ctx)
	})
}

// Forget removes all that is stored: the phone is fresh then. The halves of keys that are
// not destroyed are lost for ever.
func (p *Phone) Forget() (*Outcome, error) {
	if p == nil || p.storage == nil {
		return nil, errNothing
	}
	// It must do for a storage that is damaged, and may wait for nobody.
	return p.changeAnyway(func(c *call) error {
		for _, name := range []string{authenticationName, signatureName} {
			unlock, err := keyStorage{c.storage, name, c.token.Get()}.Lock()
			if err != nil {
				return err
			}
			defer unlock()
		}
		// The token last: without it there is nothing to find.
		for _, name := range []string{transactionName, authenticationName, signatureName, tokenName} {
			if err := c.storage.Save(name, nil); err != nil {
				return called(err)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.Phone.phone, c.Phone.token = nil, secret.Value[string]{}
		return nil
	})
}

func (p *Phone) changeAnyway(do func(*call) error) (*Outcome, error) {
	if !p.op.TryLock() {
		return &Outcome{Code: CodeBusy}, nil
	}
	defer p.op.Unlock()
	c := &call{Phone: p, ctx: context.Background(), out: new(Outcome)}
	if err := c.out.take(do(c)); err != nil {
		return nil, err
	}
	return c.out, nil
}

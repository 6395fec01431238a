package deviceapi

import (
	"encoding/base64"
	"errors"
	"time"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

func (c *call) enrolBegin() (any, error) {
	code, device := c.body.String("code", true), c.body.String("device", true)
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	e, err := c.config.Accounts.Begin(c.ctx, code, c.token, device, address(c.source))
	return c.enrolment(e, err)
}

func (c *call) enrolAsk() (any, error) {
	device := c.body.String("device", true)
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	request, expires, err := c.config.Accounts.Ask(c.ctx, c.token, device, address(c.source))
	return devicewire.Asked{Request: request, Expires: expires}, err
}

func (c *call) enrolContinue() (any, error) {
	return c.enrolment(c.config.Accounts.Continue(c.ctx, c.token))
}

func (c *call) enrolment(e accounts.Enrolment, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	out := devicewire.EnrolmentBody{Document: e.Document.String(), Given: e.Person.Given, Surname: e.Person.Surname, Expires: e.Expires}
	for i, o := range e.Offers {
		offer := devicewire.Offer{ID: o.ID.String(), Challenge: o.Challenge, Confirmed: o.Confirmed}
		if o.Challenge == nil && !o.Confirmed {
			if offer.Confirm, err = c.config.Server.Challenge(c.ctx, o.ID); err != nil {
				return nil, err
			}
		}
		out.Keys[i] = offer
	}
	return out, nil
}

func (c *call) enrolFinish() (any, error) {
	o, err := c.config.Accounts.Finish(c.ctx, c.token)
	if err != nil {
		return nil, err
	}
	body, err := c.accountBody(o.Account)
	return devicewire.Opened{Account: body, RevocationCode: o.RevocationCode}, err
}

func (c *call) readAccount() (any, error) { return c.accountBody(c.account) }

// accountBody is what a phone shows of its account.
func (c *call) accountBody(a accounts.Account) (devicewire.AccountBody, error) {
	out := devicewire.AccountBody{
		Document: a.Document.String(), Level: a.Document.Level.String(), State: string(a.State), Device: a.Device,
		Given: a.Person.Given, Surname: a.Person.Surname, Created: a.Created, Expires: a.Expires,
	}
	for i, k := range a.Keys {
		key := devicewire.Key{ID: k.ID.String(), Certificate: k.Certificate, Destroyed: true}
		s, err := c.config.Server.Status(c.ctx, k.ID)
		switch {
		case errors.Is(err, server.ErrUnknownKey):
		case err != nil:
			return out, err
		default:
			key.Destroyed = s.Condition == server.Destroyed || s.Attempts.Destroyed
			key.Remaining, key.RemainingTotal = s.Attempts.Remaining, s.Attempts.RemainingTotal
			if left := time.Until(s.Attempts.LockedUntil); left > 0 {
				key.LockedUntil, key.LockedSeconds = s.Attempts.LockedUntil, seconds(left)
			}
		}
		out.Keys[i] = key
	}
	return out, nil
}

// seconds rounds up: what has some time left has a second.
func seconds(d time.Duration) int64 { return int64((max(d, 0) + time.Second - 1) / time.Second) }

// deleteAccount ends the account. What is left to do of that, the service does by itself.
func (c *call) deleteAccount() (any, error) {
	err := c.config.Accounts.End(c.ctx, c.account.Document, accounts.ByOwner)
	if errors.Is(err, accounts.ErrUnfinished) {
		err = nil
	}
	return struct{}{}, err
}

const historyPage = 50

func (c *call) readHistory() (any, error) {
	before := c.body.String("before", false)
	if len(before) > 64 {
		c.body.Fail("before", "is too long")
	}
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	entries, err := c.config.Accounts.History(c.ctx, c.account.Document.ID, before, historyPage)
	out := devicewire.Entries{Entries: []devicewire.Entry{}}
	for _, e := range entries {
		out.Entries = append(out.Entries, devicewire.Entry{
			ID: e.ID, At: e.At, Kind: e.Kind, Document: e.Document, RelyingParty: e.RelyingParty, Text: e.Text, Result: e.Result,
			Device: e.Device, Flow: e.Flow, Address: e.Address,
		})
	}
	return out, err
}

func (c *call) newPhone() (any, error) {
	request := c.body.String("request", true)
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	n, err := c.config.Accounts.NewPhone(c.ctx, c.account, request)
	return devicewire.NewPhoneBody{Device: n.Device, Digest: n.Digest, Challenge: n.Challenge, Expires: n.Expires}, err
}

func (c *call) approve() (any, error) {
	request, signature := c.body.String("request", true), c.bytes("signature")
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	return struct{}{}, c.config.Accounts.Approve(c.ctx, c.account, request, signature)
}

// bytes reads a member that is base64: the standard alphabet, padding, no white space and
// no spare bit.
func (c *call) bytes(name string) []byte {
	text := c.body.String(name, true)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(b) != text {
		c.body.Fail(name, "is not base64")
	}
	return b
}

// challenge gives one for what signs nothing: a PIN to change, a request to cancel.
func (c *call) challenge() (any, error) {
	key := c.account.Keys[0]
	switch use := c.body.String("use", true); use {
	case devicewire.Authentication:
	case devicewire.Signature:
		key = c.account.Keys[1]
	default:
		c.body.Fail("use", "is not authentication or signature")
	}
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	challenge, err := c.config.Server.Challenge(c.ctx, key.ID)
	return devicewire.ChallengeBody{Challenge: challenge}, err
}

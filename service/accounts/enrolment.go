package accounts

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

// Enrolment is what a phone needs to enrol its keys.
type Enrolment struct {
	Document identity.Document
	Person   identity.Person
	Offers   [2]Offer // for authentication, and for signatures
	Expires  time.Time
}

// Offer is a key that the phone may enrol, or has. Challenge is for device.Device.Enroll;
// it is nil if the key is enrolled. Then, if Confirmed is false, Device.Confirm is next.
type Offer struct {
	ID        protocol.KeyID
	Challenge []byte
	Confirmed bool
}

const (
	// begunLife is how long a phone has from Begin to Finish.
	begunLife = 24 * time.Hour
	// openedLife is for how long after the account began Finish says so again, with
	// another revocation code.
	openedLife = 15 * time.Minute
	// maxOffers bounds the keys that are offered to one enrolment.
	maxOffers = 40
)

// The states of an enrolment.
const (
	registered = "registered" // the registrar gave a code
	asked      = "asked"      // by a new phone
	approved   = "approved"   // by the old one
	begun      = "begun"      // the phone has an account number, and challenges
	opened     = "opened"     // there is an account
)

// enrolment is a row of enrolments.
type enrolment struct {
	id, state, person, document, replaces, device string
	token                                         []byte
	level                                         identity.Level
	subject                                       subject
	created, expires, opened                      time.Time
}

func (e enrolment) replaced() []string { return strings.Fields(e.replaces) }

// parsed returns the document number and the person, once the enrolment has begun.
func (e enrolment) parsed() (d identity.Document, p identity.Person, err error) {
	if d, err = identity.ParseDocument(e.document); err != nil {
		return d, p, err
	}
	p, err = e.subject.person(d.ID)
	return d, p, err
}

// find reads the enrolment whose column has a value. The error is ErrCode if there is
// none, or its time is over.
func (a *Accounts) find(ctx context.Context, tx *sql.Tx, column string, value []byte) (e enrolment, err error) {
	var who string
	var created, expires, opened int64
	err = tx.QueryRowContext(ctx, `SELECT id, state, person, subject, level, document, replaces, device, token, created, expires, opened
FROM enrolments WHERE `+column+" = $1", value).
		Scan(&e.id, &e.state, &e.person, &who, &e.level, &e.document, &e.replaces, &e.device, &e.token, &created, &expires, &opened)
	if errors.Is(err, sql.ErrNoRows) {
		return enrolment{}, ErrCode
	}
	if err != nil {
		return enrolment{}, err
	}
	if err := json.Unmarshal([]byte(who), &e.subject); err != nil {
		return enrolment{}, fmt.Errorf("accounts: damaged enrolment: %w", err)
	}
	e.created, e.expires, e.opened = fromMillis(created), fromMillis(expires), fromMillis(opened)
	if !a.now().Before(e.expires) {
		return enrolment{}, ErrCode
	}
	return e, nil
}

// Begin begins an enrolment with a registrar's code. The phone draws the token, see
// [NewToken], keeps it, and gives itself a label; source is where the call comes from.
// The code is used up then: another token gets ErrCode. The errors are ErrCode,
// ErrRequest, or a [*quota.Later] if there were too many tries.
func (a *Accounts) Begin(ctx context.Context, code, token, device, source string) (Enrolment, error) {
	if err := a.ready(ctx); err != nil {
		return Enrolment{}, err
	}
	hash, err := hashToken(token)
	if err == nil {
		err = checkLabel(device)
	}
	if err == nil {
		err = a.allowCode(ctx, source)
	}
	if err != nil {
		return Enrolment{}, err
	}
	read, ok := readCode(code)
	if !ok {
		return Enrolment{}, ErrCode
	}
	err = a.db.Tx(ctx, func(tx *sql.Tx) error {
		e, err := a.find(ctx, tx, "code", a.mac("enrolment", read))
		if err != nil {
			return err
		}
		if e.state != registered {
			if subtle.ConstantTimeCompare(e.token, hash) != 1 {
				return ErrCode
			}
			return nil
		}
		if err := unused(ctx, tx, hash); err != nil {
			return err
		}
		return a.begin(ctx, tx, e, hash, device)
	})
	if err != nil {
		return Enrolment{}, err
	}
	return a.Continue(ctx, token)
}

// unused refuses a token that some phone has already.
func unused(ctx context.Context, tx *sql.Tx, hash []byte) error {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM accounts WHERE token = $1) + (SELECT count(*) FROM enrolments WHERE token = $1)", hash).Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: the token is in use", ErrRequest)
	}
	return err
}

// begin gives an enrolment its account's number.
func (a *Accounts) begin(ctx context.Context, tx *sql.Tx, e enrolment, token []byte, device string) error {
	person, err := identity.ParseID(e.person)
	if err != nil {
		return err
	}
	// A person would have to have had a million accounts for this to fail.
	const draws = 32
	for range draws {
		d, err := identity.NewDocument(person, e.level)
		if err != nil {
			return err
		}
		var n int
		err = tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM accounts WHERE document = $1) + (SELECT count(*) FROM enrolments WHERE document = $1)
+ (SELECT count(*) FROM account_keys WHERE document = $1)`, d.String()).Scan(&n)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		_, err = tx.ExecContext(ctx, "UPDATE enrolments SET state = 'begun', token = $1, device = $2, document = $3, expires = $4 WHERE id = $5",
			token, device, d.String(), millis(a.now().Add(begunLife)), e.id)
		return err
	}
	return errors.New("accounts: no document number is free")
}

// offered is a key of an enrolment.
type offered struct {
	id          protocol.KeyID
	state       string
	certificate []byte
}

// offers reads the keys that are offered to a document number, by their use, and how many
// there ever were.
func offers(ctx context.Context, tx *sql.Tx, document string) (out map[ca.Use]offered, n int, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, key_use, certificate, state FROM account_keys WHERE document = $1", document)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	out = map[ca.Use]offered{}
	for rows.Next() {
		var id, certificate []byte
		var use ca.Use
		var state string
		if err := rows.Scan(&id, &use, &certificate, &state); err != nil {
			return nil, 0, err
		}
		if len(id) != protocol.KeyIDSize {
			return nil, 0, errDamaged
		}
		n++
		if state != dropped {
			out[use] = offered{protocol.KeyID(id), state, certificate}
		}
	}
	return out, n, rows.Err()
}

// The states of a key: what it is offered for, what an account has, what nobody uses.
const (
	offer   = "offered"
	current = "current"
	dropped = "dropped"
)

// uses are the two of an account, in the order of Account.Keys.
var uses = [2]ca.Use{ca.Authentication, ca.Signature}

// Continue returns what is missing until the keys of an enrolment that has begun are
// enrolled and confirmed, with new challenges for keys that are not enrolled or have
// died. A new phone calls it until the old one has approved it: ErrNotApproved. The error
// is ErrCode for a token without an enrolment that lasts.
func (a *Accounts) Continue(ctx context.Context, token string) (Enrolment, error) {
	if err := a.ready(ctx); err != nil {
		return Enrolment{}, err
	}
	hash, err := hashToken(token)
	if err != nil {
		return Enrolment{}, ErrCode
	}
	e, err := a.beginApproved(ctx, hash)
	if err != nil {
		return Enrolment{}, err
	}
	var out Enrolment
	if out.Document, out.Person, err = e.parsed(); err != nil {
		return Enrolment{}, err
	}
	out.Expires = e.expires
	for i, use := range uses {
		if out.Offers[i], err = a.offer(ctx, e.document, use); err != nil {
			return Enrolment{}, err
		}
	}
	return out, nil
}

// beginApproved returns the enrolment of a token. One that was approved begins.
func (a *Accounts) beginApproved(ctx context.Context, token []byte) (e enrolment, err error) {
	err = a.db.Read(ctx, func(tx *sql.Tx) (err error) {
		e, err = a.find(ctx, tx, "token", token)
		return err
	})
	if err == nil && e.state == approved {
		err = a.db.Tx(ctx, func(tx *sql.Tx) (err error) {
			if e, err = a.find(ctx, tx, "token", token); err != nil || e.state != approved {
				return err
			}
			if err := a.begin(ctx, tx, e, token, e.device); err != nil {
				return err
			}
			e, err = a.find(ctx, tx, "token", token)
			return err
		})
	}
	if err == nil && e.state == asked {
		err = ErrNotApproved
	}
	return e, err
}

// offer returns the key that is offered for a use, or another one in its place.
func (a *Accounts) offer(ctx context.Context, document string, use ca.Use) (Offer, error) {
	var before offered
	var there bool
	if err := a.db.Read(ctx, func(tx *sql.Tx) error {
		keys, _, err := offers(ctx, tx, document)
		before, there = keys[use]
		return err
	}); err != nil {
		return Offer{}, err
	}
	if there && before.state == current {
		return Offer{ID: before.id, Confirmed: true}, nil
	}
	if there {
		s, err := a.config.Keys.Status(ctx, before.id)
		switch {
		case err == nil && s.Condition == server.Active:
			return Offer{ID: before.id, Confirmed: true}, nil
		case err == nil && s.Condition == server.Pending && a.now().Before(s.ConfirmBy):
			return Offer{ID: before.id}, nil
		case err != nil && !errors.Is(err, server.ErrUnknownKey):
			return Offer{}, err
		}
	}
	id, challenge, err := a.config.Keys.ChallengeEnroll(ctx)
	if err != nil {
		return Offer{}, err
	}
	err = a.db.Tx(ctx, func(tx *sql.Tx) error {
		keys, n, err := offers(ctx, tx, document)
		if err != nil {
			return err
		}
		if n >= maxOffers {
			return fmt.Errorf("%w: too many challenges for one enrolment", ErrRequest)
		}
		if old, ok := keys[use]; ok && old.state == current {
			return errOpened
		} else if ok {
			if _, err := tx.ExecContext(ctx, "UPDATE account_keys SET state = 'dropped' WHERE id = $1", old.id[:]); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO account_keys (id, document, key_use, state, offered, destroyed, revoked)
VALUES ($1, $2, $3, 'offered', $4, 0, 0)`, id[:], document, int64(use), millis(a.now()))
		return err
	})
	if err != nil {
		return Offer{}, err
	}
	return Offer{ID: id, Challenge: challenge}, nil
}

// errOpened is for a Continue that a Finish overtook.
var errOpened = fmt.Errorf("%w: the account has begun meanwhile", ErrRequest)

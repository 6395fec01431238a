package accounts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
)

// Registration is what a registrar says of a person whom he has identified.
type Registration struct {
	Person identity.Person
	Level  identity.Level
	// Email is where notices go; it may be empty.
	Email string
	// Replaces are accounts of the person that end when the new one begins: a forgotten
	// PIN, a destroyed key, a lost phone.
	Replaces []identity.Document
}

// Registered is what the registrar hands to the person.
type Registered struct {
	Code    string `json:"-"` // such as "7TRE-0A1B-9XYZ"; whoever has it can enrol
	Expires time.Time
}

// Format hides the code.
func (r Registered) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "accounts.Registered(until %v)", r.Expires)
}

// subject is what an enrolment keeps of a person until an account is opened.
type subject struct {
	Given   string `json:"given"`
	Surname string `json:"surname"`
	Born    string `json:"born,omitempty"`
	Email   string `json:"email,omitempty"`
}

func (s subject) person(id identity.ID) (identity.Person, error) {
	born, err := parseBorn(s.Born)
	return identity.Person{ID: id, Given: s.Given, Surname: s.Surname, Born: born}, err
}

// Register lets a person enrol a phone with a one-time code. The accounts that the person
// has stay as they are until that phone's begins. What is wrong with the person is an
// [*identity.Error].
func (a *Accounts) Register(ctx context.Context, r Registration) (Registered, error) {
	if err := a.ready(ctx); err != nil {
		return Registered{}, err
	}
	if err := r.check(); err != nil {
		return Registered{}, err
	}
	who, err := json.Marshal(subject{r.Person.Given, r.Person.Surname, formatBorn(r.Person.Born), r.Email})
	if err != nil {
		return Registered{}, err
	}
	replaces := make([]string, len(r.Replaces))
	for i, d := range r.Replaces {
		replaces[i] = d.String()
	}
	now := a.now()
	out := Registered{newCode(), now.Add(a.config.CodeLife)}
	code, _ := readCode(out.Code)
	err = a.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, d := range replaces {
			var state State
			err := tx.QueryRowContext(ctx, "SELECT state FROM accounts WHERE document = $1", d).Scan(&state)
			if errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("%w: the account %s", ErrNotFound, d)
			}
			if err != nil {
				return err
			}
			if !state.Open() {
				return fmt.Errorf("%w: %s", ErrEnded, d)
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO enrolments (id, state, code, person, subject, level, document, replaces, device, created, expires, opened)
VALUES ($1, 'registered', $2, $3, $4, $5, '', $6, '', $7, $8, 0)`,
			newID(now), a.mac("enrolment", code), r.Person.ID.String(), string(who), int64(r.Level), strings.Join(replaces, " "),
			millis(now), millis(out.Expires))
		return err
	})
	if err != nil {
		return Registered{}, err
	}
	return out, nil
}

func (r Registration) check() error {
	if err := r.Person.Check(); err != nil {
		return err
	}
	if r.Level != identity.Advanced && r.Level != identity.Qualified {
		return fmt.Errorf("%w: a level that is none", ErrRequest)
	}
	if r.Email != "" {
		m, err := mail.ParseAddress(r.Email)
		if err != nil || m.Address != r.Email || len(r.Email) > 254 {
			return fmt.Errorf("%w: the mail address", ErrRequest)
		}
	}
	for i, d := range r.Replaces {
		if err := d.Check(); err != nil {
			return err
		}
		if d.ID != r.Person.ID || slices.Contains(r.Replaces[:i], d) {
			return fmt.Errorf("%w: the account to replace is another person's, or is there twice", ErrRequest)
		}
	}
	if len(r.Replaces) > 100 {
		return fmt.Errorf("%w: more than 100 accounts to replace", ErrRequest)
	}
	return nil
}

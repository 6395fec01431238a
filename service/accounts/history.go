package accounts

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
)

// Entry is one line of what a person can read about what was done with the person's
// accounts.
type Entry struct {
	ID   string    `json:"-"` // in the order of time
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // such as "authentication", "signature", "account opened", "wrong PIN"

	Document     string `json:"document"`                // the account's document number
	RelyingParty string `json:"relying_party,omitempty"` // its name, as it was shown
	Text         string `json:"text,omitempty"`          // as it was shown
	Result       string `json:"result,omitempty"`        // such as "OK" or "TIMEOUT"
	Device       string `json:"device,omitempty"`        // the phone's label
	Flow         string `json:"flow,omitempty"`
	Address      string `json:"address,omitempty"` // of the phone
}

// AddHistory adds a line to the history of the person whom the account is of, in the
// caller's transaction. ID and At are set here if they are not.
func (a *Accounts) AddHistory(ctx context.Context, tx *sql.Tx, document identity.Document, e Entry) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	if tx == nil {
		return fmt.Errorf("%w: no transaction", ErrRequest)
	}
	if err := document.Check(); err != nil {
		return err
	}
	return addHistory(ctx, tx, document, e, a.now())
}

func addHistory(ctx context.Context, tx *sql.Tx, document identity.Document, e Entry, now time.Time) error {
	if e.At.IsZero() {
		e.At = now
	}
	if e.ID == "" {
		e.ID = newID(e.At)
	}
	e.Document = document.String()
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO history (id, person, document, entry) VALUES ($1, $2, $3, $4) ON CONFLICT (person, id) DO NOTHING",
		e.ID, document.ID.String(), e.Document, string(text))
	return err
}

// History returns up to n lines of a person's history, the latest first, of those before
// a line's ID; before is empty at first.
func (a *Accounts) History(ctx context.Context, person identity.ID, before string, n int) (out []Entry, err error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	if n < 1 || n > 1000 {
		return nil, fmt.Errorf("%w: %d lines of history", ErrRequest, n)
	}
	if before == "" {
		before = "W" // after every ID, in any collation
	}
	err = a.db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, "SELECT id, entry FROM history WHERE person = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
			person.String(), before, n)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e Entry
			var id, text string
			if err := rows.Scan(&id, &text); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				return fmt.Errorf("accounts: damaged history: %w", err)
			}
			e.ID = id
			out = append(out, e)
		}
		return rows.Err()
	})
	return out, err
}

// newID draws an identifier that comes after those of earlier milliseconds: the time, and
// 80 random bits, in the digits of base32hex, whose order is that of their bytes.
func newID(at time.Time) string {
	b := make([]byte, 16)
	rand.Read(b[6:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(b, ms[2:])
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

package transactions

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// A session is one row, which has all of it as JSON, and what it is found by.

// stored is how a session is written. The secret is beside it, since nothing prints it.
type stored struct {
	Session session
	Secret  string
}

func encode(s session) (string, error) {
	s.Request.Key = [sha256.Size]byte{} // is in a table of its own
	v := stored{Session: s}
	if s.Token != "" {
		v.Secret = s.secret.Text()
	}
	text, err := json.Marshal(v)
	return string(text), err
}

func decode(text string) (session, error) {
	var v stored
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return session{}, fmt.Errorf("transactions: damaged session: %w", err)
	}
	s := v.Session
	if s.Token != "" {
		var err error
		if s.secret, err = devicelink.ParseSecret(v.Secret); err != nil {
			return session{}, fmt.Errorf("transactions: damaged session: %w", err)
		}
	}
	return s, nil
}

// millis is a time as the tables have it; 0 is none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// load returns a session; ErrNotFound if there is none.
func load(ctx context.Context, tx *sql.Tx, id string) (session, error) {
	return loadOne(tx.QueryRowContext(ctx, "SELECT state FROM sessions WHERE id = $1", id))
}

// lock is load for a session that will change: until the transaction ends nobody else
// changes it. Both engines take the lock with the write.
func lock(ctx context.Context, tx *sql.Tx, id string) (session, error) {
	return loadOne(tx.QueryRowContext(ctx, "UPDATE sessions SET state = state WHERE id = $1 RETURNING state", id))
}

func lockByToken(ctx context.Context, tx *sql.Tx, token string) (session, error) {
	return loadOne(tx.QueryRowContext(ctx, "UPDATE sessions SET state = state WHERE token = $1 RETURNING state", token))
}

func loadOne(row *sql.Row) (session, error) {
	var text string
	err := row.Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, ErrNotFound
	}
	if err != nil {
		return session{}, err
	}
	return decode(text)
}

// loadOf returns the sessions of an account, the oldest first, those included that have
// ended and are not forgotten.
func loadOf(ctx context.Context, tx *sql.Tx, d identity.Document) ([]session, error) {
	rows, err := tx.QueryContext(ctx, `SELECT s.state FROM session_accounts a JOIN sessions s ON s.id = a.session
WHERE a.document = $1 ORDER BY s.began, s.id`, d.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []session
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		s, err := decode(text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// save writes a session, new or changed, and what it is found by.
func save(ctx context.Context, tx *sql.Tx, s session) error {
	text, err := encode(s)
	if err != nil {
		return err
	}
	var token any
	if s.Token != "" {
		token = s.Token
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sessions (id, token, began, deadline, completed, state) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET deadline = excluded.deadline, completed = excluded.completed, state = excluded.state`,
		s.ID, token, millis(s.Began), millis(s.Deadline), millis(s.Completed), text)
	if err != nil {
		return err
	}
	for _, a := range s.Accounts {
		if _, err := tx.ExecContext(ctx, "INSERT INTO session_accounts (document, session) VALUES ($1, $2) ON CONFLICT DO NOTHING",
			a.Document.String(), s.ID); err != nil {
			return err
		}
		if len(a.Claim.Challenge) == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO session_challenges (challenge, session, document) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			challengeID(a.Claim.Challenge), s.ID, a.Document.String()); err != nil {
			return err
		}
	}
	return nil
}

// challengeID is what a challenge is found by.
func challengeID(challenge []byte) string {
	sum := sha256.Sum256(challenge)
	return hex.EncodeToString(sum[:])
}

// sessionOfChallenge returns whose a challenge is; ErrNotFound if nobody's.
func sessionOfChallenge(ctx context.Context, tx *sql.Tx, challenge []byte) (id string, d identity.Document, err error) {
	var document string
	err = tx.QueryRowContext(ctx, "SELECT session, document FROM session_challenges WHERE challenge = $1", challengeID(challenge)).Scan(&id, &document)
	if errors.Is(err, sql.ErrNoRows) {
		return "", d, ErrNotFound
	}
	if err != nil {
		return "", d, err
	}
	d, err = identity.ParseDocument(document)
	return id, d, err
}

// earlier returns the session that an equal request got since a time; "" if there is
// none.
func earlier(ctx context.Context, tx *sql.Tx, key [sha256.Size]byte, since time.Time) (id string, err error) {
	err = tx.QueryRowContext(ctx, "SELECT session FROM session_requests WHERE request = $1 AND began > $2",
		hex.EncodeToString(key[:]), millis(since)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// remember takes the place of a request, unless an equal one has since a time: then that
// one's session is returned.
func remember(ctx context.Context, tx *sql.Tx, key [sha256.Size]byte, s session, since time.Time) (id string, err error) {
	result, err := tx.ExecContext(ctx, `INSERT INTO session_requests (request, session, began) VALUES ($1, $2, $3)
ON CONFLICT (request) DO UPDATE SET session = excluded.session, began = excluded.began WHERE session_requests.began <= $4`,
		hex.EncodeToString(key[:]), s.ID, millis(s.Began), millis(since))
	if err != nil {
		return "", err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return "", err
	}
	return earlier(ctx, tx, key, since)
}

// forget removes what ended before a time, and what it was found by.
func forget(ctx context.Context, tx *sql.Tx, before time.Time) error {
	const old = "(SELECT id FROM sessions WHERE completed > 0 AND completed <= $1)"
	for _, statement := range []string{
		"DELETE FROM session_accounts WHERE session IN " + old,
		"DELETE FROM session_challenges WHERE session IN " + old,
		"DELETE FROM session_requests WHERE session IN " + old,
		"DELETE FROM sessions WHERE completed > 0 AND completed <= $1",
	} {
		if _, err := tx.ExecContext(ctx, statement, millis(before)); err != nil {
			return err
		}
	}
	return nil
}

// overdue returns the ids of sessions whose time is up and that nobody has looked at
// since.
func overdue(ctx context.Context, tx *sql.Tx, now time.Time) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM sessions WHERE completed = 0 AND deadline <= $1", millis(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

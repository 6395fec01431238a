package transactions

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/memo"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// A session is one row, which has all of it as JSON, and what it is found by.

// stored is how a session is written. The secret is beside it, since nothing prints it.
type stored struct {
	Session session
	Secret  string
}

// store reads and writes sessions. The same row is read some times in the life of a
// session: what it was parsed into is kept, under its whole text. So a session that was
// read is shared, and what it refers to must not be changed.
type store struct {
	db     *database.DB
	parsed *memo.Memo[session]
}

// maxParsed is about how many texts are kept, some kilobytes each.
const maxParsed = 1000

func newStore(db *database.DB) store { return store{db, memo.New[session](maxParsed)} }

func (st store) encode(s session) (string, error) {
	s.Request.Key = [sha256.Size]byte{} // is in a column of its own
	v := stored{Session: s}
	if s.Token != "" {
		v.Secret = s.secret.Text()
	}
	if o := s.Outcome; o != nil && bytes.Equal(o.Certificate, s.signed().Certificate) { // as in its claim
		short := *o
		short.Certificate = nil
		v.Session.Outcome = &short
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	st.parsed.Put(string(text), s)
	return string(text), nil
}

func (st store) decode(text string) (session, error) { return st.parsed.Parse(text, decode) }

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
	if o := s.Outcome; o != nil && len(o.Certificate) == 0 {
		o.Certificate = s.signed().Certificate
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
func (st store) load(ctx context.Context, id string) (session, error) {
	return st.read(ctx, "SELECT state FROM sessions WHERE id = $1", id)
}

// lock is load for a session that will change: until the transaction ends nobody else
// changes it.
func (st store) lock(ctx context.Context, tx *sql.Tx, id string) (session, error) {
	return st.one(tx.QueryRowContext(ctx, "SELECT state FROM sessions WHERE id = $1 FOR UPDATE", id))
}

// waits is the number of signatures that the app of an account ($2) waits for ($3: now).
const waits = "(SELECT count(*) FROM session_accounts WHERE document = $2 AND awaits > $3)"

// lockFor is lock for an account that opens the session: it says as well whether its app
// waits for a linked signature.
func (st store) lockFor(ctx context.Context, tx *sql.Tx, id string, d identity.Document, now time.Time) (session, bool, error) {
	return st.oneFor(tx.QueryRowContext(ctx, "SELECT state, "+waits+" FROM sessions WHERE id = $1 FOR UPDATE", id, d.String(), millis(now)))
}

// lockByToken is lockFor for a session that has a device link's token.
func (st store) lockByToken(ctx context.Context, tx *sql.Tx, token string, d identity.Document, now time.Time) (session, bool, error) {
	return st.oneFor(tx.QueryRowContext(ctx, "SELECT state, "+waits+" FROM sessions WHERE token = $1 FOR UPDATE", token, d.String(), millis(now)))
}

// oldest returns the session that an account has to answer, of several the oldest;
// ErrNotFound if there is none.
func (st store) oldest(ctx context.Context, d identity.Document, now time.Time) (session, error) {
	return st.read(ctx, `SELECT s.state FROM session_accounts a JOIN sessions s ON s.id = a.session
WHERE a.document = $1 AND a.awaits = 0 AND s.deadline > $2 ORDER BY s.began, s.id LIMIT 1`, d.String(), millis(now))
}

func (st store) read(ctx context.Context, statement string, args ...any) (session, error) {
	text, found, err := st.db.Text(ctx, statement, args...)
	if err != nil {
		return session{}, err
	}
	if !found {
		return session{}, ErrNotFound
	}
	return st.decode(text)
}

func (st store) one(row *sql.Row, more ...any) (session, error) {
	var text string
	err := row.Scan(append([]any{&text}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, ErrNotFound
	}
	if err != nil {
		return session{}, err
	}
	return st.decode(text)
}

func (st store) oneFor(row *sql.Row) (session, bool, error) {
	var n int
	s, err := st.one(row, &n)
	return s, n > 0, err
}

// toAnswer returns the ids of the sessions that an account has to answer.
func toAnswer(ctx context.Context, tx *sql.Tx, d identity.Document) ([]string, error) {
	return texts(tx.QueryContext(ctx, "SELECT session FROM session_accounts WHERE document = $1 AND awaits = 0 ORDER BY session", d.String()))
}

// awaiting reports whether the app of an account waits for a linked signature.
func awaiting(ctx context.Context, tx *sql.Tx, d identity.Document, now time.Time) (bool, error) {
	n := 0
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM session_accounts WHERE document = $1 AND awaits > $2", d.String(), millis(now)).Scan(&n)
	return n > 0, err
}

// texts reads rows of one column.
func texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// errTaken ends a beginning whose request an earlier session has.
var errTaken = errors.New("transactions: there is a session for this request")

// insert writes a new session, and what it is found by.
func (st store) insert(ctx context.Context, tx *sql.Tx, s session) error {
	text, err := st.encode(s)
	if err != nil {
		return err
	}
	var token, request any
	if s.Token != "" {
		token = s.Token
	}
	if s.Request.Idempotent {
		request = requestID(s.Request.Key)
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, token, request, began, deadline, completed, state) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING`, s.ID, token, request, millis(s.Began), millis(s.Deadline), millis(s.Completed), text)
	if err != nil {
		return err
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return err
	case n == 0:
		return errTaken
	}
	return index(ctx, tx, session{}, s)
}

// update writes a session that has changed.
func (st store) update(ctx context.Context, tx *sql.Tx, before, after session) error {
	text, err := st.encode(after)
	if err != nil {
		return err
	}
	if after.Deadline.Equal(before.Deadline) && after.Completed.Equal(before.Completed) { // no index changes
		_, err = tx.ExecContext(ctx, "UPDATE sessions SET state = $2 WHERE id = $1", after.ID, text)
	} else {
		_, err = tx.ExecContext(ctx, "UPDATE sessions SET state = $2, deadline = $3, completed = $4 WHERE id = $1",
			after.ID, text, millis(after.Deadline), millis(after.Completed))
	}
	if err != nil {
		return err
	}
	return index(ctx, tx, before, after)
}

// index writes what a session is found by while its accounts have to answer it, or their
// apps wait.
func index(ctx context.Context, tx *sql.Tx, before, after session) error {
	for _, a := range after.Accounts { // which has all that before has
		was, had := before.place(a.Document)
		is, has := after.place(a.Document)
		var challenge any
		if is.challenge != "" {
			challenge = is.challenge
		}
		var err error
		switch document := a.Document.String(); {
		case had && !has:
			_, err = tx.ExecContext(ctx, "DELETE FROM session_accounts WHERE document = $1 AND awaits = $2 AND session = $3", document, was.awaits, after.ID)
		case has && !had:
			_, err = tx.ExecContext(ctx, "INSERT INTO session_accounts (document, awaits, session, challenge) VALUES ($1, $2, $3, $4)",
				document, is.awaits, after.ID, challenge)
		case is != was:
			_, err = tx.ExecContext(ctx, "UPDATE session_accounts SET awaits = $4, challenge = $5 WHERE document = $1 AND awaits = $2 AND session = $3",
				document, was.awaits, after.ID, is.awaits, challenge)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is what session_accounts says of an account in a session, if it has a row.
type place struct {
	awaits    int64
	challenge string
}

func (s session) place(d identity.Document) (p place, ok bool) {
	switch stage := s.stageOf(d); {
	case s.Outcome != nil:
		p.awaits = millis(s.Awaits)
		return p, s.Outcome.Document == d && p.awaits > 0
	case stage == absent || stage == out:
		return p, false
	}
	if c := s.claimOf(d).Challenge; len(c) > 0 {
		p.challenge = challengeID(c)
	}
	return p, true
}

// challengeID is what a challenge is found by.
func challengeID(challenge []byte) string {
	sum := sha256.Sum256(challenge)
	return hex.EncodeToString(sum[:])
}

// sessionOfChallenge returns whose a challenge is that can be answered; ErrNotFound if
// nobody's.
func sessionOfChallenge(ctx context.Context, tx *sql.Tx, challenge []byte) (id string, d identity.Document, err error) {
	var document string
	err = tx.QueryRowContext(ctx, "SELECT session, document FROM session_accounts WHERE challenge = $1", challengeID(challenge)).Scan(&id, &document)
	if errors.Is(err, sql.ErrNoRows) {
		return "", d, ErrNotFound
	}
	if err != nil {
		return "", d, err
	}
	d, err = identity.ParseDocument(document)
	return id, d, err
}

// requestID is what a request is found by.
func requestID(key [sha256.Size]byte) string { return hex.EncodeToString(key[:]) }

// earlier returns the session of an equal request; ErrNotFound if there is none.
func (st store) earlier(ctx context.Context, key [sha256.Size]byte) (session, error) {
	return st.read(ctx, "SELECT state FROM sessions WHERE request = $1", requestID(key))
}

// release lets a request have a new session, if the one that it has began before a time.
func release(ctx context.Context, tx *sql.Tx, key [sha256.Size]byte, before time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE sessions SET request = NULL WHERE request = $1 AND began <= $2", requestID(key), millis(before))
	return err
}

// forget removes what ended before a time, and what no app waits for any more.
func forget(ctx context.Context, tx *sql.Tx, before, now time.Time) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM session_accounts WHERE awaits > 0 AND awaits <= $1", millis(now)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE completed > 0 AND completed <= $1", millis(before))
	return err
}

// overdue returns the ids of sessions whose time is up and that nobody has looked at
// since.
func overdue(ctx context.Context, tx *sql.Tx, now time.Time) ([]string, error) {
	return texts(tx.QueryContext(ctx, "SELECT id FROM sessions WHERE completed = 0 AND deadline <= $1", millis(now)))
}

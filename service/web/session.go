package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/service/database"
)

// ErrNoSession is returned for a session that there is not, or not any more.
var ErrNoSession = errors.New("web: no such session")

// Sessions keeps values of one site in the database, each under an identifier that a
// cookie has, until its time is over.
type Sessions struct {
	db    *database.DB
	site  string
	clock func() time.Time
}

// NewSessions returns the Sessions of a site, a word such as "bank". clock is time.Now if
// nil. The error wraps ErrConfig.
func NewSessions(db *database.DB, site string, clock func() time.Time) (*Sessions, error) {
	if db == nil || site == "" {
		return nil, fmt.Errorf("%w: no database or no site", ErrConfig)
	}
	if clock == nil {
		clock = time.Now
	}
	return &Sessions{db, site, clock}, nil
}

func (s *Sessions) ready(ctx context.Context) error {
	if s == nil || s.db == nil || ctx == nil {
		return fmt.Errorf("%w: sessions that NewSessions did not make, or no context", ErrConfig)
	}
	return nil
}

// key is what the database has of an identifier.
func (s *Sessions) key(id string) string {
	sum := sha256.Sum256([]byte("tandem web session 1 " + s.site + " " + id))
	return hex.EncodeToString(sum[:])
}

// New keeps a value for a time, and returns its identifier: 26 characters. What has
// expired, of all sites, is removed.
func (s *Sessions) New(ctx context.Context, value any, life time.Duration) (id string, err error) {
	return s.Replace(ctx, "", value, life)
}

// Replace is New, in place of another session: of several that replace the same one, one
// succeeds, and the others get ErrNoSession.
func (s *Sessions) Replace(ctx context.Context, old string, value any, life time.Duration) (id string, err error) {
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	id = rand.Text()
	now := s.clock()
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM web_sessions WHERE expires <= $1", now.UnixMilli()); err != nil {
			return err
		}
		if old != "" {
			result, err := tx.ExecContext(ctx, "DELETE FROM web_sessions WHERE id = $1", s.key(old))
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				return errors.Join(ErrNoSession, err)
			}
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO web_sessions (id, value, expires) VALUES ($1, $2, $3)", s.key(id), string(text), now.Add(life).UnixMilli())
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// Get reads the value of a session. The error is ErrNoSession if there is none.
func (s *Sessions) Get(ctx context.Context, id string, value any) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	var text string
	err := s.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT value FROM web_sessions WHERE id = $1 AND expires > $2", s.key(id), s.clock().UnixMilli()).Scan(&text)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoSession
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), value)
}

// Change changes the value of a session: f gets value as it is in the database, and may
// run again. It keeps its time.
func (s *Sessions) Change(ctx context.Context, id string, value any, f func() error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("%w: no function", ErrConfig)
	}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		var text string
		err := tx.QueryRowContext(ctx, "SELECT value FROM web_sessions WHERE id = $1 AND expires > $2", s.key(id), s.clock().UnixMilli()).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoSession
		}
		if err == nil {
			err = json.Unmarshal([]byte(text), value)
		}
		if err == nil {
			err = f()
		}
		if err != nil {
			return err
		}
		next, err := json.Marshal(value)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE web_sessions SET value = $1 WHERE id = $2", string(next), s.key(id))
		return err
	})
}

// Delete removes a session; one that there is not, too.
func (s *Sessions) Delete(ctx context.Context, id string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	_, err := s.db.Exec(ctx, "DELETE FROM web_sessions WHERE id = $1", s.key(id))
	return err
}

// cookie is a site's.
func (s *Sessions) cookie(f *Frame) string {
	if f.Secure() {
		return "__Secure-tandem-" + s.site
	}
	return "tandem-" + s.site
}

// SetCookie has the browser keep a session's identifier, for the site's paths; an empty
// one has it forget that.
func (s *Sessions) SetCookie(w http.ResponseWriter, f *Frame, id string) {
	if s == nil || isnil.Value(w) {
		return
	}
	c := &http.Cookie{Name: s.cookie(f), Value: id, Path: "/" + s.site + "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: f.Secure()}
	if id == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Cookie returns the identifier that a browser sends; "" if it sends none.
func (s *Sessions) Cookie(r *http.Request, f *Frame) string {
	if s == nil || r == nil {
		return ""
	}
	c, err := r.Cookie(s.cookie(f))
	if err != nil {
		return ""
	}
	return c.Value
}

// Package sqlstore is a [ca.Store] in the service's SQL database. See package database
// for what is durable when.
//
// # Security
//
// The database is trusted, as ca says of its store. Nothing here is secret: certificates
// name persons.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database"
)

// Store is a [ca.Store]. It is safe for concurrent use.
type Store struct{ db *database.DB }

var _ ca.Store = (*Store)(nil)

// New returns the Store of a database, which stays the caller's to close.
func New(db *database.DB) (*Store, error) {
	if db == nil {
		return nil, errNothing
	}
	return &Store{db}, nil
}

var errNothing = errors.New("sqlstore: not made by New, or no context")

func (s *Store) ready(ctx context.Context) error {
	if s == nil || s.db == nil || ctx == nil {
		return errNothing
	}
	return nil
}

// Create implements [ca.Store].
func (s *Store) Create(ctx context.Context, r ca.Record) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	var at, reason sql.NullInt64
	if r.Revoked != nil {
		at, reason = revocation(*r.Revoked)
	}
	rows, err := s.db.Exec(ctx, `INSERT INTO certificates (serial, issuer, document, not_after, der, revoked, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (serial) DO NOTHING`,
		r.Serial[:], r.Issuer, r.Document, r.NotAfter.Unix(), notNil(r.DER), at, reason)
	if err == nil && rows == 0 {
		return ca.ErrExists
	}
	return err
}

func revocation(r ca.Revocation) (at, reason sql.NullInt64) {
	return sql.NullInt64{Int64: r.At.Unix(), Valid: true}, sql.NullInt64{Int64: int64(r.Reason), Valid: true}
}

// notNil makes no bytes what is not NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const columns = "SELECT serial, issuer, document, not_after, der, revoked, reason FROM certificates "

func scan(row interface{ Scan(...any) error }) (r ca.Record, err error) {
	var serial []byte
	var notAfter int64
	var at, reason sql.NullInt64
	if err := row.Scan(&serial, &r.Issuer, &r.Document, &notAfter, &r.DER, &at, &reason); err != nil {
		return ca.Record{}, err
	}
	if len(serial) != len(r.Serial) || reason.Int64 < 0 || reason.Int64 > 255 {
		return ca.Record{}, errors.New("sqlstore: damaged record")
	}
	copy(r.Serial[:], serial)
	r.NotAfter = time.Unix(notAfter, 0).UTC()
	if at.Valid {
		r.Revoked = &ca.Revocation{At: time.Unix(at.Int64, 0).UTC(), Reason: ca.Reason(reason.Int64)}
	}
	return r, nil
}

// Record implements [ca.Store].
func (s *Store) Record(ctx context.Context, serial ca.Serial) (r ca.Record, err error) {
	if err := s.ready(ctx); err != nil {
		return ca.Record{}, err
	}
	err = s.db.Read(ctx, func(tx *sql.Tx) (err error) {
		r, err = scan(tx.QueryRowContext(ctx, columns+"WHERE serial = $1", serial[:]))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ca.Record{}, ca.ErrNotFound
	}
	return r, err
}

// Revoke implements [ca.Store].
func (s *Store) Revoke(ctx context.Context, serial ca.Serial, r ca.Revocation) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	at, reason := revocation(r)
	rows, err := s.db.Exec(ctx, `UPDATE certificates SET reason = CASE WHEN revoked IS NULL THEN $2 ELSE reason END,
revoked = COALESCE(revoked, $3) WHERE serial = $1`, serial[:], reason, at)
	if err == nil && rows == 0 {
		return ca.ErrNotFound
	}
	return err
}

// Revoked implements [ca.Store].
func (s *Store) Revoked(ctx context.Context, issuer string, expireAfter time.Time) ([]ca.Record, error) {
	return s.list(ctx, "WHERE issuer = $1 AND not_after > $2 AND revoked IS NOT NULL", issuer, expireAfter.Unix())
}

// Issued returns every certificate that was issued for a document number, also those that
// expired or were revoked, in no order.
func (s *Store) Issued(ctx context.Context, document string) ([]ca.Record, error) {
	return s.list(ctx, "WHERE document = $1", document)
}

func (s *Store) list(ctx context.Context, where string, args ...any) (out []ca.Record, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, columns+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scan(rows)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

// CRL implements [ca.Store].
func (s *Store) CRL(ctx context.Context, issuer string) (number int64, der []byte, err error) {
	if err := s.ready(ctx); err != nil {
		return 0, nil, err
	}
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT number, der FROM crls WHERE issuer = $1", issuer).Scan(&number, &der)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	return number, der, err
}

// SetCRL implements [ca.Store].
func (s *Store) SetCRL(ctx context.Context, issuer string, number int64, der []byte) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	statement := "UPDATE crls SET number = $2, der = $3 WHERE issuer = $1 AND number = CAST($2 AS BIGINT) - 1"
	if number == 1 {
		statement = "INSERT INTO crls (issuer, number, der) VALUES ($1, $2, $3) ON CONFLICT (issuer) DO NOTHING"
	}
	rows, err := s.db.Exec(ctx, statement, issuer, number, notNil(der))
	if err == nil && rows == 0 {
		return ca.ErrConflict
	}
	return err
}

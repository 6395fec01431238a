package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// List implements [limiter.Lister].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (ids []string, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := limiter.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	// From the prefix on, and up to the first string that no longer begins with it.
	query := "SELECT id FROM tandem_records WHERE id > $1 AND id >= $2 ORDER BY id LIMIT $3"
	args := []any{[]byte(after), []byte(prefix), int64(limit)}
	if end := behind(prefix); end != nil {
		query = "SELECT id FROM tandem_records WHERE id > $1 AND id >= $2 AND id < $4 ORDER BY id LIMIT $3"
		args = append(args, end)
	}
	err = s.read(ctx, func(ctx context.Context, c conn) error {
		rows, err := c.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			var id []byte
			err := row.Scan(&id)
			return string(id), err
		})
		return err
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return ids, nil
}

// behind returns the first string after all that begin with the prefix, or nil if nothing
// comes after them.
func behind(prefix string) []byte {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xFF {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return nil
	}
	b[len(b)-1]++
	return b
}

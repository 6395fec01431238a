package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// checkPage is how many records Check reads at once.
const checkPage = 1000

// Check reads every record, page by page, and returns [ErrDamaged] if one is damaged or
// has a version that was never given. The service may run meanwhile.
func (s *Store) Check(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	for after := []byte(nil); ; {
		seen := 0
		err := s.read(ctx, func(ctx context.Context, c conn) (err error) {
			seen, after, err = checkRecords(ctx, c.Conn(), after)
			return err
		})
		if err != nil {
			return failed(ctx, err)
		}
		if seen == 0 {
			return nil
		}
	}
}

// checkRecords checks the page of records after an id, and returns how many there were
// and the last one.
func checkRecords(ctx context.Context, c *pgx.Conn, after []byte) (seen int, last []byte, err error) {
	rows, err := c.Query(ctx, "SELECT id, version, record FROM tandem_records WHERE id > $1 ORDER BY id LIMIT $2", orEmpty(after), checkPage)
	if err != nil {
		return 0, after, err
	}
	last = after
	var id, record []byte
	var version, highest int64
	_, err = pgx.ForEachRow(rows, []any{&id, &version, &record}, func() error {
		seen++
		last = append([]byte(nil), id...)
		highest = max(highest, version)
		_, err := parse(id, version, record)
		return err
	})
	if err != nil {
		return 0, after, err
	}
	// A creation is counted before its number is used, so that this count is new enough.
	var creations int64
	if err := c.QueryRow(ctx, "SELECT creations FROM tandem_meta WHERE one").Scan(&creations); err != nil {
		return 0, after, err
	}
	if highest>>swapBits > creations {
		return 0, after, fmt.Errorf("%w: version %d was never given", ErrDamaged, highest)
	}
	return seen, last, nil
}

// orEmpty makes no id the empty one, which is not NULL.
func orEmpty(id []byte) []byte {
	if id == nil {
		return []byte{}
	}
	return id
}

// Ping checks that the server's settings are still those that Open accepts, and that it
// takes writes: it writes a row and has it made durable, which costs as much as an
// attempt. Where a commit waits for a standby, Ping waits for it, too: ctx should have a
// deadline. Errors are those of Open and of a write.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := s.write(ctx, func(ctx context.Context, c conn) error {
		if err := s.guard.Validate(ctx, c.Conn().PgConn()); err != nil {
			return err
		}
		tag, err := c.Exec(ctx, "UPDATE tandem_meta SET creations = creations WHERE one")
		if err == nil && tag.RowsAffected() != 1 {
			err = errNoMeta
		}
		return err
	})
	if err != nil {
		return failed(ctx, err)
	}
	return nil
}

var errNoMeta = fmt.Errorf("%w: tandem_meta is empty", ErrFormat)

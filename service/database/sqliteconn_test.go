package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// spy is a connection of the driver that notes what it is asked for.
type spy struct {
	driverConn
	prepared, ran []string
	watched       map[string]bool // whether the context of a statement can end
	fail          error
}

func (s *spy) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	s.prepared = append(s.prepared, query)
	return &spyStatement{s, query}, nil
}

func (s *spy) ExecContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	s.ran = append(s.ran, query)
	if s.watched == nil {
		s.watched = map[string]bool{}
	}
	s.watched[query] = ctx.Done() != nil
	return driver.RowsAffected(1), s.fail
}

func (s *spy) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	_, err := s.ExecContext(ctx, query, args)
	return spyRows{}, err
}

func (s *spy) Close() error { s.ran = append(s.ran, "close"); return nil }

type spyStatement struct {
	*spy
	query string
}

func (s *spyStatement) NumInput() int                              { return -1 }
func (s *spyStatement) Exec([]driver.Value) (driver.Result, error) { return nil, errors.ErrUnsupported }
func (s *spyStatement) Query([]driver.Value) (driver.Rows, error)  { return nil, errors.ErrUnsupported }
func (s *spyStatement) Close() error {
	s.ran = append(s.ran, "close "+s.query)
	return nil
}

func (s *spyStatement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.spy.ExecContext(ctx, keptMark+s.query, args)
}

func (s *spyStatement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.spy.QueryContext(ctx, keptMark+s.query, args)
}

// keptMark is before what ran of a statement that was prepared.
const keptMark = "kept "

type spyRows struct{}

func (spyRows) Columns() []string         { return nil }
func (spyRows) Close() error              { return nil }
func (spyRows) Next([]driver.Value) error { return io.EOF }

func newSpied() (*spy, *sqliteConn) {
	s := new(spy)
	return s, &sqliteConn{driverConn: s, kept: map[string]*keptStatement{}, synchronous: full}
}

// TestKept: a statement is prepared once, unless it does its work while it is prepared,
// or is read from, or there are too many.
func TestKept(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, c := newSpied()
	exec := func(query string) {
		_, err := c.ExecContext(ctx, query, nil)
		require.NoError(t, err)
	}
	query := func() driver.Rows {
		rows, err := c.QueryContext(ctx, "SELECT a FROM b FOR UPDATE", nil)
		require.NoError(t, err)
		return rows
	}
	exec("UPDATE a")
	exec("UPDATE a")
	exec("PRAGMA a")
	exec("PRAGMA a")
	first := query()
	second := query() // while the first is read from
	require.NoError(t, second.Close())
	require.NoError(t, first.Close())
	require.NoError(t, query().Close())
	require.Equal(t, []string{"UPDATE a", "SELECT a FROM b"}, s.prepared)
	require.Equal(t, []string{
		"kept UPDATE a", "kept UPDATE a", "PRAGMA a", "PRAGMA a", "kept SELECT a FROM b", "SELECT a FROM b", "kept SELECT a FROM b",
	}, s.ran)
	require.False(t, s.watched["kept UPDATE a"])

	for i := range 2 * maxKept {
		exec(fmt.Sprintf("DELETE FROM a WHERE b = %d", i))
	}
	require.Len(t, s.prepared, maxKept)
	require.Equal(t, "DELETE FROM a WHERE b = 999", s.ran[len(s.ran)-1])
	cancel()
	_, err := c.ExecContext(ctx, "UPDATE a", nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.QueryContext(ctx, "SELECT a", nil)
	require.ErrorIs(t, err, context.Canceled)
	s.ran = nil
	require.NoError(t, c.Close())
	require.Len(t, s.ran, maxKept+1)
	require.Equal(t, "close", s.ran[maxKept])
}

// TestBegin: who writes has the lock from the beginning, and the wait for it ends with
// the context; what fails leaves no transaction open.
func TestBegin(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, c := newSpied()
	tx, err := c.BeginTx(ctx, driver.TxOptions{})
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	tx, err = c.BeginTx(ctx, driver.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	require.Equal(t, []string{"kept BEGIN IMMEDIATE", "kept COMMIT", "kept BEGIN", "kept ROLLBACK"}, s.ran)
	require.Equal(t, map[string]bool{"kept BEGIN IMMEDIATE": true, "kept COMMIT": false, "kept BEGIN": false, "kept ROLLBACK": false}, s.watched)

	s.ran, s.fail = nil, errors.New("busy")
	_, err = c.BeginTx(ctx, driver.TxOptions{})
	require.ErrorIs(t, err, s.fail)
	require.ErrorIs(t, tx.Commit(), s.fail)
	require.ErrorIs(t, c.sync(ctx, normal), s.fail)
	require.Equal(t, []string{"kept BEGIN IMMEDIATE", "kept ROLLBACK", "kept COMMIT", "kept ROLLBACK", "PRAGMA synchronous = NORMAL"}, s.ran)

	s.ran, s.fail = nil, nil
	require.NoError(t, c.sync(ctx, full)) // it is not known what it is
	require.NoError(t, c.sync(ctx, full))
	require.Equal(t, []string{"PRAGMA synchronous = FULL"}, s.ran)
	cancel()
	_, err = c.BeginTx(ctx, driver.TxOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, s.ran, 1)
}

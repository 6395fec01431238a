package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
)

// plans are the statements of a test whose plans are not known yet.
type plans struct {
	postgres bool
	trace    func(context.Context, string)

	mu         sync.Mutex
	statements []string
}

// wholeTables are statements that read the whole of a table, and may.
var wholeTables = map[string]string{
	"SELECT settings FROM relying_parties ORDER BY uuid": "the list of all, for operators",
}

// looked has what was looked at in this process.
var looked sync.Map

type looking struct {
	postgres  bool
	statement string
}

// note is told of each statement, on the goroutine that runs it.
func (p *plans) note(ctx context.Context, statement string) {
	if p.trace != nil {
		p.trace(ctx, statement)
	}
	switch verb, _, _ := strings.Cut(statement, " "); verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE":
	default:
		return
	}
	key := looking{p.postgres, statement}
	if _, ok := looked.Load(key); ok || !ours() {
		return
	}
	if _, ok := looked.LoadOrStore(key, true); !ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.statements = append(p.statements, statement)
	}
}

// ours reports whether a statement is one of the service, and not of a test, of a package
// for tests, or of a library.
func ours() bool {
	pcs := make([]uintptr, 50)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		pkg, inService := strings.CutPrefix(f.Function, "github.com/tandem-rsa/tandem/service/")
		if inService && !strings.HasPrefix(pkg, "database.") && !strings.HasPrefix(pkg, "database/") {
			folder := filepath.Base(filepath.Dir(f.File))
			return !strings.HasSuffix(f.File, "_test.go") && !strings.HasSuffix(folder, "test")
		}
		if !more {
			return false
		}
	}
}

// check fails the test if a statement reads the whole of a table, by the plan that the
// engine makes of it. What SQLite plans does not depend on what is in the tables. What
// PostgreSQL plans does: it is asked in tables that nobody uses.
func (p *plans) check(t testing.TB, db *database.DB) {
	p.mu.Lock()
	statements := p.statements
	p.mu.Unlock()
	if p.postgres && len(statements) > 0 {
		db = unused(t)
	}
	for _, s := range statements {
		plan, err := p.explain(context.Background(), db, s)
		if errors.Is(err, database.ErrClosed) {
			looked.Delete(looking{p.postgres, s}) // another test will see it
			continue
		}
		if err != nil {
			t.Errorf("databasetest: %s: %v", s, err)
			continue
		}
		if wholeTables[s] == "" && p.whole(plan) {
			t.Errorf("databasetest: this reads the whole of a table:\n%s\n%s", s, strings.Join(plan, "\n"))
		}
	}
}

// untouched is the database of unused, of this process.
var untouched struct {
	sync.Mutex
	db *database.DB
}

// unused returns a database of PostgreSQL with tables that were never filled, and so
// never counted: whatever it knows of them would be a reason for another plan.
func unused(t testing.TB) *database.DB {
	untouched.Lock()
	defer untouched.Unlock()
	if untouched.db == nil {
		db, err := database.Open(context.Background(), Postgres(t), database.Options{})
		require.NoError(t, err)
		untouched.db = db
	}
	return untouched.db
}

func endUnused() {
	untouched.Lock()
	defer untouched.Unlock()
	if untouched.db != nil {
		untouched.db.Close()
		untouched.db = nil
	}
}

var parameter = regexp.MustCompile(`\$[0-9]+`)

// explain returns the plan of a statement, a line for each step.
func (p *plans) explain(ctx context.Context, db *database.DB, statement string) (plan []string, err error) {
	n := 0
	for _, m := range parameter.FindAllString(statement, -1) {
		i, _ := strconv.Atoi(m[1:])
		n = max(n, i)
	}
	err = db.Read(ctx, func(tx *sql.Tx) error {
		plan = nil
		if !p.postgres {
			rows, err := tx.QueryContext(ctx, "EXPLAIN QUERY PLAN "+statement, make([]any, n)...)
			return lines(&plan, rows, err, 3)
		}
		// The plan that is made for any arguments, of large tables: joins that read one
		// side whole are for small ones.
		for _, s := range []string{
			"SET LOCAL enable_seqscan TO off", "SET LOCAL enable_hashjoin TO off", "SET LOCAL enable_mergejoin TO off",
			"SET LOCAL plan_cache_mode TO force_generic_plan", "PREPARE looked AS " + statement,
		} {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		arguments := ""
		if n > 0 {
			arguments = "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
		}
		rows, err := tx.QueryContext(ctx, "EXPLAIN EXECUTE looked"+arguments)
		if err := lines(&plan, rows, err, 0); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DEALLOCATE looked")
		return err
	})
	return plan, err
}

// lines reads the column of text, after some others.
func lines(to *[]string, rows *sql.Rows, err error, others int) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		columns := make([]any, others, others+1)
		for i := range columns {
			columns[i] = new(any)
		}
		if err := rows.Scan(append(columns, &text)...); err != nil {
			return err
		}
		*to = append(*to, text)
	}
	return rows.Err()
}

// whole reports whether a plan reads the whole of a table, or of an index.
func (p *plans) whole(plan []string) bool {
	unbounded := false // the last step of PostgreSQL's is through an index, and no condition was seen
	for _, line := range plan {
		if !p.postgres {
			if strings.HasPrefix(line, "SCAN ") && line != "SCAN CONSTANT ROW" || strings.Contains(line, "AUTOMATIC") {
				return true
			}
			continue
		}
		switch {
		case strings.Contains(line, "Seq Scan"):
			return true
		case strings.Contains(line, "Index Cond:"):
			unbounded = false
		case strings.Contains(line, "  (cost="):
			if unbounded {
				return true
			}
			unbounded = strings.Contains(line, "Index Scan") || strings.Contains(line, "Index Only Scan")
		}
	}
	return unbounded
}

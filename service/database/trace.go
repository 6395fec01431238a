package database

import (
	"context"
	"database/sql"
	"strings"

	"github.com/jackc/pgx/v5"
)

// tracer is [Options.Trace], or nil.
type tracer func(ctx context.Context, statement string)

func (t tracer) statement(ctx context.Context, text string) {
	if t != nil {
		t(ctx, text)
	}
}

// What it is told beside statements.
const (
	traceRead   = "BEGIN READ"
	traceWrite  = "BEGIN"
	traceLoose  = "BEGIN LOOSE"
	traceCommit = "COMMIT"
)

func traceBegin(level sql.IsolationLevel) string {
	if level == loose {
		return traceLoose
	}
	return traceWrite
}

// postgresTracer is a tracer as PostgreSQL's driver takes it.
type postgresTracer struct{ tracer }

func (t postgresTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	switch verb, _, _ := strings.Cut(d.SQL, " "); verb {
	case "begin", "commit", "rollback", "SET": // are told by the DB
	default:
		t.statement(ctx, d.SQL)
	}
	return ctx
}

func (postgresTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

package database

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// Each part of the service adds files of its own, numbered on. A file that was released
// is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// versions is the table of the migrations that were made.
const versions = "tandem_migrations"

// migrate makes the migrations that are missing.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return failed(err)
	}
	return db.migrateTo(ctx, files)
}

func (db *DB) migrateTo(ctx context.Context, files fs.FS) error {
	p, err := goose.NewProvider(goose.Dialect(db.engine.dialect()), db.write, files,
		goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return failed(err)
	}
	return db.engine.migrating(ctx, func() error {
		current, target, err := p.GetVersions(ctx)
		if err != nil {
			return failed(err)
		}
		if current > target {
			return fmt.Errorf("%w: %d, and this software knows %d", ErrSchema, current, target)
		}
		_, err = p.Up(ctx)
		return failed(err)
	})
}

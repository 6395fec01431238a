// Package database opens the service's SQL database: one file with SQLite, or
// PostgreSQL.
//
//   - Open opens "sqlite:FILE" or "postgres://...", and makes or migrates the tables.
//   - DB.Tx runs a transaction that writes, DB.Read one that only reads. Both begin anew
//     when another transaction was in the way: so the function that they are given has no
//     other effect than on the database and on variables that it sets each time.
//   - DB.Notify wakes who waits in DB.Wait, on all nodes.
//
// # SQL
//
// There is one schema, in migrations, and one set of queries for both engines. That
// holds as long as they keep to what both have: parameters $1, $2 and so on; TEXT,
// BIGINT and BYTEA columns; times as milliseconds since 1970 in a BIGINT; INSERT ... ON
// CONFLICT; RETURNING; no sequences (keys are drawn at random); FOR UPDATE at the end of
// a SELECT only, where it is left out for SQLite, which has one writer at a time. A
// constraint that fails ends a transaction in PostgreSQL: write ON CONFLICT DO NOTHING
// and look at the number of rows.
//
// Each statement finds its rows by an index, so that what it costs does not grow with the
// tables: databasetest.Open fails the test of one that does not. Statements are prepared
// once on each connection: their text must not depend on their arguments.
//
// # Durability
//
// What Tx returned nil for is on the disk: SQLite writes its log with synchronous=FULL,
// and a PostgreSQL server with settings that let it forget what it confirmed is
// refused, as service/stores/postgres refuses it. What Open finds in the log of SQLite,
// where a killed process may have left it unsynced, it syncs before anybody reads it.
// TxLoose is for what may be lost. If
// Tx returns ErrUnknown the transaction may be committed or not: the caller looks, or
// does the same again if that does no harm.
//
// # SQLite
//
// The file is for the processes of one machine, on a local file system. Writers wait
// for each other; those of one process that come while one writes are committed together,
// with one sync. What another process writes is seen at once by queries, and by who
// waits in Wait within some seconds.
//
// # Security
//
// The database is trusted: who can write to it decides who has which account. Its file
// is readable for its owner only.
package database

// Package postgres is a [limiter.Store] in a PostgreSQL database, for a service that runs
// on several machines. It is built on github.com/jackc/pgx, and is a [limiter.Lister].
// docs/stores.md says how to run the database.
//
// # Writes
//
// Create and Swap are one statement each, in a transaction of its own:
//
//	INSERT ... ON CONFLICT (id) DO NOTHING
//	UPDATE ... WHERE id = $1 AND version = $2
//
// so the database itself compares the version, under the lock of the row. They return nil
// only after the database said that the transaction is committed. If the connection is
// lost before that answer, the result is unknown: the call returns an error that is no
// ErrConflict, and is never repeated by this package.
//
// A call whose context ends returns at once. Its connection is closed, and the database
// is not asked to cancel the statement: on a primary that waits for its standby, to
// cancel is to make the write visible before the standby has it. For the same reason
// every session turns the database's own timeouts off, and a write that ends with a
// warning (the database's way to say that it is not on the standby) is unknown.
//
// # Versions
//
// A Swap makes the next version of the one that it replaces. A Create takes one above all
// that were given before, by a transaction of its own that counts creations in a row: it
// is two durable writes, where Swap is one. So a version is known before its record is
// written, and the record's checksum covers it.
//
// # Settings that are refused
//
// Each new connection is asked for the settings that durability hangs on. [Open] and
// every call return [ErrUnsafe] for a server whose fsync, full_page_writes or
// data_checksums is off, whose synchronous_commit is not "on" or "remote_apply", or that
// covers up damage (zero_damaged_pages, ignore_checksum_failure); [ErrReadOnly] for a
// standby, or a database or role that is read-only by default; [ErrStale] for a server
// that is behind one that this Store was connected to (a former primary that came back).
// A setting that the server does not know, because it is CockroachDB or YugabyteDB, is
// not missed.
//
// A connection to another machine must be encrypted and the server's name verified
// (sslmode=verify-full), or is refused ([ErrInsecure]): whoever sits between can turn
// counts back.
//
// # Damage
//
// A record has a checksum over id, version and value: a flipped bit shows as
// [ErrDamaged], and never as fewer wrong PINs. An older copy of a row, which a flipped
// bit in a page's header could bring back, is found by the checksums of the database's
// pages only; so these must be on (initdb --data-checksums). No checksum finds an older
// copy of the whole database.
//
// # Security
//
// The database is trusted, as limiter.Store says (docs/scheme.md, section 12): an older
// copy in its place, a restored backup included, gives every thief his tries back.
// Whoever may write to the tables can write checksums, too.
package postgres

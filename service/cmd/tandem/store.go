package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

const (
	storeBackup  = "backup"
	storeCheck   = "check"
	storeMigrate = "migrate"
	storeCopy    = "copy"
	storeRecover = "recover"
	storeMark    = "mark"
	storeKey     = "challenge-key"
)

var storeCommand = &command{
	name: "store", args: "backup -server DIR -o FILE | check|mark|migrate|recover|challenge-key -server DIR | copy -server DIR -to ENGINE",
	about: "backs up the server's store, checks, moves or recovers it",
	help: `
Backup copies a store in a file to another file, which must not exist, or with "-o -" to standard
output, and checks the copy. Check reads every record and compares the store with its mark. Migrate
brings the tables of an engine up to date. These are for a store that no process uses. A running
service backs up its own store (bolt.Store.Backup): any other copy of the file of a running one is
damaged. PostgreSQL and etcd have backups of their own.

Copy moves all records to the store that -to names, which must be empty, and has the server use
that one. Each record is closed where it was: a node that still uses the old store gets no answers
from it, and no count is lost. A copy that was interrupted goes on when it is run again.

Mark makes the mark of a further node, whose folder is a copy of another one's, where there is none
yet: also for a node whose store another one has recovered, once its former mark is removed. It takes
the store for sound.

Recover is for a store that was restored from a backup, or went back otherwise: every key is charged
a full round of wrong PINs, on top of what the audit log knows, and keys that the log says were
destroyed are destroyed again. The devices then go on. It refuses a store that fits its mark, unless
-restored says that it went back all the same. See docs/operating.md.

Challenge-key replaces the challenge key, which an operator does daily, and leaves the store alone.
Every challenge is void from then on: a request under way is not answered, and ends with "tandem
sign -cancel". What has the folder open keeps the old key until it is started again.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		s := new(storeRun)
		s.declareServer(flags)
		s.pin.declare(flags)
		flags.StringVar(&s.out, "o", "", "`file` to write, which must not exist; - is standard output")
		flags.StringVar(&s.to, "to", "", "`engine` to copy to: bolt:FILE, etcd:ENDPOINTS or postgres:URL")
		flags.BoolVar(&s.restored, "restored", false, "recover a store that fits its mark, or has none")
		flags.BoolVar(&s.noAudit, "no-audit", false, "recover without the audit log: destroyed keys may be alive again")
		return s.run
	},
}

// storeRun is one run of the command.
type storeRun struct {
	folders
	pin               hsmPIN
	out, to           string
	restored, noAudit bool
}

func (s *storeRun) run(ctx context.Context, c *call) (result, error) {
	s.fill(c)
	if err := s.needServer(); err != nil {
		return nil, err
	}
	what := ""
	if len(c.files) == 1 {
		what = c.files[0]
	}
	if err := s.check(what, c); err != nil {
		return nil, err
	}
	config, err := readServerConfig(s.server)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	at, err := parseEngine(config.Store)
	if err != nil {
		return nil, err
	}
	if err := at.exists(s.server); err != nil {
		return nil, err
	}
	r := &storeResult{Folder: s.server, Store: at.shown(s.server), what: what}
	switch what {
	case storeBackup:
		r.Backup = s.out
		if !at.isFile() {
			return nil, usagef("%s has a backup of its own: see docs/stores.md", at.kind)
		}
		return r, backUp(ctx, c, at.file(s.server), s.out)
	case storeCheck:
		return r, s.checkAll(ctx, c, at, config, r)
	case storeMigrate:
		store, err := at.open(ctx, s.server) // which does it
		if err != nil {
			return nil, err
		}
		return r, store.Close()
	case storeCopy:
		return r, s.copy(ctx, c, at, config, r)
	case storeMark:
		r.Mark = config.markPlace(s.server).String()
		return r, s.newNode(ctx, c, at, config)
	case storeKey:
		return r, s.newChallengeKey(ctx, c)
	}
	return r, s.recover(ctx, c, r)
}

func (s *storeRun) check(what string, c *call) error {
	switch what {
	case storeBackup, storeCheck, storeMigrate, storeCopy, storeRecover, storeMark, storeKey:
	default:
		return usagef("what to do with the store? Say %s, %s, %s, %s, %s, %s or %s", storeBackup, storeCheck, storeMark, storeMigrate, storeCopy, storeRecover, storeKey)
	}
	switch {
	case what != storeBackup && s.out != "":
		return usagef("-o is for %s", storeBackup)
	case what == storeBackup && s.out == "":
		return usagef("which file is the backup? Give it with -o")
	case s.out == standard && c.json:
		return usagef("-json and the backup cannot both be on standard output")
	case what != storeCopy && s.to != "":
		return usagef("-to is for %s", storeCopy)
	case what == storeCopy && s.to == "":
		return usagef("where to? Give it with -to")
	case what != storeRecover && (s.restored || s.noAudit):
		return usagef("-restored and -no-audit are for %s", storeRecover)
	}
	return nil
}

// openMark opens the server's mark, and the token if it is there. shut closes both.
func (s *storeRun) openMark(ctx context.Context, c *call, config serverConfig) (k watermark.Keeper, shut func() error, err error) {
	var token *hsm.Token
	closeToken := func() error { return nil }
	place := config.markPlace(s.server)
	if place.label != "" {
		log := &laterLog{name: filepath.Join(s.server, auditFile)}
		if token, closeToken, err = openToken(ctx, c, config.HSM, s.pin, oneRun.sessions, logOf(log)); err != nil {
			return nil, nil, errors.Join(err, log.Close())
		}
		shut := closeToken
		closeToken = func() error { return errors.Join(shut(), log.Close()) }
	}
	mark, err := place.open(s.server, token)
	if err != nil {
		return nil, nil, errors.Join(err, closeToken())
	}
	return mark, func() error { return errors.Join(mark.Close(), closeToken()) }, nil
}

// newNode gives this folder's node its mark, of a store that is sound.
func (s *storeRun) newNode(ctx context.Context, c *call, at engine, config serverConfig) (err error) {
	keeper, shut, err := s.openMark(ctx, c, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut()) }()
	if _, err := keeper.Load(ctx); err == nil {
		return failf("exists", "remove it first, if another node has recovered the store since", "there is a mark already: %v", config.markPlace(s.server))
	} else if !errors.Is(err, watermark.ErrNoMark) {
		return err
	}
	store, err := at.open(ctx, s.server)
	if err != nil {
		return err
	}
	return errors.Join(watermark.Create(ctx, store, keeper), store.Close())
}

// checkAll reads every record, and compares the store with its mark.
func (s *storeRun) checkAll(ctx context.Context, c *call, at engine, config serverConfig, r *storeResult) (err error) {
	if at.isFile() {
		if err := bolt.CheckFile(ctx, at.file(s.server)); err != nil {
			return err
		}
	}
	keeper, shut, err := s.openMark(ctx, c, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut()) }()
	store, err := at.open(ctx, s.server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := watermark.Check(ctx, store, keeper); err != nil {
		return err
	}
	for id, err := range limiter.IDs(ctx, store, "") {
		if err != nil {
			return err
		}
		if _, _, err := store.Load(ctx, id); err != nil {
			return fmt.Errorf("record %q: %w", id, err)
		}
		r.Records++
	}
	return nil
}

// backUp writes a checked copy of a store: the file is there, durable and whole, or not
// at all.
func backUp(ctx context.Context, c *call, store, out string) error {
	fill := func(f *os.File) error {
		if err := bolt.BackupFile(ctx, store, f); err != nil {
			return err
		}
		return bolt.CheckFile(ctx, f.Name())
	}
	if out != standard {
		if err := checkNew(out); err != nil {
			return err
		}
		return outputError(out, disk.CreateFrom(out, fill, secretMode))
	}
	f, err := os.CreateTemp("", "tandem-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = fill(f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(c.out, f)
	}
	return errors.Join(err, f.Close())
}

// outputError says which file could not be written, if it was that and not the store.
func outputError(out string, err error) error {
	if err == nil || errors.Is(err, bolt.ErrDamaged) || errors.Is(err, bolt.ErrInUse) || errors.Is(err, bolt.ErrFormat) || errors.Is(err, context.Canceled) {
		return err
	}
	return cannotWrite(out, err)
}

type storeResult struct {
	Folder  string `json:"folder"`
	Store   string `json:"store"`
	Backup  string `json:"backup,omitempty"`
	To      string `json:"to,omitempty"`
	Mark    string `json:"mark,omitempty"`
	Records int    `json:"records,omitempty"`
	Keys    *int   `json:"keys_charged,omitempty"`
	Dead    *int   `json:"keys_destroyed,omitempty"` // of them

	what string
}

func (r *storeResult) text(w io.Writer) {
	switch {
	case r.what == storeCheck:
		fmt.Fprintf(w, "%s: sound\n", r.Store)
	case r.what == storeBackup && r.Backup != standard:
		fmt.Fprintf(w, "%s: backup of %s, checked\n", r.Backup, r.Store)
	case r.what == storeMigrate:
		fmt.Fprintf(w, "%s: up to date\n", r.Store)
	case r.what == storeCopy:
		fmt.Fprintf(w, "%s: %d records, and %s uses it now\n", r.To, r.Records, r.Folder)
	case r.what == storeMark:
		fmt.Fprintf(w, "%s: a new mark for %s\n", r.Mark, r.Store)
	case r.what == storeKey:
		fmt.Fprintf(w, "%s: a new challenge key. Start again what has the folder open, and give other nodes keys.sealed\n", r.Folder)
	case r.what == storeRecover:
		fmt.Fprintf(w, "%s: recovered. Keys charged a round of wrong PINs: %d; destroyed: %d\n", r.Store, *r.Keys, *r.Dead)
	}
}

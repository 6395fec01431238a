package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

const (
	storeBackup = "backup"
	storeCheck  = "check"
)

var storeCommand = &command{
	name: "store", args: "backup -server DIR -o FILE | check -server DIR",
	about: "backs up the server's store, or checks it",
	help: `
Backup copies the store of a server to a file, which must not exist, or with "-o -" to standard
output, and checks the copy. Check reads the whole store and says whether it is sound. Both are for
a store that no process uses, and change nothing in it. A running service backs up its own store
(bolt.Store.Backup): any other copy of the file of a running one is damaged.

A backup has the server's shares, sealed, and its counts. Restored, it gives the wrong PINs back
that were counted since: see docs/operating.md.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		var f folders
		var out string
		f.declareServer(flags)
		flags.StringVar(&out, "o", "", "`file` to write, which must not exist; - is standard output")
		return func(ctx context.Context, c *call) (result, error) {
			f.fill(c)
			if err := f.needServer(); err != nil {
				return nil, err
			}
			if len(c.files) != 1 || c.files[0] != storeBackup && c.files[0] != storeCheck {
				return nil, usagef("what to do with the store? Say %s or %s", storeBackup, storeCheck)
			}
			check := c.files[0] == storeCheck
			switch {
			case check && out != "":
				return nil, usagef("-o is for %s", storeBackup)
			case !check && out == "":
				return nil, usagef("which file is the backup? Give it with -o")
			case out == standard && c.json:
				return nil, usagef("-json and the backup cannot both be on standard output")
			}
			if err := checkStore(f.server); err != nil {
				return nil, err
			}
			r := storeResult{Folder: f.server, Store: filepath.Join(f.server, storeFile), Backup: out}
			if check {
				return r, bolt.CheckFile(ctx, r.Store)
			}
			return r, backUp(ctx, c, r.Store, out)
		}
	},
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
	Folder string `json:"folder"`
	Store  string `json:"store"`
	Backup string `json:"backup,omitempty"`
}

func (r storeResult) text(w io.Writer) {
	switch r.Backup {
	case standard:
	case "":
		fmt.Fprintf(w, "%s: sound\n", r.Store)
	default:
		fmt.Fprintf(w, "%s: backup of %s, checked\n", r.Backup, r.Store)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// movedPrefix begins the value of a record that was moved to another store. What package
// server keeps never begins so: a node that still uses the old store finds a damaged
// record, and refuses.
var movedPrefix = []byte("moved to another store\n")

// copy moves every record to another store, the checkpoints of all marks included, and
// has the folder use that one. A store in a file, and the mark of this folder, must not
// be in use. Nodes elsewhere cannot be seen: for them each record is closed where it was
// before it is created where it will be, so that no count is written to the old store
// that the new one does not have.
func (s *storeRun) copy(ctx context.Context, c *call, from engine, config serverConfig, r *storeResult) (err error) {
	to, err := parseEngine(s.to)
	if err != nil {
		return err
	}
	keeper, shut, err := s.openMark(ctx, c, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut()) }()
	source, err := from.open(ctx, s.server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	begun, err := isMoved(ctx, source)
	if err != nil {
		return err
	}
	open := to.openNew
	if begun {
		open = to.open // an earlier run was interrupted
	} else if err := watermark.Check(ctx, source, keeper); err != nil {
		return err
	}
	target, err := open(ctx, s.server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if r.Records, err = moveAll(ctx, source, target); err != nil {
		return err
	}
	r.To, config.Store = to.shown(s.server), to.String()
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return disk.Replace(filepath.Join(s.server, configFile), append(text, '\n'), secretMode)
}

// isMoved reports whether any record of a store was moved.
func isMoved(ctx context.Context, store records) (bool, error) {
	for id, err := range limiter.IDs(ctx, store, "") {
		if err != nil {
			return false, err
		}
		value, _, err := store.Load(ctx, id)
		if err != nil || bytes.HasPrefix(value, movedPrefix) {
			return err == nil, err
		}
	}
	return false, nil
}

// moveAll moves every record, and looks again until it finds none that was not moved: one
// that somebody created meanwhile is moved, too.
func moveAll(ctx context.Context, source, target records) (n int, err error) {
	for again := true; again; {
		again, n = false, 0
		for id, err := range limiter.IDs(ctx, source, "") {
			if err != nil {
				return n, err
			}
			moved, err := move(ctx, source, target, id)
			if err != nil {
				return n, fmt.Errorf("record %q: %w", id, err)
			}
			again = again || moved
			n++
		}
	}
	return n, nil
}

// move closes a record, creates it in the other store, and reads it there. It reports
// whether there was something to do.
func move(ctx context.Context, source, target limiter.Store, id string) (bool, error) {
	value, version, err := source.Load(ctx, id)
	if err != nil {
		return false, err
	}
	value, moved := bytes.CutPrefix(value, movedPrefix)
	if !moved {
		err := source.Swap(ctx, id, version, append(bytes.Clone(movedPrefix), value...))
		if errors.Is(err, limiter.ErrConflict) {
			return true, nil // a node still uses it: the next pass closes it
		}
		if err != nil {
			return false, err
		}
	}
	err = target.Create(ctx, id, value)
	if err != nil && !errors.Is(err, limiter.ErrConflict) {
		return false, err
	}
	there, _, loadErr := target.Load(ctx, id)
	if loadErr != nil {
		return false, loadErr
	}
	if !bytes.Equal(there, value) {
		return false, failf("exists", "give an empty store with -to", "the other store has another record there")
	}
	return !moved || err == nil, nil
}

package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// database is a store's database in memory, with a switch for each way to get it wrong.
type database struct {
	mu      sync.Mutex
	records map[string]*record
	last    uint64
	fault   string
	open    int               // handles
	lied    bool              // for one conflict is none
	reopen  func(d *database) // what the end of all handles does
	clock   map[string]uint64 // last version of a record, for versions of each record
}

type record struct {
	value, before []byte
	version       uint64
	loads         int
	owner         *broken // who wrote it last
	seenBy        time.Time
	swapped       bool
}

func newDatabase(fault string) *database {
	return &database{records: make(map[string]*record), clock: make(map[string]uint64), fault: fault}
}

// handle opens one.
func (d *database) handle() *broken {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open++
	return &broken{database: d, cache: make(map[string]record), absent: make(map[string]bool)}
}

// tested is the database as the checks get it.
func (d *database) tested(t *testing.T) Database {
	server := d.serve(t)
	return Database{
		Open:   func() limiter.Store { return d.handle() },
		Close:  func(s limiter.Store) { s.(interface{ close() }).close() },
		Server: server,
		OpenAt: func(address string) limiter.Store {
			if d.is("goes another way") {
				address = server
			}
			return &remote{address: address, fault: d.fault}
		},
		Remove: func(id string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.fault == "versions of each record" {
				delete(d.clock, id)
			}
			delete(d.records, id)
		},
	}
}

// broken is one handle.
type broken struct {
	*database
	process sync.Mutex // what a handle that is atomic by itself holds
	cache   map[string]record
	absent  map[string]bool
	listed  []string // what was there when it listed first
	count   uint64   // versions that it gave
	closed  bool
}

func (d *database) is(fault string) bool { return d.fault == fault }

// late is for how long something is not seen: longer than a busy machine keeps a call
// waiting.
const late = 2 * time.Second

// trip is the way to the database and back, in which another handle may come first.
func trip() { time.Sleep(50 * time.Microsecond) }

var errClosed = errors.New("closed")

func (b *broken) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	switch b.fault {
	case "closes for all":
		b.closed = true
	case "takes its records with it":
		maps.DeleteFunc(b.records, func(_ string, r *record) bool { return r.owner == b })
	case "writes when it closes":
		for _, r := range b.records {
			if r.owner == b {
				r.owner = nil
			}
		}
	}
	if b.open == 0 && b.reopen != nil {
		b.reopen(b.database)
	}
}

func (b *broken) check(ctx context.Context, id string, value []byte) error {
	if !b.is("ignores context") && ctx.Err() != nil {
		return ctx.Err()
	}
	if err := limiter.CheckRecord(id, nil); err != nil && !b.is("no id limit") {
		return err
	}
	if err := limiter.CheckRecord("id", value); err != nil && !b.is("no value limit") {
		return err
	}
	return nil
}

func (b *broken) key(id string) string {
	switch b.fault {
	case "folds case":
		return strings.ToLower(id)
	case "trims ids":
		return strings.TrimSpace(id)
	case "zero ends id":
		id, _, _ = strings.Cut(id, "\x00")
	case "repairs UTF-8":
		return strings.ToValidUTF8(id, "?")
	case "truncates ids":
		return id[:min(len(id), limiter.MaxID-1)]
	}
	return id
}

// get returns the record as this handle sees it.
func (b *broken) get(id string) (*record, bool) {
	r, ok := b.records[b.key(id)]
	if !ok || r.owner == b {
		return r, ok
	}
	switch late := time.Now().Before(r.seenBy); {
	case b.is("others see a write late") && late && r.before != nil:
		return &record{value: r.before, version: r.version}, true
	case b.is("others see a creation late") && late && r.before == nil:
		return nil, false
	case b.is("writes when it closes") && r.owner != nil:
		return nil, false
	}
	return r, true
}

func (b *broken) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if err := b.check(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.database.closedForAll(b) {
		return nil, 0, errClosed
	}
	if c, ok := b.cache[id]; ok && (b.is("reads from a cache") || b.is("reads from a cache for a while") && time.Now().Before(c.seenBy)) {
		return bytes.Clone(c.value), c.version, nil
	}
	if b.absent[id] && b.is("remembers what is not there") {
		return nil, 0, limiter.ErrNotFound
	}
	r, ok := b.get(id)
	switch {
	case !ok && b.is("unknown is empty"):
		return nil, 1, nil
	case !ok:
		b.absent[id] = true
		return nil, 0, limiter.ErrNotFound
	case b.is("hands out its slice"):
		return r.value, r.version, nil
	case b.is("stale reads"):
		if r.loads++; r.before != nil && r.loads%7 == 0 {
			return bytes.Clone(r.before), r.version, nil
		}
	case b.is("reads in pieces") && len(r.value) > 1<<15:
		half := bytes.Clone(r.value[:1<<15])
		b.mu.Unlock()
		trip()
		b.mu.Lock()
		r = b.records[b.key(id)]
		return append(half, r.value[1<<15:]...), r.version, nil
	case b.is("load bumps version"):
		b.last++
		r.version = b.last
	}
	b.remember(id, r)
	return bytes.Clone(r.value), r.version, nil
}

// remember keeps what a handle with a cache has seen.
func (b *broken) remember(id string, r *record) {
	b.cache[id] = record{value: bytes.Clone(r.value), version: r.version, seenBy: time.Now().Add(late)}
}

// closedForAll says whether the end of another handle was this one's, too.
func (d *database) closedForAll(b *broken) bool {
	return b.is("closes for all") && d.open < 2 && !b.closed
}

func (b *broken) Create(ctx context.Context, id string, value []byte) error {
	if err := b.check(ctx, id, value); err != nil {
		return err
	}
	if b.is("a cancelled creation succeeds") {
		if time.Sleep(time.Millisecond); ctx.Err() != nil {
			return nil
		}
	}
	// This create looks, and then writes. At best no other caller of this handle comes
	// between.
	looks := b.is("create atomic in the process only")
	if looks {
		b.process.Lock()
		defer b.process.Unlock()
	}
	if looks || b.is("create races") {
		b.mu.Lock()
		_, ok := b.records[b.key(id)]
		b.mu.Unlock()
		if ok {
			return limiter.ErrConflict
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
		looks = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.database.closedForAll(b) {
		return errClosed
	}
	if _, ok := b.get(id); ok && !looks && !b.is("create overwrites") {
		return limiter.ErrConflict
	}
	if b.is("create forgets") {
		return nil
	}
	b.put(id, value)
	return nil
}

func (b *broken) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := b.check(ctx, id, value); err != nil {
		return err
	}
	if b.is("a cancelled swap succeeds") {
		if time.Sleep(time.Millisecond); ctx.Err() != nil {
			return nil
		}
	}
	looks := b.is("swap atomic in the process only")
	if looks {
		b.process.Lock()
		defer b.process.Unlock()
	}
	if looks || b.is("swap races") {
		b.mu.Lock()
		r, ok := b.records[b.key(id)]
		stale := !ok || r.version != version
		b.mu.Unlock()
		if stale {
			return limiter.ErrConflict
		}
		trip()
		if b.is("swap races") {
			time.Sleep(time.Millisecond)
		}
		looks = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.database.closedForAll(b) {
		return errClosed
	}
	r, ok := b.get(id)
	if c, known := b.cache[id]; known && ok && b.is("swap compares with a cache") {
		r = &c
	}
	switch {
	case looks && ok:
	case !ok && b.is("swap creates"):
	case !ok:
		return limiter.ErrConflict
	case b.is("version 0 always matches") && version == 0:
	case b.is("older versions match") && version < r.version:
	case b.is("newer versions match") && version > r.version:
	case b.is("version compared in 32 bits") && uint32(version) == uint32(r.version):
	case r.version != version && b.is("conflict writes"):
		b.put(id, value)
		return limiter.ErrConflict
	case r.version != version && b.is("one conflict is none") && !b.lied:
		b.lied = true
		return nil
	case r.version != version && b.is("conflict has no name"):
		return fmt.Errorf("serialization failure")
	case r.version != version:
		return limiter.ErrConflict
	}
	if b.is("same value is no write") && ok && bytes.Equal(r.value, value) {
		return nil
	}
	b.put(id, value)
	if b.is("a cancelled swap conflicts") {
		if time.Sleep(time.Millisecond); ctx.Err() != nil {
			return limiter.ErrConflict
		}
	}
	if b.is("swap shows up late") {
		r := b.records[b.key(id)]
		now := r.value
		r.value = r.before
		time.AfterFunc(late, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			r.value = now
		})
	}
	return nil
}

func (b *broken) put(id string, value []byte) {
	asked := id
	id = b.key(id)
	r := &record{value: bytes.Clone(value), owner: b, seenBy: time.Now().Add(late)}
	if old := b.records[id]; old != nil {
		r.before, r.loads, r.swapped = old.value, old.loads, true
	}
	b.last++
	r.version = b.last
	switch b.fault {
	case "keeps the slice":
		r.value = value
	case "versions wrap":
		r.version = b.last%16 + 1
	case "versions go down":
		r.version = 1<<40 - b.last
	case "versions go beyond 63 bits":
		r.version = b.last | 1<<63
	case "versions start at 0":
		r.version = b.last - 1
	case "version from value":
		r.version = uint64(len(value)) + 1
		for _, c := range value {
			r.version += uint64(c)
		}
	case "one version for all":
		for _, other := range b.records {
			other.version = b.last
		}
	case "versions of each record":
		b.clock[id]++
		r.version = b.clock[id]
	case "versions of each handle":
		b.count++
		r.version = b.count
	case "empty is absent":
		if len(value) == 0 {
			delete(b.records, id)
			return
		}
	case "zero ends value":
		r.value, _, _ = bytes.Cut(r.value, []byte{0})
	case "short values":
		r.value = r.value[:min(len(r.value), limiter.MaxValue-1)]
	}
	b.records[id] = r
	delete(b.absent, asked)
	b.remember(asked, r)
}

func (b *broken) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	if !b.is("list ignores context") && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := limiter.CheckList(prefix, after, limit); err != nil && !b.is("list without limits") {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := slices.Sorted(maps.Keys(b.records))
	switch b.fault {
	case "list unsorted":
		ids = slices.Collect(maps.Keys(b.records))
	case "list folds case":
		slices.SortFunc(ids, func(x, y string) int { return strings.Compare(strings.ToLower(x), strings.ToLower(y)) })
	case "list from a cache":
		if b.listed == nil {
			b.listed = ids
		}
		ids = b.listed
	case "list ends at 1000":
		ids = ids[:min(len(ids), 1000)]
	case "list without swapped ids":
		ids = slices.DeleteFunc(ids, func(id string) bool { return b.records[id].swapped })
	case "list forgets new ids":
		ids = slices.DeleteFunc(ids, func(id string) bool { return time.Now().Before(b.records[id].seenBy) })
	case "list ignores prefix":
		prefix = ""
	case "list ignores after":
		after = ""
	case "list ignores limit":
		limit = len(ids) + 1
	}
	var page []string
	for _, id := range ids {
		match := strings.HasPrefix(id, prefix)
		switch b.fault {
		case "list prefix is a pattern": // of LIKE
			match = match || strings.HasSuffix(prefix, "%") && strings.HasPrefix(id, prefix[:len(prefix)-1])
		case "list without its prefix":
			match = match && id != prefix
		}
		if match && (id > after || id == after && after != "" && b.is("list includes after")) {
			page = append(page, id)
		}
	}
	if b.is("list skips one") && after != "" && len(page) > 1 {
		page = page[1:]
	}
	return page[:min(len(page), max(limit, 0))], nil
}

package bolt

import (
	"bytes"
	"errors"
	"io"
	"sort"
)

// snapshot reads the state that one transaction left, while a transaction of bbolt keeps
// its pages from being used again. Every page is checked when it is read: by parsePage,
// and for being in the freelist, since a freed page may be an older copy of the right
// one.
type snapshot struct {
	file io.ReaderAt
	meta
	freeAt  int64  // where the ids of free pages begin, in order
	free    int    // how many there are
	freeEnd uint64 // the page after the freelist
	last    uint64 // version
	records bucket
	visit   func(id, overflow uint64) error // sees every page that is read, if not nil
}

// bucket is a tree of pages, or one page within another.
type bucket struct {
	root   uint64
	inline []byte
}

// errEmpty is returned for a file in which nothing was written yet.
var errEmpty = errors.New("bolt: empty file")

// firstTransaction is what a file begins with. The next one prepares the store.
const firstTransaction = 1

// maxDepth is more than a tree can have: it ends a loop.
const maxDepth = 64

// newSnapshot reads the state that a meta page describes. It does not read that page,
// which may hold another one by now. The error may be errEmpty.
func newSnapshot(file io.ReaderAt, m meta, visit func(id, overflow uint64) error) (*snapshot, error) {
	s := &snapshot{file: file, meta: m, visit: visit}
	if err := s.readFreelist(); err != nil {
		return nil, err
	}
	root, err := s.page(s.root)
	if err != nil {
		return nil, err
	}
	return s, s.readBuckets(root)
}

// readMeta reads the meta page where the transaction's must be: transactions use the two
// in turn.
func readMeta(file io.ReaderAt, pageSize int, transaction uint64) (meta, error) {
	b := make([]byte, pageHeader+metaLength)
	if _, err := file.ReadAt(b, int64(transaction%2)*int64(pageSize)); err != nil {
		return meta{}, damaged("meta page: %w", err)
	}
	m, err := parseMeta(b)
	if err != nil {
		return meta{}, err
	}
	if m.pageSize != pageSize {
		return meta{}, damaged("pages of %d bytes and of %d", pageSize, m.pageSize)
	}
	return m, nil
}

// metaOf reads the meta page of a transaction.
func metaOf(file io.ReaderAt, pageSize int, transaction uint64) (meta, error) {
	m, err := readMeta(file, pageSize, transaction)
	if err == nil && m.transaction != transaction {
		err = damaged("transaction %d is where %d belongs", m.transaction, transaction)
	}
	return m, err
}

func (s *snapshot) readFreelist() error {
	b := make([]byte, pageHeader+8)
	at := int64(s.freelist) * int64(s.pageSize)
	if s.freelist < 2 || s.freelist >= s.end {
		return damaged("the freelist is on page %d of %d", s.freelist, s.end)
	}
	if _, err := s.file.ReadAt(b, at); err != nil {
		return damaged("freelist: %w", err)
	}
	pages := uint64(native.Uint32(b[12:])) + 1
	if native.Uint64(b) != s.freelist || native.Uint16(b[8:]) != freelistPage || pages > s.end-s.freelist {
		return damaged("page %d is no freelist", s.freelist)
	}
	s.freeAt, s.freeEnd = at+pageHeader, s.freelist+pages
	count := uint64(native.Uint16(b[10:]))
	if count == 0xFFFF {
		s.freeAt += 8
		count = native.Uint64(b[pageHeader:])
	}
	if count > s.end || s.freeAt+8*int64(count) > int64(s.freeEnd)*int64(s.pageSize) {
		return damaged("a freelist of %d pages", count)
	}
	s.free = int(count)
	if s.visit != nil {
		return s.visit(s.freelist, pages-1)
	}
	return nil
}

// freed reports whether a page is in the freelist.
func (s *snapshot) freed(id uint64) (bool, error) {
	var b [8]byte
	var failed error
	at := func(i int) uint64 {
		if _, err := s.file.ReadAt(b[:], s.freeAt+8*int64(i)); err != nil {
			failed = damaged("freelist: %w", err)
		}
		return native.Uint64(b[:])
	}
	i := sort.Search(s.free, func(i int) bool { return at(i) >= id })
	return i < s.free && at(i) == id, failed
}

// page reads a branch or a leaf.
func (s *snapshot) page(id uint64) (page, error) {
	if id < 2 || id >= s.end {
		return page{}, damaged("page %d of %d", id, s.end)
	}
	b := make([]byte, s.pageSize)
	at := int64(id) * int64(s.pageSize)
	if _, err := s.file.ReadAt(b, at); err != nil {
		return page{}, damaged("page %d: %w", id, err)
	}
	overflow := uint64(native.Uint32(b[12:]))
	if overflow > 0 {
		if overflow >= s.end-id || (overflow+1)*uint64(s.pageSize) > maxPage {
			return page{}, damaged("page %d has an overflow of %d", id, overflow)
		}
		b = make([]byte, (int(overflow)+1)*s.pageSize)
		if _, err := s.file.ReadAt(b, at); err != nil {
			return page{}, damaged("page %d: %w", id, err)
		}
	}
	p, err := parsePage(id, b, s.pageSize)
	if err != nil {
		return page{}, err
	}
	if freed, err := s.freed(id); err != nil || freed {
		return page{}, errors.Join(damaged("page %d is in use and free", id), err)
	}
	if s.visit != nil {
		return p, s.visit(id, p.overflow)
	}
	return p, nil
}

// readBuckets takes the two buckets from the root page.
func (s *snapshot) readBuckets(root page) error {
	if len(root.elements) == 0 && s.transaction <= firstTransaction {
		return errEmpty
	}
	if len(root.elements) == 0 {
		return damaged("an empty root")
	}
	if !root.leaf || len(root.elements) != 2 || !isBucket(root.elements[0], metaBucket) || !isBucket(root.elements[1], recordsBucket) {
		return ErrFormat
	}
	metas := bucketOf(root.elements[0])
	if metas.root != 0 {
		return ErrFormat
	}
	p, err := parsePage(0, metas.inline, s.pageSize)
	if err != nil {
		return err
	}
	if len(p.elements) < 1 || !bytes.Equal(p.elements[0].key, formatKey) || !bytes.Equal(p.elements[0].value, []byte{format}) {
		return ErrFormat
	}
	if len(p.elements) != 2 || !bytes.Equal(p.elements[1].key, versionKey) {
		return damaged("no count of versions")
	}
	last, err := parseRecord(versionKey, p.elements[1].value)
	if err != nil {
		return err
	}
	s.last = last.version
	s.records = bucketOf(root.elements[1])
	return nil
}

func isBucket(e element, name []byte) bool {
	return e.bucket && bytes.Equal(e.key, name) && len(e.value) >= bucketHeader
}

func bucketOf(e element) bucket { return bucket{native.Uint64(e.value), e.value[bucketHeader:]} }

// walk passes on the records in ascending order, from the last one that does not come
// after from, or from the first. It ends when see returns false.
func (s *snapshot) walk(from []byte, see func(key []byte, r record) (more bool, err error)) error {
	checked := func(key, value []byte) (bool, error) {
		r, err := parseRecord(key, value)
		if err == nil && r.version > s.last {
			err = damaged("version %d was never given", r.version)
		}
		if err != nil {
			return false, err
		}
		return see(key, r)
	}
	if s.records.root == 0 {
		p, err := parsePage(0, s.records.inline, s.pageSize)
		if err != nil {
			return err
		}
		_, err = s.descend(p, from, 0, checked)
		return err
	}
	p, err := s.page(s.records.root)
	if err != nil {
		return err
	}
	_, err = s.descend(p, from, 0, checked)
	return err
}

func (s *snapshot) descend(p page, from []byte, depth int, see func(key, value []byte) (bool, error)) (more bool, err error) {
	if len(p.elements) == 0 || depth > maxDepth {
		return false, damaged("an empty page, or a loop of pages")
	}
	first := 0
	if from != nil {
		first = sort.Search(len(p.elements), func(i int) bool { return bytes.Compare(p.elements[i].key, from) > 0 })
		first = max(first-1, 0)
	}
	for _, e := range p.elements[first:] {
		switch {
		case p.leaf && e.bucket:
			return false, damaged("a bucket among the records")
		case p.leaf:
			more, err = see(e.key, e.value)
		default:
			var child page
			if child, err = s.page(e.child); err != nil {
				return false, err
			}
			// Branch and child agree, so neither is in the wrong place.
			if len(child.elements) == 0 || !bytes.Equal(child.elements[0].key, e.key) {
				return false, damaged("page %d is not the one that its branch means", e.child)
			}
			more, err = s.descend(child, from, depth+1, see)
			from = nil
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// lookup returns the record of a key, or found = false if two neighbours show that there
// is none.
func (s *snapshot) lookup(key []byte) (r record, found bool, err error) {
	seen := 0
	err = s.walk(key, func(k []byte, at record) (bool, error) {
		seen++
		switch order := bytes.Compare(k, key); {
		case seen == 1 && order == 0:
			r, found = at, true
			return false, nil
		case seen == 1 && order < 0:
			return true, nil
		case seen == 2 && order > 0:
			return false, nil
		}
		return false, damaged("a record is missing, or out of order")
	})
	if err == nil && !found && seen < 2 {
		err = damaged("the last record is missing")
	}
	return r, found, err
}

package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// This package reads bbolt's file by itself, since bbolt trusts it: a flipped bit sends
// bbolt to an old copy of a page, into a loop, or to another part of memory. Nothing here
// reads beyond a page, or accepts what bbolt would not have written. bbolt's integers
// have the byte order of the machine.
//
//	page    id 8 | flags 2 | count 2 | overflow 4 | elements |
//	        keys and values, without a gap
//	branch  position 4 | key length 4 | child 8
//	leaf    flags 4 | position 4 | key length 4 | value length 4
//	meta    magic 4 | version 4 | page size 4 | flags 4 | root 8 | sequence 8 |
//	        freelist 8 | end 8 | transaction 8 | checksum 8
//
// A page that needs more room goes on in the overflow pages after it. A position counts
// from its element. The first key of a child is the key of its element.
const (
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	pageHeader    = 16
	elementLength = 16
	bucketFlag    = 0x01 // of a leaf's element
	bucketHeader  = 16   // root 8 | sequence 8, then a page if root is 0

	metaLength  = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	maxPageSize = 1 << 16
	// maxPage is more than four records, which bbolt leaves together however long they
	// are.
	maxPage = 1 << 20
)

var native = binary.NativeEndian

func damaged(what string, args ...any) error {
	return fmt.Errorf("%w: "+what, append([]any{ErrDamaged}, args...)...)
}

// page is a branch or a leaf.
type page struct {
	leaf     bool
	overflow uint64
	elements []element
}

type element struct {
	key, value []byte // value of a leaf
	child      uint64 // of a branch
	bucket     bool
}

// parsePage reads the page id from its bytes, which it must fill but for the rest of the
// last page.
func parsePage(id uint64, b []byte, pageSize int) (page, error) {
	if len(b) < pageHeader {
		return page{}, damaged("page %d has %d bytes", id, len(b))
	}
	flags, count := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
	p := page{leaf: flags == leafPage, overflow: uint64(native.Uint32(b[12:])), elements: make([]element, 0, count)}
	if native.Uint64(b) != id || flags != leafPage && flags != branchPage {
		return page{}, damaged("page %d calls itself page %d, with flags %#x", id, native.Uint64(b), flags)
	}
	at := pageHeader + count*elementLength // where the next key is
	if at > len(b) {
		return page{}, damaged("page %d has no room for %d elements", id, count)
	}
	for i := range count {
		offset := pageHeader + i*elementLength
		head := b[offset : offset+elementLength]
		var e element
		var position, keyLength, valueLength uint32
		if p.leaf {
			e.bucket = native.Uint32(head) == bucketFlag
			if f := native.Uint32(head); f != 0 && f != bucketFlag {
				return page{}, damaged("page %d has an element with flags %#x", id, f)
			}
			position, keyLength, valueLength = native.Uint32(head[4:]), native.Uint32(head[8:]), native.Uint32(head[12:])
		} else {
			position, keyLength, e.child = native.Uint32(head), native.Uint32(head[4:]), native.Uint64(head[8:])
		}
		end := uint64(at) + uint64(keyLength) + uint64(valueLength)
		if uint64(position) != uint64(at-offset) || keyLength == 0 || end > uint64(len(b)) {
			return page{}, damaged("page %d has an element out of place", id)
		}
		e.key, e.value = b[at:at+int(keyLength)], b[at+int(keyLength):end]
		if i > 0 && bytes.Compare(p.elements[i-1].key, e.key) >= 0 {
			return page{}, damaged("page %d is out of order", id)
		}
		p.elements = append(p.elements, e)
		at = int(end)
	}
	if pages := max(1, (at+pageSize-1)/pageSize); p.overflow != uint64(pages-1) {
		return page{}, damaged("page %d has %d bytes and an overflow of %d", id, at, p.overflow)
	}
	return p, nil
}

// meta is what one of the first two pages says: the state that one transaction left.
type meta struct {
	pageSize                         int
	root, freelist, end, transaction uint64
	page                             []byte // as it was read, up to where the zeros begin
}

// parseMeta reads a meta page, and refuses one with a wrong mark, checksum or page size.
func parseMeta(page []byte) (meta, error) {
	b := page[pageHeader : pageHeader+metaLength]
	if native.Uint32(b) != metaMagic || native.Uint32(b[4:]) != metaVersion {
		return meta{}, damaged("a meta page without its mark")
	}
	if metaSum(b) != native.Uint64(b[metaLength-8:]) {
		return meta{}, damaged("a meta page's checksum is wrong")
	}
	m := meta{
		pageSize: int(native.Uint32(b[8:])), root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
		end: native.Uint64(b[40:]), transaction: native.Uint64(b[48:]), page: page,
	}
	if m.pageSize < 1024 || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0 {
		return meta{}, damaged("pages of %d bytes", m.pageSize)
	}
	return m, nil
}

func metaSum(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b[:metaLength-8])
	return h.Sum64()
}

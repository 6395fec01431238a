package bolt

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// metaPages returns both meta pages as the kernel's memory has them, which is what the
// disk gets: they say what was committed.
func (s *Store) metaPages() ([]byte, error) {
	b := make([]byte, 2*s.pageSize)
	if _, err := s.file.ReadAt(b, 0); err != nil {
		if errors.Is(err, fs.ErrClosed) {
			return nil, err
		}
		return nil, damaged("meta pages: %w", err)
	}
	return b, nil
}

// full reports whether a transaction failed for want of room, before anything of it
// counts. Then it has not happened and will not, and the store is as it was: bbolt writes
// pages that nothing refers to, syncs them, and writes the meta page last. A sync that
// fails is never taken for this, even if it says that the disk is full: what the disk has
// is unknown then.
func (s *Store) full(err error, metasBefore []byte) bool {
	// bbolt keeps only the text of what the file system says when it lets the file grow,
	// which is before it writes. If the text changes, the store must be opened anew after
	// a full disk, and no more.
	grow := strings.HasPrefix(err.Error(), "file resize error: ")
	var path *fs.PathError
	write := errors.As(err, &path) && path.Op == "write" &&
		(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
	if !grow && !write {
		return false
	}
	metas, err := s.metaPages()
	return err == nil && metasBefore != nil && bytes.Equal(metas, metasBefore)
}

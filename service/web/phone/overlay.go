package phone

import (
	"bytes"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// overlay is a file system with more files in its root, in memory.
type overlay struct {
	fs.FS
	files map[string]*memoryFile
}

// newOverlay reads the named files of more into memory.
func newOverlay(base, more fs.FS, names ...string) (fs.FS, error) {
	o := overlay{base, map[string]*memoryFile{}}
	for _, name := range names {
		data, err := fs.ReadFile(more, name)
		if err != nil {
			return nil, err
		}
		o.files[name] = &memoryFile{name, data}
	}
	return o, nil
}

// Open implements [fs.FS].
func (o overlay) Open(name string) (fs.File, error) {
	if f, ok := o.files[name]; ok {
		return &openFile{bytes.NewReader(f.data), f}, nil
	}
	f, err := o.FS.Open(name)
	if err != nil || name != "." {
		return f, err
	}
	entries, err := o.root()
	return &openRoot{f, entries}, err
}

func (o overlay) root() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, ".")
	for _, f := range o.files {
		entries = append(entries, fs.FileInfoToDirEntry(f))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// memoryFile is its own fs.FileInfo.
type memoryFile struct {
	name string
	data []byte
}

func (f *memoryFile) Name() string     { return f.name }
func (f *memoryFile) Size() int64      { return int64(len(f.data)) }
func (*memoryFile) Mode() fs.FileMode  { return 0o444 }
func (*memoryFile) ModTime() time.Time { return time.Time{} }
func (*memoryFile) IsDir() bool        { return false }
func (*memoryFile) Sys() any           { return nil }

type openFile struct {
	*bytes.Reader
	file *memoryFile
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.file, nil }
func (*openFile) Close() error                 { return nil }

// openRoot lists the root.
type openRoot struct {
	fs.File
	rest []fs.DirEntry
}

// ReadDir implements [fs.ReadDirFile].
func (r *openRoot) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(r.rest)
	} else if len(r.rest) == 0 {
		return nil, io.EOF
	}
	out := r.rest[:min(n, len(r.rest))]
	r.rest = r.rest[len(out):]
	return out, nil
}

package powertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sector is what a disk writes whole.
const sector = 512

// disk is what is on it for certain, and what may be.
type disk struct {
	names   map[string]int // files by name
	files   map[int][]byte
	mapped  map[int][]byte // contents of files that are written through memory, if known
	pending []pending
}

// pending is an operation that may be lost.
type pending struct {
	Op
	index int // in the log
}

func newDisk() *disk {
	return &disk{names: map[string]int{}, files: map[int][]byte{}, mapped: map[int][]byte{}}
}

// live is what the programs see: all of it.
func (l Log) live() *disk {
	d := newDisk()
	for i, o := range l {
		d.do(i, o)
	}
	d.settle(func(pending) bool { return true })
	return d
}

// do does the operation with that index.
func (d *disk) do(i int, o Op) {
	switch o.Kind {
	case Write, Truncate, Create, Remove:
		d.pending = append(d.pending, pending{o, i})
	case Sync:
		d.settle(func(p pending) bool { return !p.naming() && p.File == o.File && p.index < o.Began })
	case SyncFolder:
		d.settle(func(p pending) bool { return p.naming() && p.index < o.Began })
	case Map:
		d.mapped[o.File] = o.Data
	}
}

// naming reports whether an operation changes names, and not the bytes of a file.
func (o Op) naming() bool { return o.Kind == Create || o.Kind == Remove }

// settle makes operations durable.
func (d *disk) settle(these func(pending) bool) {
	var left []pending
	for _, p := range d.pending {
		switch {
		case !these(p):
			left = append(left, p)
		case p.naming():
			p.rename(d.names)
		default:
			d.files[p.File] = p.change(d.files[p.File])
		}
	}
	// A file that has no name any more, and cannot get one, is gone.
	d.pending = slices.DeleteFunc(left, func(p pending) bool { return !p.naming() && !d.nameable(left, p.File) })
}

// nameable reports whether a file may have a name after a cut.
func (d *disk) nameable(left []pending, file int) bool {
	for _, f := range d.names {
		if f == file {
			return true
		}
	}
	return slices.ContainsFunc(left, func(p pending) bool { return p.Kind == Create && p.File == file })
}

func (o Op) rename(names map[string]int) {
	if o.Kind == Create {
		names[o.Name] = o.File
	} else {
		delete(names, o.Name)
	}
}

// change does a Write or a Truncate to the bytes of a file.
func (o Op) change(data []byte) []byte {
	end := int(o.At) + len(o.Data)
	if len(data) < end {
		data = append(data, make([]byte, end-len(data))...)
	} else if o.Kind == Truncate {
		data = data[:end:end]
	}
	copy(data[o.At:], o.Data)
	return data
}

// state is what may be on the disk after a cut.
type state struct {
	names map[string]int
	files map[int][]byte
	disk  *disk
}

// with returns the state if the disk has some of what is pending, in that order; names
// change in the order in which they did.
func (d *disk) with(kept []pending) state {
	s := state{names: maps.Clone(d.names), files: map[int][]byte{}, disk: d}
	names := slices.Clone(kept)
	slices.SortStableFunc(names, func(a, b pending) int { return a.index - b.index })
	for _, p := range names {
		if p.naming() {
			p.rename(s.names)
		}
	}
	for _, file := range s.names {
		s.files[file] = bytes.Clone(d.files[file])
	}
	for _, p := range kept {
		if _, named := s.files[p.File]; named && !p.naming() {
			s.files[p.File] = p.change(s.files[p.File])
		}
	}
	return s
}

// sum tells states apart. What is in a file that is written through memory is drawn when
// the state is written.
func (s state) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		file := s.names[name]
		data := s.files[file]
		if _, mapped := s.disk.mapped[file]; mapped {
			data = nil
		}
		fmt.Fprintf(h, "%q %d ", name, len(data))
		h.Write(data)
	}
	h.Sum(sum[:0])
	return sum
}

// write puts the state into a folder, in place of what is there.
func (s state) write(folder string) error {
	old, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range old {
		if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	for name, file := range s.names {
		data := s.files[file]
		if known, mapped := s.disk.mapped[file]; mapped {
			data = anything(data, known)
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// anything is what a cut leaves of a file that is written through memory, of which nobody
// knows what was on the disk when: of these, one.
func anything(written, other []byte) []byte {
	random := make([]byte, 1<<15)
	for i := 0; i < len(random); i += 8 {
		binary.LittleEndian.PutUint64(random[i:], rand.Uint64())
	}
	return [][]byte{nil, written, other, random}[rand.IntN(4)]
}

// choice is what of the pending operations a disk has kept.
type choice struct {
	what string
	kept func() []pending
}

// choices are the states that a cut may leave now: with none, all, all but one and only
// one of what was not synced; in the other order; with parts of one, at the end of what
// was done before, among the others, and alone; and some of all others.
func (d *disk) choices() (out []choice) {
	n := len(d.pending)
	all := slices.Clone(d.pending)
	add := func(what string, kept func() []pending) { out = append(out, choice{what, kept}) }
	add("nothing", func() []pending { return nil })
	add("all", func() []pending { return all })
	if n > 0 {
		add("only the last", func() []pending { return all[n-1:] })
	}
	for i, p := range all {
		before, after := all[:i:i], all[i+1:]
		if i < n-1 {
			add(fmt.Sprint("only ", p), func() []pending { return []pending{p} })
		}
		add(fmt.Sprint("all but ", p), func() []pending { return slices.Concat(before, after) })
		// The sectors' ends that are in a write.
		first, last := p.At/sector+1, (p.At+int64(len(p.Data))-1)/sector
		if p.Kind != Write || last < first {
			continue
		}
		cut := func() (head, tail, length pending) {
			at := sector * (first + rand.Int64N(last-first+1))
			head, tail, length = p, p, p
			head.Data = p.Data[:at-p.At]
			tail.At, tail.Data = at, p.Data[at-p.At:]
			length.Op = Op{Kind: Write, File: p.File, At: p.At, Data: make([]byte, len(p.Data))}
			return head, tail, length
		}
		part := func(what string, of func(head, tail, length pending) []pending) {
			add(fmt.Sprint(what, " of ", p), func() []pending { return of(cut()) })
		}
		part("all before, and the head", func(head, _, _ pending) []pending { return append(before, head) })
		part("all others, and the head", func(head, _, _ pending) []pending { return slices.Concat(before, []pending{head}, after) })
		part("all others, and the tail", func(_, tail, _ pending) []pending { return slices.Concat(before, []pending{tail}, after) })
		part("only the tail", func(_, tail, _ pending) []pending { return []pending{tail} })
		if int(p.At) >= len(d.files[p.File]) {
			part("all others, and the length without the bytes", func(_, _, length pending) []pending { return slices.Concat(before, []pending{length}, after) })
		}
	}
	if n > 1 {
		add("all, in the other order", func() []pending {
			backwards := slices.Clone(all)
			slices.Reverse(backwards)
			return backwards
		})
	}
	for range min(n, 4) {
		add("some, in any order", func() (some []pending) {
			for _, i := range rand.Perm(n)[:rand.IntN(n+1)] {
				some = append(some, all[i])
			}
			return some
		})
	}
	return out
}

func list(kept []pending) string {
	var b strings.Builder
	for _, p := range kept {
		fmt.Fprintf(&b, "\n\t%d: %v", p.index, p.Op)
	}
	return b.String()
}

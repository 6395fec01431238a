// Package powertest cuts the power under programs that keep files.
//
// What a process really does is recorded: strace writes down every write, sync and
// acknowledgement of a child, in their order ([Record]). At each of these moments the
// disk may have any of the writes that were not synced, in any order, or parts of one,
// and any of the names that were given or taken since the folder was synced. The program
// then looks at some of these states, as it does when it starts again ([Log.Cut]).
//
// The disk is as bad as POSIX allows: to sync a file makes its bytes and its length
// durable, and not its name; to sync the folder makes names durable, and no bytes. It is
// no worse: what was synced stays, and sectors of 512 bytes are written whole or not at
// all.
package powertest

import (
	"fmt"
	"slices"
)

// Kind is what an operation does.
type Kind int

const (
	Nothing    Kind = iota // what a test took out of a log
	Write                  // Data at At
	Truncate               // to the length At
	Sync                   // of a file
	Create                 // Name, for a new and empty file
	Remove                 // Name
	SyncFolder             // all names
	Map                    // the file is written through memory; Data, if known, is what is there
	Step                   // step At was acknowledged: it must not be lost
	Loose                  // step At was done, and may be lost
)

var kinds = []string{"nothing", "write", "truncate", "sync", "create", "remove", "sync folder", "map", "step", "loose step"}

func (k Kind) String() string { return kinds[k] }

// Op is one operation of a program.
type Op struct {
	Kind  Kind
	Name  string // of the file, in the folder
	File  int    // which file that is: they are numbered as they are created
	At    int64
	Data  []byte
	Began int // of Sync and SyncFolder: how many operations came before it began
}

func (o Op) String() string {
	switch o.Kind {
	case Write:
		return fmt.Sprintf("%d bytes at %d of %s", len(o.Data), o.At, o.Name)
	case Truncate, Step, Loose:
		return fmt.Sprint(o.Kind, " ", o.At, " ", o.Name)
	}
	return fmt.Sprint(o.Kind, " ", o.Name)
}

// Log is what programs did, one after the other, to the files of one folder.
type Log []Op

// First returns the index of the first operation of a kind, or -1.
func (l Log) First(kind Kind) int {
	return slices.IndexFunc(l, func(o Op) bool { return o.Kind == kind })
}

// Last returns the index of the last operation of a kind, or -1.
func (l Log) Last(kind Kind) int {
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].Kind == kind {
			return i
		}
	}
	return -1
}

// Without returns a log in which operations do nothing.
func (l Log) Without(drop func(i int, o Op) bool) Log {
	out := make(Log, len(l))
	for i, o := range l {
		if !drop(i, o) {
			out[i] = o
		}
	}
	return out
}

// Early returns a log in which each step is acknowledged before the syncs that it waited
// for, and how many steps these are.
func (l Log) Early() (out Log, steps int) {
	out = slices.Clone(l)
	sync := -1 // the first one since the last step
	for i, o := range out {
		switch {
		case o.Kind == Sync && sync < 0:
			sync = i
		case o.Kind == Step && sync >= 0:
			copy(out[sync+1:i+1], out[sync:i])
			out[sync] = o
			for k, moved := range out {
				if moved.Began > sync && moved.Began <= i {
					out[k].Began++
				}
			}
			steps++
			sync = -1
		case o.Kind == Step, o.Kind == Loose:
			sync = -1
		}
	}
	return out, steps
}

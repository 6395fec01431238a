package powertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Cuts says where to cut the power.
type Cuts struct {
	// Most is how many states of the disk are looked at for one moment at most, drawn at
	// random but for a few; zero means all that there are.
	Most int
	// From is the first operation after which it is cut.
	From int
	// Every, if it is above one, leaves out moments: those after a step stay, and of the
	// others one of so many, drawn at random.
	Every int
}

// Shown is what was looked at.
type Shown struct{ Operations, States int }

var (
	// ErrOlder is returned by Cut for a state that lacks an acknowledged step.
	ErrOlder = errors.New("powertest: a state older than an acknowledged one")
	// ErrNewer is returned by Cut for a state with a step that nobody took.
	ErrNewer = errors.New("powertest: a state of a step that was not taken")
)

// Cut cuts the power after each operation, puts into the folder what the disk may have
// then, and has look start on it. It returns the last step that is there, or a negative
// number if there is none. That must be the last step of the log, the one under way, or
// one since the last that must not be lost.
func (l Log) Cut(folder string, c Cuts, look func() (step int64, err error)) (shown Shown, err error) {
	d := newDisk()
	acknowledged, last := int64(-1), int64(-1)
	seen := make(map[[sha256.Size]byte]int64)
	for i, o := range l {
		d.do(i, o)
		switch o.Kind {
		case Step:
			acknowledged, last = max(acknowledged, o.At), max(last, o.At)
		case Loose:
			last = max(last, o.At)
		case Nothing, Map:
			continue
		}
		if i < c.From || c.Every > 1 && o.Kind != Step && rand.IntN(c.Every) > 0 {
			continue
		}
		shown.Operations++
		for _, choice := range some(d.choices(), c.Most) {
			kept := choice.kept()
			s := d.with(kept)
			sum := s.sum()
			step, known := seen[sum]
			if !known {
				shown.States++
				err = s.write(folder)
				if err == nil {
					step, err = look()
				}
				seen[sum] = step
			}
			switch {
			case err != nil:
			case step < acknowledged:
				err = fmt.Errorf("%w: %d after %d", ErrOlder, step, acknowledged)
			case step > last+1:
				err = fmt.Errorf("%w: %d after %d", ErrNewer, step, last)
			}
			if err != nil {
				return shown, fmt.Errorf("after operation %d (%v), of %d pending ones the disk kept %s: %w%s",
					i, o, len(d.pending), choice.what, err, list(kept))
			}
		}
	}
	return shown, nil
}

// some draws from choices. The first three are always among them.
func some(choices []choice, most int) []choice {
	const always = 3
	if most == 0 || len(choices) <= most {
		return choices
	}
	if len(choices) > always {
		rest := choices[always:]
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	return choices[:min(len(choices), max(always, most))]
}

// Place puts into a folder what the programs of a log left there, as if they were killed.
func (l Log) Place(folder string) error {
	d := l.live()
	return d.with(nil).write(folder)
}

// Folder returns a folder for states of a disk. It is in memory where there is room: what
// starts on them syncs.
func Folder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "powertest")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	const room = 16 << 20 // many times what a state takes
	file := filepath.Join(folder, "room")
	if err := errors.Join(os.WriteFile(file, make([]byte, room), 0o600), os.Remove(file)); err != nil {
		return t.TempDir()
	}
	return folder
}

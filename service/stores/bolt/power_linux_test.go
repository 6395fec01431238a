package bolt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
)

// A power cut is simulated on what a process really did: strace writes down every write,
// sync and acknowledgement of a child, in their order. At each of them the disk may have
// any of the writes that were not synced, in any order, or parts of one: sectors of 512
// bytes are written whole.

// counted is what the store holds after a number of steps.
type counted struct {
	count uint64
	keys  int
}

// after is the state after n steps: each third creates a record, the others count.
func after(n int) (s counted) {
	for i := range n {
		if i%3 == 0 {
			s.keys++
		} else {
			s.count++
		}
	}
	return s
}

// countSteps is the child: it opens the store and acknowledges each step on standard
// output. One without syncs is there for the test of the test.
func countSteps(path string, steps int, sync bool) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	s.db.NoSync = !sync
	ctx := context.Background()
	if err := s.Create(ctx, "count", make([]byte, 8)); err != nil {
		return err
	}
	fmt.Println("step 0")
	for i := range steps {
		if i%3 == 0 {
			err = s.Create(ctx, fmt.Sprintf("key %05d", i), bytes.Repeat([]byte{byte(i)}, 700))
		} else {
			_, err = increment(ctx, s)
		}
		if err != nil {
			return err
		}
		fmt.Println("step", i+1)
	}
	return nil // without Close: the power is cut
}

func init() {
	for role, sync := range map[string]bool{"power": true, "power without syncs": false} {
		roles[role] = func(path string) {
			steps, err := strconv.Atoi(os.Getenv("TANDEM_BOLT_TEST_STEPS"))
			if err == nil {
				err = countSteps(path, steps, sync)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

// operation is one line of the log.
type operation struct {
	kind  string // write, truncate, sync, step
	at    int64  // of write; the length of truncate; the number of step
	data  []byte
	began int // of sync: how many operations came before it began
}

var (
	unfinished = regexp.MustCompile(`^(\d+) +(.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	call       = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	quoted     = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
)

// traced runs the child under strace and reads what it did to the file of the store.
func traced(t *testing.T, path string, steps int, role string) (log []operation) {
	t.Helper()
	strace := needtest.Program(t, "strace", "strace")
	self, err := os.Executable()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(strace, "-f", "-xx", "-s", "1000000", "-e", "trace=openat,close,pwrite64,ftruncate,fallocate,fdatasync,fsync,write", "-e", "signal=none", "-o", file, self)
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path, "TANDEM_BOLT_TEST_STEPS="+strconv.Itoa(steps))
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("ptrace")) {
		needtest.Need(t, "strace may not trace here: allow ptrace (docker run --cap-add SYS_PTRACE)")
	}
	require.NoError(t, err, "%s", out)
	text, err := os.Open(file)
	require.NoError(t, err)
	defer text.Close()
	r := reader{path: hexed(path), begun: make(map[string]string), at: make(map[string]int)}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		r.line(t, lines.Text())
	}
	require.NoError(t, lines.Err())
	return r.log
}

func hexed(s string) (out string) {
	for _, b := range []byte(s) {
		out += fmt.Sprintf(`\x%02x`, b)
	}
	return out
}

// reader reads a log of strace.
type reader struct {
	path  string
	fds   []string // of the store
	begun map[string]string
	at    map[string]int // where the log was when a thread's call began
	log   []operation
}

func (r *reader) line(t *testing.T, line string) {
	if m := unfinished.FindStringSubmatch(line); m != nil {
		r.begun[m[1]], r.at[m[1]] = m[2], len(r.log)
		return
	}
	began := len(r.log)
	if m := resumed.FindStringSubmatch(line); m != nil {
		line, began = m[1]+" "+r.begun[m[1]]+m[2], r.at[m[1]]
	}
	m := call.FindStringSubmatch(line)
	if m == nil {
		return // the end of a thread
	}
	name, args, result := m[2], m[3], m[4]
	fd, _, _ := strings.Cut(args, ",")
	ours := slices.Contains(r.fds, fd)
	number := func(s string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		require.NoError(t, err, line)
		return n
	}
	data := func() (b []byte) {
		m := quoted.FindStringSubmatch(args)
		require.NotNil(t, m, "a write that is not whole: %s", line)
		for _, h := range strings.Split(m[1], `\x`)[1:] {
			n, err := strconv.ParseUint(h, 16, 8)
			require.NoError(t, err)
			b = append(b, byte(n))
		}
		return b
	}
	switch {
	case name == "openat" && strings.Contains(args, `"`+r.path+`"`):
		r.fds = append(r.fds, result)
	case name == "openat":
	case name == "close":
		r.fds = slices.DeleteFunc(r.fds, func(s string) bool { return s == fd })
	case name == "write" && fd == "1":
		n, found := strings.CutPrefix(strings.TrimSpace(string(data())), "step ")
		require.True(t, found, line)
		r.log = append(r.log, operation{kind: "step", at: number(n)})
	case !ours:
	case name == "pwrite64":
		b := data()
		require.Equal(t, result, strconv.Itoa(len(b)), "all of it was written, and is in the log")
		r.log = append(r.log, operation{kind: "write", at: number(args[strings.LastIndex(args, ",")+1:]), data: b})
	case name == "ftruncate":
		r.log = append(r.log, operation{kind: "truncate", at: number(args[strings.LastIndex(args, ",")+1:])})
	case name == "fdatasync" || name == "fsync":
		require.Equal(t, "0", result)
		r.log = append(r.log, operation{kind: "sync", began: began})
	default:
		require.Fail(t, "a call that the disk does not know", line)
	}
}

// disk is what is on it for certain, and what may be.
type simulated struct {
	image   []byte
	pending []operation
}

// apply does an operation to an image.
func (o operation) apply(image []byte) []byte {
	end := int(o.at) + len(o.data)
	if o.kind == "truncate" {
		return append(image[:min(len(image), end):min(len(image), end)], make([]byte, max(0, end-len(image)))...)
	}
	if end > len(image) {
		image = append(image, make([]byte, end-len(image))...)
	}
	copy(image[o.at:], o.data)
	return image
}

// crashes are images that the disk may have now: with none, all, all but one and only one
// of what was not synced; in the other order; with parts of one; and some of all others.
func (d *simulated) crashes() (images [][]byte) {
	n := len(d.pending)
	with := func(ops ...operation) {
		image := bytes.Clone(d.image)
		for _, o := range ops {
			image = o.apply(image)
		}
		images = append(images, image)
	}
	with()
	with(d.pending...)
	for i := range n {
		with(d.pending[i])
		with(slices.Concat(d.pending[:i], d.pending[i+1:])...)
		if o := d.pending[i]; len(o.data) > 512 {
			sectors := len(o.data) / 512
			cut := 512 * (1 + rand.IntN(sectors))
			cut = min(cut, len(o.data)-1)
			with(slices.Concat(d.pending[:i], []operation{{kind: "write", at: o.at, data: o.data[:cut]}})...)
			with(operation{kind: "write", at: o.at + 512*int64(cut/512), data: o.data[cut/512*512:]})
		}
	}
	backwards := slices.Clone(d.pending)
	slices.Reverse(backwards)
	with(backwards...)
	for range min(n, 4) {
		var some []operation
		for _, i := range rand.Perm(n)[:rand.IntN(n+1)] {
			some = append(some, d.pending[i])
		}
		with(some...)
	}
	return images
}

// cutPower goes through a log, cuts the power at each operation, and has check look at
// each image that there can be. acknowledged is the last step that was.
func cutPower(log []operation, check func(image []byte, acknowledged int) error) (points, images int, err error) {
	d := new(simulated)
	acknowledged := -1
	seen := make(map[[32]byte]int)
	from := 0 // index of the first pending operation in log
	for i, o := range log {
		switch o.kind {
		case "step":
			acknowledged = int(o.at)
		case "sync":
			var left []operation
			for j, p := range log[from:i] {
				if p.kind != "write" && p.kind != "truncate" {
					continue
				}
				if from+j < o.began {
					d.image = p.apply(d.image)
				} else {
					left = append(left, p)
				}
			}
			d.pending, from = left, o.began
		default:
			d.pending = append(d.pending, o)
		}
		if acknowledged < 0 {
			continue // the store is being made: nobody has an answer yet
		}
		points++
		for _, image := range d.crashes() {
			sum := sha256.Sum256(image)
			if was, ok := seen[sum]; ok && was == acknowledged {
				continue
			}
			seen[sum] = acknowledged
			images++
			if err := check(image, acknowledged); err != nil {
				return points, images, fmt.Errorf("operation %d (%s), %d pending: %w", i, o.kind, len(d.pending), err)
			}
		}
	}
	return points, images, nil
}

var errOlder = errors.New("a state older than an acknowledged one")

// holds opens an image as a restarted service does, and finds out which step it holds.
func holds(t *testing.T, path string) func(image []byte, acknowledged int) error {
	return func(image []byte, acknowledged int) error {
		if err := os.WriteFile(path, image, 0o600); err != nil {
			return err
		}
		s, err := Open(path, Options{sync: func(*bbolt.DB) error { return nil }})
		if err != nil {
			return err
		}
		defer s.Close()
		value, _, err := s.Load(t.Context(), "count")
		if err != nil {
			return err
		}
		keys, err := s.List(t.Context(), "key ", "", 1<<20)
		if err != nil {
			return err
		}
		is := counted{binary.BigEndian.Uint64(value), len(keys)}
		switch is {
		case after(acknowledged), after(acknowledged + 1): // or the step under way
			return nil
		}
		return fmt.Errorf("%w: %+v after step %d", errOlder, is, acknowledged)
	}
}

// TestPowerCut: wherever the power is cut, whatever the disk has of what was not synced,
// the store opens, and holds every step that was acknowledged.
func TestPowerCut(t *testing.T) {
	steps := durabletest.Times(400, 20, 8)
	log := traced(t, filepath.Join(t.TempDir(), "store.db"), steps, "power")
	require.Equal(t, int64(steps), log[len(log)-1].at, "the last step was acknowledged last")
	points, images, err := cutPower(log, holds(t, filepath.Join(t.TempDir(), "image.db")))
	require.NoError(t, err)
	require.GreaterOrEqual(t, points, 4*steps)
	durabletest.Claim(t, "power cut: bolt, %d writes, %d moments, %d states of the disk: none older than an acknowledged one", steps, points, images)
}

// TestPowerCutFindsFaults: the same test finds a store that does not sync, one that syncs
// after it has acknowledged, and one that writes its meta page before its pages are
// synced.
func TestPowerCutFindsFaults(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image.db")
	log := traced(t, filepath.Join(t.TempDir(), "store.db"), 6, "power without syncs")
	_, _, err := cutPower(log, holds(t, image))
	require.Error(t, err)

	log = traced(t, filepath.Join(t.TempDir(), "store.db"), 6, "power")
	_, _, err = cutPower(log, holds(t, image))
	require.NoError(t, err)
	late, early := slices.Clone(log), []operation(nil)
	last := 0
	for i, o := range late {
		if o.kind == "step" && o.at > 0 && late[i-1].kind == "sync" { // acknowledged before its sync
			late[i-1], late[i] = late[i], operation{kind: "sync", began: i}
			last = i
		}
	}
	require.Positive(t, last)
	_, _, err = cutPower(late, holds(t, image))
	require.ErrorIs(t, err, errOlder)

	// Of each step only the last sync: pages and meta page in any order.
	for i, o := range log {
		if o.kind == "sync" && (i+1 == len(log) || log[i+1].kind != "step") {
			o = operation{kind: "nothing"}
		}
		early = append(early, o)
	}
	begin := slices.IndexFunc(early, func(o operation) bool { return o.kind == "step" })
	copy(early[:begin], log[:begin])
	_, _, err = cutPower(early, holds(t, image))
	require.Error(t, err)
}

package powertest

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// Calls that change files, or whether a change is durable. Those that this package does
// not know are an error if they concern the folder.
const calls = "?open,openat,?openat2,?creat,close,dup,?dup2,dup3," +
	"write,pwrite64,writev,pwritev,?pwritev2,sendfile,copy_file_range,mmap," +
	"ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range," +
	"?unlink,unlinkat,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?mkdir,mkdirat,?rmdir"

// Record runs the binary of this test again under strace, with more in its environment,
// and returns the log with what it did to the files of a folder. The folder has what the
// log ends with. On its standard output the program writes "step N" for a step that must
// not be lost any more, "loose N" for one that may be, and nothing else; it ends with
// status 0, as if it was killed.
func Record(t testing.TB, folder string, log Log, env ...string) Log {
	t.Helper()
	strace := needtest.Program(t, "strace", "strace")
	folder, err := filepath.EvalSymlinks(folder)
	require.NoError(t, err)
	require.NoError(t, log.same(folder), "before the program begins")
	self, err := os.Executable()
	require.NoError(t, err)
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-xx", "-s", "10000000", "-e", "trace="+calls, "-e", "signal=none", "-o", trace, self)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("ptrace")) {
		needtest.Need(t, "strace may not trace here: allow ptrace (docker run --cap-add SYS_PTRACE)")
	}
	require.NoError(t, err, "%s", out)
	text, err := os.Open(trace)
	require.NoError(t, err)
	defer text.Close()
	r := newReader(folder, log)
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<28)
	for lines.Scan() {
		require.NoError(t, r.line(lines.Text()))
	}
	require.NoError(t, lines.Err())
	for name, file := range r.names {
		if r.mapped[file] {
			data, err := os.ReadFile(filepath.Join(folder, name))
			require.NoError(t, err)
			r.add(Op{Kind: Map, Name: name, File: file, Data: data})
		}
	}
	require.NoError(t, r.log.same(folder), "the log tells all that the program did")
	return r.log
}

// same compares a folder with what the log says.
func (l Log) same(folder string) error {
	d := l.live()
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	if want := slices.Sorted(maps.Keys(d.names)); !slices.Equal(want, there) {
		return fmt.Errorf("powertest: the files are %q, and should be %q", there, want)
	}
	for name, file := range d.names {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		if _, mapped := d.mapped[file]; !mapped && !bytes.Equal(data, d.files[file]) {
			return fmt.Errorf("powertest: %s is not what the log says", name)
		}
	}
	return nil
}

// reader reads what strace writes.
type reader struct {
	folder string
	log    Log
	names  map[string]int // files by name
	was    []string       // the names that files were created under
	mapped map[int]bool
	open   map[string]int    // files by descriptor; theFolder
	begun  map[string]string // calls under way, by thread
	at     map[string]int    // where the log was when they began
}

const theFolder = -1

func newReader(folder string, log Log) *reader {
	r := &reader{folder: folder, log: slices.Clone(log), names: map[string]int{}, mapped: map[int]bool{},
		open: map[string]int{}, begun: map[string]string{}, at: map[string]int{}}
	for _, o := range log {
		switch o.Kind {
		case Create:
			r.names[o.Name] = o.File
			r.was = append(r.was, o.Name)
		case Remove:
			delete(r.names, o.Name)
		case Map:
			r.mapped[o.File] = true
		}
	}
	return r
}

func (r *reader) add(o Op) { r.log = append(r.log, o) }

// call is one that has returned.
type call struct {
	name    string
	args    []string // of a string a placeholder
	strings []string
	result  string
	began   int // how long the log was when it began
}

// line reads one line. A call is logged when it returns. What it did may be on the disk
// earlier, and other threads may sync meanwhile: [Op.Began] says what a sync is sure
// of.
func (r *reader) line(line string) error {
	began := len(r.log)
	thread, text, _ := strings.Cut(line, " ")
	text = strings.TrimLeft(text, " ")
	if begun, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
		r.at[thread] = began
		if fd, ok := strings.CutPrefix(begun, "close("); ok {
			delete(r.open, strings.TrimRight(fd, ")")) // another thread may get the number at once
			begun = "close(-1"
		}
		r.begun[thread] = begun
		return nil
	}
	if strings.HasPrefix(text, "<... ") {
		_, rest, ok := strings.Cut(text, " resumed>")
		if !ok {
			return nil
		}
		text, began = r.begun[thread]+rest, r.at[thread]
	}
	c, ok := parse(text)
	if !ok {
		return nil // the end of a thread, or a call that was cut off by it
	}
	c.began = began
	if err := r.call(c); err != nil {
		return fmt.Errorf("powertest: %s(%s) = %s: %w", c.name, strings.Join(c.args, ", "), c.result, err)
	}
	return nil
}

// parse reads NAME(ARGUMENTS) = RESULT. Strings are in hexadecimal, and have no quotes.
func parse(text string) (c call, ok bool) {
	equals := strings.LastIndex(text, " = ")
	if equals < 0 {
		return c, false
	}
	c.result, _, _ = strings.Cut(text[equals+len(" = "):], " ")
	name, args, opened := strings.Cut(text[:equals], "(")
	args, closed := strings.CutSuffix(strings.TrimRight(args, " "), ")")
	if !opened || !closed || c.result == "?" {
		return c, false
	}
	c.name = name
	var plain strings.Builder
	for i, part := range strings.Split(args, `"`) {
		if i%2 == 0 {
			plain.WriteString(part)
			continue
		}
		data, err := hex.DecodeString(strings.ReplaceAll(part, `\x`, ""))
		if err != nil {
			return c, false
		}
		c.strings = append(c.strings, string(data))
		plain.WriteString("string")
	}
	c.args = strings.Split(plain.String(), ", ")
	return c, true
}

var takesPath = regexp.MustCompile(`^(truncate|rename|link|symlink|mkdir|rmdir)`)

// inFolder returns the name of a file in the folder.
func (r *reader) inFolder(path string) (name string, ok bool) {
	return strings.CutPrefix(path, r.folder+"/")
}

var errUnknown = errors.New("the simulated disk does not know this call")

func (r *reader) call(c call) error {
	if strings.HasPrefix(c.result, "-") {
		return nil // it failed, and did nothing
	}
	switch c.name {
	case "open", "openat", "openat2", "creat":
		return r.opened(c)
	case "unlink", "unlinkat":
		if name, ok := r.inFolder(c.strings[0]); ok {
			r.add(Op{Kind: Remove, Name: name, File: r.names[name]})
			delete(r.names, name)
		}
		return nil
	case "mmap":
		if file, ok := r.open[c.args[4]]; ok && strings.Contains(c.args[2], "PROT_WRITE") && strings.Contains(c.args[3], "MAP_SHARED") {
			r.mapped[file] = true
			r.add(Op{Kind: Map, Name: r.was[file], File: file})
		}
		return nil
	case "write":
		if c.args[0] == "1" {
			return r.said(c.strings[0])
		}
	}
	file, ok := r.open[c.args[0]]
	switch {
	case c.name == "close":
		delete(r.open, c.args[0])
	case !ok:
		for _, s := range c.strings {
			if _, ok := r.inFolder(s); ok && takesPath.MatchString(c.name) {
				return errUnknown
			}
		}
	case file == theFolder && (c.name == "fsync" || c.name == "fdatasync"):
		r.add(Op{Kind: SyncFolder, Began: c.began})
	case file == theFolder:
		return errUnknown
	case c.name == "pwrite64":
		at, err := strconv.ParseInt(c.args[len(c.args)-1], 10, 64)
		if len(c.strings) != 1 || c.result != strconv.Itoa(len(c.strings[0])) || err != nil {
			return fmt.Errorf("a write that is not whole: %v", err)
		}
		r.add(Op{Kind: Write, Name: r.was[file], File: file, At: at, Data: []byte(c.strings[0])})
	case c.name == "ftruncate":
		at, err := strconv.ParseInt(c.args[1], 10, 64)
		if err != nil {
			return err
		}
		r.add(Op{Kind: Truncate, Name: r.was[file], File: file, At: at})
	case c.name == "fdatasync", c.name == "fsync":
		r.add(Op{Kind: Sync, Name: r.was[file], File: file, Began: c.began})
	default:
		return errUnknown
	}
	return nil
}

// opened notes a descriptor, and a file that is new.
func (r *reader) opened(c call) error {
	if c.strings[0] == r.folder {
		r.open[c.result] = theFolder
		return nil
	}
	name, ok := r.inFolder(c.strings[0])
	if !ok {
		return nil
	}
	flags := strings.Join(c.args, " ")
	file, exists := r.names[name]
	switch {
	case strings.Contains(flags, "O_TRUNC") || strings.Contains(flags, "O_APPEND") || c.name == "creat" || strings.Contains(name, "/"):
		return errUnknown
	case !exists && !strings.Contains(flags, "O_CREAT"):
		return fmt.Errorf("nobody has created %s", name)
	case !exists:
		file = len(r.was)
		r.was = append(r.was, name)
		r.names[name] = file
		r.add(Op{Kind: Create, Name: name, File: file})
	}
	r.open[c.result] = file
	return nil
}

// said notes what the program wrote on its standard output.
func (r *reader) said(text string) error {
	for line := range strings.Lines(text) {
		var what string
		var n int64
		if _, err := fmt.Sscanf(line, "%s %d\n", &what, &n); err != nil {
			return err
		}
		switch what {
		case "step":
			r.add(Op{Kind: Step, At: n})
		case "loose":
			r.add(Op{Kind: Loose, At: n})
		default:
			return fmt.Errorf("the program said %q", line)
		}
	}
	return nil
}

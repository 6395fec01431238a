//go:build linux

package hsmtest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// Fault is a token of SoftHSM behind a module that fails when it is told to, and counts
// what reached it (fault/fault.c).
type Fault struct {
	Token
	// Real is the same token without that module.
	Real Token

	ctl   *control
	names []string
	next  uint64
	mu    sync.Mutex
}

// control is struct control in fault.c.
type control struct {
	module        [256]byte
	major, minor  uint64
	maxSessions   uint64
	readOnly      uint64
	zeroIV        uint64
	privateHalves uint64
	noPairs       uint64
	dropTemplates uint64
	hiddenCount   uint64
	hidden        [32]uint64
	lieCount      uint64
	lies          [8]struct{ attribute, value uint64 }
	rules         [16]struct {
		armed, function, action, value uint64
		skip, times                    int64
	}

	functions             uint64
	calls, faults         [80]uint64
	inside, held          uint64
	sessions, mostSession uint64
	overlaps, badOperands uint64
	hiddenUsed, nested    uint64
	pinsRefused           uint64
}

// Action is what a Rule does to a call.
type Action uint64

const (
	// Refuse returns the code in Value, and the real module is not asked.
	Refuse Action = iota + 1
	// Lose lets the real module do its work, and returns the code in Value in the place
	// of its answer.
	Lose
	// Hold keeps the call waiting until the rule is removed.
	Hold
	// Flip inverts one bit of the result of C_Sign, C_Decrypt or C_Encrypt: bit Value,
	// counted from the last one.
	Flip
)

// ForEver is for Rule.Times.
const ForEver = -1

// Any is for Rule.Function.
const Any = "any function"

// Rule says what happens to calls of one function.
type Rule struct {
	Function string
	Action   Action
	Value    uint
	// Skip lets so many calls through first; then Times calls meet the rule.
	Skip, Times int
}

//go:embed fault/fault.c
var faultSource []byte

// headers is the folder of the PKCS #11 headers.
func headers(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	require(t, err)
	return strings.TrimSpace(string(out))
}

// build is the compiled module and the names of its functions. Every test gets a file of
// its own, since a library is loaded once.
var build struct {
	sync.Mutex
	module []byte
	names  []string
}

func compileFault(t testing.TB) (module []byte, names []string) {
	t.Helper()
	build.Lock()
	defer build.Unlock()
	if build.module != nil {
		return build.module, build.names
	}
	gcc := needtest.Program(t, "gcc", "gcc")
	dir, include := t.TempDir(), headers(t)
	source, library := filepath.Join(dir, "fault.c"), filepath.Join(dir, "fault.so")
	require(t, os.WriteFile(source, faultSource, 0o600))
	run(t, "gcc", gcc, "-shared", "-fPIC", "-fvisibility=hidden", "-O1", "-Wall", "-Wextra", "-Werror",
		"-I", include, "-o", library, source, "-ldl")
	list, err := os.ReadFile(filepath.Join(include, "pkcs11f.h"))
	require(t, err)
	for _, m := range regexp.MustCompile(`CK_PKCS11_FUNCTION_INFO\((\w+)\)`).FindAllSubmatch(list, -1) {
		build.names = append(build.names, string(m[1]))
	}
	build.module, err = os.ReadFile(library)
	require(t, err)
	return build.module, build.names
}

// Faulty returns a token of SoftHSM behind a module of its own. It needs gcc and the
// headers of miekg/pkcs11. It sets environment variables for the test.
func Faulty(t testing.TB) *Fault {
	t.Helper()
	tok := SoftHSM(t)
	module, names := compileFault(t)
	f := &Fault{Token: tok, Real: tok, names: names}
	f.Name = "SoftHSM behind faults"
	dir := t.TempDir()
	f.Module = filepath.Join(dir, "fault.so")
	require(t, os.WriteFile(f.Module, module, 0o700))

	path := filepath.Join(dir, "control")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	require(t, err)
	defer file.Close()
	size := int(unsafe.Sizeof(control{}))
	require(t, file.Truncate(int64(size)))
	memory, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	require(t, err)
	// It stays mapped: a call that was abandoned may return after the test.
	f.ctl = (*control)(unsafe.Pointer(&memory[0]))
	if len(f.Real.Module) >= len(f.ctl.module) {
		t.Fatalf("hsmtest: the path %s is too long", f.Real.Module)
	}
	copy(f.ctl.module[:], f.Real.Module)
	t.Setenv("TANDEM_FAULT", path)
	t.Cleanup(f.Clear) // nobody waits in it for ever
	return f
}

func (f *Fault) number(function string) uint64 {
	for i, name := range f.names {
		if name == function {
			return uint64(i)
		}
	}
	if function == Any {
		return uint64(len(f.names))
	}
	panic(fmt.Sprintf("hsmtest: PKCS #11 has no function %q", function))
}

// Add makes a rule that holds from the next call on. The function that it returns
// removes it; what it holds goes on.
func (f *Fault) Add(r Rule) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ctl.rules {
		free := &f.ctl.rules[i]
		if atomic.LoadUint64(&free.armed) != 0 {
			continue
		}
		free.function, free.action, free.value = f.number(r.Function), uint64(r.Action), uint64(r.Value)
		atomic.StoreInt64(&free.skip, int64(r.Skip))
		atomic.StoreInt64(&free.times, int64(r.Times))
		f.next++
		number := f.next
		atomic.StoreUint64(&free.armed, number)
		return func() { atomic.CompareAndSwapUint64(&free.armed, number, 0) }
	}
	panic("hsmtest: too many rules")
}

// Clear removes all rules and settings.
func (f *Fault) Clear() {
	for i := range f.ctl.rules {
		atomic.StoreUint64(&f.ctl.rules[i].armed, 0)
	}
	for _, setting := range []*uint64{
		&f.ctl.maxSessions, &f.ctl.readOnly, &f.ctl.zeroIV, &f.ctl.privateHalves,
		&f.ctl.noPairs, &f.ctl.dropTemplates, &f.ctl.hiddenCount, &f.ctl.lieCount,
	} {
		atomic.StoreUint64(setting, 0)
	}
}

// Version makes the module say another version of Cryptoki. The function list says it
// only if this comes before the module is loaded.
func (f *Fault) Version(major, minor byte) {
	f.ctl.minor = uint64(minor)
	atomic.StoreUint64(&f.ctl.major, uint64(major))
}

// Hide takes mechanisms away: they are not listed, and not done.
func (f *Fault) Hide(mechanisms ...uint) {
	for i, m := range mechanisms {
		f.ctl.hidden[i] = uint64(m)
	}
	atomic.StoreUint64(&f.ctl.hiddenCount, uint64(len(mechanisms)))
}

// Lie makes every object say that a boolean attribute has this value.
func (f *Fault) Lie(attribute uint, value bool) {
	n := f.ctl.lieCount
	f.ctl.lies[n].attribute = uint64(attribute)
	f.ctl.lies[n].value = 0
	if value {
		f.ctl.lies[n].value = 1
	}
	atomic.StoreUint64(&f.ctl.lieCount, n+1)
}

// MaxSessions is how many sessions may be open; 0 is any number.
func (f *Fault) MaxSessions(n int) { atomic.StoreUint64(&f.ctl.maxSessions, uint64(n)) }

// ReadOnly makes the token write-protected: it takes no new objects and, unless
// writers is true, no read-write sessions.
func (f *Fault) ReadOnly(writers bool) {
	value := uint64(1)
	if writers {
		value = 2
	}
	atomic.StoreUint64(&f.ctl.readOnly, value)
}

// OwnIV makes the token take zeros only for the IV of AES-GCM, and replace them by its
// own, as AWS CloudHSM does.
func (f *Fault) OwnIV() { atomic.StoreUint64(&f.ctl.zeroIV, 1) }

// PrivateHalves makes the token refuse public keys without CKA_PRIVATE.
func (f *Fault) PrivateHalves() { atomic.StoreUint64(&f.ctl.privateHalves, 1) }

// TokenPairs makes the token refuse key pairs of a session, as TPMs do.
func (f *Fault) TokenPairs() { atomic.StoreUint64(&f.ctl.noPairs, 1) }

// DropTemplates makes the token take CKA_UNWRAP_TEMPLATE, and forget it.
func (f *Fault) DropTemplates() { atomic.StoreUint64(&f.ctl.dropTemplates, 1) }

// Forget forgets the calls and the sessions of a process that was killed.
func (f *Fault) Forget() {
	for _, n := range []*uint64{&f.ctl.inside, &f.ctl.held, &f.ctl.sessions} {
		atomic.StoreUint64(n, 0)
	}
}

// Counts is what reached the module since it was made.
type Counts struct {
	// Calls of each function that was called, and how many met a rule.
	Calls, Faults map[string]int
	// Inside is the number of calls that are in the module, and Held of those that a
	// rule keeps there.
	Inside, Held int
	// Sessions are open; MostSessions were.
	Sessions, MostSessions int
	// Overlaps counts calls in a session that was busy, and C_Finalize during calls.
	Overlaps int
	// BadOperands counts operands of raw RSA with another length than the modulus, or not
	// below it.
	BadOperands int
	// HiddenUsed counts uses of mechanisms that are not listed.
	HiddenUsed int
	// Nested counts attributes that hold templates.
	Nested int
	// PINsRefused counts the logins that SoftHSM refused for their PIN.
	PINsRefused int
}

// Counts returns the counters.
func (f *Fault) Counts() Counts {
	load := func(n *uint64) int { return int(atomic.LoadUint64(n)) }
	c := Counts{
		Calls: map[string]int{}, Faults: map[string]int{},
		Inside: load(&f.ctl.inside), Held: load(&f.ctl.held),
		Sessions: load(&f.ctl.sessions), MostSessions: load(&f.ctl.mostSession),
		Overlaps: load(&f.ctl.overlaps), BadOperands: load(&f.ctl.badOperands),
		HiddenUsed: load(&f.ctl.hiddenUsed), Nested: load(&f.ctl.nested),
		PINsRefused: load(&f.ctl.pinsRefused),
	}
	for i, name := range f.names {
		if n := load(&f.ctl.calls[i]); n > 0 {
			c.Calls[name] = n
		}
		if n := load(&f.ctl.faults[i]); n > 0 {
			c.Faults[name] = n
		}
	}
	return c
}

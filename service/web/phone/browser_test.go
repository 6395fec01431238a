package phone

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/internal/phoneops"
	"github.com/tandem-rsa/tandem/service/internal/phonetest"
	"github.com/tandem-rsa/tandem/service/mobile"
	"github.com/tandem-rsa/tandem/service/rp"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

const driverFolder = "testdata/browser"

// browser is Chromium, driven by Playwright.
type browser struct {
	t     testing.TB
	world *phonetest.World

	mu      sync.Mutex
	stdin   io.Writer
	waiting map[int]chan answer
	id      int
}

type answer struct {
	ID    int             `json:"id"`
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
}

// policy is what the package's doc asks for.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'"

// newBrowser starts Chromium.
func newBrowser(t testing.TB) *browser {
	node := needtest.Program(t, "node", "nodejs")
	chromium := needtest.Program(t, "chromium", "chromium")
	if _, err := os.Stat(filepath.Join(driverFolder, "node_modules", "playwright-core")); err != nil {
		needtest.Need(t, "playwright-core is missing: apt-get install nodejs npm, and npm ci --ignore-scripts --prefix service/web/phone/testdata/browser")
	}
	b := &browser{t: t, waiting: map[int]chan answer{}}
	cmd := exec.CommandContext(t.Context(), node, "driver.mjs", chromium)
	cmd.Dir = driverFolder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	var err error
	b.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var a answer
			if json.Unmarshal(lines.Bytes(), &a) == nil {
				b.mu.Lock()
				b.waiting[a.ID] <- a
				delete(b.waiting, a.ID)
				b.mu.Unlock()
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.waiting {
			c <- answer{Error: "the browser has ended"}
		}
		b.waiting = nil
	}()
	t.Cleanup(func() {
		_ = b.stdin.(io.Closer).Close()
		<-ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(stderr.String())
		}
	})
	return b
}

// newWorld starts a service, whose pages the browser opens from now on.
func (b *browser) newWorld(t testing.TB) *phonetest.World {
	app, err := Files()
	require.NoError(t, err)
	own := os.DirFS(driverFolder)
	b.world = phonetest.New(t, databasetest.Open(t, databasetest.SQLite(t)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		files := app
		if name := strings.TrimPrefix(r.URL.Path, "/phone/"); strings.HasPrefix(name, "page.") {
			files = own
		}
		http.StripPrefix("/phone/", http.FileServerFS(files)).ServeHTTP(w, r)
	}))
	return b.world
}

// object is JSON.
type object = map[string]any

// begin sends a command; its answer comes through the channel.
func (b *browser) begin(do string, command object) <-chan answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan answer, 1)
	if b.waiting == nil {
		c <- answer{Error: "the browser has ended"}
		return c
	}
	b.id++
	b.waiting[b.id] = c
	line := object{"id": b.id, "do": do}
	for k, v := range command {
		line[k] = v
	}
	text, err := json.Marshal(line)
	require.NoError(b.t, err)
	_, err = b.stdin.Write(append(text, '\n'))
	require.NoError(b.t, err)
	return c
}

// ask waits for the answer, which must be none of an error.
func (b *browser) ask(do string, command object, out any) {
	b.t.Helper()
	a := <-b.begin(do, command)
	require.Empty(b.t, a.Error, "%s %v", do, command)
	require.NoError(b.t, json.Unmarshal(a.Value, out))
}

// tab is a phonetest.Phone.
type tab struct {
	*browser
	number int
}

// fresh is a phone in a profile of its own, whose PINs are quickly tried.
func (b *browser) fresh() tab { return b.open(object{"passes": 1, "memoryKiB": 8, "lanes": 1}) }

func (b *browser) open(start object) tab {
	start["name"], start["config"] = "phone", string(b.world.PhoneJSON())
	t := tab{browser: b}
	b.ask("open", object{"url": b.world.URL + "/phone/page.html", "start": start}, &t.number)
	return t
}

// another is a second tab of the same profile.
func (t tab) another() tab {
	n := tab{browser: t.browser}
	t.ask("tab", object{"phone": t.number}, &n.number)
	return n
}

func (t tab) Restart() {
	var nothing any
	t.ask("reload", object{"phone": t.number}, &nothing)
}

func (t tab) start(op string, args phonetest.Args) <-chan answer {
	sent := object{}
	for name, v := range args {
		if b, ok := v.([]byte); ok {
			v = object{"bytes": base64.StdEncoding.EncodeToString(b)}
		}
		sent[name] = v
	}
	return t.begin("call", object{"phone": t.number, "op": op, "args": sent})
}

func result(a answer) (r phoneops.Result, err error) {
	if a.Error != "" {
		return r, errors.New(a.Error)
	}
	return r, json.Unmarshal(a.Value, &r)
}

func (t tab) Call(op string, args phonetest.Args) (phoneops.Result, error) {
	return result(<-t.start(op, args))
}

const pin1, pin2 = "4917", "83015"

// TestBrowser: the phone in Chromium does what every phone must, and what only a browser
// has to do.
func TestBrowser(t *testing.T) {
	b := newBrowser(t)
	scenarios := phonetest.Scenarios
	if testing.Short() {
		scenarios = scenarios[1:2]
	}
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			s.Run(&phonetest.Player{T: t, World: b.newWorld(t), Fresh: func() phonetest.Phone { return b.fresh() }})
		})
	}
	b.newWorld(t)
	first := b.fresh()
	r, err := first.Call("enrol", phonetest.Args{"code": b.world.Register(), "label": "Mari's phone", "pin1": []byte(pin1), "pin2": []byte(pin2)})
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, r.Outcome, "%v", r.Result)
	second := first.another()
	t.Run("two tabs", func(t *testing.T) { twoTabs(t, b.world, first, second) })
	t.Run("a tab is closed", func(t *testing.T) { closed(t, b.world, first, second) })
	t.Run("tabs are killed", func(t *testing.T) { killed(t, b.world, second) })
	t.Run("what is stored", func(t *testing.T) { stored(t, b.world, second) })
	t.Run("a file system", func(t *testing.T) {
		files, err := Files()
		require.NoError(t, err)
		require.NoError(t, fstest.TestFS(files, wasmFile, execFile, "phone.js", "worker.js", "store.js"))
		program, err := fs.ReadFile(files, wasmFile)
		require.NoError(t, err)
		require.Equal(t, "\x00asm", string(program[:4]))
	})
}

// opens has a session wait for a tab.
func opens(t *testing.T, w *phonetest.World, p tab) (rp.Request, rp.Session) {
	q := phonetest.Login(rp.Notification, rp.DisplayTextAndPIN)
	s := w.Begin(q)
	r, err := p.Call("open", phonetest.Args{"session": s.ID})
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, r.Outcome)
	return q, s
}

// twoTabs sign at once: one waits for the other. Without that the two would be clones,
// and the key destroyed.
func twoTabs(t *testing.T, w *phonetest.World, first, second tab) {
	for range 3 {
		q, s := opens(t, w, first)
		sign := phonetest.Args{"session": s.ID, "pin": []byte(pin1)}
		one, two := first.start("sign", sign), second.start("sign", sign)
		outcomes := []string{}
		for _, a := range []<-chan answer{one, two} {
			r, err := result(<-a)
			require.NoError(t, err)
			outcomes = append(outcomes, r.Outcome)
		}
		// The later one finds no transaction any more.
		require.ElementsMatch(t, []string{mobile.CodeOK, mobile.CodeOther}, outcomes)
		w.Verify(q, s, rp.FlowNotification)
	}
	// What changes the phone waits; what reads does not.
	poll := first.start("poll", phonetest.Args{"wait": 60})
	q, s := opens(t, w, second)
	r, err := result(<-poll)
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, r.Outcome)
	r, err = first.Call("sign", phonetest.Args{"session": s.ID, "pin": []byte(pin1)})
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, r.Outcome)
	w.Verify(q, s, rp.FlowNotification)
}

// closed: a tab that is closed while its answer is lost leaves all to the other one.
func closed(t *testing.T, w *phonetest.World, first, second tab) {
	q, s := opens(t, w, first)
	w.Loses("/sign")
	r, err := first.Call("sign", phonetest.Args{"session": s.ID, "pin": []byte(pin1)})
	require.NoError(t, err)
	require.Equal(t, mobile.CodeUnanswered, r.Outcome)
	var nothing any
	second.ask("close", object{"phone": first.number}, &nothing)
	r, err = second.Call("resume", nil)
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, r.Outcome)
	w.Verify(q, s, rp.FlowNotification)
}

// killed: a tab is closed at many moments of a signature: when its request comes, when it
// is handled, and at times between its beginning and its end. Another tab goes on, with
// one attempt at most, and is no clone.
func killed(t *testing.T, w *phonetest.World, keeps tab) {
	const times = 12
	var took time.Duration // a signature
	for i := range times + 2 {
		dies := keeps.another()
		q, s := opens(t, w, dies)
		closed := make(chan struct{})
		end := func() {
			var nothing any
			dies.ask("close", object{"phone": dies.number}, &nothing)
			close(closed)
		}
		sign := func() <-chan answer {
			return dies.start("sign", phonetest.Args{"session": s.ID, "pin": []byte(pin1)})
		}
		switch i {
		case 0, 1:
			began := time.Now()
			w.At("/sign", i == 1, end)
			sign()
			<-closed
			took = max(took, time.Since(began))
		default:
			sign()
			time.Sleep(took * time.Duration(i-2) / times)
			end()
		}
		r, err := keeps.Call("resume", nil)
		require.NoError(t, err)
		require.Contains(t, []string{mobile.CodeOK, mobile.CodeNone}, r.Outcome, "%d: %v", i, r.Result)
		if w.Outcome(s) == nil {
			require.Equal(t, mobile.CodeNone, r.Outcome, "%d", i)
			r, err = keeps.Call("sign", phonetest.Args{"session": s.ID, "pin": []byte(pin1)})
			require.NoError(t, err)
			require.Equal(t, mobile.CodeOK, r.Outcome, "%d: %v", i, r.Result)
		}
		w.Verify(q, s, rp.FlowNotification)
		r, err = keeps.Call("home", nil)
		require.NoError(t, err)
		authentication := r.Result["holder"].(object)["authentication"].(object)
		require.EqualValues(t, 3, authentication["remaining"])
		require.Nil(t, authentication["destroyed"])
	}
}

// stored: what IndexedDB has is sealed, and the keys that seal it no script exports.
func stored(t *testing.T, w *phonetest.World, p tab) {
	opens(t, w, p)
	var values map[string]string
	p.ask("run", object{"phone": p.number, "script": "values"}, &values)
	require.Len(t, values, 4)
	for name, text := range values {
		value, err := hex.DecodeString(text)
		require.NoError(t, err)
		switch name {
		case "token", "transaction":
			require.Equal(t, byte(2), value[0], "sealed")
		default:
			require.Equal(t, []byte("TDds\x02\x02"), value[:6], "sealed")
		}
		require.NotContains(t, string(value), `"relyingParty"`)
	}
	var keys map[string]string
	p.ask("run", object{"phone": p.number, "script": "keys"}, &keys)
	require.Equal(t, map[string]string{"storage": "InvalidAccessError", "request": "InvalidAccessError"}, keys)
}

// took does an operation that must succeed, and returns how long it took.
func (t tab) took(b *testing.B, op string, args phonetest.Args) time.Duration {
	began := time.Now()
	r, err := t.Call(op, args)
	took := time.Since(began)
	require.NoError(b, err)
	require.Equal(b, mobile.CodeOK, r.Outcome, "%v", r.Result)
	return took
}

// BenchmarkPhone is the phone in Chromium, at the usual cost of a PIN, by phases:
//
//	home   from an empty page to the person's name. start is the page, the program and
//	       what is stored; wire what the request for the name takes from its arrival at
//	       the service to its answer
//	sign   from the PIN to the signature. argon2id is by how much that is longer than
//	       for a phone with the cheapest PIN; wire as above; signature the rest: the
//	       partial signature, what is written to the disk, the browser between all
//
// All of it is on one machine: a network's time is not in it.
func BenchmarkPhone(b *testing.B) {
	p := newBrowser(b)
	enrolled := func(open func() tab) (tab, *phonetest.World) {
		w := p.newWorld(b)
		t := open()
		t.took(b, "enrol", phonetest.Args{"code": w.Register(), "label": "Mari's phone", "pin1": []byte(pin1), "pin2": []byte(pin2)})
		return t, w
	}
	cheapest, beside := enrolled(p.fresh)
	usual, world := enrolled(func() tab { return p.open(object{}) })
	b.Run("home", func(b *testing.B) {
		var start, wire time.Duration
		for b.Loop() {
			began := time.Now()
			usual.Restart()
			usual.took(b, "status", nil)
			start += time.Since(began)
			before := world.Answered()
			usual.took(b, "home", nil)
			wire += world.Answered() - before
		}
		phase(b, "start", start)
		phase(b, "wire", wire)
	})
	open := func(b *testing.B, w *phonetest.World, t tab) (session string) {
		s := w.Begin(phonetest.Login(rp.Notification, rp.DisplayTextAndPIN))
		t.took(b, "open", phonetest.Args{"session": s.ID})
		return s.ID
	}
	sign := func(b *testing.B, w *phonetest.World, t tab, session string) (took, wire time.Duration) {
		before := w.Answered()
		took = t.took(b, "sign", phonetest.Args{"session": session, "pin": []byte(pin1)})
		return took, w.Answered() - before
	}
	b.Run("sign", func(b *testing.B) {
		var argon2id, wire, rest time.Duration
		for b.Loop() {
			b.StopTimer()
			quick, onQuick := sign(b, beside, cheapest, open(b, beside, cheapest))
			session := open(b, world, usual)
			b.StartTimer()
			took, on := sign(b, world, usual, session)
			argon2id += took - on - (quick - onQuick)
			wire += on
			rest += quick - onQuick
		}
		phase(b, "argon2id", argon2id)
		phase(b, "signature", rest)
		phase(b, "wire", wire)
	})
}

func phase(b *testing.B, name string, sum time.Duration) {
	b.ReportMetric(float64(sum.Nanoseconds())/float64(b.N), name+"-ns/op")
}

package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

//go:embed static templates texts
var own embed.FS

// ErrConfig is wrapped by errors for configurations that cannot work.
var ErrConfig = errors.New("web: unusable configuration")

// Config is what [New] makes a Frame of.
type Config struct {
	// URL is where browsers reach the pages, such as "https://id.example": without a
	// path.
	URL string
	// Trial says on each page that nothing there is real.
	Trial bool
	Log   *slog.Logger // slog.Default() if nil
}

// Frame is what pages are rendered in. It is safe for concurrent use.
type Frame struct {
	config  Config
	secure  bool
	returns bool
	layout  *template.Template
	assets  *Files
	forgery *http.CrossOriginProtection
	home    *Pages
}

// New returns a Frame. The error wraps ErrConfig.
func New(c Config) (*Frame, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: URL", ErrConfig)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	f := &Frame{config: c, secure: u.Scheme == "https", forgery: http.NewCrossOriginProtection()}
	host, err := netip.ParseAddr(u.Hostname())
	f.returns = f.secure || c.Trial && err == nil && host.IsLoopback()
	// The proxy in front may change the host of requests.
	if err := f.forgery.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("%w: URL: %w", ErrConfig, err)
	}
	if f.layout, err = template.ParseFS(own, "templates/layout.html"); err != nil {
		return nil, err
	}
	static, err := fs.Sub(own, "static")
	if err != nil {
		return nil, err
	}
	if f.assets, err = NewFiles(static, ""); err != nil {
		return nil, err
	}
	for _, l := range languages {
		text, err := own.ReadFile("texts/" + string(l) + ".json")
		if err != nil {
			return nil, err
		}
		f.assets.add(string(l)+".json", text)
	}
	pages, err := fs.Sub(own, "templates")
	if err != nil {
		return nil, err
	}
	f.home, err = f.Pages("/", "site.name", pages, "home", "link", "nophone")
	return f, err
}

// URL is where browsers reach the pages.
func (f *Frame) URL() string {
	if f == nil {
		return ""
	}
	return f.config.URL
}

// Secure reports whether the pages are reached by https.
func (f *Frame) Secure() bool { return f != nil && f.secure }

// Returns reports whether an app on the same device may lead a browser back to the pages:
// by https, or in a trial on this machine.
func (f *Frame) Returns() bool { return f != nil && f.returns }

// Pages are the templates of one site, each inside the frame's layout.
type Pages struct {
	frame *Frame
	home  string
	name  string
	all   map[string]*template.Template
}

// Pages reads templates, NAME.html of each name, which define "title" and "main". home is
// the path of the site, with a slash at its end, and name the text that names it.
func (f *Frame) Pages(home, name string, files fs.FS, names ...string) (*Pages, error) {
	if f == nil || f.layout == nil || files == nil {
		return nil, fmt.Errorf("%w: no frame or no files", ErrConfig)
	}
	p := &Pages{frame: f, home: home, name: name, all: map[string]*template.Template{}}
	for _, n := range names {
		t, err := f.layout.Clone()
		if err != nil {
			return nil, err
		}
		if p.all[n], err = t.ParseFS(files, n+".html"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// View is a page that is about to be rendered.
type View struct {
	Status int    // 200 if 0
	Script string // a module of the assets; "" is a page without scripts
	Who    string // the name of whoever is logged in
	Wide   bool   // for tables
	Data   any
}

// shown is what templates see.
type shown struct {
	View
	Lang  Language
	Home  string
	Path  string
	Trial bool
	pages *Pages
}

// Site is the site's name.
func (s shown) Site() string { return s.T(s.pages.name) }

// T is a text in the page's language.
func (s shown) T(key string, args ...any) string { return s.Lang.Text(key, args...) }

// Languages are those to choose from.
func (s shown) Languages() []Language { return languages }

// Asset is the address of a file of the frame's.
func (s shown) Asset(name string) string { return s.pages.frame.Asset(name) }

// Time is a moment as pages write it.
func (s shown) Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Date is a day as pages write it.
func (s shown) Date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// ISO is a moment as programs read it.
func (s shown) ISO(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Render answers with a page.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, name string, v View) {
	if isnil.Value(w) || r == nil {
		return
	}
	if p == nil || p.all[name] == nil {
		http.Error(w, "no page", http.StatusInternalServerError)
		return
	}
	s := shown{View: v, Lang: LanguageOf(r), Home: p.home, Path: r.URL.Path, Trial: p.frame.config.Trial, pages: p}
	var b bytes.Buffer
	if err := p.all[name].ExecuteTemplate(&b, "layout", s); err != nil {
		p.frame.config.Log.ErrorContext(r.Context(), "a page", "name", name, "cause", err)
		http.Error(w, "the page failed", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	policy := pagePolicy
	if v.Script != "" {
		policy += scriptPolicy
	}
	secure(h, policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Content-Language", string(s.Lang))
	w.WriteHeader(max(v.Status, http.StatusOK))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // whoever hung up does not see it
	}
}

const (
	// pagePolicy is for a page without scripts.
	pagePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; style-src 'self'; img-src 'self'"
	// scriptPolicy is added for one with modules of this host, which write no HTML.
	scriptPolicy = "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
	// filePolicy is for what is no page.
	filePolicy = "default-src 'none'; frame-ancestors 'none'"
	// PhonePolicy is for the phone: WebAssembly in a worker, and the camera.
	PhonePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'; script-src 'self' 'wasm-unsafe-eval'; " +
		"worker-src 'self'; connect-src 'self'; manifest-src 'self'; img-src 'self'; style-src 'self'; media-src 'self'"
)

// secure sets the headers that all answers have.
func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(), geolocation=(), payment=(), usb=()")
}

// bodyTime is how long the body of a form may take.
const bodyTime = 15 * time.Second

// Handler puts what all pages have in front of a site's: forms of other sites are
// refused, and so are bodies of more than limit bytes; "?lang=et" chooses a language.
func (f *Frame) Handler(limit int64, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isnil.Value(w) || r == nil {
			return
		}
		if f == nil || f.forgery == nil || h == nil {
			http.Error(w, "no pages", http.StatusInternalServerError)
			return
		}
		if err := f.forgery.Check(r); err != nil {
			f.refuse(w, http.StatusForbidden, "this was sent from another site")
			return
		}
		if r.Method == http.MethodPost {
			if r.ContentLength > limit {
				f.refuse(w, http.StatusRequestEntityTooLarge, "too long")
				return
			}
			// It may not be a connection with deadlines, in a test.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		} else if f.choose(w, r) {
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (f *Frame) refuse(w http.ResponseWriter, status int, text string) {
	secure(w.Header(), filePolicy)
	http.Error(w, text, status)
}

// Asset is the address of a file of the frame's, which changes with the file.
func (f *Frame) Asset(name string) string {
	if f == nil {
		return ""
	}
	return "/assets/" + name + "?b=" + f.assets.hash(name)
}

// Assets serves the frame's files, below "/assets/", and the texts as JSON: "en.json".
func (f *Frame) Assets() http.Handler {
	if f == nil {
		return (*Files)(nil)
	}
	return f.assets
}

// Site is one of those on the first page.
type Site struct{ Path, Name, About string }

// Home is the first page: the sites that there are.
func (f *Frame) Home(sites ...Site) http.Handler {
	return f.Handler(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.home.Render(w, r, "home", View{Data: sites}) }))
}

// DeviceLink is the page where a device link leads that opened no app. phone is the path
// of the phone in the browser; "" if there is none.
func (f *Frame) DeviceLink(phone string) http.Handler {
	return f.Handler(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		link := ""
		if phone != "" && r.URL.RawQuery != "" && len(r.URL.RawQuery) < 2048 {
			// As it stands: the phone checks its bytes. What follows "#" is sent nowhere.
			link = phone + "#" + f.config.URL + path.Clean(r.URL.Path) + "?" + r.URL.RawQuery
		}
		f.home.Render(w, r, "link", View{Data: template.URL(strings.Map(plain, link))}) //nolint:gosec // of this host, and of plain characters
	}))
}

// plain drops what a device link cannot have.
func plain(c rune) rune {
	if c <= ' ' || c > '~' || strings.ContainsRune(`"'<>\^`+"`{|}", c) {
		return -1
	}
	return c
}

// NoPhone says how the phone is built, where it is not.
func (f *Frame) NoPhone() http.Handler {
	return f.Handler(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.home.Render(w, r, "nophone", View{Status: http.StatusNotFound})
	}))
}

// Failed answers with a line of text for what failed in the service, which is logged
// unless the browser has gone meanwhile.
func (f *Frame) Failed(w http.ResponseWriter, r *http.Request, err error) {
	if isnil.Value(w) || r == nil {
		return
	}
	if f == nil || f.config.Log == nil {
		http.Error(w, "no frame", http.StatusInternalServerError)
		return
	}
	if r.Context().Err() != nil {
		return // the browser has gone
	}
	f.config.Log.ErrorContext(r.Context(), "a page failed", "page", r.Pattern, "cause", err)
	f.refuse(w, http.StatusInternalServerError, LanguageOf(r).Text("site.failed"))
}

package login

import (
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web"
)

func sub(files embed.FS) (fs.FS, error) { return fs.Sub(files, "templates") }

// ways is what the first page shows.
type ways struct {
	Path, Failed  string
	More, Link    string
	Device        bool // whether the app may be on the same device
	Countries     []string
	Country, Last string
}

// shown is what the second page shows.
type shown struct {
	Path, Way string
	Code      string
	QR        web.QR
	Link      template.URL
}

// countries are those whose numbers are typed.
var countries = []string{"EE", "LV", "LT", "BE"}

// show shows the ways to log in, or the login that is under way.
func (l *Login) show(w http.ResponseWriter, r *http.Request) {
	_, k, err := l.kept(r)
	if err != nil {
		l.config.Frame.Failed(w, r, err)
		return
	}
	switch {
	case k.Person != nil:
		http.Redirect(w, r, l.path(""), http.StatusSeeOther)
	case k.Login != nil && k.Failed == "":
		l.showLogin(w, r, k)
	default:
		lang := web.LanguageOf(r)
		country := map[web.Language]string{web.Latvian: "LV", web.Lithuanian: "LT"}[lang]
		l.pages.Render(w, r, "login", web.View{Data: ways{
			Path: l.path("login"), Failed: k.Failed, More: l.config.More, Link: l.config.Link, Countries: countries, Country: country,
			Device: l.config.Frame.Returns(),
		}})
	}
}

func (l *Login) showLogin(w http.ResponseWriter, r *http.Request, k kept) {
	s := shown{Path: l.path("login"), Way: k.Way, Code: k.Login.Code()}
	lang := web.LanguageOf(r).Link()
	var err error
	switch k.Way {
	case byQR:
		s.QR, err = l.qr(k, lang)
	case onDevice:
		var link string
		link, err = l.config.Client.Link(*k.Login, rp.FlowWeb2App, lang)
		s.Link = template.URL(link) //nolint:gosec // made by Client.Link, of plain characters
	}
	if err != nil {
		l.config.Frame.Failed(w, r, err)
		return
	}
	l.pages.Render(w, r, "wait", web.View{Script: "wait.js", Data: s})
}

func (l *Login) qr(k kept, lang string) (web.QR, error) {
	link, err := l.config.Client.Link(*k.Login, rp.FlowQR, lang)
	if err != nil {
		return web.QR{}, err
	}
	return web.NewQR(link)
}

// State is what a page that waits asks for: where to go, or what to show meanwhile.
type State struct {
	To    string  `json:"to,omitempty"`
	QR    *web.QR `json:"qr,omitempty"`
	Pause int     `json:"pause"` // milliseconds until it asks again
}

// Waits for the end of a session. With a QR code a wait is no longer than the code is
// good for.
const (
	qrWait = time.Second
	idWait = 10 * time.Second
	// pause is for a page whose other window waits already.
	pause = 1000
)

// Send answers a page that waits.
func Send(w http.ResponseWriter, s State) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	text, err := json.Marshal(s)
	if err != nil {
		http.Error(w, "no state", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(text)
}

// Enter lets one request at a time wait for a visit's or a login's session, so that
// nobody takes the places of others. leave is nil if another one waits.
func (l *Login) Enter(id string) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[id] {
		return nil
	}
	l.waiting[id] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, id)
	}
}

// poll says how the login is that is under way.
func (l *Login) poll(w http.ResponseWriter, r *http.Request) {
	id, k, err := l.kept(r)
	if err != nil {
		l.config.Frame.Failed(w, r, err)
		return
	}
	if k.Login == nil || k.Failed != "" {
		Send(w, State{To: l.path("login")})
		return
	}
	leave := l.Enter(id)
	if leave == nil {
		Send(w, State{Pause: pause})
		return
	}
	defer leave()
	var person *rpclient.Person
	switch k.Way {
	case byQR:
		person, err = l.config.Client.LoginStatus(r.Context(), *k.Login, qrWait)
	case byID:
		person, err = l.config.Client.LoginStatus(r.Context(), *k.Login, idWait)
	default:
		// Only the browser that comes back is let in. This one learns of a refusal.
		_, err = l.config.Client.LoginReturned(r.Context(), *k.Login, "", "", idWait)
		if errors.Is(err, rpclient.ErrInvalid) {
			err = nil
		}
	}
	switch {
	case person != nil:
		l.enter(w, r, id, person)
	case err != nil:
		l.fail(w, r, id, err)
	default:
		s := State{}
		if k.Way == byQR {
			code, err := l.qr(k, web.LanguageOf(r).Link())
			if err != nil {
				l.config.Frame.Failed(w, r, err)
				return
			}
			s.QR = &code
		} else {
			s.Pause = pause
		}
		Send(w, s)
	}
}

// enter lets a person in, with a cookie that nobody has seen before.
func (l *Login) enter(w http.ResponseWriter, r *http.Request, old string, person *rpclient.Person) {
	id, err := l.config.Sessions.Replace(r.Context(), old, kept{Person: person, At: time.Now()}, l.config.Life)
	switch {
	case errors.Is(err, web.ErrNoSession): // another request of this browser was first
		Send(w, State{To: l.path("login")})
	case err != nil:
		l.config.Frame.Failed(w, r, err)
	default:
		l.config.Sessions.SetCookie(w, l.config.Frame, id)
		Send(w, State{To: l.path("")})
	}
}

// fail notes why a login failed, for the page that comes next.
func (l *Login) fail(w http.ResponseWriter, r *http.Request, id string, err error) {
	why, ok := Reason(err)
	if !ok {
		l.config.Frame.Failed(w, r, err)
		return
	}
	var k kept
	err = l.config.Sessions.Change(r.Context(), id, &k, func() error {
		k.Login, k.Failed = nil, why
		return nil
	})
	if err != nil && !errors.Is(err, web.ErrNoSession) {
		l.config.Frame.Failed(w, r, err)
		return
	}
	Send(w, State{To: l.path("login")})
}

// reasons are what a person is told of each end.
var reasons = map[rp.End]string{
	rp.UserRefused: "end.refused", rp.UserRefusedInteraction: "end.refused", rp.UserRefusedCertChoice: "end.refused",
	rp.Timeout: "end.timeout", rp.WrongVC: "end.wrongcode",
	rp.DocumentUnusable:        "end.unusable",
	rp.InteractionNotSupported: "end.oldapp", rp.ProtocolFailure: "end.failed", rp.ExpectedLinkedSession: "end.failed",
}

// Reason returns the key of what to tell a person of a session that ended without
// success; false for what is the service's failure.
func Reason(err error) (string, bool) {
	var end *rpclient.EndError
	switch {
	case errors.As(err, &end):
		return reasons[end.End], true
	case rpclient.NoAccount(err): // the session is over
		return "end.timeout", true
	}
	return "", false
}

// comeBack is where the app leads the browser on the same device.
func (l *Login) comeBack(w http.ResponseWriter, r *http.Request) {
	id, k, err := l.kept(r)
	if err != nil {
		l.config.Frame.Failed(w, r, err)
		return
	}
	q := r.URL.Query()
	if k.Login == nil || k.Way != onDevice || !same(k.Value, q.Get("value")) {
		if k.Person != nil { // the same URL once more
			http.Redirect(w, r, l.path(""), http.StatusSeeOther)
			return
		}
		l.pages.Render(w, r, "login", web.View{Status: http.StatusForbidden, Data: ways{
			Path: l.path("login"), Failed: "login.otherbrowser", Countries: countries, Device: l.config.Frame.Returns(),
		}})
		return
	}
	next := kept{Way: onDevice}
	life := pendingLife
	to := l.path("login")
	person, err := l.config.Client.LoginReturned(r.Context(), *k.Login, q.Get("sessionSecretDigest"), q.Get("userChallengeVerifier"), idWait)
	switch why, known := Reason(err); {
	case person != nil:
		next, life, to = kept{Person: person, At: time.Now()}, l.config.Life, l.path("")
	case err == nil:
		next.Failed = "login.unanswered"
	case known:
		next.Failed = why
	case errors.Is(err, rpclient.ErrInvalid):
		next.Failed = "login.otherbrowser"
	default:
		l.config.Frame.Failed(w, r, err)
		return
	}
	replaced, err := l.config.Sessions.Replace(r.Context(), id, next, life)
	switch {
	case errors.Is(err, web.ErrNoSession):
		to = l.path("login")
	case err != nil:
		l.config.Frame.Failed(w, r, err)
		return
	default:
		l.config.Sessions.SetCookie(w, l.config.Frame, replaced)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

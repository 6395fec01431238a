package testidentities

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
	"github.com/tandem-rsa/tandem/service/strictjson"
	"github.com/tandem-rsa/tandem/service/transactions"
)

const (
	maxCookie = 4096
	// patience is how long a phone takes for a session, at most.
	patience = time.Minute
)

// linkRequest is what an integrator's test sends in place of a phone that scans, or
// opens, a device link.
type linkRequest struct {
	phone    *phone
	link     string
	flow     rp.FlowType
	cookie   string // of the browser that the callback URL is called from
	callback string // the initialCallbackUrl that is expected; empty: whatever the session has
}

// Handler answers POST, on whatever path it is mounted:
//
//	{"documentNumber": ..., "deviceLink": ..., "flowType": "QR", "Web2App" or "App2App",
//	 "browserCookie": ..., "initialCallbackUrl": ...}
//
// with status 200 when the test person's phone has done what it does, and, for a link of
// the same device, when the callback URL was called, by GET with the cookie; with 400 and
// the reason if the link leads nowhere or the callback URL may not be called. The last
// two members may be left out.
func (t *Identities) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t == nil || t.ctx == nil {
			http.Error(w, "no test identities", http.StatusServiceUnavailable)
			return
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "POST a device link", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, strictjson.MaxBytes))
		if err != nil {
			err = &rp.Problem{Kind: rp.TooLarge, Detail: "the body did not arrive, or has more than 64 KiB"}
		} else {
			err = t.openLink(r.Context(), body)
		}
		w.Header().Set("Cache-Control", "no-store")
		if err != nil {
			if !errors.As(err, new(*rp.Problem)) {
				t.config.Log.ErrorContext(r.Context(), "a device link of a test", "error", err)
			}
			status, text := rpv3.Problem(err)
			w.Header().Set("Content-Type", rpv3.ProblemType)
			w.WriteHeader(status)
			_, _ = w.Write(text)
			return
		}
		w.Header().Set("Content-Type", rpv3.ContentType)
		_, _ = io.WriteString(w, "{}\n")
	})
}

func invalid(pointer, detail string) error {
	return &rp.Problem{Kind: rp.Invalid, Pointer: pointer, Detail: detail}
}

func (t *Identities) parse(body []byte) (l linkRequest, err error) {
	o, err := strictjson.Parse(body)
	if err != nil {
		return l, invalid("", "the body is not a JSON object")
	}
	number := o.String("documentNumber", true)
	l.link, l.flow = o.String("deviceLink", true), rp.FlowType(o.String("flowType", true))
	l.cookie, l.callback = o.String("browserCookie", false), o.String("initialCallbackUrl", false)
	if l.flow != rp.FlowQR && l.flow != rp.FlowWeb2App && l.flow != rp.FlowApp2App {
		o.Fail("flowType", "is not QR, Web2App or App2App")
	}
	if len(l.cookie) > maxCookie || strings.ContainsFunc(l.cookie, func(r rune) bool { return r < ' ' || r > '~' }) {
		o.Fail("browserCookie", "is not a cookie")
	}
	if wrong := (*strictjson.Error)(nil); errors.As(o.Err(), &wrong) {
		return l, invalid(wrong.Pointer, wrong.Problem)
	}
	parsed, err := devicelink.Parse(l.link)
	switch {
	case err != nil:
		return l, invalid("/deviceLink", "is not a device link")
	case parsed.Type != l.flow:
		return l, invalid("/flowType", "is not the link's")
	}
	d, err := identity.ParseDocument(number)
	i := slices.IndexFunc(t.phones, func(p *phone) bool { return err == nil && p.account.Document == d })
	if i < 0 {
		return l, invalid("/documentNumber", "is not a test identity's")
	}
	l.phone = t.phones[i]
	return l, nil
}

// openLink has a phone open one link.
func (t *Identities) openLink(ctx context.Context, body []byte) error {
	l, err := t.parse(body)
	if err != nil {
		return err
	}
	// The callback URL of the session is known when the link was opened; what the test
	// expects is refused before, where it may not be called.
	if l.callback != "" && !t.mayCall(l.callback) {
		return invalid("/initialCallbackUrl", "is of a host that this service does not call")
	}
	// A phone that has begun goes on, also if the test has hung up.
	atPhone, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	f, err := l.phone.answer(atPhone, "", l.link, "")
	switch {
	case errors.Is(err, devicelink.ErrLink), errors.Is(err, devicelink.ErrMalformed), errors.Is(err, devicelink.ErrOutdated), errors.Is(err, transactions.ErrWrongAccount), errors.Is(err, transactions.ErrOrder):
		return invalid("/deviceLink", err.Error())
	case err != nil:
		return err
	case f.callback == "":
		return nil
	case l.callback != "" && !strings.HasPrefix(f.callback, l.callback):
		return invalid("/initialCallbackUrl", "is not the session's")
	case !t.mayCall(f.callback):
		return invalid("/initialCallbackUrl", "of the session is of a host that this service does not call")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.callback, nil)
	if err != nil {
		return err
	}
	if l.cookie != "" {
		r.Header.Set("Cookie", l.cookie)
	}
	response, err := t.config.CallbackClient.Do(r)
	if err != nil {
		return invalid("/initialCallbackUrl", "did not answer")
	}
	return response.Body.Close()
}

// mayCall reports whether the host of a callback URL is one that the configuration lists.
func (t *Identities) mayCall(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.User == nil && slices.Contains(t.config.CallbackHosts, u.Host)
}

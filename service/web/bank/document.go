package bank

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/bank/asice"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// document is a file that was signed.
type document struct {
	Name string // of the container
	Kept string // where the bank keeps it
}

// fileAlgorithm is the one that readers of signed files take.
var fileAlgorithm = rp.Algorithm{Hash: crypto.SHA256}

// mostDocuments is how many signed files a visit keeps.
const mostDocuments = 5

// document asks the person to sign a file that was uploaded.
func (b *Bank) document(w http.ResponseWriter, r *http.Request, v *login.Visit, a *account) error {
	name, kind, content, ok := upload(r)
	switch {
	case !ok || len(content) > asice.MaxFile:
		return b.tell(w, r, v, "", "bank.badfile")
	case len(a.Documents) >= mostDocuments:
		return b.tell(w, r, v, "", "bank.manyfiles")
	}
	certificate, err := b.config.Client.Certificate(r.Context(), v.Person.Document)
	if why, known := login.Reason(err); err != nil && known {
		return b.tell(w, r, v, "", why)
	} else if err != nil {
		return err
	}
	draft, err := asice.New(name, kind, content, certificate, time.Now())
	if errors.Is(err, asice.ErrFile) {
		return b.tell(w, r, v, "", "bank.badfile")
	} else if err != nil {
		return err
	}
	kept, err := b.config.Sessions.New(r.Context(), draft, visitLife)
	if err != nil {
		return err
	}
	lang := web.LanguageOf(r)
	return b.ask(w, r, v, &signing{Document: &document{Name: name + ".asice", Kept: kept}}, draft.Digest(), fileAlgorithm, []rp.Interaction{
		{Type: rp.ConfirmationMessage, Text: lang.Text("bank.signfile", name)},
		{Type: rp.DisplayTextAndPIN, Text: lang.Text("bank.signshort")},
	})
}

// upload reads the file of a form.
func upload(r *http.Request) (name, kind string, content []byte, ok bool) {
	file, h, err := r.FormFile("file")
	if err != nil {
		return "", "", nil, false
	}
	defer file.Close()
	if content, err = io.ReadAll(io.LimitReader(file, asice.MaxContainer+1)); err != nil {
		return "", "", nil, false
	}
	name = path.Base(strings.ReplaceAll(h.Filename, `\`, "/"))
	if kind, _, err = mime.ParseMediaType(h.Header.Get("Content-Type")); err != nil {
		kind = "application/octet-stream"
	}
	return name, kind, content, len(content) > 0
}

// finish keeps the container of a file that was signed, in place of its draft.
func (b *Bank) finish(r *http.Request, d *document, signature []byte) error {
	var draft asice.Draft
	if err := b.config.Sessions.Get(r.Context(), d.Kept, &draft); err != nil {
		return err
	}
	container, err := draft.Finish(signature)
	if err != nil {
		return err
	}
	d.Kept, err = b.config.Sessions.Replace(r.Context(), d.Kept, container, visitLife)
	return err
}

func (b *Bank) download(w http.ResponseWriter, r *http.Request, _ *login.Visit, a *account) error {
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 0 || n >= len(a.Documents) {
		http.NotFound(w, r)
		return nil
	}
	d := a.Documents[n]
	var container []byte
	if err := b.config.Sessions.Get(r.Context(), d.Kept, &container); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", asice.MimeType)
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(d.Name))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(container)
	return nil
}

// verified is what the page says of a signed file.
type verified struct {
	Failed       string
	Name, Signer string
	At           time.Time
}

// verify shows whether a file that anyone uploads was signed here, by whom and over what.
func (b *Bank) verify(w http.ResponseWriter, r *http.Request) {
	view := web.View{}
	if v, err := b.login.Visit(r); err != nil {
		b.config.Frame.Failed(w, r, err)
		return
	} else if v != nil {
		view.Who = v.Name()
	}
	if r.Method == http.MethodPost {
		out := verified{Failed: "bank.notsigned"}
		if _, _, content, ok := upload(r); ok {
			if s, err := asice.Open(content); err == nil && b.trusts(s.Signer) {
				out = verified{Name: s.Name, Signer: s.Signer.Subject.CommonName, At: s.Time}
			}
		}
		view.Data = out
	}
	b.pages.Render(w, r, "verify", view)
}

// trusts reports whether a certificate is a person's for signatures, as of now.
func (b *Bank) trusts(c *x509.Certificate) bool {
	_, err := c.Verify(x509.VerifyOptions{Roots: b.config.Roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil && !c.IsCA && c.KeyUsage == x509.KeyUsageContentCommitment
}

package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// Files serves the files of a folder. Each has an ETag of its content; under an address
// with its hash ("?b=...") a browser keeps it for a year.
type Files struct {
	policy string
	all    map[string]*file
}

type file struct {
	text, brotli []byte
	kind, hash   string
	gzip         func() []byte // nil if it grows by that
}

// types are those that the system's table may not have.
var types = map[string]string{
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json", ".png": "image/png",
}

// NewFiles reads a folder. policy is the Content-Security-Policy of its answers; "" is
// one for what is no page. A file NAME.br is NAME for browsers that take Brotli.
func NewFiles(folder fs.FS, policy string) (*Files, error) {
	if folder == nil {
		return nil, fmt.Errorf("%w: no folder", ErrConfig)
	}
	if policy == "" {
		policy = filePolicy
	}
	f := &Files{policy: policy, all: map[string]*file{}}
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		f.add(name, text)
		return nil
	})
	for name, of := range f.all {
		if plain, ok := strings.CutSuffix(name, ".br"); ok && f.all[plain] != nil {
			f.all[plain].brotli = of.text
			delete(f.all, name)
		}
	}
	return f, err
}

func (f *Files) add(name string, text []byte) {
	sum := sha256.Sum256(text)
	kind := types[path.Ext(name)]
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	f.all[name] = &file{text: text, kind: kind, hash: hex.EncodeToString(sum[:8]), gzip: sync.OnceValue(func() []byte { return shrink(text) })}
}

// shrink returns a text by gzip, or nil if that is not shorter.
func shrink(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil || w.Close() != nil || b.Len() >= len(text) {
		return nil
	}
	return b.Bytes()
}

func (f *Files) hash(name string) string {
	if f == nil || f.all[name] == nil {
		return ""
	}
	return f.all[name].hash
}

// ServeHTTP implements [http.Handler]: the last part of the path below what was stripped
// names the file; "" or a folder is its index.html.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isnil.Value(w) || r == nil {
		return
	}
	if f == nil {
		http.Error(w, "no files", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	secure(h, f.policy)
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	one := f.all[name]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	case one == nil:
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h.Set("Content-Type", one.kind)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("b") == one.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	text, tag := one.text, one.hash
	if accepted := r.Header.Get("Accept-Encoding"); accepts(accepted, "br") && one.brotli != nil {
		text, tag = one.brotli, tag+"-br"
		h.Set("Content-Encoding", "br")
	} else if accepts(accepted, "gzip") {
		if short := one.gzip(); short != nil {
			text, tag = short, tag+"-gz"
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	if strings.Contains(r.Header.Get("If-None-Match"), `"`+tag+`"`) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

// accepts reports whether Accept-Encoding has an encoding, and does not refuse it.
func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) {
			q = strings.ReplaceAll(q, " ", "")
			return q == "" || strings.Trim(strings.TrimPrefix(q, "q="), "0.") != ""
		}
	}
	return false
}

package rphttp

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpv2"
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
)

// route is where a path leads.
type route struct {
	version rp.Version // 0 if the path has none
	pattern string     // below the version, with variables in braces; empty if there is nothing
	values  []string   // of the variables
	method  string
	parse   func(body []byte, values []string) (*rp.Request, error) // of requests with a body
}

const (
	sessionPath = "session/{sessionID}"
	openapiPath = "openapi.yaml"
	mostValues  = 2 // in one path
)

// routes finds a route by the segments that are no variables, and how many follow.
type routes struct {
	base []string
	of   map[place]route
}

type place struct {
	version rp.Version
	fixed   string
	values  int
}

func newRoutes(base string, local bool) routes {
	out := routes{split(base), map[place]route{}}
	add := func(v rp.Version, pattern, method string, parse func([]byte, []string) (*rp.Request, error)) {
		fixed, _, _ := strings.Cut(pattern, "/{")
		out.of[place{v, fixed, strings.Count(pattern, "{")}] = route{version: v, pattern: pattern, method: method, parse: parse}
	}
	for _, e := range rpv2.Endpoints() {
		add(e.Version(), e.Path(), http.MethodPost, func(body []byte, values []string) (*rp.Request, error) { return e.Parse(body, values...) })
	}
	for _, e := range rpv3.Endpoints() {
		if local {
			e = e.Local()
		}
		add(rp.V3, e.Path(), http.MethodPost, func(body []byte, values []string) (*rp.Request, error) {
			return e.Parse(body, strings.Join(values, "")) // one, or none
		})
	}
	for _, v := range []rp.Version{rp.V1, rp.V2, rp.V3} {
		add(v, sessionPath, http.MethodGet, nil)
	}
	add(0, openapiPath, http.MethodGet, nil)
	return out
}

// split returns the segments of a path, without empty ones.
func split(path string) (out []string) {
	for s := range strings.SplitSeq(path, "/") {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

var versions = map[string]rp.Version{"v1": rp.V1, "v2": rp.V2, "v3": rp.V3}

// find returns the route of a path that may have escapes. Segments are decoded one by
// one, so that an escaped slash does not make two of one.
func (r routes) find(escaped string) route {
	segments := split(escaped)
	for i, s := range segments {
		var err error
		if segments[i], err = url.PathUnescape(s); err != nil {
			return route{}
		}
	}
	for _, b := range r.base {
		if len(segments) == 0 || segments[0] != b {
			return route{}
		}
		segments = segments[1:]
	}
	if len(segments) == 0 {
		return route{}
	}
	version := versions[segments[0]]
	if version != 0 {
		segments = segments[1:]
	}
	for n := range min(len(segments), mostValues+1) {
		fixed := len(segments) - n
		at := strings.Join(segments[:fixed], "/")
		if found, ok := r.of[place{version, at, n}]; ok && strings.Count(at, "/") == fixed-1 {
			found.values = segments[fixed:]
			return found
		}
	}
	return route{version: version}
}

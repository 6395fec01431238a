package deviceclient

import (
	"context"
	"fmt"
)

// Request is a request over HTTP.
type Request struct {
	Method, URL string
	MediaType   string // of Body, if there is one
	Token       string `json:"-"` // for "Authorization: Bearer"; may be empty
	Body        []byte `json:"-"`
	Most        int    // the most bytes that the answer may have
}

// Format hides the token, and what is sent.
func (r Request) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "deviceclient.Request(%s %s)", r.Method, r.URL)
}

// Response is the answer.
type Response struct {
	Status    int
	MediaType string
	Body      []byte
}

// Fetch makes one request. It follows no redirect and keeps no cookie, and reads no more
// than Most bytes and one: what is longer is not an answer. It does not keep the request.
// [NewHTTP] makes one of net/http, which a program for browsers does not carry.
type Fetch func(ctx context.Context, r Request) (*Response, error)

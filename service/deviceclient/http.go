//go:build !js

package deviceclient

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// NewHTTP returns a Fetch over a client, which is used as it is, but without redirects
// and cookies; nil is a client of its own.
func NewHTTP(client *http.Client) Fetch {
	own := clientOf(client)
	return func(ctx context.Context, in Request) (*Response, error) {
		response, err := do(ctx, own, in)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, int64(in.Most)+1))
		if err != nil {
			return nil, err
		}
		return &Response{Status: response.StatusCode, MediaType: response.Header.Get("Content-Type"), Body: body}, nil
	}
}

// NewHTTPStream returns a Stream over a client, as NewHTTP has it, and without a Timeout.
func NewHTTPStream(client *http.Client) Stream {
	own := clientOf(client)
	own.Timeout = 0
	return func(ctx context.Context, in Request, part func([]byte) error) (*Response, error) {
		if part == nil {
			return nil, ErrConfig
		}
		response, err := do(ctx, own, in)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		for piece := make([]byte, maxEvent); err == nil; {
			var n int
			if n, err = response.Body.Read(piece); n > 0 {
				if e := part(piece[:n]); e != nil {
					return nil, e
				}
			}
		}
		if err != io.EOF {
			return nil, err
		}
		return &Response{Status: response.StatusCode, MediaType: response.Header.Get("Content-Type")}, nil
	}
}

func clientOf(client *http.Client) *http.Client {
	var own http.Client
	if client != nil {
		own = *client
	}
	own.Jar = nil
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

func do(ctx context.Context, client *http.Client, in Request) (*http.Response, error) {
	if ctx == nil {
		return nil, ErrConfig
	}
	r, err := http.NewRequestWithContext(ctx, in.Method, in.URL, bytes.NewReader(in.Body))
	if err != nil {
		return nil, err
	}
	if in.MediaType != "" {
		r.Header.Set("Content-Type", in.MediaType)
	}
	if in.Token != "" {
		r.Header.Set("Authorization", "Bearer "+in.Token)
	}
	return client.Do(r)
}

func defaultFetch() Fetch { return NewHTTP(nil) }

func defaultStream() Stream { return NewHTTPStream(nil) }

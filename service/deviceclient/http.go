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
	var own http.Client
	if client != nil {
		own = *client
	}
	own.Jar = nil
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, in Request) (*Response, error) {
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
		response, err := own.Do(r)
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

func defaultFetch() Fetch { return NewHTTP(nil) }

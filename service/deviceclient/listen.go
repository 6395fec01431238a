package deviceclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

// Stream makes one request, and calls part with each piece of the answer's body as it
// comes; part's error ends it. The answer that it returns, when the body has ended, has
// no body. Else it is as a Fetch. [NewHTTPStream] makes one of net/http.
type Stream func(ctx context.Context, r Request, part func([]byte) error) (*Response, error)

// silence is how long a stream may say nothing: the service says something each 25 s.
const silence = 90 * time.Second

// errSilent is why a stream is given up.
var errSilent = errors.New("deviceclient: the stream says nothing any more")

// Listen calls look when the service's stream of events opens, and then whenever there
// may be something to poll for, until ctx ends, look returns an error, or the service
// ends the stream: that is nil. Another stream of the account ends it, too.
func (p *Phone) Listen(ctx context.Context, look func() error) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	if p.client.stream == nil || look == nil {
		return fmt.Errorf("%w: no Stream, or nobody who listens", ErrConfig)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	var said events
	var refused error
	var first []byte // of what is no stream
	r := Request{Method: "GET", URL: p.client.base + devicewire.Events, Token: string(p.client.token.Get())}
	answer, err := p.client.stream(ctx, r, func(part []byte) error {
		watch.Reset(silence)
		if len(first) < maxEvent {
			first = append(first, part[:min(len(part), maxEvent-len(first))]...)
		}
		looks, err := said.read(part)
		for range looks {
			if err = look(); err != nil {
				refused = err
				break
			}
		}
		return err
	})
	switch {
	case refused != nil:
		return refused
	case errors.Is(err, ErrResponse):
		return err
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("%w: %w", ErrConnection, err)
	case answer == nil:
		return fmt.Errorf("%w: no answer", ErrResponse)
	case answer.Status != ok:
		return refusal(&Response{answer.Status, answer.MediaType, first})
	case answer.MediaType != eventStream:
		return fmt.Errorf("%w: %q", ErrResponse, answer.MediaType)
	}
	if cause := context.Cause(ctx); cause != nil { // the stream may end in order for that
		return fmt.Errorf("%w: %w", ErrConnection, cause)
	}
	return nil
}

// refusal is an answer in place of another.
func refusal(answer *Response) error {
	var e devicewire.Error
	if answer.MediaType != jsonType || json.Unmarshal(answer.Body, &e) != nil || e.Code == "" {
		return fmt.Errorf("%w: status %d", ErrResponse, answer.Status)
	}
	detail := e.Detail
	if e.Pointer != "" {
		detail = e.Pointer + " " + detail
	}
	return &Error{answer.Status, e.Code, detail, e.EndResult, time.Duration(min(max(e.RetryAfter, 0), 3600)) * time.Second}
}

const eventStream = "text/event-stream"

// maxEvent is the most bytes of a line.
const maxEvent = 4096

// events reads a stream of server-sent events, of which one is known. That the stream is
// there is one, too.
type events struct {
	line         []byte
	opened, look bool
}

// read takes the next piece, and returns how often to look.
func (e *events) read(part []byte) (looks int, err error) {
	for len(part) > 0 {
		line, rest, whole := bytes.Cut(part, []byte("\n"))
		if len(e.line)+len(line) > maxEvent {
			return looks, fmt.Errorf("%w: an event that is too long", ErrResponse)
		}
		e.line, part = append(e.line, line...), rest
		if !whole {
			return looks, nil
		}
		switch text := string(bytes.TrimSuffix(e.line, []byte("\r"))); {
		case text == "data: "+devicewire.Look:
			e.look = true
		case text == "" && (e.look || !e.opened):
			looks++
			e.look, e.opened = false, true
		}
		e.line = e.line[:0]
	}
	return looks, nil
}

// Subscribe has the phone woken by push while its app is closed, at an address of a kind:
// that of a browser is "web", and its address the JSON of a PushSubscription. Without an
// address it is not woken any more.
func (p *Phone) Subscribe(ctx context.Context, kind, address string) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	return p.client.post(ctx, devicewire.Push, devicewire.PushBody{Kind: kind, Address: address}, &nothing{})
}

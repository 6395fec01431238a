package deviceapi

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

// What a stream says (server-sent events, of HTML's section 9.2): that there is something
// to look for, or, by a comment, that the stream is there.
const (
	eventStream = "text/event-stream"
	lookEvent   = "data: " + devicewire.Look + "\n\n"
	comment     = ":\n\n"
)

// streams are those that are open on this node: one of an account.
type streams struct {
	most int
	mu   sync.Mutex
	open map[identity.Document]*stream
}

// join has a stream take the place of the account's one before. It is false if there are
// too many.
func (s *streams) join(x *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.open[x.document]
	switch {
	case before != nil:
		before.end()
	case len(s.open) >= s.most:
		return false
	case s.open == nil:
		s.open = map[identity.Document]*stream{}
	}
	s.open[x.document] = x
	return true
}

func (s *streams) leave(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[x.document] == x {
		delete(s.open, x.document)
	}
}

// Listens reports whether the account's phone has a stream open on this node, and so
// needs no other message.
func (h *Handler) Listens(d identity.Document) bool {
	if h == nil {
		return false
	}
	h.streams.mu.Lock()
	defer h.streams.mu.Unlock()
	return h.streams.open[d] != nil
}

// stream is an answer that goes on.
type stream struct {
	*call
	ctx      context.Context
	end      context.CancelFunc
	document identity.Document
}

// listen opens a stream of events. It ends with the node, when the account opens another
// one, and with the account: at the next thing that it says.
func (c *call) listen() (any, error) {
	if c.closed.Err() != nil {
		return nil, tooMany
	}
	s := &stream{call: c, document: c.account.Document}
	s.ctx, s.end = context.WithCancel(c.ctx)
	if !c.streams.join(s) {
		s.end()
		return nil, tooMany
	}
	return s, nil
}

// serve says "look" whenever there is another session to answer. Nothing is kept for a
// reader that is slow: what has come meanwhile is one look.
func (s *stream) serve(w http.ResponseWriter, deadlines *http.ResponseController) {
	defer s.end()
	defer s.streams.leave(s)
	defer context.AfterFunc(s.closed, s.end)()
	_ = deadlines.SetReadDeadline(time.Time{}) // there is no body to wait for
	header := w.Header()
	header.Set("Content-Type", eventStream)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no") // for proxies that would keep it together
	w.WriteHeader(http.StatusOK)
	known, say := "", comment
	for {
		_ = deadlines.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := io.WriteString(w, say); err != nil || deadlines.Flush() != nil {
			return
		}
		found, err := s.config.Engine.Poll(s.ctx, s.account, known, s.config.KeepAlive)
		if err != nil || s.ctx.Err() != nil {
			return
		}
		if _, err := s.config.Accounts.ByToken(s.ctx, s.token); err != nil {
			return
		}
		say = comment
		switch {
		case found == nil:
			known = ""
		case found.Session != known:
			known, say = found.Session, lookEvent
		}
	}
}

// subscribe has the account's phone woken by push.
func (c *call) subscribe() (any, error) {
	kind, address := c.body.String("kind", false), c.body.String("address", false)
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	switch {
	case c.config.Subscriptions == nil:
		return nil, noSuchPath
	case address == "":
		return struct{}{}, c.config.Subscriptions.Unsubscribe(c.ctx, c.account.Document)
	}
	return struct{}{}, c.config.Subscriptions.Subscribe(c.ctx, c.account.Document, kind, address)
}

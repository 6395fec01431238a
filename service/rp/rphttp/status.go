package rphttp

import (
	"context"
	"errors"
	"net/http"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpv2"
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
)

// status answers a question for a session, and waits for the session's end.
func (h *Handler) status(ctx context.Context, c *call, r *http.Request) (answer, error) {
	wait, err := rp.PollTimeout(r.URL.Query().Get("timeoutMs"))
	if err != nil {
		return answer{}, err
	}
	id, ok := rp.UUID(c.values[0])
	if !ok {
		return answer{}, noSession()
	}
	if err := h.enter(c); err != nil {
		return answer{}, err
	}
	defer h.waiting.leave(c.from)

	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.draining, cancel)()
	s, err := h.engine.Status(waiting, id, wait, c.source)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		// Nobody may wait any longer.
		s, err = h.engine.Status(ctx, id, 0, c.source)
	}
	switch {
	case err != nil:
		return answer{}, err
	case s.Request == nil:
		return answer{}, errors.New("rphttp: the engine returned a session without its request")
	case s.Request.Version != c.version:
		return answer{}, noSession()
	case c.version == rp.V3:
		return c.ok(rpv3.Status(s))
	}
	return c.ok(rpv2.Status(s))
}

// enter lets a request wait. waiters.leave must follow, unless there is an error.
func (h *Handler) enter(c *call) error {
	switch tooMany, tooManyOfOne := h.waiting.enter(c.from); {
	case tooManyOfOne:
		return &rp.Problem{Kind: rp.TooManyRequests, Detail: "too many requests at once from this address"}
	case tooMany:
		return busy()
	}
	return nil
}

func noSession() error { return &rp.Problem{Kind: rp.NotFound, Detail: "no such session"} }

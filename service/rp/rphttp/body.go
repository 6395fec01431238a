package rphttp

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

const jsonType = "application/json"

// body reads a body that by its headers is JSON of an acceptable length.
func (h *Handler) body(c *call, w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// It holds for a body that is refused unread, too: net/http waits for its end. Once
	// the body was read net/http lifts it.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.options.ReadTimeout)); err != nil {
		return nil, err
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, ok := parameters["charset"]
	switch {
	case err != nil || kind != jsonType || ok && !strings.EqualFold(charset, "utf-8"):
		return nil, &rp.Problem{Kind: rp.MediaType, Detail: "the Content-Type is not " + jsonType + " in UTF-8"}
	case r.Header.Get("Content-Encoding") != "":
		return nil, &rp.Problem{Kind: rp.MediaType, Detail: "the body has a Content-Encoding"}
	case r.ContentLength > strictjson.MaxBytes:
		return nil, tooLarge()
	}
	if err := h.enter(c); err != nil {
		return nil, err
	}
	defer h.waiting.leave(c.from)
	body, err := io.ReadAll(io.LimitReader(r.Body, strictjson.MaxBytes+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &rp.Problem{Kind: rp.TooSlow, Detail: "the body did not arrive in time"}
	case err != nil:
		return nil, &rp.Problem{Kind: rp.Invalid, Detail: "the body did not arrive whole"}
	case len(body) > strictjson.MaxBytes:
		return nil, tooLarge()
	}
	return body, nil
}

func tooLarge() error { return &rp.Problem{Kind: rp.TooLarge, Detail: "the body has more than 64 KiB"} }

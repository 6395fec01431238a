package observe

import "context"

type requestIDKey struct{}

// WithRequestID names a request for the log: the lines that a server writes of it have
// the id under "request". The id is the transport's. It must not come from whoever sent
// the request.
func WithRequestID(ctx context.Context, id string) context.Context {
	if ctx == nil {
		return nil
	}
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that [WithRequestID] gave a request, or "". It is there in the
// contexts that a server passes on: to its store, and to the service's own functions.
func RequestID(ctx context.Context) string {
	if ctx == nil {
		return ""
	}
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

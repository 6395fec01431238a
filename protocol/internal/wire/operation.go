package wire

import "github.com/tandem-rsa/tandem/protocol"

// KnownOperation reports whether there is such an operation.
func KnownOperation(o protocol.Operation) bool {
	return o >= protocol.OpEnroll && o <= protocol.OpReport
}

// WithoutNumber reports whether a request is one of those that take no number.
func WithoutNumber(o protocol.Operation) bool {
	return o == protocol.OpCancel || o == protocol.OpReport
}

// info is what HPKE binds a request to. It has the operation's name.
func info(o protocol.Operation) []byte { return []byte("tandem v2 " + o.String()) }

// KnownReason reports whether there is such a reason.
func KnownReason(r protocol.Reason) bool {
	return r >= protocol.ReasonPIN && r <= protocol.ReasonExpired
}

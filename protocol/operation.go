package protocol

import "github.com/tandem-rsa/tandem/internal/enum"

// Operation is what a request asks for.
type Operation uint8

const (
	OpEnroll    Operation = 1 // Device.Enroll
	OpConfirm   Operation = 2 // Device.Confirm
	OpSign      Operation = 3 // Device.Sign
	OpRefresh   Operation = 4 // Device.Refresh
	OpChangePIN Operation = 5 // Device.ChangePIN
	OpCancel    Operation = 6 // Device.Cancel
	OpReport    Operation = 7 // Device.Report
)

var operationNames = enum.Names[Operation]{
	OpEnroll: "enroll", OpConfirm: "confirm", OpSign: "sign", OpRefresh: "refresh",
	OpChangePIN: "change pin", OpCancel: "cancel", OpReport: "report",
}

// String returns "enroll", "confirm", "sign", "refresh", "change pin", "cancel" or
// "report".
func (o Operation) String() string { return operationNames.String(o) }

// MarshalText returns what String does, for JSON and logs.
func (o Operation) MarshalText() ([]byte, error) { return operationNames.Marshal(o, ErrMalformed) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (o *Operation) UnmarshalText(text []byte) error {
	return operationNames.Unmarshal(o, text, ErrMalformed)
}

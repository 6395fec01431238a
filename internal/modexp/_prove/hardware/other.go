//go:build !amd64

package hardware

// Forms is empty: these are instructions of amd64.
var Forms map[string]func(*State)

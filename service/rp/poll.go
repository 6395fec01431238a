package rp

import (
	"strconv"
	"strings"
	"time"
)

// The bounds of timeoutMs of a session's status.
const (
	MinPoll     = time.Second
	MaxPoll     = 2 * time.Minute
	DefaultPoll = (MinPoll + MaxPoll) / 2
)

// PollTimeout reads a timeoutMs: decimal digits. What is out of bounds is taken as the
// bound; none is [DefaultPoll]. The error is a [*Problem].
func PollTimeout(timeoutMs string) (time.Duration, error) {
	if timeoutMs == "" {
		return DefaultPoll, nil
	}
	if strings.Trim(timeoutMs, "0123456789") != "" {
		return 0, &Problem{Invalid, "", "timeoutMs is not a number of milliseconds"}
	}
	ms, err := strconv.ParseInt(timeoutMs, 10, 32)
	if err != nil { // too large
		return MaxPoll, nil
	}
	return min(max(time.Duration(ms)*time.Millisecond, MinPoll), MaxPoll), nil
}

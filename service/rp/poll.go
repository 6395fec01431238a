package rp

import (
	"strconv"
	"strings"
	"time"
)

// The bounds of timeoutMs of a session's status.
const (
	minPoll     = time.Second
	maxPoll     = 2 * time.Minute
	defaultPoll = (minPoll + maxPoll) / 2
)

// PollTimeout reads a timeoutMs: decimal digits. What is out of bounds (1 s,
// 2 minutes) is taken as the bound; none is half-way. The error is a [*Problem].
func PollTimeout(timeoutMs string) (time.Duration, error) {
	if timeoutMs == "" {
		return defaultPoll, nil
	}
	if strings.Trim(timeoutMs, "0123456789") != "" {
		return 0, &Problem{Invalid, "", "timeoutMs is not a number of milliseconds"}
	}
	ms, err := strconv.ParseInt(timeoutMs, 10, 32)
	if err != nil { // too large
		return maxPoll, nil
	}
	return min(max(time.Duration(ms)*time.Millisecond, minPoll), maxPoll), nil
}

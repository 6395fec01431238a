//go:build race

package protocol

// The race detector makes a schedule ten times as long, and one goroutine has no races.
const defaultSchedules = 60

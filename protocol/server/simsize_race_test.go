//go:build race

package server

// The race detector makes a schedule ten times as long, and one goroutine has no races.
const defaultSchedules = 60

// The thief's schedules have one goroutine as well: in full they are run without the race detector.
const thiefInFull = false

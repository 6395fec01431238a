//go:build !race

package protocol

const defaultSchedules = 500

const thiefInFull = true

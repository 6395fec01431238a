//go:build !race

package server

const defaultSchedules = 500

const thiefInFull = true

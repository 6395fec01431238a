//go:build amd64 && !purego && modexpdebug

package modexp

const debug = true

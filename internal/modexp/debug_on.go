//go:build modexpdebug

package modexp

const debug = true

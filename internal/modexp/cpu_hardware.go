//go:build amd64 && !purego && !valgrind

package modexp

// assumedFeatures: nothing but what the processor says.
const assumedFeatures = 0

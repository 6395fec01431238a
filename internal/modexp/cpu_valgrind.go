//go:build amd64 && !purego && valgrind

package modexp

// assumedFeatures are bits of CPUID.7:EBX that are taken for granted: Valgrind runs ADCX
// and ADOX, but the CPUID it shows to programs does not say so. (The build tag is the
// Go toolchain's own.)
const assumedFeatures = 1 << adxBit

//go:build amd64 && !purego

package modexp

import (
	"os"
	"strings"
)

func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// xgetbv returns the lower half of XCR0: which registers the operating system saves.
func xgetbv() uint32

// adxBit is ADX's in CPUID.7:EBX.
const adxBit = 19

// haveIFMA and haveADX say which kernels this process may use.
var haveIFMA, haveADX = detect(os.Getenv("GODEBUG"))

// detect asks the processor (Intel SDM volume 2, CPUID; volume 1, section 15.2) and
// the GODEBUG environment variable. As for the runtime's own switches,
// cpu.<feature>=off means that the feature is not used, for the features
// avx512 (all of AVX-512), avx512f, avx512dq, avx512bw, avx512ifma, bmi2, adx,
// and all.
func detect(godebug string) (ifma, adx bool) {
	if highest, _, _, _ := cpuid(0, 0); highest < 7 {
		return false, false
	}
	off := make(map[string]bool)
	for setting := range strings.SplitSeq(godebug, ",") {
		if feature, found := strings.CutPrefix(strings.TrimSpace(setting), "cpu."); found {
			if feature, found = strings.CutSuffix(feature, "=off"); found {
				off[feature] = true
			}
		}
	}
	_, features, _, _ := cpuid(7, 0)
	features |= assumedFeatures
	have := func(bit uint, names ...string) bool {
		for _, name := range append(names, "all") {
			if off[name] {
				return false
			}
		}
		return features>>bit&1 == 1
	}
	bmi2 := have(8, "bmi2")
	adx = bmi2 && have(adxBit, "adx")
	avx512 := have(16, "avx512f", "avx512") && have(17, "avx512dq", "avx512") && have(30, "avx512bw", "avx512")
	ifma = avx512 && have(21, "avx512ifma", "avx512")

	// The operating system must save SSE, AVX, opmask and all of the ZMM registers:
	// bits 1, 2, 5, 6 and 7 of XCR0, which XGETBV reads if OSXSAVE is there.
	const osxsave = 1 << 27
	const zmmState = 1<<1 | 1<<2 | 1<<5 | 1<<6 | 1<<7
	_, _, ecx, _ := cpuid(1, 0)
	if ecx&osxsave == 0 || xgetbv()&zmmState != zmmState {
		ifma = false
	}
	return ifma, adx
}

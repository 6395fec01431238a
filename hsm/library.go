package hsm

import (
	"debug/elf"
	"fmt"
	"os"
	"runtime"
	"slices"
)

// elfMachine maps GOARCH to what the header of a library must say.
var elfMachine = map[string]elf.Machine{
	"amd64":   elf.EM_X86_64,
	"arm64":   elf.EM_AARCH64,
	"386":     elf.EM_386,
	"arm":     elf.EM_ARM,
	"ppc64le": elf.EM_PPC64,
	"riscv64": elf.EM_RISCV,
	"s390x":   elf.EM_S390,
}

// checkLibrary refuses a file that is not a shared library for this program: the loader
// says no reason. Where libraries are not ELF files, the loader decides.
func checkLibrary(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a file", ErrModule, path)
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "aix" {
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %s is not a shared library: %w", ErrModule, path, err)
	}
	defer f.Close()
	if f.Type != elf.ET_DYN {
		return fmt.Errorf("%w: %s is not a shared library", ErrModule, path)
	}
	if want, ok := elfMachine[runtime.GOARCH]; ok && f.Machine != want {
		return fmt.Errorf("%w: %s is built for %v, this program for %s", ErrModule, path, f.Machine, runtime.GOARCH)
	}
	return nil
}

// whyNotLoaded guesses why the loader refused a library that passed the check.
func whyNotLoaded(path string) string {
	const entry = "C_GetFunctionList"
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		symbols, err := f.DynamicSymbols()
		if err == nil && !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == entry && s.Section != elf.SHN_UNDEF }) {
			return "it is no PKCS #11 module: it has no " + entry
		}
	}
	return "the loader refuses it, perhaps for a library that it needs: see what ldd says"
}

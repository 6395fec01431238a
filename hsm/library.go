package hsm

import (
	"debug/elf"
	"fmt"
	"os"
	"runtime"
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

// checkArchitecture refuses a file that is not a shared library for this program. Where
// libraries are not ELF files, the loader decides.
func checkArchitecture(path string) error {
	if runtime.GOOS == "darwin" || runtime.GOOS == "aix" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	defer file.Close()
	f, err := elf.NewFile(file)
	if err != nil || f.Type != elf.ET_DYN {
		return fmt.Errorf("%w: %s is not a shared library", ErrModule, path)
	}
	if want, ok := elfMachine[runtime.GOARCH]; ok && f.Machine != want {
		return fmt.Errorf("%w: %s is built for %v, this program for %s", ErrModule, path, f.Machine, runtime.GOARCH)
	}
	return nil
}

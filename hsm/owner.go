package hsm

import (
	"debug/elf"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/miekg/pkcs11"
)

// modules holds what this process loaded, by file. A library is loaded once and stays; it
// has at most one owner, since C_Initialize and C_Finalize concern the whole process.
var modules struct {
	sync.Mutex
	list []*owned
}

// owned is a module, and for now whoever has it.
type owned struct {
	file       os.FileInfo
	parameters string
	mod        cryptoki
	busy       bool
	// initialized: by this package, if only perhaps, and not yet finalized, or in vain.
	// Only the owner looks at it.
	initialized bool
}

// claim makes the caller the owner of a module until it calls free.
func claim(path, parameters string) (*owned, error) {
	if !loadable {
		return nil, ErrNoPKCS11
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	modules.Lock()
	defer modules.Unlock()
	var o *owned
	for _, known := range modules.list {
		if os.SameFile(known.file, file) {
			o = known
		}
	}
	if o != nil && o.busy {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if o == nil || o.parameters != parameters {
		mod, err := load(path, parameters)
		if err != nil {
			return nil, err
		}
		if o == nil {
			o = &owned{file: file}
			modules.list = append(modules.list, o)
		}
		o.parameters, o.mod = parameters, mod
	}
	o.busy = true
	return o, nil
}

func (o *owned) free() {
	modules.Lock()
	o.busy = false
	modules.Unlock()
}

// initialize is C_Initialize. If C_Finalize failed before, the module is taken as it is.
func (o *owned) initialize() error {
	err := o.mod.Initialize()
	if isCode(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		if !o.initialized {
			return fmt.Errorf("%w: another library of this program initialized it: %w", ErrInUse, err)
		}
		return nil
	}
	// It may have worked, and its answer be lost. C_Finalize comes before the next try.
	o.initialized = true
	if err != nil {
		return unavailable("C_Initialize", err)
	}
	return nil
}

// finalize is C_Finalize, if it is due.
func (o *owned) finalize() error {
	if !o.initialized {
		return nil
	}
	if err := o.mod.Finalize(); err != nil && !isCode(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return unavailable("C_Finalize", err)
	}
	o.initialized = false
	return nil
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
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil // not on Linux: the loader decides
	}
	defer self.Close()
	if f.Machine != self.Machine {
		return fmt.Errorf("%w: %s is built for %v, this program for %v", ErrModule, path, f.Machine, self.Machine)
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

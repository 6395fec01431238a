package hsm

import (
	"fmt"
	"os"
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
	file os.FileInfo
	mod  cryptoki
	busy bool
	// initialized: by this package, if only perhaps, and not yet finalized, or in vain.
	// Only the owner looks at it.
	initialized bool
}

// claim makes the caller the owner of a module until it calls free.
func claim(path string) (*owned, error) {
	if !loadable {
		return nil, ErrNoPKCS11
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	modules.Lock()
	defer modules.Unlock()
	i := slices.IndexFunc(modules.list, func(o *owned) bool { return os.SameFile(o.file, file) })
	if i < 0 {
		mod, err := load(path)
		if err != nil {
			return nil, err
		}
		i = len(modules.list)
		modules.list = append(modules.list, &owned{file: file, mod: mod})
	}
	o := modules.list[i]
	if o.busy {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
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
func (o *owned) initialize(parameters string) error {
	err := o.mod.Initialize(parameters)
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

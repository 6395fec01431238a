package hsm

import (
	"fmt"
	"os"
	"sync"
)

// modules holds what this process loaded, by file. A library is loaded once
// and stays; it has at most one owner, since C_Initialize and C_Finalize
// concern the whole process.
var modules struct {
	sync.Mutex
	list []*owned
}

type owned struct {
	file       os.FileInfo
	parameters string
	mod        cryptoki
	busy       bool
}

// claim makes the caller the owner of a module until it calls release.
func claim(path, parameters string) (mod cryptoki, release func(), err error) {
	if !loadable {
		return nil, nil, ErrNoPKCS11
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrModule, err)
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
		return nil, nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if o == nil || o.parameters != parameters {
		mod, err := load(path, parameters)
		if err != nil {
			return nil, nil, err
		}
		if o == nil {
			o = &owned{file: file}
			modules.list = append(modules.list, o)
		}
		o.parameters, o.mod = parameters, mod
	}
	o.busy = true
	return o.mod, o.free, nil
}

func (o *owned) free() {
	modules.Lock()
	o.busy = false
	modules.Unlock()
}

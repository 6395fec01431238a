package main

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// folders are where the two parties keep what they have.
type folders struct{ device, server string }

func (f *folders) declareDevice(flags *flag.FlagSet) {
	flags.StringVar(&f.device, "device", "", "the device's `folder`; else TANDEM_DEVICE")
}

func (f *folders) declareServer(flags *flag.FlagSet) {
	flags.StringVar(&f.server, "server", "", "the server's `folder`; else TANDEM_SERVER")
}

// fill takes what no flag said from the environment.
func (f *folders) fill(c *call) {
	if f.device == "" {
		f.device = c.env("TANDEM_DEVICE")
	}
	if f.server == "" {
		f.server = c.env("TANDEM_SERVER")
	}
}

func (f *folders) needDevice() error {
	if f.device == "" {
		return usagef("which device? Give its folder with -device, or in TANDEM_DEVICE")
	}
	return nil
}

func (f *folders) needServer() error {
	if f.server == "" {
		return usagef("which server? Give its folder with -server, or in TANDEM_SERVER")
	}
	return nil
}

// needBoth also keeps the two apart.
func (f *folders) needBoth() error {
	if err := f.needServer(); err != nil {
		return err
	}
	if err := f.needDevice(); err != nil {
		return err
	}
	return f.apart()
}

// apart refuses one folder for both halves, or one within the other, whatever their names
// are.
func (f *folders) apart() error {
	device, err := ancestors(f.device)
	if err != nil {
		return err
	}
	server, err := ancestors(f.server)
	if err != nil {
		return err
	}
	switch {
	case os.SameFile(device[0].info, server[0].info) && device[0].rest == server[0].rest:
		return usagef("-device and -server are one folder: the two halves belong apart")
	case within(device, server[0]):
		return usagef("the folder of -device is in that of -server: the two halves belong apart")
	case within(server, device[0]):
		return usagef("the folder of -server is in that of -device: the two halves belong apart")
	}
	return nil
}

// place is a folder that exists, and what a name adds to it.
type place struct {
	info os.FileInfo
	rest string // "" for the folder itself
}

// ancestors returns where a folder is, or will be, and all the folders above.
func ancestors(folder string) ([]place, error) {
	at, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	rest := ""
	real, err := filepath.EvalSymlinks(at)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
		at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
		real, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return nil, err
	}
	var places []place
	for {
		info, err := os.Stat(real)
		if err != nil {
			return nil, err
		}
		places = append(places, place{info, rest})
		above := filepath.Dir(real)
		if above == real {
			return places, nil
		}
		real, rest = above, filepath.Join(filepath.Base(real), rest)
	}
}

// within reports whether one of a folder's ancestors is the other, or, where neither
// exists yet, has a name under which the other will be.
func within(folder []place, other place) bool {
	for _, p := range folder {
		if !os.SameFile(p.info, other.info) {
			continue
		}
		if other.rest == "" {
			return true
		}
		return p.rest == other.rest || strings.HasPrefix(p.rest, other.rest+string(filepath.Separator))
	}
	return false
}

// Modes of what the command makes. A signature or a public key is for all, as far as
// umask lets it.
const (
	folderMode fs.FileMode = 0o700
	secretMode fs.FileMode = 0o600
	publicMode fs.FileMode = 0o644
)

// checkFolder refuses a folder that others may write to: they could put an older store,
// or a copy of a device, in its place.
func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return failf("exists", "give the name of a folder", "%s is not a folder", folder)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return failf("exposed", "chmod go-w "+quote(folder), "others may write to %s (mode %04o), and so put other counts or keys in it", folder, info.Mode().Perm())
	}
	return nil
}

// checkSecret refuses a file that others may read. That there is none is told elsewhere.
func checkSecret(name string) error {
	info, err := os.Stat(name)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return failf("exposed", "chmod 600 "+quote(name), "others may read or write %s (mode %04o)", name, info.Mode().Perm())
	}
	return nil
}

// noFiles refuses arguments that are not flags.
func (c *call) noFiles() error {
	if len(c.files) > 0 {
		return usagef("unexpected argument %q", c.files[0])
	}
	return nil
}

func (c *call) oneFile(what string) (string, error) {
	if len(c.files) != 1 {
		return "", usagef("want one file %s, not %d", what, len(c.files))
	}
	return c.files[0], nil
}

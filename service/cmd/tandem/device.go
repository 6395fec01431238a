package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// The device's folder, mode 0700:
//
//	server.pem  the HPKE public key of the server, as an app is shipped with it
//	auth/state  the key of PIN1: a device.FileStorage
//	sign/state  the key of PIN2
const (
	hpkeKeyFile = "server.pem"
	storageFile = "state"
)

const hpkeKeyType = "TANDEM HPKE KEY"

// maxParams is the most that a lockbox may ask for.
var maxParams = pinlock.Params{Time: 16, MemoryKiB: 1 << 20, Threads: 16}

// parseParams reads t,m,p with m in KiB, or in MiB if it says so.
func parseParams(s string) (pinlock.Params, error) {
	bad := usagef("-argon2 is t,m,p: passes, memory in KiB or as 64MiB, lanes; up to %d,%dMiB,%d. Not %q", maxParams.Time, maxParams.MemoryKiB>>10, maxParams.Threads, s)
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return pinlock.Params{}, bad
	}
	memory, mib := strings.CutSuffix(fields[1], "MiB")
	t, err1 := strconv.ParseUint(fields[0], 10, 32)
	m, err2 := strconv.ParseUint(memory, 10, 21)
	p, err3 := strconv.ParseUint(fields[2], 10, 8)
	if mib {
		m <<= 10
	}
	if errors.Join(err1, err2, err3) != nil || t < 1 || p < 1 || m < 8*p ||
		t > uint64(maxParams.Time) || m > uint64(maxParams.MemoryKiB) || p > uint64(maxParams.Threads) {
		return pinlock.Params{}, bad
	}
	return pinlock.Params{Time: uint32(t), MemoryKiB: uint32(m), Threads: uint8(p)}, nil
}

func formatParams(p pinlock.Params) string {
	return fmt.Sprintf("%d,%dMiB,%d", p.Time, p.MemoryKiB>>10, p.Threads)
}

// wire carries requests to a server in this process, and tells whose turn it is.
func wire(c *call, srv *server.Server) device.Transport {
	return c.link(func(ctx context.Context, request []byte) ([]byte, error) {
		c.step("server: checking and completing")
		defer c.step("device: checking the answer")
		return srv.Handle(ctx, request)
	})
}

// offline is the transport of a device that asks no server anything.
func offline(context.Context, []byte) ([]byte, error) { return nil, errors.New("no server") }

// snapshot is the storage of a key as it was when it was read. A device over it can be
// looked at while another process uses it, and in a folder that cannot be written.
type snapshot []byte

func (s snapshot) Load() ([]byte, error) { return s, nil }
func (s snapshot) Save([]byte) error     { return errors.New("this copy of the storage is for reading") }
func (s snapshot) Lock() (func(), error) { return func() {}, nil }

// look returns what a device knows of a key. It changes nothing, and makes no folder.
func look(folder, key string, hpkeKey []byte) (device.KeyStatus, error) {
	stored, err := os.ReadFile(filepath.Join(folder, key, storageFile))
	if errors.Is(err, fs.ErrNotExist) {
		return device.KeyStatus{}, nil
	}
	if err != nil {
		return device.KeyStatus{}, err
	}
	d, err := device.New(device.Config{Storage: snapshot(stored), Transport: offline, HPKEKey: hpkeKey})
	if err != nil {
		return device.KeyStatus{}, err
	}
	return d.Status()
}

// openDevice opens one key of a folder for use. params are the cost of new lockboxes, and
// the limit for those that exist.
func openDevice(folder, key string, hpkeKey []byte, transport device.Transport, params pinlock.Params) (*device.Device, error) {
	storage, err := device.NewFileStorage(filepath.Join(folder, key))
	if err != nil {
		return nil, err
	}
	return device.New(device.Config{Storage: storage, Transport: transport, HPKEKey: hpkeKey, Params: params})
}

// readHPKEKey returns what bind stored.
func readHPKEKey(folder string) ([]byte, error) {
	name := filepath.Join(folder, hpkeKeyFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf("not_enrolled", "tandem enroll -device "+quote(folder), "there is no device in %s", folder)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != hpkeKeyType {
		return nil, failf("damaged", "restore the file", "%s is not an HPKE key of tandem", name)
	}
	return block.Bytes, nil
}

// bind makes a device's folder, for one server.
func bind(folder string, hpkeKey []byte) error {
	if err := disk.MakeFolder(folder, folderMode); err != nil {
		return err
	}
	if err := checkFolder(folder); err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: hpkeKeyType, Bytes: hpkeKey})
	return writeNew(filepath.Join(folder, hpkeKeyFile), text, secretMode)
}

// checkServer refuses a device that was enrolled with another server.
func checkServer(folder string, b *backend) error {
	hpkeKey, err := readHPKEKey(folder)
	if err != nil {
		return err
	}
	if !bytes.Equal(hpkeKey, b.hpkeKey()) {
		return failf("other_server", "give the -server that this -device was enrolled with, or another -device",
			"%s was enrolled with another server than %s", folder, b.folder)
	}
	return nil
}

// checkDevice refuses a device's folder that others may write to.
func checkDevice(folder, key string) error {
	for _, f := range []string{folder, filepath.Join(folder, key)} {
		if err := checkFolder(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

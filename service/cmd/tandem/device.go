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
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
)

// The device's folder, mode 0700:
//
//	server.pem  the HPKE public key of the server, as an app is shipped with it
//	auth/state  the key of PIN1: a protocol.FileState
//	sign/state  the key of PIN2
const serverKeyFile = "server.pem"

const serverKeyType = "TANDEM SERVER KEY"

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

// device is one key of a device's folder.
type device struct {
	*protocol.Device
	key string
}

// wire carries requests to a server in this process, and tells whose turn it is.
func wire(c *call, s *server) protocol.Transport {
	return c.link(func(ctx context.Context, request []byte) ([]byte, error) {
		c.step("server: checking and completing")
		defer c.step("device: checking the answer")
		return s.Handle(ctx, request)
	})
}

// offline is the transport of a device that is only looked at.
func offline(context.Context, []byte) ([]byte, error) { return nil, errors.New("no server") }

// openDevice opens one key of a folder. params is for new lockboxes, and the limit for those that exist.
func openDevice(folder, key string, serverKey []byte, transport protocol.Transport, params pinlock.Params, clock func() time.Time) (*device, error) {
	state, err := protocol.NewFileState(filepath.Join(folder, key))
	if err != nil {
		return nil, err
	}
	d, err := protocol.NewDevice(protocol.DeviceConfig{State: state, Transport: transport, ServerKey: serverKey, Params: params, Clock: clock})
	if err != nil {
		return nil, err
	}
	return &device{d, key}, nil
}

// readServerKey returns what writeServerKey stored.
func readServerKey(folder string) ([]byte, error) {
	name := filepath.Join(folder, serverKeyFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf("not_enrolled", "tandem enroll -device "+folder, "there is no device in %s", folder)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != serverKeyType {
		return nil, failf("damaged", "restore the file", "%s is not a server's key", name)
	}
	return block.Bytes, nil
}

func writeServerKey(folder string, key []byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return writeNew(filepath.Join(folder, serverKeyFile), pem.EncodeToMemory(&pem.Block{Type: serverKeyType, Bytes: key}), 0o600)
}

// enrolledDevice opens a key for use with a server, which must be the one that the device was enrolled with.
func enrolledDevice(c *call, folder, key string, s *server) (*device, error) {
	serverKey, err := readServerKey(folder)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(serverKey, s.ServerKey()) {
		return nil, failf("other_server", "give the -server that this -device was enrolled with", "%s was enrolled with another server than %s", folder, s.folder)
	}
	return openDevice(folder, key, serverKey, wire(c, s), maxParams, c.clock)
}

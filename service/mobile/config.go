package mobile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

// Config says where the service is.
type Config struct {
	URL     string // of the device API, without a slash at its end
	Scheme  string // such as "smart-id-demo"
	HPKEKey []byte // of the server

	// Passes, MemoryKiB and Lanes are what a guess of the PIN costs a thief, and each use
	// the phone, by Argon2id. All 0 is the default: 3 passes over 64 MiB, 4 lanes.
	Passes, MemoryKiB, Lanes int
}

// NewConfig returns a configuration with the default cost.
func NewConfig(url, scheme string, hpkeKey []byte) *Config {
	return &Config{URL: url, Scheme: scheme, HPKEKey: bytes.Clone(hpkeKey)}
}

// maxConfig is more than phone.json has.
const maxConfig = 64 << 10

// errConfig is what NewPhone and ReadConfig return for what cannot work.
var errConfig = errors.New("mobile: unusable configuration")

// ReadConfig reads phone.json, which the service writes.
func ReadConfig(phoneJSON []byte) (*Config, error) {
	var c devicewire.AppConfig
	if len(phoneJSON) > maxConfig {
		return nil, fmt.Errorf("%w: phone.json is too long", errConfig)
	}
	if err := json.Unmarshal(phoneJSON, &c); err != nil {
		return nil, fmt.Errorf("%w: phone.json: %w", errConfig, err)
	}
	if c.URL == "" || c.Scheme == "" || len(c.HPKEKey) == 0 {
		return nil, fmt.Errorf("%w: phone.json lacks a member", errConfig)
	}
	return NewConfig(c.URL, c.Scheme, c.HPKEKey), nil
}

// params is the cost of Argon2id.
func (c *Config) params() (pinlock.Params, error) {
	if c.Passes == 0 && c.MemoryKiB == 0 && c.Lanes == 0 {
		return pinlock.DefaultParams(), nil
	}
	const most = 1 << 24
	if c.Passes < 1 || c.MemoryKiB < 1 || c.Lanes < 1 || c.Passes > most || c.MemoryKiB > most || c.Lanes > 255 {
		return pinlock.Params{}, fmt.Errorf("%w: the cost of Argon2id", errConfig)
	}
	return pinlock.Params{Time: uint32(c.Passes), MemoryKiB: uint32(c.MemoryKiB), Threads: uint8(c.Lanes)}, nil
}

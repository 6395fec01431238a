package web_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tandem-rsa/tandem/pinlock"
)

// longPIN does not occur by chance.
const longPIN = "739184650271"

// TestMemory: after a login neither the PIN nor a part of the phone's half of the key
// (x) is in the heap of the page or of its worker, or in the memory of WebAssembly; the
// worker that had them has ended; and neither is in the browser's profile. The search
// finds a PIN that is kept in any of the three.
func TestMemory(t *testing.T) {
	if fips140.Enforced() {
		return // the test could not open what the phone has sealed
	}
	out, profile := t.TempDir(), t.TempDir()
	drivePhone(t, nil, "memory.mjs", map[string]string{"out": out, "profile": profile, "pin1": longPIN})
	text, err := os.ReadFile(filepath.Join(out, "stored.json"))
	require.NoError(t, err)
	var stored struct{ StorageKey, Authentication string }
	require.NoError(t, json.Unmarshal(text, &stored))
	storageKey, err := hex.DecodeString(stored.StorageKey)
	require.NoError(t, err)
	state, err := hex.DecodeString(stored.Authentication)
	require.NoError(t, err)
	secrets := map[string]needle{"PIN": pinNeedle(longPIN), "x": wordsNeedle(halfOf(t, state, storageKey))}

	least := map[string]int{"page.heapsnapshot": 1 << 20, "worker.heapsnapshot": 1 << 18, "worker.wasm": 4 << 20}
	for name, size := range least {
		memory := read(t, filepath.Join(out, "after-"+name))
		require.Greater(t, len(memory), size, name)
		for secret, n := range secrets {
			require.False(t, n.in(memory), "%s is in %s", secret, name)
		}
		require.True(t, secrets["PIN"].in(read(t, filepath.Join(out, "planted-"+name))), name)
	}
	require.Empty(t, read(t, filepath.Join(out, "after-page.wasm")), "the program is in the worker only")
	require.Contains(t, string(read(t, filepath.Join(out, "after-worker.wasm"))), "tandem v2 phone record", "a constant of the program")

	// The disk.
	secrets["storage key"] = wordsNeedle(storageKey)
	files, clear := 0, 0
	require.NoError(t, filepath.WalkDir(profile, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		content := read(t, path)
		for name, n := range secrets {
			require.False(t, n.in(content), "%s is in %s", name, path)
		}
		if strings.Contains(path, "IndexedDB") {
			if key := findKey(content, storageKey); key != nil {
				clear++
				jwk := base64.RawURLEncoding.EncodeToString(key)
				t.Logf("the key of WebCrypto is in clear in %s; as JWK: %v", filepath.Base(path), bytes.Contains(content, []byte(jwk)))
			}
		}
		return nil
	}))
	require.Greater(t, files, 10)
	t.Logf("%d of %d files have the key that no script exports", clear, files)
}

func read(t *testing.T, name string) []byte {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return text
}

// needle is what is searched for.
type needle struct{ in func([]byte) bool }

// pinNeedle is a PIN as a string has it, in either form.
func pinNeedle(pin string) needle {
	var wide []byte
	for _, c := range utf16.Encode([]rune(pin)) {
		wide = binary.LittleEndian.AppendUint16(wide, c)
	}
	return needle{func(memory []byte) bool { return bytes.Contains(memory, []byte(pin)) || bytes.Contains(memory, wide) }}
}

// wordsNeedle is any eight bytes of a secret, as they are or as the limbs of a number.
// One of them is anywhere by chance with probability 2^-28, in 256 MiB and for 64
// words.
func wordsNeedle(secret []byte) needle {
	const low = 1<<20 - 1
	words, filter := map[uint64]bool{}, make([]bool, low+1)
	for i := 0; i+8 <= len(secret); i += 8 {
		end := len(secret) - i
		for _, w := range []uint64{binary.LittleEndian.Uint64(secret[i:]), binary.BigEndian.Uint64(secret[end-8 : end])} {
			words[w], filter[w&low] = true, true
		}
	}
	return needle{func(memory []byte) bool {
		w := uint64(0)
		for _, b := range memory {
			if w = w>>8 | uint64(b)<<56; filter[w&low] && words[w] {
				return true
			}
		}
		return false
	}}
}

// halfOf opens what the phone has stored of a key, as package device stores it: x.
func halfOf(t *testing.T, state, storageKey []byte) []byte {
	const header = 6
	key, err := hkdf.Key(sha256.New, storageKey, nil, "tandem v2 device state", chacha20poly1305.KeySize)
	require.NoError(t, err)
	aead, err := chacha20poly1305.NewX(key)
	require.NoError(t, err)
	body := state[header:]
	text, err := aead.Open(nil, body[:chacha20poly1305.NonceSizeX], body[chacha20poly1305.NonceSizeX:], state[:header])
	require.NoError(t, err)
	at := bytes.Index(text, []byte("TDlb"))
	require.Greater(t, at, 2)
	length := int(binary.BigEndian.Uint16(text[at-2:]))
	box, err := pinlock.ParseLockbox(text[at : at+length])
	require.NoError(t, err)
	share, err := box.Unlock([]byte(longPIN), pinlock.DefaultParams())
	require.NoError(t, err)
	x := share.Secret()
	require.Greater(t, len(x), 256)
	return x
}

// findKey looks for the key of WebCrypto from which the storage key follows.
func findKey(content, storageKey []byte) []byte {
	for i := 0; i+32 <= len(content); i++ {
		h := hmac.New(sha256.New, content[i:i+32])
		h.Write([]byte("tandem storage key"))
		if bytes.Equal(h.Sum(nil), storageKey) {
			return slices.Clone(content[i : i+32])
		}
	}
	return nil
}

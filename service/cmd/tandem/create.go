package main

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// createServer makes a server. A folder that does not exist appears whole or not at all.
// A folder that exists and is empty (a mount point, or the target of a link) is filled.
// It is a server once it has its config.json, which is written last.
func createServer(ctx context.Context, c *call, folder string, config serverConfig, hsmPIN hsmPIN) (err error) {
	if err := config.check(); err != nil {
		return usagef("%v", err)
	}
	folder = filepath.Clean(folder)
	_, err = os.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return createFolder(ctx, c, folder, config, hsmPIN)
	}
	if err != nil {
		return err
	}
	if err := checkEmpty(folder); err != nil {
		return err
	}
	if err := checkFolder(folder); err != nil {
		return err
	}
	if err := fillServer(ctx, c, folder, &config, hsmPIN, func() error { return nil }); err != nil {
		return errors.Join(err, emptyFolder(folder))
	}
	return nil
}

func createFolder(ctx context.Context, c *call, folder string, config serverConfig, hsmPIN hsmPIN) (err error) {
	if err := disk.MakeFolder(filepath.Dir(folder), folderMode); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".new-*")
	if err != nil {
		return err
	}
	err = fillServer(ctx, c, draft, &config, hsmPIN, func() error {
		// Somebody may have made the folder meanwhile. If it has anything in it, this
		// fails.
		err := disk.Rename(draft, folder)
		if _, e := os.Lstat(draft); err != nil && errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, os.RemoveAll(folder)) // it has its name, which a crash may lose
		}
		return err
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(draft))
	}
	return nil
}

// lostAndFound is in the root of every new ext4 file system.
const lostAndFound = "lost+found"

func checkEmpty(folder string) error {
	entries, err := os.ReadDir(folder) // follows a link
	if err != nil {
		return failf("exists", "give the name of an empty folder, or of none that exists yet, with -server",
			"%s exists, and is no folder that can be read: %w", folder, err)
	}
	server, other := false, ""
	for _, e := range entries {
		switch e.Name() {
		case lostAndFound:
		case configFile:
			server = true
		default:
			other = e.Name()
		}
	}
	switch {
	case server:
		return failf("exists", "give another folder with -server, or remove it; without it the keys of its devices sign nothing",
			"%s exists already", folder)
	case other != "":
		return failf("exists", "give another folder with -server; or empty this one, if all it has is of an init that was interrupted",
			"%s exists already: it is no server, as it has no %s, and is not empty, as it has %s", folder, configFile, other)
	}
	return nil
}

// emptyFolder removes what fillServer made in a folder that was empty.
func emptyFolder(folder string) error {
	var errs []error
	for _, name := range []string{configFile, sealerFile, keysFile, storeFile, markFile, markFile + lockSuffix} {
		errs = append(errs, removeIfThere(filepath.Join(folder, name)))
	}
	return errors.Join(errs...)
}

// fillServer makes the server, and has it in place with its last step. If that fails,
// nothing is left outside of the folder: no keys in a token, no mark, no checkpoint.
func fillServer(ctx context.Context, c *call, folder string, config *serverConfig, hsmPIN hsmPIN, place func() error) (err error) {
	var v *vault
	if config.HSM != nil {
		v, err = createTokenVault(ctx, c, config, hsmPIN)
	} else {
		key := make([]byte, server.SealerKeySize)
		rand.Read(key)
		defer clear(key)
		hexed := append(hex.AppendEncode(nil, key), '\n')
		defer clear(hexed)
		if err := writeNew(filepath.Join(folder, sealerFile), hexed, secretMode); err != nil {
			return err
		}
		v, err = softwareVault(folder, *config, oneRun)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = v.undo(err)
		}
		err = errors.Join(err, v.close())
	}()
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return err
	}
	seed, err := private.Bytes()
	if err != nil {
		return err
	}
	plain := make([]byte, challengeKeySize, challengeKeySize+len(seed))
	rand.Read(plain)
	plain = append(plain, seed...)
	clear(seed)
	defer clear(plain)
	sealed, err := v.sealer.Seal(ctx, []byte(keysAAD), plain)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(folder, keysFile), sealed, secretMode); err != nil {
		return err
	}
	undo, err := createStore(ctx, folder, *config, v.token)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = undo(err)
		}
	}()
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	// The last one: a folder that has it is a whole server.
	if err := writeNew(filepath.Join(folder, configFile), append(text, '\n'), secretMode); err != nil {
		return err
	}
	return place()
}

// createStore makes the store, and its mark. undo takes away what of them is outside the
// folder, for a server that is not to be after all; it returns the cause, and what is
// left. On other machines that is an empty store, and in a token an empty mark.
func createStore(ctx context.Context, folder string, config serverConfig, token *hsm.Token) (undo func(cause error) error, err error) {
	at, err := parseEngine(config.Store)
	if err != nil {
		return nil, err
	}
	store, err := at.openNew(ctx, folder)
	if err != nil {
		return nil, err
	}
	made, err := createMark(ctx, config.markPlace(folder), folder, token, store)
	err = errors.Join(err, store.Close())
	undo = func(cause error) error {
		if at.isFile() {
			return errors.Join(cause, made.remove(ctx), removeIfThere(at.file(folder)))
		}
		return errors.Join(cause, made.discard(ctx, at, folder), made.remove(ctx))
	}
	if err != nil {
		return nil, undo(err)
	}
	return undo, nil
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

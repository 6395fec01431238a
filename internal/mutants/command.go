package main

// The command.
var commandMutants = []mutant{
	// Folders.
	{"one folder for both halves in another spelling", "service/cmd/tandem/folders.go", "os.SameFile(device[0].info, server[0].info) && device[0].rest == server[0].rest", "f.device == f.server", inCommand, "TestScripts/testdata/folders"},
	{"the device in the folder of the server", "service/cmd/tandem/folders.go", "case within(device, server[0]):", `case within(device, server[0]) && f.device == "":`, inCommand, "TestScripts/testdata/folders"},
	{"the server in the folder of the device", "service/cmd/tandem/folders.go", "case within(server, device[0]):", `case within(server, device[0]) && f.device == "":`, inCommand, "TestScripts/testdata/folders"},
	{"status of one folder", "service/cmd/tandem/status.go", "if f.device != \"\" && f.server != \"\" {\n\t\t\t\tif err := f.apart(); err != nil {", "if f.device != \"\" && f.server != \"\" {\n\t\t\t\tif err := f.apart(); err != nil && c.json {", inCommand, "TestScripts/testdata/folders"},
	{"begin a new store in place of one that is missing", "service/cmd/tandem/engine.go", `return failf("damaged", next, "%s is missing: it has the server's shares and counts", name)`, "return nil", inCommand, "TestScripts/testdata/folders"},
	{"begin a new store in an empty file", "service/cmd/tandem/engine.go", "case !info.Mode().IsRegular() || info.Size() == 0:", "case !info.Mode().IsRegular():", inCommand, "TestScripts/testdata/folders"},
	{"put a server in place of an empty folder", "service/cmd/tandem/create.go", "if errors.Is(err, fs.ErrNotExist) {\n\t\treturn createFolder(", "if err == nil || errors.Is(err, fs.ErrNotExist) {\n\t\treturn createFolder(", inCommand, "TestInitInPlace"},
	{"put a server in place of a link", "service/cmd/tandem/create.go", "_, err = os.Lstat(folder)", "_, err = os.Stat(folder)", inCommand, "TestScripts/testdata/folders"},
	{"fill a folder that is not empty", "service/cmd/tandem/create.go", `case other != "":`, "case other == lostAndFound:", inCommand, "TestScripts/testdata/folders"},
	{"no server where there is a lost+found", "service/cmd/tandem/create.go", "case lostAndFound:", `case "":`, inCommand, "TestScripts/testdata/folders"},
	{"leave what a failed init made", "service/cmd/tandem/create.go", "return errors.Join(err, emptyFolder(folder))\n", "return err\n", inCommand, "TestFailedInit"},
	{"a folder that its group may write to", "service/cmd/tandem/folders.go", "info.Mode().Perm()&0o022 != 0", "info.Mode().Perm()&0o002 != 0", inCommand, "TestScripts/testdata/folders"},
	{"a server that others may write to", "service/cmd/tandem/server.go", "if err := checkFolder(folder); err != nil {\n\t\treturn nil, err\n\t}\n\t// Before", "// Before", inCommand, "TestScripts/testdata/folders"},
	{"a sealing key that its group may read", "service/cmd/tandem/folders.go", "info.Mode().Perm()&0o077 != 0", "info.Mode().Perm()&0o007 != 0", inCommand, "TestScripts/testdata/folders"},
	{"a public file whatever the umask", "service/cmd/tandem/output.go", "return disk.Create(name, data, mode) }", "return errors.Join(disk.Create(name, data, mode), os.Chmod(name, mode)) }", inCommand, "TestScripts/testdata/folders"},
	{"lock what is only looked at", "service/cmd/tandem/device.go", "\td, err := device.New(device.Config{Storage: snapshot(stored),", "\t_ = stored\n\tfiles, err := device.NewFileStorage(filepath.Join(folder, key))\n\tif err != nil {\n\t\treturn device.KeyStatus{}, err\n\t}\n\td, err := device.New(device.Config{Storage: files,", inCommand, "TestReadOnly"},

	// The store: its mark, its recovery, its move.
	{"recover a store that is sound", "service/cmd/tandem/recover.go", "case !s.restored && err == nil:", "case !s.restored && err == nil && s.noAudit:", inCommand, "TestScripts/testdata/recover"},
	{"recover without a look at the log", "service/cmd/tandem/recover.go", "k, ok := known[key]\n		if !ok {", "k, ok := known[key]\n		if k, ok = (server.Recovery{}), false; !ok {", inCommand, "TestScripts/testdata/recover"},
	{"leave the challenges of before a recovery", "service/cmd/tandem/recover.go", "	if err := b.replaceChallengeKey(ctx); err != nil {\n		return err\n	}\n", "", inCommand, "TestScripts/testdata/recover"},
	{"begin a recovery and not end it", "service/cmd/tandem/recover.go", "return recovery.Finish(ctx, store)", "return nil", inCommand, "TestScripts/testdata/recover"},
	{"a late event gives tries back", "service/cmd/tandem/audit.go", "		if !again {\n", "		if true {\n", inCommand, "TestReadAudit"},
	{"a repeated event gives tries back", "service/cmd/tandem/audit.go", "if again && r.TriesLeft >= 0 {", "if again && r.TriesLeft >= 99 {", inCommand, "TestReadAudit"},
	{"copy a record that is still in use", "service/cmd/tandem/move.go", "	if !moved {\n		err := source.Swap(ctx, id, version, append(bytes.Clone(movedPrefix), value...))", "	if !moved {\n		err := source.Swap(ctx, id, version, append(bytes.Clone(movedPrefix[:0]), value...))", inCommand, "TestMoveUnderLoad|TestScripts/testdata/copy"},
	{"copy once", "service/cmd/tandem/move.go", "again = again || moved", "_ = moved", inCommand, "TestMoveAgain"},
	{"copy over another store", "service/cmd/tandem/move.go", "if !bytes.Equal(there, value) {", "if len(there) == 0 {", inCommand, "TestMoveOverOthers"},
	{"begin a copy anew", "service/cmd/tandem/move.go", "value, moved := bytes.CutPrefix(value, movedPrefix)", "value, moved := bytes.CutPrefix(value, movedPrefix[:0])", inCommand, "TestMoveGoesOn|TestMoveUnderLoad"},

	// PINs and prompts.
	{"bind a folder before the PINs are known", "service/cmd/tandem/enroll.go", "\t// All PINs are asked for before anything is written or begun.\n", "\tif err := e.bind(b); err != nil {\n\t\treturn nil, err\n\t}\n", inCommand, "TestScripts/testdata/pins"},
	{"one PIN for both keys", "service/cmd/tandem/pin.go", "if subtle.ConstantTimeCompare(pin, other) == 1 {\n\t\t\t\treturn", "if subtle.ConstantTimeCompare(pin, other) == 2 {\n\t\t\t\treturn", inCommand, "TestScripts/testdata/pins"},
	{"the PIN of a key that exists for another", "service/cmd/tandem/pin.go", "if len(p.given) == 2 { // of which", "if len(p.given) == 3 { // of which", inCommand, "TestScripts/testdata/pins"},
	{"use what Ctrl-D ended", "service/cmd/tandem/terminal_unix.go", "if !whole {\n\t\treturn nil, io.EOF", "if !whole && n == 0 {\n\t\treturn nil, io.EOF", inCommand, "TestEndOfInput"},
	{"make a server that a crash may lose", "service/cmd/tandem/create.go", "disk.Rename(draft, folder)", "os.Rename(draft, folder)", inCommand, "TestInitIsDurable"},
	{"show a PIN", "service/cmd/tandem/terminal_unix.go", "hidden.Lflag &^= unix.ECHO", "hidden.Lflag |= unix.ECHO", inCommand, "TestPrompt$"},
	{"leave the terminal without echo", "service/cmd/tandem/terminal_unix.go", "defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, setTermios, before)) }()", "defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, setTermios, &hidden)) }()", inCommand, "TestPrompt$"},
	{"hold the store while a PIN is typed", "service/cmd/tandem/sign.go", "\tpin, err := source.get(ctx, s.key)\n", "\t_, shut, err := b.open(c)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\tpin, err := source.get(ctx, s.key)\n\t_ = shut()\n", inCommand, "TestPromptHoldsNothing"},
	{"hold the store while PINs are chosen", "service/cmd/tandem/enroll.go", "\tif err := choosePINs(ctx, source, keys); err != nil {\n", "\t_, shut, err := b.open(c)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\terr = choosePINs(ctx, source, keys)\n\t_ = shut()\n\tif err != nil {\n", inCommand, "TestPromptHoldsNothing"},
	{"a weak PIN without a reason", "service/cmd/tandem/weakpin.go", `"stairs":`, `"steps":`, inCommand, "TestWeakPINs"},

	// Reading and Ctrl-C.
	{"ignore Ctrl-C while reading", "service/cmd/tandem/input.go", "case <-ctx.Done():", "case <-context.Background().Done():", inCommand, "TestInterruptible"},
	{"wait for a pipe that nobody opens", "service/cmd/tandem/input.go", "return interruptible(ctx, func() (T, error) {\n\t\tif name", "return interruptible(context.WithoutCancel(ctx), func() (T, error) {\n\t\tif name", inCommand, "TestInterruptReading"},
	{"ignore Ctrl-C while a key is made", "service/cmd/tandem/enroll.go", "h, err := interruptible(ctx, func()", "h, err := interruptible(context.WithoutCancel(ctx), func()", inCommand, "TestInterruptMaking"},
	{"read a signature of any length", "service/cmd/tandem/verify.go", "readSmall(ctx, c, from, maxSignatureFile,", "readSmall(ctx, c, from, 1<<29,", inCommand, "TestVerifyMemory"},
	{"read a public key of any length", "service/cmd/tandem/verify.go", "readSmall(ctx, c, key, maxKeyFile,", "readSmall(ctx, c, key, 1<<29,", inCommand, "TestVerifyMemory"},
	{"read FILE as a whole", "service/cmd/tandem/scheme.go", "_, err := io.Copy(h, r)", "text, err := io.ReadAll(r)\n\t\th.Write(text)", inCommand, "TestVerifyMemory"},
	{"two files from standard input", "service/cmd/tandem/input.go", "if n > 1 {", "if n > 2 {", inCommand, "TestScripts/testdata/output"},

	// Output and JSON.
	{"lose a signature that cannot be written", "service/cmd/tandem/signature.go", "\t}\n\treturn o.failed\n", "\t}\n\treturn nil\n", inCommand, "TestScripts/testdata/output"},
	{"overwrite what is not the signature", "service/cmd/tandem/signature.go", "if same(o.name, signature) {", "if !same(o.name, nil) {", inCommand, "TestScripts/testdata/output"},
	{"write a signature that was not verified", "service/cmd/tandem/signature.go", "if err := verify(o.public, opts, digest, signature); err != nil {", "if err := verify(o.public, opts, digest, signature); err != nil && o.public == nil {", inCommand, "TestOutputVerifies"},
	{"forget a request for another signature", "service/cmd/tandem/sign.go", "slices.EqualFunc(p.Digests, s.digests, bytes.Equal) &&", "slices.EqualFunc(p.Digests, s.digests, func(a, b []byte) bool { return bytes.Equal(a, a) }) &&", inCommand, "TestScripts/testdata/output"},
	{"JSON only where it is spelt -json", "service/cmd/tandem/main.go", "wants = !given || err != nil || b", "wants = !given && err != nil && !b", inCommand, "TestScripts/testdata/json"},
	{"no JSON for an unknown command", "service/cmd/tandem/main.go", "\tdefault:\n\t\treturn a.fail(\"\", noCommand(name), asJSON)", "\tdefault:\n\t\treturn a.fail(\"\", noCommand(name), false)", inCommand, "TestScripts/testdata/json"},
	{"no JSON for -h", "service/cmd/tandem/main.go", "return a.tell(helpResult{a.describe(cmd)}, cmd.name, *asJSON)", "return a.tell(helpResult{a.describe(cmd)}, cmd.name, false)", inCommand, "TestScripts/testdata/json"},
	{"no JSON for wrong flags", "service/cmd/tandem/main.go", `return a.fail(cmd.name, usagef("%v", err), *asJSON)`, `return a.fail(cmd.name, usagef("%v", err), false)`, inCommand, "TestScripts/testdata/json"},

	// Keys of others.
	{"a key for PSS without -pss", "service/cmd/tandem/keyfile.go", "case u.pss && !s.pss:", `case u.pss && !s.pss && s.hash == "":`, inCommand, "TestScripts/testdata/keys"},
	{"a key for one hash function with another", "service/cmd/tandem/keyfile.go", `case u.hash != "" && u.hash != s.hash:`, `case u.hash != "" && u.hash != s.hash && s.hash == "":`, inCommand, "TestScripts/testdata/keys"},
	{"a key for PSS with two hash functions", "service/cmd/tandem/keyfile.go", "if !mask.Algorithm.Equal(p.Hash.Algorithm) {", "if mask.Algorithm == nil {", inCommand, "TestScripts/testdata/keys"},
	{"a mark as part of a key", "service/cmd/tandem/keyfile.go", "return text[3:]", "return text", inCommand, "TestScripts/testdata/keys"},
	{"primes that make another modulus", "service/cmd/tandem/privatekey.go", "if m.Mul(&p, &q).Cmp(k.n) != 0 {", "if m.Mul(&p, &q).Sign() == 0 {", inCommand, "TestRecover"},
	{"keep the numbers of an imported key", "service/cmd/tandem/privatekey.go", "clear(x.Bits())\n", "", inCommand, "TestImportedKeyIsWiped"},
	{"keep the file of an imported key", "service/cmd/tandem/privatekey.go", "for _, f := range all {\n\t\t\tclear(f.der)\n", "for range all {\n", inCommand, "TestImportedKeyIsWiped"},
	{"keep the numbers of a key that is refused", "service/cmd/tandem/privatekey.go", "if err != nil {\n\t\t\t(&keyParts", "if err == nil {\n\t\t\t(&keyParts", inCommand, "TestImportedKeyIsWiped"},
	{"take a key with three primes", "service/cmd/tandem/privatekey.go", "if r.Version != 0 || len(r.More.FullBytes) > 0 {", "if r.Version > 1 {", inCommand, "TestScripts/testdata/import"},
	{"split a key of another length for a composite", "service/cmd/tandem/privatekey.go", "bits != config.ClientBits || k.e != 65537 {", "bits == 0 || k.e != 65537 {", inCommand, "TestScripts/testdata/import"},
	{"ask the server about a modulus that is too small", "service/cmd/tandem/privatekey.go", "BitLen() < 2*config.ClientBits {", "BitLen() < config.ClientBits {", inCommand, "TestScripts/testdata/import"},
	{"status of a server that can be written only", "service/cmd/tandem/status.go", "errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)", "errors.Is(err, fs.ErrClosed) || errors.Is(err, syscall.EROFS)", inCommand, "TestReadOnlyAsNobody"},
	{"leave the copy of a store", "service/cmd/tandem/server.go", "remove := func() error { return os.RemoveAll(folder) }", "remove := func() error { return nil }", inCommand, "TestReadOnlyAsNobody"},
}

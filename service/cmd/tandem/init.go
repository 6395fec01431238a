package main

import (
	"context"
	"flag"
	"fmt"
	"io"
)

var initCommand = &command{
	name: "init", args: "-server DIR [-shape two-prime] [-bits N] [-store ENGINE] [-mark PLACE] [-hsm MODULE:TOKEN]",
	about: "makes a server: its keys, and an empty store",
	help: `
Init makes the server's folder, which must not exist yet, or be empty. A composite key is the
client key times a server key: RSA-4096 comes of two of 2048 bits. A two-prime key is the client
key alone, and the server holds no more than a share of it.

The store is a file in the folder, or what -store says; the folder notes it. The mark says how far
the store has come, and belongs on another disk, or into the token (token:LABEL): an older copy of
the store is then refused.

With -hsm the server keys and the key that seals the store are in a PKCS #11 token: whoever has the
folder alone signs nothing. Every command that has -server then needs the token's PIN.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		var (
			f          folders
			config     = serverConfig{Version: configVersion}
			token      string
			parameters string
			pin        hsmPIN
		)
		f.declareServer(flags)
		flags.StringVar(&config.Shape, "shape", composite, "`shape` of the keys, composite or two-prime")
		flags.IntVar(&config.ClientBits, "bits", 2048, "`length` of the client modulus, 2048, 3072 or 4096; a composite key is twice as long")
		flags.StringVar(&config.Store, "store", "", "`engine` of the store: bolt:FILE, etcd:ENDPOINTS or postgres:URL; a file in the folder if empty")
		flags.StringVar(&config.Mark, "mark", "", "`place` of the mark: a file on another disk than the store, or token:LABEL; a file in the folder if empty")
		flags.StringVar(&token, "hsm", "", "`MODULE:TOKEN`, the path of a PKCS #11 library and the label of a token")
		flags.StringVar(&parameters, "hsm-parameters", "", "`string` for C_Initialize, for the modules that need one (NSS)")
		pin.declare(flags)
		return func(ctx context.Context, c *call) (result, error) {
			f.fill(c)
			var err error
			if err = c.noFiles(); err != nil {
				return nil, err
			}
			if err = f.needServer(); err != nil {
				return nil, err
			}
			if config.HSM, err = parseHSM(token, parameters); err != nil {
				return nil, err
			}
			at, err := parseEngine(config.Store)
			if err != nil {
				return nil, err
			}
			config.Store = at.String()
			if config.Mark, err = parseMark(config.Mark, config.HSM != nil); err != nil {
				return nil, err
			}
			if err := createServer(ctx, c, f.server, config, pin); err != nil {
				return nil, err
			}
			config, err := readServerConfig(f.server)
			return newServerResult(f.server, config), err
		}
	},
}

// serverResult is a server's folder in JSON.
type serverResult struct {
	Folder     string     `json:"folder"`
	Shape      string     `json:"shape"`
	ClientBits int        `json:"client_bits"`
	KeyBits    int        `json:"key_bits"`
	Store      string     `json:"store"`
	Mark       string     `json:"mark"`
	HSM        *hsmResult `json:"hsm"` // null: none
}

type hsmResult struct {
	Module string `json:"module"`
	Token  string `json:"token"`
	Serial string `json:"serial"`
}

func newServerResult(folder string, config serverConfig) serverResult {
	r := serverResult{Folder: folder, Shape: config.Shape, ClientBits: config.ClientBits, KeyBits: config.keyBits(), Mark: config.markPlace(folder).String()}
	if at, err := parseEngine(config.Store); err == nil {
		r.Store = at.shown(folder)
	}
	if h := config.HSM; h != nil {
		r.HSM = &hsmResult{h.Module, h.Token, h.Serial}
	}
	return r
}

func (r serverResult) line() string {
	s := fmt.Sprintf("server %s: %s keys, RSA-%d", r.Folder, r.Shape, r.KeyBits)
	if r.Shape == composite {
		s += fmt.Sprintf(" of two of %d bits", r.ClientBits)
	}
	if r.HSM != nil {
		s += fmt.Sprintf("; secrets in the token %q (serial %s)", r.HSM.Token, r.HSM.Serial)
	}
	return s
}

func (r serverResult) text(w io.Writer) {
	fmt.Fprintln(w, r.line())
	fmt.Fprintf(w, "next: tandem enroll -server %s -device DIR\n", quote(r.Folder))
}

// Command startup does one thing and ends, so that bench can measure what the start of a
// process costs:
//
//	startup nothing
//	startup device   reads the client key, the final key, the share and a digest;
//	                 prints the partial signature
//	startup server   reads the server's share, the server key, the precomputed value,
//	                 a digest and a partial signature; prints the signature
//
// Input is a line of hexadecimal for each value; keys are PKCS #1 structures.
package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	_ "crypto/sha256"

	"github.com/tandem-rsa/tandem/splitkey"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: startup nothing|device|server")
		os.Exit(2)
	}
	out, err := do(os.Args[1], os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "startup:", err)
		os.Exit(1)
	}
	fmt.Printf("%x\n", out)
}

func do(what string, r io.Reader) ([]byte, error) {
	switch what {
	case "nothing":
		return nil, nil
	case "device":
		return device(r)
	case "server":
		return server(r)
	}
	return nil, errors.New("unknown task")
}

func device(r io.Reader) ([]byte, error) {
	in, err := lines(r, 4)
	if err != nil {
		return nil, err
	}
	own, err := x509.ParsePKCS1PublicKey(in[0])
	if err != nil {
		return nil, err
	}
	final, err := x509.ParsePKCS1PublicKey(in[1])
	if err != nil {
		return nil, err
	}
	key, err := splitkey.CheckFinalKey(final, own)
	if err != nil {
		return nil, err
	}
	share, err := splitkey.NewClientShare(own, splitkey.Multiplicative, in[2])
	if err != nil {
		return nil, err
	}
	m, err := key.Encode(in[3], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return share.SignPartial(m)
}

func server(r io.Reader) ([]byte, error) {
	in, err := lines(r, 5)
	if err != nil {
		return nil, err
	}
	share, err := splitkey.ParseServerShare(in[0])
	if err != nil {
		return nil, err
	}
	own, err := splitkey.ParseSoftwareKey(in[1])
	if err != nil {
		return nil, err
	}
	completer, err := splitkey.NewCompleter(share, own, in[2])
	if err != nil {
		return nil, err
	}
	m, err := completer.FinalKey().Encode(in[3], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	checked, err := completer.Check(m, in[4])
	if err != nil {
		return nil, err
	}
	defer checked.Wipe()
	return completer.Finish(context.Background(), checked)
}

// lines reads so many lines of hexadecimal.
func lines(r io.Reader, count int) ([][]byte, error) {
	in := bufio.NewScanner(r)
	var out [][]byte
	for len(out) < count && in.Scan() {
		b, err := hex.DecodeString(in.Text())
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	if len(out) < count {
		return nil, errors.Join(io.ErrUnexpectedEOF, in.Err())
	}
	return out, nil
}

// The generator of splitkey/internal/modexp's assembly:
//
//	go run . -out ..      writes the .s files
//	go run . -out .. -check    fails if they are not what it would write
//
// ifma.go explains the AVX-512 IFMA kernels and proves their bounds, adx.go the
// scalar ones. Nothing here is a dependency of the library: the .s files are
// committed, and this module exists so that they can be reproduced.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "..", "directory of the .s files")
	check := flag.Bool("check", false, "compare with the files there instead of writing them")
	flag.Parse()

	files := map[string][]byte{"adx_amd64.s": adxFile()}
	for _, s := range shapes {
		files[fmt.Sprintf("ifma%d_amd64.s", s.bits)] = ifmaFile(s)
	}
	for name, want := range files {
		path := filepath.Join(*out, name)
		if !*check {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				log.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			log.Fatalf("%s is not what this generator writes", path)
		}
	}
}

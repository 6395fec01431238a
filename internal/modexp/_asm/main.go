// The generator of internal/modexp's assembly:
//
//	go run . -out ..
//
// ifma.go explains the AVX-512 IFMA kernels and proves their bounds, adx.go the
// scalar ones. The verifier in ../_prove reads what is generated, and proves it by
// another way. Nothing here is a dependency of the library: the .s files are
// committed, and the test here fails if they are not what this generator writes.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "..", "directory of the .s files")
	flag.Parse()
	for name, text := range files() {
		if err := os.WriteFile(filepath.Join(*out, name), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// files returns what is generated, by name.
func files() map[string][]byte {
	f := map[string][]byte{"adx_amd64.s": adxFile()}
	for _, s := range shapes {
		f[fmt.Sprintf("ifma%d_amd64.s", s.bits)] = ifmaFile(s)
	}
	return f
}

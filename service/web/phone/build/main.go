// Command build compiles the program of the phone's web app into a folder: make phone.
package main

import (
	"fmt"
	"os"

	"github.com/tandem-rsa/tandem/service/web/phone"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: build FOLDER")
		os.Exit(2)
	}
	if err := phone.Build(os.Args[1]); err != nil {
		fail(err)
	}
	switch made, err := phone.Compress(os.Args[1]); {
	case err != nil:
		fail(err)
	case !made:
		fmt.Fprintln(os.Stderr, "without Brotli: apt-get install brotli makes downloads a quarter shorter")
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

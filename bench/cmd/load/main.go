//go:build unix

// Command load measures how many signatures a server makes in a second, without HTTP and
// without a disk: how long each takes at 70 % of that, and how large a key's record is.
//
//	go run ./bench/cmd/load -clients 64 -signatures 20 -cores 1,2
//
// Real devices enrol and sign first, and what they send is recorded. Then the same
// requests go to a server whose store is as it was before: all clients at once, each one
// request after the other; and once more at times that are drawn, at 70 % of that rate.
// What the devices do is not in the figures.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

func main() {
	clients := flag.Int("clients", 64, "devices")
	signatures := flag.Int("signatures", 20, "requests of each")
	cores := flag.String("cores", "1,2", "numbers of processors")
	bits := flag.Int("bits", 2048, "length of the client key; the final key is twice as long")
	flag.Parse()
	if err := run(*clients, *signatures, *bits, *cores); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(clients, signatures, bits int, cores string) error {
	r, err := record(clients, signatures, bits)
	if err != nil {
		return err
	}
	defer r.close()
	fmt.Printf("composite of %d bits, %d clients, store in memory\nbytes of a record: %.0f\n", 2*bits, clients, r.recordSize())
	for text := range strings.SplitSeq(cores, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("no number of processors: %q", text)
		}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		full, err := r.replay(0)
		if err != nil {
			return err
		}
		calm, err := r.replay(0.7 * full.rate)
		if err != nil {
			return err
		}
		fmt.Printf("%d processors: %.0f signatures a second, %v of processor time each; at 70 %%: median %v, p99 %v\n",
			n, full.rate, full.processor, calm.quantile(0.5), calm.quantile(0.99))
	}
	return nil
}

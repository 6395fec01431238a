//go:build linux

// Command contender raises numbers to secret exponents with package modexp and says how
// much processor time that took. bench/peers runs it beside other libraries; it is a
// program of its own so that each implementation, chosen at start by GODEBUG, can be
// measured in the same run.
//
// It reads commands from standard input, one a line, and answers each with one line:
//
//	info                            ok TEXT
//	load SLOT exp BASE EXPONENT N   ok RESULT
//	run SLOT COUNT                  ok NANOSECONDS ALLOCATIONS
//
// Numbers are in hexadecimal, of whole bytes. It answers anything else with "error TEXT".
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contender:", err)
		os.Exit(1)
	}
}

// job is an exponentiation to be repeated.
type job struct {
	z        *modexp.Elem // the base, and each power that was computed of it
	exponent []byte
}

type contender map[string]*job

func serve(r io.Reader, w io.Writer) error {
	// The clock is the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := contender{}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<16)
	for in.Scan() {
		answer, err := c.answer(strings.Fields(in.Text()))
		if err != nil {
			answer = "error " + err.Error()
		} else {
			answer = "ok " + answer
		}
		if _, err := fmt.Fprintln(w, answer); err != nil {
			return err
		}
	}
	return in.Err()
}

var errCommand = errors.New("unknown command")

func (c contender) answer(words []string) (string, error) {
	if len(words) == 0 {
		return "", errCommand
	}
	switch {
	case words[0] == "info" && len(words) == 1:
		return "modexp " + runtime.Version(), nil
	case words[0] == "load" && len(words) == 6 && words[2] == "exp":
		return c.load(words[1], words[3:])
	case words[0] == "run" && len(words) == 3:
		return c.run(words[1], words[2])
	}
	return "", errCommand
}

func (c contender) load(slot string, numbers []string) (string, error) {
	var b [3][]byte
	for i, s := range numbers {
		var err error
		if b[i], err = hex.DecodeString(s); err != nil {
			return "", err
		}
	}
	n := b[2]
	if len(n) < 3 || n[0] == 0 || n[len(n)-1]&1 == 0 {
		return "", errors.New("modulus is even, or too small, or begins with zeros")
	}
	base, err := modexp.NewModulus(n).Elem(b[0])
	if err != nil {
		return "", err
	}
	j := &job{base, b[1]}
	c[slot] = j
	return hex.EncodeToString(base.Clone().Exp(j.exponent).Bytes()), nil
}

func (c contender) run(slot, count string) (string, error) {
	j, ok := c[slot]
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 {
		return "", errors.New("no such slot or count")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := threadTime()
	for range n {
		j.z.Exp(j.exponent)
	}
	took := threadTime() - began
	runtime.ReadMemStats(&after)
	return fmt.Sprint(took.Nanoseconds(), after.Mallocs-before.Mallocs), nil
}

// threadTime is the processor time of the calling thread. What getrusage(2) says is only
// brought up to date by a tick of the kernel's clock, or when the thread stops running;
// so it stops for an instant.
func threadTime() time.Duration {
	const rusageThread = 1
	err := syscall.Nanosleep(&instant, nil)
	for err == syscall.EINTR { // by a signal of the Go runtime
		err = syscall.Nanosleep(&instant, nil)
	}
	if err := errors.Join(err, syscall.Getrusage(rusageThread, &usage)); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Not in threadTime, where they would be allocated and counted.
var (
	instant = syscall.Timespec{Nsec: 1}
	usage   syscall.Rusage
)

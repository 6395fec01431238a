package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// serve has the commands of a child, for signatures in another variant of the arithmetic:
//
//	info                            ok TEXT
//	load SLOT sign BITS NAME        ok SIGNATURE
//	run SLOT COUNT                  ok NANOSECONDS ALLOCATIONS
//
// NAME is one of tandem.go's, with its spaces.
func serve(r io.Reader, w io.Writer) error {
	jobs := map[string]func(int) (time.Duration, int64, error){}
	answer := func(words []string) (string, error) {
		switch {
		case len(words) == 1 && words[0] == "info":
			return runtime.Version(), nil
		case len(words) > 4 && words[0] == "load" && words[2] == "sign":
			bits, err := strconv.Atoi(words[3])
			if err != nil || bits < 2048 || bits > 6144 {
				return "", errors.New("no such size")
			}
			sign, err := work(strings.Join(words[4:], " "), bits)
			if err != nil {
				return "", err
			}
			result, err := sign()
			if err != nil {
				return "", err
			}
			jobs[words[1]] = inProcess(func() error { _, err := sign(); return err })
			return fmt.Sprintf("%x", result), nil
		case len(words) == 3 && words[0] == "run" && jobs[words[1]] != nil:
			count, err := strconv.Atoi(words[2])
			if err != nil || count < 1 {
				return "", errors.New("no such count")
			}
			took, allocs, err := jobs[words[1]](count)
			return fmt.Sprint(took.Nanoseconds(), allocs), err
		}
		return "", errors.New("unknown command")
	}
	for in := bufio.NewScanner(r); in.Scan(); {
		text, err := answer(strings.Fields(in.Text()))
		if err != nil {
			text = "error " + err.Error()
		} else {
			text = "ok " + text
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	return nil
}

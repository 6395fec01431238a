package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// child is a program that works on command: other/peers.c and its like in other
// languages, splitkey/internal/contender, or this program itself (serve.go). Their
// opening comments have the commands.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	slots int
	name  string // and version
}

// start runs a program with additional environment variables.
func start(env []string, program string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...)}
	c.cmd.Env = os.Environ()
	for _, e := range env {
		if e != "" {
			c.cmd.Env = append(c.cmd.Env, e)
		}
	}
	c.cmd.Stderr = os.Stderr // what it says when it fails
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if c.name, err = c.ask("info"); err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return c, nil
}

// ask sends one command and returns what follows "ok".
func (c *child) ask(words ...any) (string, error) {
	if _, err := fmt.Fprintln(c.in, words...); err != nil {
		return "", err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return "", err
	}
	answer, ok := strings.CutPrefix(strings.TrimSpace(line), "ok ")
	if !ok {
		return "", fmt.Errorf("%v: %s", words[0], strings.TrimSpace(line))
	}
	return answer, nil
}

// load prepares work in a slot of its own. It returns the work's result, and the function
// that repeats it.
func (c *child) load(words ...any) (string, func(int) (time.Duration, int64, error), error) {
	slot := c.slots
	c.slots++
	result, err := c.ask(append([]any{"load", slot}, words...)...)
	if err != nil {
		return "", nil, err
	}
	return result, func(count int) (time.Duration, int64, error) {
		answer, err := c.ask("run", slot, count)
		if err != nil {
			return 0, 0, err
		}
		var ns, allocs int64 = 0, -1
		if n, err := fmt.Sscan(answer, &ns, &allocs); n < 1 {
			return 0, 0, err
		}
		return time.Duration(ns), allocs, nil
	}, nil
}

// stop ends the program and waits for it.
func (c *child) stop() error {
	c.in.Close()
	return c.cmd.Wait()
}

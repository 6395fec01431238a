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

// child is a program that works on command: c/peers.c or splitkey/internal/contender,
// whose opening comments have the commands.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	slots int
}

// start runs a program with additional environment variables.
func start(program string, env ...string) (*child, error) {
	c := &child{cmd: exec.Command(program)}
	c.cmd.Env = append(os.Environ(), env...)
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
	return c, c.cmd.Start()
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

// buildGo builds a command of this repository into dir.
func buildGo(dir string) (string, error) {
	program := dir + "/contender"
	return program, command("go", "build", "-o", program, "github.com/tandem-rsa/tandem/splitkey/internal/contender")
}

// missing names the Debian package of each library that c/peers.c needs and that is not
// installed, headers included.
func missing(dir string) []string {
	var packages []string
	for _, library := range []struct{ header, flag, pkg string }{
		{"openssl/evp.h", "-lcrypto", "libssl-dev"}, {"gmp.h", "-lgmp", "libgmp-dev"},
	} {
		file := dir + "/probe.c"
		source := "#include <stdio.h>\n#include <" + library.header + ">\nint main(void) { return 0; }\n"
		err := os.WriteFile(file, []byte(source), 0o600)
		if err == nil {
			err = command("gcc", "-o", dir+"/probe", file, library.flag)
		}
		if err != nil {
			packages = append(packages, library.pkg)
		}
	}
	return packages
}

// buildC builds c/peers.c.
func buildC(dir string) (string, error) {
	program := dir + "/peers-c"
	if packages := missing(dir); len(packages) > 0 {
		return "", fmt.Errorf("libraries are missing: apt-get install %s", strings.Join(packages, " "))
	}
	return program, command("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, "c/peers.c", "-lcrypto", "-lgmp")
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// variant is a way to do the arithmetic. What is chosen at the start of a process needs a
// process of its own.
type variant struct {
	name    string // "" for what the processor can best
	goDebug string
	tags    string
	openssl string // OPENSSL_ia32cap
}

var (
	fastest = variant{}
	noIFMA  = variant{name: "no IFMA", goDebug: "GODEBUG=cpu.avx512ifma=off", openssl: "OPENSSL_ia32cap=:~0x200000"}
	pureGo  = variant{name: "pure Go", tags: "purego"} // that tag leaves out Go's own assembly, too
)

// variants are those of Go programs.
var variants = []variant{fastest, noIFMA, pureGo}

// children are the programs that compete.
type children struct {
	arithmetic map[variant]*child // package modexp alone
	signers    map[variant]*child // this program
	openssl    []openssl          // Debian's first
	node       map[variant]*child
	java       *child
}

// openssl is a version of OpenSSL in two processes. GMP is in the first one, too.
type openssl struct {
	name         string // OpenSSL 3.0.22
	fast, noIFMA *child
}

func (o openssl) child(v variant) *child {
	if v == noIFMA {
		return o.noIFMA
	}
	return o.fast
}

func (c *children) all() []*child {
	out := []*child{c.java}
	for _, v := range variants {
		out = append(out, c.arithmetic[v], c.signers[v])
		if other := c.node[v]; other != nil {
			out = append(out, other)
		}
	}
	for _, o := range c.openssl {
		out = append(out, o.fast, o.noIFMA)
	}
	return out
}

func (c *children) stop() error {
	var err error
	for _, one := range c.all() {
		err = errors.Join(err, one.stop())
	}
	return err
}

// versions says who competes from outside.
func (c *children) versions() string {
	names := []string{}
	for _, o := range c.openssl {
		names = append(names, o.fast.name)
	}
	return strings.Join(append(names, c.node[fastest].name, c.java.name), "; ")
}

// startAll builds the programs in a folder, and starts them.
func startAll(dir string) (*children, error) {
	if packages := missing(dir); len(packages) > 0 {
		return nil, fmt.Errorf("something is missing: apt-get install %s", strings.Join(packages, " "))
	}
	c := &children{arithmetic: map[variant]*child{}, signers: map[variant]*child{}, node: map[variant]*child{}}
	for _, v := range variants {
		programs := map[string]string{"contender": "github.com/tandem-rsa/tandem/splitkey/internal/contender", "signer": "."}
		for name, from := range programs {
			file := filepath.Join(dir, name+v.tags)
			if err := command("go", "build", "-tags", v.tags, "-o", file, from); err != nil {
				return nil, err
			}
			programs[name] = file
		}
		var err error
		if c.arithmetic[v], err = start([]string{v.goDebug}, programs["contender"]); err != nil {
			return nil, err
		}
		if c.signers[v], err = start([]string{v.goDebug}, programs["signer"], "serve"); err != nil {
			return nil, err
		}
	}
	peers, err := buildC(dir)
	if err != nil {
		return nil, err
	}
	for _, where := range append([]string{""}, folders()...) {
		if err := c.add(peers, where); err != nil {
			return nil, err
		}
	}
	for _, v := range []variant{fastest, noIFMA} {
		if c.node[v], err = start([]string{v.openssl}, "node", "other/peers.mjs"); err != nil {
			return nil, err
		}
	}
	if err := command("javac", "-d", dir, "other/Peers.java"); err != nil {
		return nil, err
	}
	c.java, err = start(nil, "java", "-cp", dir, "Peers")
	return c, err
}

// add starts peers with the OpenSSL of a folder, "" for the system's, unless its version
// is there already.
func (c *children) add(peers, folder string) error {
	program, args, env := peers, []string{}, []string{}
	if folder != "" {
		env = append(env, "LD_LIBRARY_PATH="+folder)
		// One of a newer Debian needs its C library, and that its own loader.
		if loader := filepath.Join(folder, "ld-linux-x86-64.so.2"); exists(loader) {
			program, args, env = loader, []string{"--library-path", folder + ":" + systemFolder, peers}, nil
		}
	}
	fast, err := start(env, program, args...)
	if err != nil {
		return err
	}
	// "OpenSSL 3.0.22 25 Aug 2026, GMP 6.2.1"
	words := strings.Fields(fast.name)
	if len(words) < 2 {
		return fmt.Errorf("%s: what version is %q?", folder, fast.name)
	}
	o := openssl{name: strings.Join(words[:2], " "), fast: fast}
	for _, other := range c.openssl {
		if other.name == o.name {
			return fast.stop()
		}
	}
	if o.noIFMA, err = start(append(env, noIFMA.openssl), program, args...); err != nil {
		return err
	}
	c.openssl = append(c.openssl, o)
	return nil
}

// systemFolder is where Debian has libraries.
const systemFolder = "/usr/lib/x86_64-linux-gnu"

// folders are where OpenSSL may be beside the system's: what .ci/openssl unpacks, the
// folder OPENSSL, and where it installs itself.
func folders() []string {
	var out []string
	for _, pattern := range []string{
		"debian/usr/lib/x86_64-linux-gnu", os.Getenv("OPENSSL"),
		"/usr/local/lib*", "/usr/local/ssl/lib*", "/usr/local/openssl*/lib*", "/opt/openssl*/lib*",
	} {
		if pattern == "" {
			continue
		}
		found, _ := filepath.Glob(filepath.Join(pattern, "libcrypto.so.3"))
		for _, f := range found {
			out = append(out, filepath.Dir(f))
		}
	}
	return out
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// missing names the Debian packages of what the programs need and is not installed,
// headers included.
func missing(dir string) []string {
	var packages []string
	for _, program := range []struct{ name, pkg string }{{"node", "nodejs"}, {"javac", "default-jdk-headless"}} {
		if _, err := exec.LookPath(program.name); err != nil {
			packages = append(packages, program.pkg)
		}
	}
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

// buildC builds other/peers.c.
func buildC(dir string) (string, error) {
	program := dir + "/peers-c"
	return program, command("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, "other/peers.c", "-lcrypto", "-lgmp")
}

func command(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // for Go programs, none of which need it
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// Command tandem makes split RSA keys and signs with them: the device's half in one folder, the server's in
// another, and an ordinary RSA signature as the result.
//
//	tandem demo FILE                           the whole story, told on a file of yours
//	tandem init   -server DIR                  makes a server
//	tandem enroll -server DIR -device DIR      makes a device's two keys
//	tandem sign   -server DIR -device DIR FILE
//	tandem verify -pubkey PEM FILE
//	tandem pubkey -device DIR
//	tandem status -server DIR -device DIR
//
// docs/command.md is the reference: flags, exit codes, JSON fields.
//
// # Security
//
// Both parties run in this process, one after the other, and share nothing but what a service hands to a
// device: the server's public key, a challenge, a digest. So this is a tool to see, test and script the scheme with. To
// be protected as docs/threats.md says, the two folders belong on two machines, and package protocol into two programs.
//
// A PIN in an environment variable can be read by other processes of the same user, and stays in this
// process's memory. Prompt and -pin-file are wiped after use.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
)

func main() {
	os.Exit(newApp().run(os.Args[1:]))
}

// app is what the command works with. Tests replace the clock and the link.
type app struct {
	stdin       *os.File
	out, errOut io.Writer
	env         func(string) string
	clock       func() time.Time

	// link stands between the device and the server. It is given the server's end.
	link func(protocol.Transport) protocol.Transport
}

func newApp() *app {
	return &app{
		stdin: os.Stdin, out: os.Stdout, errOut: os.Stderr, env: os.Getenv, clock: time.Now,
		link: func(server protocol.Transport) protocol.Transport { return server },
	}
}

// command is one of the words after "tandem".
type command struct {
	name, args string // as in the usage line
	about      string // one line
	help       string
	// setup declares the flags and returns what runs when they are parsed. The result is printed.
	setup func(*flag.FlagSet) func(context.Context, *call) (result, error)
	plain bool // has no -json
}

// result is what a command prints: its text for people, or the value itself as JSON.
type result interface{ text(io.Writer) }

func commands() []*command {
	return []*command{initCommand, enrollCommand, signCommand, verifyCommand, pubkeyCommand, statusCommand, demoCommand}
}

// call is one run of a command.
type call struct {
	*app
	*progress
	files []string // arguments that are not flags
}

// run returns the exit code.
func (a *app) run(args []string) int {
	if len(args) == 0 {
		a.overview(a.errOut)
		return exitUsage
	}
	switch name := args[0]; name {
	case "help", "-h", "-help", "--help":
		return a.help(args[1:])
	default:
		for _, cmd := range commands() {
			if cmd.name == name {
				return a.call(cmd, args[1:])
			}
		}
		fmt.Fprintf(a.errOut, "tandem: there is no command %q. \"tandem help\" lists them.\n", name)
		return exitUsage
	}
}

func (a *app) call(cmd *command, args []string) int {
	// The first Ctrl-C ends the command in good order, the second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	flags, asJSON, run := a.prepare(cmd)
	c := &call{app: a, progress: newProgress(a.errOut)}
	var err error
	c.files, err = parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		a.describe(a.out, cmd)
		return exitOK
	}
	var r result
	if err == nil {
		r, err = run(ctx, c)
	} else {
		err = usagef("%v", err)
		*asJSON = !cmd.plain && (slices.Contains(args, "-json") || slices.Contains(args, "--json"))
	}
	c.done()
	if err != nil {
		return a.fail(cmd, err, *asJSON)
	}
	if err := a.print(r, *asJSON); err != nil {
		return a.fail(cmd, err, false)
	}
	return exitOK
}

func (a *app) prepare(cmd *command) (flags *flag.FlagSet, asJSON *bool, run func(context.Context, *call) (result, error)) {
	flags = flag.NewFlagSet("tandem "+cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	run = cmd.setup(flags)
	asJSON = new(bool)
	if !cmd.plain {
		flags.BoolVar(asJSON, "json", false, "print one JSON object to standard output, also on failure")
	}
	return flags, asJSON, run
}

// parse lets flags stand before, between and after the other arguments; "--" ends the flags.
func parse(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		left := flags.Args()
		if n := len(args) - len(left); len(left) == 0 || n > 0 && args[n-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func (a *app) overview(w io.Writer) {
	fmt.Fprint(w, "Tandem makes RSA keys in two halves and signs with them.\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  tandem %-8s%s\n", cmd.name, cmd.about)
	}
	fmt.Fprint(w, "\nStart with \"tandem demo FILE\". \"tandem help COMMAND\" says more of each.\n")
}

func (a *app) help(args []string) int {
	if len(args) == 0 {
		a.overview(a.out)
		return exitOK
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			a.describe(a.out, cmd)
			return exitOK
		}
	}
	fmt.Fprintf(a.errOut, "tandem: there is no command %q. \"tandem help\" lists them.\n", args[0])
	return exitUsage
}

func (a *app) describe(w io.Writer, cmd *command) {
	fmt.Fprintf(w, "tandem %s %s\n\n%s\n\nFlags:\n", cmd.name, cmd.args, strings.TrimSpace(cmd.help))
	flags, _, _ := a.prepare(cmd)
	flags.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		line := "-" + f.Name
		if value != "" {
			line += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, "  %-18s %s\n", line, usage)
	})
	fmt.Fprint(w, "\n", exitHelp)
}

// Command tandem makes split RSA keys and signs with them: the device's half in one
// folder, the server's in another, and an ordinary RSA signature as the result.
//
//	tandem demo FILE                           the whole story, told on a file of yours
//	tandem init   -server DIR                  makes a server
//	tandem enroll -server DIR -device DIR      makes a device's two keys
//	tandem sign   -server DIR -device DIR FILE
//	tandem verify -pubkey PEM FILE
//	tandem pubkey -device DIR
//	tandem status -server DIR -device DIR
//	tandem agent  -server DIR -device DIR      is an ssh-agent with these keys
//	tandem store backup -server DIR -o FILE
//	tandem serve  -dir DIR                     is the service
//	tandem phone  enroll -phone DIR CODE       is a phone, for a running service
//
// docs/command.md is the reference: flags, exit codes, JSON fields.
//
// # Security
//
// But for "serve" and "phone", both parties run in this process, one after the other.
// They share only what a service hands to a device: its HPKE public key, a challenge, a
// digest. That is a tool to see, test and script the scheme. Only two programs on two
// machines, one with package device and one with package server, protect as
// docs/threats.md says.
//
// A PIN in an environment variable can be read by other processes of the same user, and
// stays in this process's memory. Prompt and -pin-file are wiped after use.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-rsa/tandem/protocol/device"
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
	link func(device.Transport) device.Transport
}

func newApp() *app {
	return &app{
		stdin: os.Stdin, out: os.Stdout, errOut: os.Stderr, env: os.Getenv, clock: time.Now,
		link: func(server device.Transport) device.Transport { return server },
	}
}

// command is one of the words after "tandem".
type command struct {
	name, args string // as in the usage line
	about      string // one line
	help       string
	// setup declares the flags and returns what runs when they are parsed. The result is
	// printed.
	setup func(*flag.FlagSet) func(context.Context, *call) (result, error)
	plain bool // has no -json
}

// result is what a command prints: its text for people, or the value itself as JSON.
type result interface{ text(io.Writer) }

func commands() []*command {
	return []*command{
		initCommand, enrollCommand, signCommand, verifyCommand, pubkeyCommand, statusCommand, agentCommand, storeCommand, demoCommand,
		serveCommand, caCommand, rpCommand, registerCommand, accountCommand, phoneCommand,
	}
}

// call is one run of a command.
type call struct {
	*app
	*progress
	files []string // arguments that are not flags
	json  bool     // whether standard output is to be one JSON object
}

// run returns the exit code.
func (a *app) run(args []string) int {
	asJSON := wantsJSON(args)
	if len(args) == 0 {
		a.overview(a.errOut)
		return exitUsage
	}
	switch name := args[0]; {
	case name == "help", name == "-h", name == "-help", name == "--help":
		return a.help(args[1:], asJSON)
	case find(name) != nil:
		return a.call(find(name), args[1:])
	case strings.HasPrefix(name, "-"):
		return a.fail("", usagef("flags come after a command, and %q is none", name), asJSON)
	default:
		return a.fail("", noCommand(name), asJSON)
	}
}

func find(name string) *command {
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd
		}
	}
	return nil
}

func noCommand(name string) error {
	return usagef("there is no command %q", name)
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
	if err != nil {
		// What came after the mistake was not looked at.
		*asJSON = wantsJSON(args)
	}
	if errors.Is(err, flag.ErrHelp) {
		return a.tell(helpResult{a.describe(cmd)}, cmd.name, *asJSON)
	}
	if err != nil {
		return a.fail(cmd.name, usagef("%v", err), *asJSON)
	}
	if cmd.plain && *asJSON {
		return a.fail(cmd.name, usagef("%s has no -json", cmd.name), true)
	}
	c.json = *asJSON
	r, err := run(ctx, c)
	c.done()
	if err != nil {
		return a.fail(cmd.name, err, *asJSON)
	}
	return a.tell(r, cmd.name, *asJSON)
}

// tell prints a result and returns the exit code.
func (a *app) tell(r result, name string, asJSON bool) int {
	if err := a.print(r, asJSON); err != nil {
		return a.fail(name, err, false)
	}
	return exitOK
}

// wantsJSON looks for -json among arguments that were not parsed, or not to the end. A
// value that is no boolean is a wrong -json, and so one all the same.
func wantsJSON(args []string) bool {
	wants := false
	for _, arg := range args {
		if arg == "--" {
			break
		}
		name, value, given := strings.Cut(arg, "=")
		if name != "-json" && name != "--json" {
			continue
		}
		b, err := strconv.ParseBool(value)
		wants = !given || err != nil || b
	}
	return wants
}

func (a *app) prepare(cmd *command) (flags *flag.FlagSet, asJSON *bool, run func(context.Context, *call) (result, error)) {
	flags = flag.NewFlagSet("tandem "+cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	run = cmd.setup(flags)
	asJSON = flags.Bool(jsonFlag, false, "print one JSON object to standard output, also on failure")
	return flags, asJSON, run
}

const jsonFlag = "json"

// parse lets flags stand before, between and after the other arguments; "--" ends the
// flags.
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
		fmt.Fprintf(w, "  tandem %-9s%s\n", cmd.name, cmd.about)
	}
	fmt.Fprint(w, "\nStart with \"tandem demo FILE\". \"tandem help COMMAND\" says more of each.\n")
}

func (a *app) help(args []string, asJSON bool) int {
	for _, name := range args {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if cmd := find(name); cmd != nil {
			return a.tell(helpResult{a.describe(cmd)}, cmd.name, asJSON)
		}
		return a.fail("", noCommand(name), asJSON)
	}
	var text strings.Builder
	a.overview(&text)
	return a.tell(helpResult{text.String()}, "", asJSON)
}

// helpResult is the text of help.
type helpResult struct {
	Help string `json:"help"`
}

func (r helpResult) text(w io.Writer) { fmt.Fprint(w, r.Help) }

func (a *app) describe(cmd *command) string {
	var w strings.Builder
	fmt.Fprintf(&w, "tandem %s %s\n\n%s\n\nFlags:\n", cmd.name, cmd.args, strings.TrimSpace(cmd.help))
	flags, _, _ := a.prepare(cmd)
	flags.VisitAll(func(f *flag.Flag) {
		if cmd.plain && f.Name == jsonFlag {
			return
		}
		value, usage := flag.UnquoteUsage(f)
		line := "-" + f.Name
		if value != "" {
			line += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&w, "  %-18s %s\n", line, usage)
	})
	return w.String() + "\n" + exitHelp
}

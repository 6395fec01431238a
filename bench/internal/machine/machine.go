// Package machine describes the computer, the toolchain and the moment of a measurement:
// numbers mean nothing without them.
package machine

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine says where and when numbers were measured. Unknown fields are empty.
type Machine struct {
	CPU      string
	CPUs     int // that the Go scheduler uses
	System   string
	Go       string
	Revision string // of this repository
	Load     string // averages over 1, 5 and 15 minutes when the measurement began
	LoadEnd  string // and when it ended
	Date     string // RFC 3339, UTC
}

// Describe describes the machine before a measurement; [Machine.Done] adds the load
// after.
func Describe() Machine {
	return Machine{
		CPU:      cpu(read("/proc/cpuinfo")),
		CPUs:     runtime.GOMAXPROCS(0),
		System:   strings.TrimSpace(runtime.GOOS + "/" + runtime.GOARCH + " " + strings.TrimSpace(read("/proc/sys/kernel/osrelease"))),
		Go:       runtime.Version(),
		Revision: revision(),
		Load:     load(),
		Date:     time.Now().UTC().Format(time.RFC3339),
	}
}

// Done records the load at the end.
func (m *Machine) Done() { m.LoadEnd = load() }

// Busy reports whether other work was going on: whether a load average of the last minute
// was above 1 before the measurement, or above what one measurement makes after it.
func (m Machine) Busy() bool {
	return firstLoad(m.Load) > 1 || firstLoad(m.LoadEnd) > float64(m.CPUs)+0.5
}

// cpu takes the name of the first processor from /proc/cpuinfo, with the family and the
// model where there are any: hypervisors shorten names.
func cpu(info string) string {
	values := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if _, seen := values[name]; !seen {
			values[name] = strings.TrimSpace(value)
		}
	}
	name := values["model name"]
	if name != "" && values["cpu family"] != "" {
		name += " (family " + values["cpu family"] + ", model " + values["model"] + ")"
	}
	return name
}

func load() string {
	f := strings.Fields(read("/proc/loadavg"))
	return strings.Join(f[:min(3, len(f))], " ")
}

func read(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(b)
}

func revision() string {
	b, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// firstLoad is the first of the three averages, 0 where there are none.
func firstLoad(averages string) float64 {
	first, _, _ := strings.Cut(averages, " ")
	f, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return f
}

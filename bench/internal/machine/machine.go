// Package machine describes the computer, the toolchain and the moment of a measurement:
// numbers mean nothing without them.
package machine

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Machine says where and when numbers were measured. Unknown fields are empty.
type Machine struct {
	CPU      string
	IFMA     bool // AVX-512 IFMA
	CPUs     int  // that the Go scheduler uses
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
		IFMA:     ifma(read("/proc/cpuinfo")),
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

func ifma(info string) bool {
	for line := range strings.Lines(info) {
		if name, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "flags" {
			return slices.Contains(strings.Fields(flags), "avx512ifma")
		}
	}
	return false
}

var familyModel = regexp.MustCompile(`^(.*?) ?\(family (\d+), model (\d+)\)$`)

// class names a kind of processor: those of one kind are about as fast at this.
type class struct {
	vendor      string // how the processor's name begins
	family      int
	first, last int // models
	name        string
}

// Of AMD's numbers and Intel's own (Linux, arch/x86/kernel/cpu/amd.c and
// arch/x86/include/asm/intel-family.h).
var classes = []class{
	{"AMD", 26, 0x00, 0xff, "AMD Zen 5"},
	{"AMD", 25, 0x10, 0x1f, "AMD Zen 4"}, {"AMD", 25, 0x60, 0x7f, "AMD Zen 4"}, {"AMD", 25, 0xa0, 0xaf, "AMD Zen 4"},
	{"AMD", 25, 0x00, 0xff, "AMD Zen 3"},
	{"Intel", 6, 85, 85, "Intel Skylake or Cascade Lake"}, {"Intel", 6, 106, 108, "Intel Ice Lake"},
	{"Intel", 6, 143, 143, "Intel Sapphire Rapids"}, {"Intel", 6, 207, 207, "Intel Emerald Rapids"},
	{"Intel", 6, 173, 174, "Intel Granite Rapids"},
}

// Class names the kind of processor, "AMD Zen 5", or the processor where the kind is not
// known.
func (m Machine) Class() string {
	found := familyModel.FindStringSubmatch(m.CPU)
	if found == nil {
		return m.CPU
	}
	family, _ := strconv.Atoi(found[2])
	model, _ := strconv.Atoi(found[3])
	for _, c := range classes {
		if strings.HasPrefix(m.CPU, c.vendor) && c.family == family && c.first <= model && model <= c.last {
			return c.name
		}
	}
	return m.CPU
}

// Kind is the class with what decides how fast this library is.
func (m Machine) Kind() string {
	if m.IFMA {
		return m.Class() + ", AVX-512 IFMA"
	}
	return m.Class() + ", no AVX-512 IFMA"
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

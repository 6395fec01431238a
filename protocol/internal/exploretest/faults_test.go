package exploretest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plantedRun is set in the process whose device and server have the faults.
var plantedRun = flag.String("planted", "", "numbers of planted faults to be found, with commas; this binary has them")

// variable says which planted fault is on.
const variable = "EXPLORE_PLANTED"

// TestPlantedFaults builds the device and the server with all planted faults, each behind
// a switch, and looks for each of them. In short form it looks for a sample.
func TestPlantedFaults(t *testing.T) {
	if *plantedRun != "" {
		findFaults(t)
		return
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "planted.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", plant(t, dir), "-o", binary, ".")
	build.Env = append(os.Environ(), "GODEBUG=") // a mode in which tests run is not the go command's
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	var numbers []string
	for i := range faults {
		if *long || i%sample() == 0 {
			numbers = append(numbers, strconv.Itoa(i))
		}
	}
	run := exec.CommandContext(t.Context(), binary, "-test.run", "^TestPlantedFaults$", "-test.timeout", "30m", "-planted", strings.Join(numbers, ","), fmt.Sprintf("-long=%v", *long))
	out, err = run.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	total.planted = len(numbers)
}

// enough moments to find each planted fault.
const enough = 4000

// sample is of how many planted faults one is looked for where not all are.
func sample() int {
	if testing.Short() {
		return 15
	}
	return 6
}

// findFaults looks for planted faults, and sees that nothing is found without one.
func findFaults(t *testing.T) {
	clean := make(map[string]bool)
	for _, number := range strings.Split(*plantedRun, ",") {
		i, err := strconv.Atoi(number)
		require.NoError(t, err)
		f := faults[i]
		t.Setenv(variable, number)
		f.scope.Limit = enough
		r := Explore(t, f.scope)
		if r.Broken == "" {
			t.Errorf("NOT FOUND: %d %s: %v", i, f.name, r)
			continue
		}
		fmt.Printf("%d %s: %s; moment %d, %q\n", i, f.name, r.Broken, r.Looked, r.Schedule)
		if !clean[f.scope.Name] && *long {
			clean[f.scope.Name] = true
			t.Setenv(variable, "")
			f.scope.Limit = enough
			r = Explore(t, f.scope)
			require.Empty(t, r.Broken, "found without a fault, in scope %s: %q", f.scope.Name, r.Schedule)
		}
	}
}

// plant writes the sources with the planted faults, and an overlay that has them
// compiled.
func plant(t *testing.T, dir string) string {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	type edit struct {
		at, end int
		new     string
	}
	edits := make(map[string][]edit)
	for i, f := range faults {
		source, err := os.ReadFile(filepath.Join(root, f.file))
		require.NoError(t, err)
		for _, change := range [][2]string{{f.old, f.new}, f.also} {
			if change == none {
				continue
			}
			require.Equal(t, 1, bytes.Count(source, []byte(change[0])), "%q is not in %s exactly once", change[0], f.file)
			at := bytes.Index(source, []byte(change[0]))
			on := strings.ReplaceAll(change[1], "PLANTED", fmt.Sprintf("planted(%q)", strconv.Itoa(i)))
			edits[f.file] = append(edits[f.file], edit{at, at + len(change[0]), on})
		}
	}
	replace := make(map[string]string)
	write := func(file string, text []byte) {
		name := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		require.NoError(t, os.WriteFile(name, text, 0o600))
		replace[filepath.Join(root, file)] = name
	}
	for file, all := range edits {
		source, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		var text []byte
		from, planted := 0, 0
		for from < len(source) {
			next := edit{at: len(source), end: len(source)}
			for _, e := range all {
				if e.at >= from && e.at < next.at {
					next = e
				}
			}
			text = append(append(text, source[from:next.at]...), next.new...)
			from = next.end
			if next.new != "" {
				planted++
			}
		}
		require.Len(t, all, planted, "faults in %s overlap", file)
		write(file, text)
		package_ := path.Dir(file)
		if s := filepath.Join(root, package_, "planted.go"); replace[s] == "" {
			write(path.Join(package_, "planted.go"), []byte("package "+path.Base(package_)+"\n\nimport \"os\"\n\n"+
				"func planted(n string) bool { return os.Getenv(\""+variable+"\") == n }\n"))
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	name := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(name, overlay, 0o600))
	return name
}

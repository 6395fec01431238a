// Package benchstat runs golang.org/x/perf/cmd/benchstat and reads its output.
package benchstat

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// module is this repository, in whose .ci/_tools benchstat's version is kept.
const module = "github.com/tandem-rsa/tandem"

// alpha is the level of significance: of a hundred unchanged benchmarks, one shows a
// difference by chance.
const alpha = "0.01"

// MinSamples is the least number of samples on each side that can be significant at that
// level.
const MinSamples = 6

// Table is one unit of one package.
type Table struct {
	Package string
	Unit    string // sec/op, cpu-sec/op, B/op, ...
	Rows    []Row
}

// Row is one benchmark. With two inputs, Base is the first and Value the second.
type Row struct {
	Name        string
	Base, Value *Center // nil where the benchmark was not run
	Significant bool    // whether they differ, as far as can be told
}

// Center is a median and half the width of its 95 % confidence interval in percent, as
// text.
type Center struct {
	Median float64
	CI     string
}

// Summarize reads one file of benchmark results.
func Summarize(file string) ([]Table, error) { return run("base=" + file) }

// Compare reads two files of benchmark results.
func Compare(base, head string) ([]Table, error) { return run("base="+base, "head="+head) }

// Text is what benchstat prints of two files of benchmark results: a line for each
// benchmark and unit, with the difference where there is one.
func Text(base, head string) (string, error) {
	out, _, err := execute("text", "base="+base, "head="+head)
	return out, err
}

// program returns the path of benchstat's executable, which it builds if need be.
func program() (string, error) {
	root, err := output(exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "tool", "-n", "benchstat")
	cmd.Dir = filepath.Join(root, ".ci", "_tools")
	// It is not part of this repository's workspace.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return output(cmd)
}

// output returns what a command prints, in one line.
func output(cmd *exec.Cmd) (string, error) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, &errs)
	}
	return strings.TrimSpace(string(out)), nil
}

func run(inputs ...string) ([]Table, error) {
	out, errs, err := execute("csv", inputs...)
	if err != nil {
		return nil, err
	}
	tables, err := parse(strings.NewReader(out), len(inputs))
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("benchstat: no results\n%s", errs)
	}
	return tables, nil
}

// execute runs benchstat, and returns what it prints, and its remarks.
func execute(format string, inputs ...string) (string, string, error) {
	file, err := program()
	if err != nil {
		return "", "", err
	}
	cmd := exec.Command(file, append([]string{"-format", format, "-alpha", alpha}, inputs...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", "", fmt.Errorf("benchstat: %w\n%s", err, &errs)
	}
	// It reports what it cannot read, and goes on without.
	if strings.Contains(errs.String(), "no such file") {
		return "", "", fmt.Errorf("benchstat: no results\n%s", &errs)
	}
	return out.String(), errs.String(), nil
}

// parse reads benchstat's CSV: lines of configuration ("pkg: path"), and for each unit
//
//	,file,,file,,,
//	,unit,CI,unit,CI,vs base,P
//	name,median,interval,median,interval,difference,p
//	geomean,...
func parse(r io.Reader, inputs int) ([]Table, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	var tables []Table
	pkg := ""
	inTable := false
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return tables, nil
		}
		if err != nil {
			return nil, err
		}
		switch {
		case len(record) == 1:
			inTable = false
			if p, ok := strings.CutPrefix(record[0], "pkg: "); ok {
				pkg = p
			}
		case record[0] == "" && len(record) > 2 && record[2] == "CI":
			inTable = true
			tables = append(tables, Table{Package: pkg, Unit: record[1]})
		case record[0] == "":
			inTable = false
		case record[0] == "geomean":
		case !inTable || len(record) < 3:
			return nil, fmt.Errorf("benchstat: unexpected line %q", record)
		default:
			// A benchmark that only the first side has ends after its cells.
			for len(record) < 1+2*inputs {
				record = append(record, "")
			}
			row, err := parseRow(record, inputs)
			if err != nil {
				return nil, err
			}
			t := &tables[len(tables)-1]
			t.Rows = append(t.Rows, row)
		}
	}
}

func parseRow(record []string, inputs int) (Row, error) {
	row := Row{Name: record[0]}
	base, err := parseCenter(record[1:3])
	if err != nil || inputs == 1 {
		row.Value = base
		return row, err
	}
	row.Base = base
	if row.Value, err = parseCenter(record[3:5]); err != nil {
		return row, err
	}
	// "~" says that there is no significant difference; the difference is a percentage,
	// or "?" where the base is 0.
	row.Significant = len(record) > 5 && record[5] != "" && record[5] != "~" && row.Base != nil && row.Value != nil
	return row, nil
}

func parseCenter(cells []string) (*Center, error) {
	if cells[0] == "" {
		return nil, nil
	}
	f, err := strconv.ParseFloat(cells[0], 64)
	if err != nil {
		return nil, fmt.Errorf("benchstat: %w", err)
	}
	return &Center{f, cells[1]}, nil
}

package prove

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// fault is one change of the text of a .s file that the verifier must refuse.
type fault struct {
	what  string
	fn    string // the function it is planted in
	nth   int    // occurrence of old within the function; 0 is all
	old   string
	new   string
	also  string // left out, too, after the place of old
	says  string // part of the refusal
	quiet bool   // the random tests of internal/modexp do not notice (TestFaultsAtRandom)
}

var faults = append(append(ifmaFaults(), adxFaults()...), frameFaults()...)

// plant returns the file with the fault.
func (f fault) plant(texts map[string]string) (file, text string, err error) {
	for _, c := range contracts {
		if c.name == f.fn {
			file = c.file
		}
	}
	text = texts[file]
	begin := strings.Index(text, "TEXT ·"+f.fn+"(SB)")
	if begin < 0 {
		return "", "", fmt.Errorf("there is no %s", f.fn)
	}
	end := len(text)
	if next := strings.Index(text[begin+1:], "\nTEXT "); next >= 0 {
		end = begin + 1 + next + 1
	}
	body := text[begin:end]
	if f.nth == 0 {
		if !strings.Contains(body, f.old) {
			return "", "", fmt.Errorf("%q is not in %s", f.old, f.fn)
		}
		return file, text[:begin] + strings.ReplaceAll(body, f.old, f.new) + text[end:], nil
	}
	at := begin
	for n := f.nth; ; n-- {
		i := strings.Index(text[at:end], f.old)
		if i < 0 {
			return "", "", fmt.Errorf("%q is not %d times in %s", f.old, f.nth, f.fn)
		}
		if at += i; n == 1 {
			break
		}
		at += len(f.old)
	}
	rest := text[at+len(f.old):]
	if f.also != "" {
		before, after, ok := strings.Cut(rest, f.also)
		if !ok {
			return "", "", fmt.Errorf("%q does not follow in %s", f.also, f.fn)
		}
		rest = before + after
	}
	return file, text[:at] + f.new + rest, nil
}

// refused proves what the fault was planted in, and returns the refusal.
func (f fault) refused(texts map[string]string) (refusal, broken error) {
	file, text, err := f.plant(texts)
	if err != nil {
		return nil, err
	}
	if text == texts[file] {
		return nil, fmt.Errorf("nothing is changed")
	}
	changed := map[string]string{}
	for name, t := range texts {
		changed[name] = t
	}
	changed[file] = text
	if err := complete(changed); err != nil {
		return err, nil
	}
	for _, c := range contracts {
		if c.name == f.fn {
			return c.check(changed).err, nil
		}
	}
	return nil, fmt.Errorf("%s has no contract", f.fn)
}

var faultsPlanted, faultsRefused int

// TestFaults plants each fault; the verifier must refuse it, for the reason meant.
func TestFaults(t *testing.T) {
	if len(faults) < 60 {
		t.Fatalf("only %d faults", len(faults))
	}
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen, quiet := map[string]bool{}, 0
	for _, f := range faults {
		if seen[f.what] {
			t.Errorf("%s: there are two of this name", f.what)
		}
		seen[f.what] = true
		faultsPlanted++
		refusal, broken := f.refused(texts)
		switch {
		case broken != nil:
			t.Errorf("%s: cannot be planted: %v", f.what, broken)
		case refusal == nil:
			t.Errorf("%s: not refused", f.what)
		case f.says == "" || !strings.Contains(refusal.Error(), f.says):
			t.Errorf("%s: refused with %q, not for %q", f.what, refusal, f.says)
		default:
			faultsRefused++
			t.Logf("%s: %v", f.what, refusal)
		}
		if f.quiet {
			quiet++
		}
	}
	t.Logf("the random tests of internal/modexp do not notice %d of these %d", quiet, len(faults))
}

// TestMain prints the line that "make prove" closes with, where both tests ran.
func TestMain(m *testing.M) {
	status := m.Run()
	if status == 0 && kernelsProved > 0 && faultsPlanted > 0 {
		fmt.Printf("kernels: %d functions proved for all inputs; %d of %d planted faults rejected\n",
			kernelsProved, faultsRefused, faultsPlanted)
	}
	os.Exit(status)
}

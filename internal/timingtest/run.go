package timingtest

import (
	"fmt"
	"os"
	"time"
)

// Long is how long each comparison of "make dudect" takes: the environment variable
// DUDECT, or 10 s.
func Long() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("DUDECT")); err == nil {
		return d
	}
	return 10 * time.Second
}

// Inputs are two classes of equally many byte strings of one length. One at a time is
// copied to where the operation reads it, so that the memory that is read does not depend
// on the class.
type Inputs struct {
	classes [2][][]byte
	next    int
	Current []byte
}

// NewInputs calls make for each input, count times for each class.
func NewInputs(count int, make func(class int) []byte) *Inputs {
	in := &Inputs{}
	for class := range in.classes {
		for range count {
			in.classes[class] = append(in.classes[class], make(class))
		}
	}
	in.Current = append([]byte(nil), in.classes[0][0]...)
	return in
}

// Prepare copies the next input of a class to Current.
func (in *Inputs) Prepare(class int) {
	// Both are read, so that both are in the cache.
	copy(in.Current, in.classes[1-class][in.next])
	copy(in.Current, in.classes[class][in.next])
	in.next = (in.next + 1) % len(in.classes[0])
}

// Print writes the result where the script that collects them finds it.
func (r Result) Print() Result {
	fmt.Println(r)
	return r
}

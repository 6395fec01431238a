package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// patience is how long a step may take in silence.
const patience = 500 * time.Millisecond

// progress says what takes so long. On a terminal it is a line that counts the seconds
// and goes away; elsewhere it is one plain line for each step.
type progress struct {
	w        io.Writer
	terminal bool
	stop     chan struct{} // closed to end the step that runs
	ended    chan struct{}
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// step ends the step before and begins one.
func (p *progress) step(format string, args ...any) {
	p.done()
	p.stop, p.ended = make(chan struct{}), make(chan struct{})
	go p.show(fmt.Sprintf(format, args...), p.stop, p.ended)
}

// done ends the step that runs, if any.
func (p *progress) done() {
	if p.stop != nil {
		close(p.stop)
		<-p.ended
		p.stop = nil
	}
}

func (p *progress) show(what string, stop, ended chan struct{}) {
	defer close(ended)
	start := time.Now()
	tick := time.NewTimer(patience)
	defer tick.Stop()
	for shown := false; ; shown = true {
		select {
		case <-stop:
			if shown && p.terminal {
				fmt.Fprint(p.w, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		if p.terminal {
			fmt.Fprintf(p.w, "\r\x1b[K%s ... %.1f s", what, time.Since(start).Seconds())
			tick.Reset(time.Second)
		} else {
			fmt.Fprintf(p.w, "%s ... %.1f s\n", what, time.Since(start).Seconds())
			tick.Reset(10 * time.Second)
		}
	}
}

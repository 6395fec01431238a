package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// auditLine is what a recovery reads of a line of auditFile: docs/protocol.md, section
// 12.
type auditLine struct {
	Message        string `json:"msg"`
	Key            string `json:"key"`
	Event          uint64 `json:"event"`
	TriesLeftInAll *int   `json:"tries_left_in_all"`
	Reason         string `json:"reason"`
}

// readAudit returns what a log knows of each key, for a store that may know less. Lines
// that are no events are left out, and so is the last line if a crash has cut it off.
func readAudit(name string) (map[protocol.KeyID]server.Recovery, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf("not_found", "put it back, or give -no-audit: keys that were destroyed since the backup are then alive", "%s is missing: it says what the store has lost", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := make(map[protocol.KeyID]server.Recovery)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line auditLine
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Event == 0 {
			continue
		}
		id, err := protocol.ParseKeyID(line.Key)
		if err != nil {
			continue
		}
		r, ok := known[id]
		if !ok {
			r.TriesLeft = -1
		}
		if err := add(&r, line); err != nil {
			return nil, failf("damaged", "put the log back", "%s: key %s: %w", name, line.Key, err)
		}
		known[id] = r
	}
	return known, lines.Err()
}

// add adds an event to what is known of its key. One that comes again, or late, gives no
// tries back.
func add(r *server.Recovery, line auditLine) error {
	again := line.Event <= r.Events
	r.Events = max(r.Events, line.Event)
	switch line.Message {
	case "key confirmed", "signature made", "PIN proved":
		r.Confirmed = true
		if !again {
			r.TriesLeft = -1
		}
	case "wrong PIN", "key recovered":
		if line.TriesLeftInAll == nil {
			return fmt.Errorf("event %d says no number of tries", line.Event)
		}
		left := *line.TriesLeftInAll
		if again && r.TriesLeft >= 0 {
			left = min(left, r.TriesLeft)
		}
		r.TriesLeft = left
	case "key destroyed":
		return r.Destroyed.UnmarshalText([]byte(line.Reason))
	}
	return nil
}

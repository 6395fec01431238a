package database

import "time"

// NeverRecheck has waiters look only when they are woken.
func (db *DB) NeverRecheck() { db.recheck = time.Hour }

// InLine is how many transactions wait for the one that writes.
func (db *DB) InLine() int {
	db.line.mu.Lock()
	defer db.line.mu.Unlock()
	return len(db.line.waiting)
}

package database

import "time"

// NeverRecheck has waiters look only when they are woken.
func (db *DB) NeverRecheck() { db.recheck = time.Hour }

// Package protocoltest has what the tests of both parties use: a clock, storage in
// memory, keys that are the same each time, the corpora of fuzz targets, the recorded
// transcript, and a thief's reader of a phone's storage. It imports neither party, so
// that the internal tests of both can import it.
package protocoltest

// Package bench measures what crosses packages: the steps of a whole signature, several
// cores, and the start of a process. All else has benchmarks beside the code. "make
// bench" runs all of them; "make bench-peers" compares with other libraries, "make
// bench-compare BASE=rev" with another revision. "make bench-publish" writes
// bench/report. docs/performance.md says more.
package bench

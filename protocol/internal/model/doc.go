// Package model has the rules of the protocol as a model in Promela, to be read in place
// of Go: protocol.pml. Its tests have Spin look at every state of it, plant faults in it
// that must be found, and carry out its schedules with the real device and server.
//
// The model is here, beside exploretest, because its test needs what is internal to the
// protocol.
//
// Spin 6.5 (Debian's package spin) is Holzmann's model checker (The SPIN Model Checker,
// Addison-Wesley 2003). By hand:
//
//	spin -a -DOPS=4 protocol.pml
//	gcc -O2 -DCOLLAPSE -DSAFETY -DNOCLAIM -o pan pan.c && ./pan -m1000000
//
//	spin -a -DOPS=2 -DCOPIES=1 -DNODES=1 -DMOVES=1 protocol.pml
//	gcc -O2 -DCOLLAPSE -DNFAIR=3 -o pan pan.c && ./pan -a -f -m1000000 -N noticed
//
// States and depth of each scope are in the log of TestProtocol (go test -v).
package model

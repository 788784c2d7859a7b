// Package abusetest holds the real server to its promise under attacks and faults: whatever code does, or befalls the
// server and its engine, a neighbour is not hurt and every ending is told truthfully.
//
// Each attack and each fault is a row of rows.txt: A, exhausting what there is; B, streams and frames; C, escapes; D, the
// network; E, the API; F, faults. A test names the row that it proves, in the name of the test or of a subtest; rows.sh
// lists the rows that no test names.
//
// The tests, which need Docker and its host's /proc, run the program in processes of its own, and look at it from
// outside: over HTTP, through the engine, in the control groups, never only at what hostile code says of itself. An arena
// is a context that is attacked beside one that must not notice. What is negative has a positive control: the probe that
// fails where it must succeeds where it can.
package abusetest

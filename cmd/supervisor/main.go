// Supervisor is the program inside a context's container: as `supervisor init` it is PID 1 and owns the kernel, as
// `supervisor attach` it is a bridge from its standard input and output to PID 1. It runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		os.Exit(1)
	}
}

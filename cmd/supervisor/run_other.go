//go:build !linux

package main

import "errors"

// run refuses: containers run Linux.
func run([]string) error {
	return errors.New("this program runs inside containers, on Linux only")
}

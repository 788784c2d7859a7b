// Package imagetest runs code in the images of the languages, on the real engine and through a manager of its own: for
// tests of what a driver does beyond the conformance kit. It knows no languages, so that the tests of package images can
// use it, too.
package imagetest

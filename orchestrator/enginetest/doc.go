// Package enginetest is a container engine in memory, for tests of what stands on orchestrator.Engine. Its containers
// run the real supervisor with a scripted kernel, and a test that misuses the engine (attaches to a container that is
// not there, starts two of one name) fails.
package enginetest

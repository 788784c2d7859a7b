// Package sdktest holds the API to its promise: that E2B's official code interpreter SDKs work with cubby as they are.
// Its tests, which need Docker, start the real server and run js/*.test.mjs and python/test_*.py against it with the
// SDKs that js/package-lock.json and python/requirements.txt pin. The examples in README.md are run as well.
package sdktest

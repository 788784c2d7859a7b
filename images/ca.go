package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// caBundles are the places where systems keep the certificates that they trust: Debian and its kin, Fedora and its
// kin, Alpine and macOS.
var caBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
}

// HostCA returns the certificates that this machine trusts, in PEM: what a build needs behind a proxy with a private
// authority. Nothing is found on a machine that has none, which is no error.
func HostCA() ([]byte, error) { return firstBundle(caBundles) }

func firstBundle(names []string) ([]byte, error) {
	for _, name := range names {
		bundle, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the certificates of this machine: %w", err)
		}
		return bundle, nil
	}
	return nil, nil
}

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// keys returns the digests of the keys that the server takes; none means that it asks for no key.
func (c *Config) keys() ([][sha256.Size]byte, error) {
	var digests [][sha256.Size]byte
	if c.APIKey != "" {
		digests = append(digests, sha256.Sum256([]byte(c.APIKey)))
	}
	if c.KeysFile == "" {
		return digests, nil
	}
	if err := ownersOnly(c.KeysFile); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.KeysFile)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	listed, err := parseKeys(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s:%w", c.KeysFile, err)
	case len(listed) == 0:
		return nil, fmt.Errorf("%s holds no key; add one with: printf %%s \"$KEY\" | sha256sum >> %s", c.KeysFile, c.KeysFile)
	}
	return append(digests, listed...), nil
}

// parseKeys reads a digest a line, as sha256sum prints it. Empty lines and what begins with # are skipped, and so is
// what follows the digest: a name for the key.
func parseKeys(text []byte) ([][sha256.Size]byte, error) {
	var digests [][sha256.Size]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		raw, err := hex.DecodeString(fields[0])
		if err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("%d: no SHA-256 digest in hexadecimal (the key itself does not belong here)", number)
		}
		digests = append(digests, [sha256.Size]byte(raw))
	}
	return digests, lines.Err()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// listen opens the server's port. Without keys it takes loopback addresses only: what a name resolves to counts, not
// how it looks, and every interface is not loopback.
func listen(ctx context.Context, address string, keys bool) (net.Listener, error) {
	resolved, err := resolve(ctx, address)
	if err != nil {
		return nil, err
	}
	if !keys && !resolved.Addr().IsLoopback() {
		return nil, fmt.Errorf("listen on %s: without keys anybody who reaches this address could run code here; "+
			"set CUBBY_API_KEY or --keys-file, or listen on 127.0.0.1", resolved)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", resolved.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: the port is taken, perhaps by another cubby; stop that or use --listen "+
			"(ss -ltnp shows who it is)", resolved)
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// resolve returns the one address that is listened on. An empty host means every interface.
func resolve(ctx context.Context, address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen on %q: %w", address, err)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen on %q: %w", address, err)
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(number)), nil //nolint:gosec // a port fits
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen on %q: %w", address, err)
	}
	// The first IPv4 address, as net.Listen takes it.
	chosen := addresses[0]
	for _, a := range addresses {
		if a.Unmap().Is4() {
			chosen = a
			break
		}
	}
	return netip.AddrPortFrom(chosen.Unmap(), uint16(number)), nil //nolint:gosec // a port fits
}

package push

import (
	"fmt"
	"net/netip"
	"syscall"
)

// special are the networks that lead to no server of the Internet at large: of the
// registries of special-purpose addresses (RFC 6890) those within what is public else.
var special = networks(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24",
	"192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	// Of IPv6 nothing but global unicast (2000::/3) is public; in it are those that carry
	// IPv4 addresses (6to4, Teredo), and those for documents.
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

var globalUnicast = netip.MustParsePrefix("2000::/3")

func networks(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// public reports whether an address is one of the Internet at large.
func public(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	if a = a.Unmap(); !a.IsValid() || a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, n := range special {
		if n.Contains(a) {
			return false
		}
	}
	return true
}

// dials is what a net.Dialer asks with each address that a name has led to, before it
// connects: so a name that resolves to another address the second time gains nothing.
func dials(may func(netip.Addr) bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !may(at.Addr()) {
			return fmt.Errorf("%w: its name leads to no public address", ErrAddress)
		}
		return nil
	}
}

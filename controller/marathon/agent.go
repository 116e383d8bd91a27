package marathon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// The host of an agent is what Marathon says it is. Whoever speaks for Marathon
// could have Pacer ask any host that Pacer can reach and that it cannot, so this
// is what may be asked:
//
//	host                       an address, or a name of letters, digits, - _ and dots
//	port, path                 AgentPort, /files/read
//	credentials, redirects,
//	   proxies                 none
//	resolved address
//	   link-local, unspecified,
//	   multicast               never: clouds serve credentials of machines at 169.254.169.254
//	   of a metadata service
//	   elsewhere               never
//	   loopback                where a configured Marathon is at one: all is on this machine
//	   any other               yes
//
// Marathon has no list of agents of its own that this could be held against.

var (
	hostLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	// numeric is a last label that the C library reads as an address: 0x7f000001.
	numeric = regexp.MustCompile(`^([0-9]+|0[xX][0-9A-Fa-f]*)$`)
)

// agentHost is an error where a text is no address and no name of a host.
func agentHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	bad := func(label string) bool { return !hostLabel.MatchString(label) }
	if len(host) > 253 || slices.ContainsFunc(labels, bad) || numeric.MatchString(labels[len(labels)-1]) {
		return fmt.Errorf("marathon: %q is not the name or address of an agent: not read", oneLine(host))
	}
	return nil
}

// metadata are the addresses at which clouds serve what a machine may know of
// itself that are not link-local: Amazon's of IPv6, Alibaba's, Azure's, Oracle's.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
}

var (
	translated = netip.MustParsePrefix("64:ff9b::/96") // NAT64: an IPv4 address in the last 4 bytes
	sixToFour  = netip.MustParsePrefix("2002::/16")    // one in bytes 2 to 5
	compatible = netip.MustParsePrefix("::/96")        // of old: nobody has one
	broadcast  = netip.MustParseAddr("255.255.255.255")
)

// agentAddress is an error where no agent has an address, see above. beside says
// that a Marathon is on this machine.
func agentAddress(ip netip.Addr, beside bool) error {
	ip = ip.Unmap()
	b := ip.AsSlice()
	switch {
	case translated.Contains(ip):
		ip = netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(ip):
		ip = netip.AddrFrom4([4]byte(b[2:6]))
	}
	switch {
	case ip.IsLoopback() && beside:
		return nil
	case ip.IsLoopback():
		return fmt.Errorf("an agent at %s, a loopback address, is only read where Marathon is at one, too", ip)
	case ip.IsLinkLocalUnicast(), ip.IsUnspecified(), ip.IsMulticast(), ip == broadcast, compatible.Contains(ip), slices.Contains(metadata, ip):
		return fmt.Errorf("%s cannot be an agent's address: not read", ip)
	}
	return nil
}

// lookup resolves a name, as net.Resolver.LookupNetIP does.
type lookup = func(ctx context.Context, network, host string) ([]netip.Addr, error)

// agentDialer connects to agents. It looks at the address that is connected to,
// whatever name was resolved to it.
func agentDialer(bases []*url.URL, resolve lookup) *net.Dialer {
	return &net.Dialer{Timeout: tailTimeout, ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return agentAddress(at.Addr(), at.Addr().Unmap().IsLoopback() && onThisMachine(ctx, bases, resolve))
	}}
}

// onThisMachine reports whether a Marathon that is configured has a loopback
// address.
func onThisMachine(ctx context.Context, bases []*url.URL, resolve lookup) bool {
	return slices.ContainsFunc(bases, func(b *url.URL) bool {
		ips, err := resolve(ctx, "ip", b.Hostname())
		return err == nil && slices.ContainsFunc(ips, func(ip netip.Addr) bool { return ip.Unmap().IsLoopback() })
	})
}

// newAgents is how agents are asked.
func newAgents(bases []*url.URL) *http.Client {
	return &http.Client{
		Timeout:       tailTimeout,
		Transport:     &http.Transport{DialContext: agentDialer(bases, net.DefaultResolver.LookupNetIP).DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// taskName is an error where the id of a task would lead out of the folder that
// sandboxes are in.
func taskName(id string) error {
	if id == "" {
		return errors.New("marathon: the failure names no task")
	}
	if strings.Trim(id, ".") == "" || strings.ContainsAny(id, "/\\\x00") {
		return fmt.Errorf("marathon: %q is not a task id: its sandbox is not read", oneLine(id))
	}
	return nil
}

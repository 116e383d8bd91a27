package config

import (
	"cmp"
	"net"
	"net/url"
	"os"
	"slices"

	"github.com/pacer-gitops/pacer/controller/origin"
)

// Advertised is the URL at which other replicas reach this one; empty: at none. A task
// of Marathon has its host, and the port that is mapped to its first one, in HOST and
// PORT0.
func (c *Config) Advertised() string {
	if c.Advertise != "" || c.Listen == "" {
		return c.Advertise
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return ""
	}
	if os.Getenv("MARATHON_APP_ID") != "" {
		host, port = cmp.Or(os.Getenv("HOST"), host), cmp.Or(os.Getenv("PORT0"), port)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return ""
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// PageNames are the host names that requests without a token may use: those that are
// configured, and the one that other replicas use.
func (c *Config) PageNames() origin.Names {
	names := origin.Names(c.Web.Hosts)
	url, err := url.Parse(c.Advertised())
	if err == nil && url.Host != "" && (c.Advertise != "" || c.ZooKeeper.IsSet()) {
		names = append(slices.Clip(names), url.Hostname())
	}
	return names
}

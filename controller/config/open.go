package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pacer-gitops/pacer/controller/origin"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// CheckOpen returns an error for each way in which a configuration lets strangers
// act whom nothing but the network keeps away:
//
//	listen           web.tokens     open
//	empty, loopback  any            no: only this machine reaches it
//	elsewhere        act, or read   no: whoever acts has a token
//	elsewhere        none           yes
//
//	zookeeper.servers  zookeeper.auth  open
//	none, loopback     any             no
//	any elsewhere      set             no
//	any elsewhere      none            yes: who writes there leads, and says what was applied
func (c *Config) CheckOpen() error {
	var errs []error
	if c.ListensElsewhere() && !c.Web.Tokens.Read.IsSet() && !c.Web.Tokens.Act.IsSet() {
		errs = append(errs, fmt.Errorf("listen: other machines can reach %s, and without web.tokens each of them may suspend, roll back and approve: "+
			"set web.tokens.act (and read, for read-only access), or listen at 127.0.0.1, or run with --insecure-open", c.Listen))
	}
	if elsewhere := c.ZooKeeper.elsewhere(); len(elsewhere) > 0 && !c.ZooKeeper.Auth.isSet() {
		errs = append(errs, fmt.Errorf("zookeeper.auth: missing, and other machines can reach the ensemble at %s: each of them may become the leader in place of Pacer and change its stored state: "+
			"set zookeeper.auth (user and password, or certificate), or run with --insecure-open", strings.Join(elsewhere, ", ")))
	}
	return errors.Join(errs...)
}

// ListensElsewhere reports whether other machines may reach the page.
func (c *Config) ListensElsewhere() bool { return c.Listen != "" && !origin.Loopback(c.Listen) }

// IsElsewhere reports whether a server of the ensemble is on another machine, or
// may be.
func (z ZooKeeper) IsElsewhere() bool { return len(z.elsewhere()) > 0 }

// elsewhere lists the servers that are on other machines, or may be.
func (z ZooKeeper) elsewhere() (servers []string) {
	for _, s := range z.Servers {
		if address, err := zookeeper.ServerAddress(s); err != nil || !origin.Loopback(address) {
			servers = append(servers, s)
		}
	}
	return servers
}

func (a ZooKeeperAuth) isSet() bool { return a.Password.IsSet() || a.Certificate }

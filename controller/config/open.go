package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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

// PageTokens are what callers of the page must prove themselves with:
//
//	listen        open   web.tokens  to see           to act
//	this machine  any    as given    see Web          see Web
//	elsewhere     yes    as given    see Web          see Web
//	elsewhere     no     read        read             read
//	elsewhere     no     act         act              act
//	elsewhere     no     both        either           act
//
// Open is --insecure-open.
func (c *Config) PageTokens(open bool) WebTokens {
	t := c.Web.Tokens
	if !t.Read.IsSet() && c.ListensElsewhere() && !open {
		t.Read = t.Act
	}
	return t
}

// CallersSecrets are the secrets by which callers of the page prove who they are, by
// their keys.
func (c *Config) CallersSecrets() map[string]Secret {
	if c.Listen == "" {
		return nil // there are no callers
	}
	all := c.WebhookSecrets()
	all["web.tokens.read"], all["web.tokens.act"] = c.Web.Tokens.Read, c.Web.Tokens.Act
	return all
}

// WebhookSecrets are the secrets of the webhooks of all sources, by their keys.
func (c *Config) WebhookSecrets() map[string]Secret {
	all := map[string]Secret{}
	for name, s := range c.Sources {
		if key, secret := s.WebhookSecret(); secret.IsSet() {
			all["sources."+name+"."+key] = secret
		}
	}
	return all
}

// CheckReadable returns an error for each secret that cannot be read now, less those
// that are the same as before. What Pacer itself authenticates with is read within
// seconds and reported then; of these only the first caller would learn it.
func CheckReadable(secrets, before map[string]Secret) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		ref := secrets[key]
		if !ref.IsSet() || ref == before[key] {
			continue
		}
		if _, err := ref.Read(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w: no one could authenticate with it", key, err))
		}
	}
	return errors.Join(errs...)
}

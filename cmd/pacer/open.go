package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/web"
	"github.com/pacer-gitops/pacer/secret"
)

// admit refuses a configuration that lets strangers act, at the start and where it
// has changed. With --insecure-open it is told at each.
func (p *program) admit(c *config.Config) error {
	err := c.CheckOpen()
	if err == nil || !p.insecureOpen {
		return err
	}
	p.log.Warn("OPEN TO EVERYONE on the network, as --insecure-open allows", "why", err)
	return nil
}

// pageTokens are what callers of the page must prove themselves with:
//
//	listen        --insecure-open   tokens    to see      to act
//	this machine  any               as given  see web.Tokens
//	elsewhere     yes               as given  see web.Tokens
//	elsewhere     no                read      read        read
//	elsewhere     no                act       act         act
//	elsewhere     no                both      either      act
func (p *program) pageTokens(c *config.Config) web.Tokens {
	t := web.Tokens(c.Web.Tokens)
	if !t.Read.IsSet() && c.ListensElsewhere() && !p.insecureOpen {
		t.Read = t.Act
	}
	return t
}

// callersSecrets are the secrets by which callers of the page prove who they are,
// by their keys.
func callersSecrets(c *config.Config) map[string]secret.Ref {
	if c.Listen == "" {
		return nil // nobody can call
	}
	all := webhooksOf(c)
	all["web.tokens.read"], all["web.tokens.act"] = c.Web.Tokens.Read, c.Web.Tokens.Act
	return all
}

func webhooksOf(c *config.Config) map[string]secret.Ref {
	all := map[string]secret.Ref{}
	for name, s := range c.Sources {
		if key, secret := s.WebhookSecret(); secret.IsSet() {
			all["sources."+name+"."+key] = secret
		}
	}
	return all
}

// unreadable returns an error for each secret that cannot be read now, less those
// that are named as before. What Pacer itself proves who it is with is read within
// seconds and told then; these would only be found out by the first caller.
func unreadable(secrets, before map[string]secret.Ref) error {
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

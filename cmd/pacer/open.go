package main

import (
	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/web"
)

// admit refuses a configuration that lets strangers act, at the start and where it
// has changed. With --insecure-open it is told at each.
func (p *program) admit(c *config.Config) error {
	err := c.CheckOpen()
	if err == nil || !p.insecureOpen {
		return err
	}
	p.log.Warn("OPEN TO EVERYBODY on the network, as --insecure-open allows", "why", err)
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
	t := web.Tokens{Read: marathonSecret(c.Web.Tokens.Read), Act: marathonSecret(c.Web.Tokens.Act)}
	if t.Read == nil && c.ListensElsewhere() && !p.insecureOpen {
		t.Read = t.Act
	}
	return t
}

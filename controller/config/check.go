package config

import (
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/pacer-gitops/pacer/controller/origin"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// check tells what decoding cannot: what contradicts something else, and what
// is not supported yet and must not be silently without effect.
func (c *Config) check(d *decoder) {
	if len(c.Marathon.URL) == 0 && len(c.Marathons) == 0 {
		d.failAt("marathon.url", "missing: set Marathon's URL, such as http://marathon:8080 (flag --marathon, environment variable PACER_MARATHON)")
	}
	c.Marathon.check(d, "marathon")
	for name, m := range c.Marathons {
		checkName(d, "marathons."+name, name)
		if len(m.URL) == 0 {
			d.failAt("marathons."+name+".url", "missing: set Marathon's URL, such as http://marathon:8080")
		}
		m.check(d, "marathons."+name)
	}
	if len(c.Sources) == 0 {
		d.failAt("sources", "missing: define at least one, such as shop: {git: {url: …}}")
	}
	for name, s := range c.Sources {
		checkName(d, "sources."+name, name)
		s.check(d, "sources."+name)
	}
	if len(c.Syncs) == 0 {
		d.failAt("syncs", "missing: define at least one, such as shop: {source: shop, scope: /shop}")
	}
	for name, s := range c.Syncs {
		checkName(d, "syncs."+name, name)
		s.check(d, "syncs."+name, c)
	}
	for _, name := range c.Web.Hosts {
		if err := origin.CheckName(name); err != nil {
			d.failAt("web.hosts", "%v", err)
		}
	}
	c.Web.checkURL(d, "web.url")
	c.ZooKeeper.check(d)
	checkAdvertise(d, c.Advertise)
	c.checkScopes(d)
}

func (w Web) checkURL(d *decoder, key string) {
	if w.URL == "" {
		return
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.failAt(key, "expected an http or https URL such as https://pacer.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		d.failAt(key, "the URL of %s is shown to everybody who sees a pull request: give scheme, host and path only", u.Host)
	}
}

func (m Marathon) check(d *decoder, key string) {
	for _, u := range m.URL {
		checkMarathonURL(d, key+".url", u)
	}
	if m.AgentPort < 0 || m.AgentPort > 65535 {
		d.failAt(key+".agentPort", "expected a port from 0 to 65535")
	}
	m.Auth.check(d, key+".auth")
	checkTLS(d, key+".tls", m.TLS)
}

func checkMarathonURL(d *decoder, key, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.failAt(key, "expected an http or https URL such as http://marathon:8080")
	case u.User != nil:
		d.failAt(key, "the URL of %s contains a user or password: move them to auth", u.Host)
	}
}

func (a MarathonAuth) check(d *decoder, key string) {
	basic := a.User != "" || a.Password.IsSet()
	switch {
	case basic && a.Bearer.IsSet(), basic && a.Token.IsSet(), a.Bearer.IsSet() && a.Token.IsSet():
		d.failAt(key, "user and password, bearer, and token are mutually exclusive: keep one")
	case basic && (a.User == "" || !a.Password.IsSet()):
		d.failAt(key, "user and password must be set together")
	}
}

// checkName refuses names that no address of the page and no log line can have.
func checkName(d *decoder, key, name string) {
	const longest = 60
	if name == "" || len(name) > longest || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || unicode.IsControl(r) }) {
		d.failAt(key, "a name has 1 to %d bytes, no / and no control characters", longest)
	}
}

var scopePattern = regexp.MustCompile(`^/$|^(/[a-z0-9]([a-z0-9.-]*[a-z0-9])?)+$`)

func (s Sync) check(d *decoder, key string, c *Config) {
	switch _, known := c.Marathons[s.Marathon]; {
	case s.Marathon != "" && !known:
		d.failAt(key+".marathon", "%q is not among the marathons%s", s.Marathon, nearest(s.Marathon, slices.Sorted(maps.Keys(c.Marathons))))
	case s.Marathon == "" && len(c.Marathon.URL) == 0 && len(c.Marathons) > 0:
		d.failAt(key+".marathon", "missing: name one of the marathons: %s", strings.Join(slices.Sorted(maps.Keys(c.Marathons)), ", "))
	}
	if _, known := c.Sources[s.Source]; !known {
		if s.Source == "" {
			d.failAt(key+".source", "missing: name one of the sources")
		} else {
			d.failAt(key+".source", "%q is not among the sources", s.Source)
		}
	}
	if !scopePattern.MatchString(s.Scope) {
		d.failAt(key+".scope", "%q: expected an absolute id such as /shop, or / for everything", s.Scope)
	}
	if p := path.Clean("/" + s.Path); strings.Contains(s.Path, "..") && p != "/"+strings.Trim(s.Path, "/") {
		d.failAt(key+".path", "%q leaves the source", s.Path)
	}
	s.checkExclusive(d, key)
	for i, ignore := range s.Ignore {
		ignore.check(d, key+".ignore", i)
	}
	if s.Settle > 0 && s.Settle >= s.Deadline {
		d.failAt(key+".settle", "%s is not less than the deadline of %s: no rollout could stay up that long in time", s.Settle, s.Deadline)
	}
	if s.MaxDeletes.Count < 0 || s.MaxDeletes.Percent < 0 || s.MaxDeletes.Percent > 100 {
		d.failAt(key+".maxDeletes", "expected a count of at least 0 and a percent from 0 to 100")
	}
}

// checkExclusive refuses an exclusive sync that would delete all of Marathon, or
// nothing.
func (s Sync) checkExclusive(d *decoder, key string) {
	switch {
	case !s.Exclusive:
	case s.Scope == "/":
		d.failAt(key+".exclusive", "expected a scope narrower than /, found scope /: no sync may own all of Marathon: set scope, or remove exclusive")
	case s.Prune == plan.PruneOff:
		d.failAt(key+".exclusive", "exclusive: true and prune: off are mutually exclusive: set prune: confirm or on, or remove exclusive")
	}
}

func (i Ignore) check(d *decoder, key string, n int) {
	if i.ID == "" || len(i.Paths) == 0 {
		d.failAt(key, "entry %d: expected id and paths", n)
	}
	if _, err := path.Match(i.ID, "/"); err != nil {
		d.failAt(key, "entry %d: id %q is not a pattern", n, i.ID)
	}
	for _, p := range i.Paths {
		if !strings.HasPrefix(p, "/") {
			d.failAt(key, "entry %d: path %q: expected a JSON pointer such as /env/BUILD", n, p)
		}
	}
}

// checkScopes refuses syncs that could write to the same ids: they would undo
// each other's changes for ever.
func (c *Config) checkScopes(d *decoder) {
	for a, one := range c.Syncs {
		for b, other := range c.Syncs {
			if a != b && one.Marathon == other.Marathon && manifests.Within(other.Scope, one.Scope) && (one.Scope != other.Scope || a < b) {
				d.failAt("syncs."+b+".scope", "%s lies in %s, the scope of sync %s: two syncs must not write to the same ids", other.Scope, one.Scope, a)
			}
		}
	}
}

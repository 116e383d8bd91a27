package forge

import (
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/secret"
)

// TestEveryTypeOfForgeIsComplete: each is opened without a request, says where it is, and
// bounds its comments. No host is of two types.
func TestEveryTypeOfForgeIsComplete(t *testing.T) {
	owner := map[string]string{}
	for _, kind := range types {
		for _, host := range kind.hosts {
			if before, twice := owner[host]; twice || host != strings.ToLower(host) {
				t.Errorf("host %s of %s: also of %q, or not in lower case", host, kind.name, before)
			}
			owner[host] = kind.name
			if got := TypeOf("ssh://git@" + host + "/acme/apps.git"); got != kind.name {
				t.Errorf("a repository at %s is of type %q, expected %s", host, got, kind.name)
			}
		}
		o := Options{Type: kind.name, Repository: "https://git.example.com/acme/apps.git", Token: secret.Value(canary)}
		if kind.name == "bitbucket" {
			o.URL = "https://api.example.com" // there is only one, and its API elsewhere
		}
		f, err := Open(o)
		if err != nil {
			t.Errorf("%s: %v", kind.name, err)
			continue
		}
		if !strings.HasPrefix(f.String(), "https://git.example.com/") || strings.Contains(f.String(), ".git") || f.MaxComment() < 1000 {
			t.Errorf("%s: is at %q, comments of %d bytes", kind.name, f, f.MaxComment())
		}
		for _, bad := range []string{"", "/srv/git/apps", "https://git.example.com/"} {
			o.Repository = bad
			if _, err := Open(o); err == nil {
				t.Errorf("%s: the repository %q is taken", kind.name, bad)
			}
		}
	}
	if names := Types(); len(names) != len(types) || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("types: %q", names)
	}
	if _, err := Open(Options{Type: "sourceforge", Repository: "https://git.example.com/acme/apps"}); err == nil || !strings.Contains(err.Error(), "expected one of "+strings.Join(Types(), ", ")) {
		t.Errorf("a type that is not there: %v", err)
	}
}

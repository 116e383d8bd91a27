package forge

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources"
)

// Options say which repository, at which forge, and by what means.
type Options struct {
	Type string // a key of Types
	// URL of the forge's API, such as https://api.github.com; empty: derived from
	// Repository.
	URL string
	// Repository is the URL of the git repository, in any form that a source takes.
	Repository string

	// Token is read for each request, so that a new one is used at once. Exactly one of
	// Token and App is set.
	Token secret.Ref
	App   App

	TLS       clienttls.Files
	UserAgent string
	// Wrap sees each request, without secrets in its headers; nil: nobody does.
	Wrap func(http.RoundTripper) http.RoundTripper
	Log  *slog.Logger // nil: nothing is logged
}

// App is a GitHub App, as which Pacer asks for tokens that end by themselves.
type App struct {
	ID           int64
	Installation int64
	Key          secret.Ref // PEM, as GitHub hands it out
}

// types is the table of the types of forges. One more is a line here, and a file.
var types = []struct {
	name string
	open func(o Options, r repository) (Forge, error)
	// hosts are those whose repositories are surely of this type.
	hosts []string
}{
	{"github", openGitHub, gitHubHosts},
	{"gitlab", openGitLab, gitLabHosts},
	{"bitbucket", openBitbucketCloud, cloudHosts},
	{"bitbucket-server", openBitbucketServer, nil},
	{"gitea", openGitea, giteaHosts},
}

// Types lists the types of forges.
func Types() []string {
	var names []string
	for _, t := range types {
		names = append(names, t.name)
	}
	return names
}

// TypeOf is the type of the forge that a repository is at; empty: its host does not
// tell, so the configuration has to.
func TypeOf(url string) string {
	r, err := parse(url)
	if err != nil {
		return ""
	}
	for _, t := range types {
		if slices.Contains(t.hosts, r.hostname) {
			return t.name
		}
	}
	return ""
}

// Open makes the client of a repository. It asks the network nothing.
func Open(o Options) (Forge, error) {
	r, err := parse(o.Repository)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if t.name == o.Type {
			return t.open(o, r)
		}
	}
	return nil, fmt.Errorf("forge type %q: expected one of %s", o.Type, strings.Join(Types(), ", "))
}

// repository is the URL of a repository, taken apart.
type repository struct {
	hostname string // in lower case, without port
	site     string // scheme and host of its pages: https://git.example.com:3000
	path     string // of the repository, without slashes around it and without .git
}

// parse takes the URL of a repository apart. A forge that is fetched from by ssh has its
// pages at https, at the same host.
func parse(text string) (repository, error) {
	location, err := sources.Parse(text)
	if err != nil {
		return repository{}, err
	}
	u, err := url.Parse(location.URL)
	if err != nil || location.URL == "" || u.Host == "" {
		return repository{}, errors.New("a forge needs a repository at a host: https, http or ssh")
	}
	r := repository{hostname: strings.ToLower(u.Hostname()), path: strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")}
	r.site = u.Scheme + "://" + u.Host
	if u.Scheme == "ssh" {
		r.site = "https://" + u.Hostname()
	}
	return r, nil
}

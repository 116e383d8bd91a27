package sources

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// GitOptions say which repository is a source, what in it, and by what means.
//
// At most one of Branch, Tag, Commit, Semver and Ref is given; none means the
// branch that the server calls its default.
type GitOptions struct {
	// URL of the repository: https://, ssh://, file://, user@host:path or http://.
	URL string

	Branch string // followed, also where it is moved by force
	Tag    string // followed where it is moved
	Commit string // 40 hexadecimal digits; once here, the network is not asked again
	Semver string // a range as in ">=1.2 <2": of the tags that are versions, v or not, the highest in it
	Ref    string // what a person may write: a commit, a full refs/… name, or a branch or tag; both is an error

	Auth Auth

	// Dir is where the local clone stands. It survives restarts, and is made
	// afresh where it is damaged. One process at a time holds it. Empty: a
	// temporary folder that goes at Close.
	Dir string
	// Timeout of one operation on the remote, a look or a fetch: 2 min where zero.
	Timeout time.Duration
	// AllowHTTP permits http:// URLs: everything, passwords too, is then open to
	// whoever is between.
	AllowHTTP bool
	// AllowLocal permits file:// URLs: repositories of this machine.
	AllowLocal bool

	Limits Limits
	Log    *slog.Logger // nil: nothing is logged
}

var fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// wanted is what is asked for of a repository, checked.
type wanted struct {
	GitOptions
	constraint *semver.Constraints
}

// prepare checks the options, sets defaults and takes the URL apart.
func (o GitOptions) prepare() (wanted, *url.URL, error) {
	o.Limits = o.Limits.withDefaults()
	o.Timeout = cmp.Or(o.Timeout, 2*time.Minute)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	location, err := Parse(o.URL)
	if err != nil {
		return wanted{}, nil, err
	}
	if location.URL == "" || location.Path != "" || location.Ref != "" {
		return wanted{}, nil, fmt.Errorf("git source %q: expected the URL of a repository, without //path and ?ref=", redact(o.URL))
	}
	o.URL = location.URL
	u, err := url.Parse(location.URL)
	if err != nil {
		return wanted{}, nil, fmt.Errorf("git source %q is not a URL", redact(o.URL))
	}
	w := wanted{GitOptions: o}
	if err := errors.Join(o.checkScheme(u), o.Auth.check(u.Scheme), w.checkWanted()); err != nil {
		return wanted{}, nil, fmt.Errorf("git source %s: %w", redact(o.URL), err)
	}
	return w, u, nil
}

func (o GitOptions) checkScheme(u *url.URL) error {
	switch {
	case u.Scheme == schemeHTTP && !o.AllowHTTP:
		return errors.New("http can be read and changed in transit: use https, or allow http explicitly")
	case u.Scheme == schemeFile && !o.AllowLocal:
		return errors.New("repositories on this machine must be allowed explicitly")
	case u.Scheme == schemeFile && o.Auth != (Auth{}):
		return errors.New("auth: not supported for a local repository")
	}
	return nil
}

func (w *wanted) checkWanted() error {
	given := 0
	for _, name := range []string{w.Branch, w.Tag, w.Ref} {
		if name == "" {
			continue
		}
		given++
		if err := checkRef(name); err != nil {
			return err
		}
	}
	if w.Commit != "" {
		given++
		if w.Commit = strings.ToLower(w.Commit); !fullCommit.MatchString(w.Commit) {
			return fmt.Errorf("commit %q: expected all 40 hexadecimal digits, as git rev-parse prints them", w.Commit)
		}
	}
	if w.Semver != "" {
		given++
		constraint, err := semver.NewConstraint(w.Semver)
		if err != nil {
			return fmt.Errorf("semver %q is not a range such as \">=1.2 <2\": %w", w.Semver, err)
		}
		w.constraint = constraint
	}
	if given > 1 {
		return errors.New("branch, tag, commit, semver and ref are mutually exclusive: keep one")
	}
	if w.Commit == "" && fullCommit.MatchString(w.Ref) {
		w.Commit, w.Ref = w.Ref, ""
	}
	return nil
}

package sources

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	schemeHTTPS = "https"
	schemeHTTP  = "http"
	schemeSSH   = "ssh"
	schemeFile  = "file"
)

// Location is a SOURCE of the command line: a directory or a place in a git
// repository.
type Location struct {
	// Dir is the directory; empty for a git repository.
	Dir string
	// URL of the git repository, without ref and path, scp-like ones as ssh://;
	// empty for a directory. It holds no secret: Parse refuses one that does.
	URL string
	// Ref is the branch, tag or commit that was asked for; empty: the
	// repository's default branch.
	Ref string
	// Path is the folder inside the repository, slash-separated; empty: all of it.
	Path string
}

// scpLike is git's short form of ssh: user@host:path, no slash before the colon.
var scpLike = regexp.MustCompile(`^([^/@:]+)@(\[[^\]/@]+\]|[^/@:\[\]]+):(.+)$`)

// Parse reads a SOURCE of the command line: the path of a directory, or a git
// URL (https://, ssh://, user@host:path, file://) with the folder after // and
// the branch, tag or commit after ?ref=, as in
// https://host/team/repo.git//prod?ref=main. It touches neither disk nor
// network. A directory that is a git work tree is still a directory; its
// commits are file:///path/to/it.
func Parse(arg string) (Location, error) {
	if err := checkArgument(arg); err != nil {
		return Location{}, err
	}
	switch {
	case strings.Contains(arg, "://"):
		return parseURL(arg)
	case scpLike.MatchString(arg):
		m := scpLike.FindStringSubmatch(arg)
		if strings.HasPrefix(m[3], "-") {
			return Location{}, fmt.Errorf("source %q: the path begins with '-', which a git server could take for an option", redact(arg))
		}
		return parseURL("ssh://" + m[1] + "@" + m[2] + "/" + strings.TrimPrefix(m[3], "/"))
	}
	return parseDirectory(arg)
}

func checkArgument(arg string) error {
	switch {
	case arg == "":
		return errors.New("the source is empty: expected a directory or a git URL")
	case strings.HasPrefix(arg, "-"):
		return fmt.Errorf("source %q begins with '-': for a directory of that name write ./ before it", redact(arg))
	case !utf8.ValidString(arg) || strings.ContainsFunc(arg, unicode.IsControl):
		return fmt.Errorf("source %q contains control characters or invalid UTF-8", redact(arg))
	}
	return nil
}

func parseDirectory(arg string) (Location, error) {
	if _, _, found := strings.Cut(arg, "?ref="); found {
		return Location{}, fmt.Errorf("source %q: ?ref= needs a git URL; for a repository on this machine write file:///path?ref=…", redact(arg))
	}
	first, _, _ := strings.Cut(arg, "/")
	if strings.Contains(first, ":") {
		return Location{}, fmt.Errorf("source %q: git over ssh is user@host:path; for a directory of that name write ./ before it", redact(arg))
	}
	return Location{Dir: filepath.Clean(arg)}, nil
}

func parseURL(arg string) (Location, error) {
	u, err := url.Parse(arg)
	if err != nil { // its text can hold the userinfo
		return Location{}, fmt.Errorf("source %q is not a URL: check the host, the port and the %%-escapes", redact(arg))
	}
	if err := checkURL(u); err != nil {
		return Location{}, fmt.Errorf("source %q: %w", redact(arg), err)
	}
	ref, err := refOfQuery(u)
	if err != nil {
		return Location{}, fmt.Errorf("source %q: %w", redact(arg), err)
	}
	repository, folder, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "//")
	repository = strings.TrimSuffix(repository, "/")
	if repository == "" || strings.HasPrefix(repository, "/") {
		return Location{}, fmt.Errorf("source %q names no repository: expected %s://…/repository", redact(arg), u.Scheme)
	}
	if folder, err = cleanFolder(folder); err != nil {
		return Location{}, fmt.Errorf("source %q: %w", redact(arg), err)
	}
	u.Path, u.RawPath, u.RawQuery, u.ForceQuery = "/"+repository, "", "", false
	return Location{URL: u.String(), Ref: ref, Path: folder}, nil
}

// checkURL says what is wrong with the URL of a repository.
func checkURL(u *url.URL) error {
	if err := checkUser(u); err != nil {
		return err
	}
	switch u.Scheme {
	case schemeHTTPS, schemeHTTP, schemeSSH:
		if u.Hostname() == "" {
			return fmt.Errorf("it names no host: expected %s://host/repository", u.Scheme)
		}
	case schemeFile:
		if u.Host != "" {
			return errors.New("a file URL has no host: write file:///path, with three slashes")
		}
	default:
		return fmt.Errorf("scheme %q is not one of https, ssh, file", u.Scheme)
	}
	switch {
	case strings.HasPrefix(u.Hostname(), "-"), strings.HasPrefix(strings.TrimLeft(u.Path, "/"), "-"):
		return errors.New("host or path begins with '-', which a program could take for an option")
	case u.Fragment != "" || strings.HasSuffix(u.String(), "#"):
		return errors.New("'#' has no meaning here: the branch, tag or commit comes after ?ref=")
	case strings.ContainsFunc(u.Path, unicode.IsControl) || !utf8.ValidString(u.Path):
		return errors.New("the path contains control characters or invalid UTF-8")
	case u.Scheme != schemeFile && strings.Contains("/"+u.Path+"/", "/../"):
		return errors.New("the path contains '..'")
	}
	return nil
}

func checkUser(u *url.URL) error {
	if u.User == nil {
		return nil
	}
	if _, has := u.User.Password(); has {
		return errors.New("it contains a password, which others on this machine can read: use a file or the environment (auth, or --git-username and --git-password)")
	}
	user := u.User.Username()
	switch {
	case u.Scheme != schemeSSH:
		return errors.New("it contains a user or token, which others on this machine can read: use a file or the environment (auth, or --git-username and --git-password)")
	case user == "", strings.HasPrefix(user, "-"), strings.ContainsFunc(user, unicode.IsControl):
		return errors.New("the user before '@' is empty or begins with '-'")
	}
	return nil
}

func refOfQuery(u *url.URL) (string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", errors.New("cannot parse the part after '?': expected ?ref=NAME")
	}
	for key, values := range query {
		if key != "ref" {
			return "", fmt.Errorf("unknown %q after '?': expected ?ref=NAME", key)
		}
		if len(values) != 1 {
			return "", errors.New("ref occurs more than once")
		}
		if err := checkRef(values[0]); err != nil {
			return "", err
		}
	}
	return query.Get("ref"), nil
}

// checkRef holds a ref's name to git's own rules (git help check-ref-format).
func checkRef(name string) error {
	bad := strings.HasPrefix(name, "-") || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") ||
		strings.HasSuffix(name, ".") || strings.HasSuffix(name, ".lock") ||
		strings.Contains(name, "..") || strings.Contains(name, "//") || strings.Contains(name, "@{") ||
		strings.ContainsAny(name, " ~^:?*[\\") || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name)
	switch {
	case name == "":
		return errors.New("ref is empty: expected a branch, a tag or a commit")
	case bad:
		return fmt.Errorf("ref %q is not a valid git name", name)
	}
	return nil
}

func cleanFolder(folder string) (string, error) {
	folder = strings.Trim(folder, "/")
	if folder == "" {
		return "", nil
	}
	if !fs.ValidPath(folder) || path.Clean(folder) != folder {
		return "", fmt.Errorf("folder %q after '//' is not a plain path inside the repository", folder)
	}
	for part := range strings.SplitSeq(folder, "/") {
		if reason := refuseName(part); reason != "" {
			return "", fmt.Errorf("folder %q after '//': %q %s", folder, part, reason)
		}
	}
	return folder, nil
}

// redact takes from an argument, which need not be a URL, what could be a
// password or a token: all before the last '@', but for a user alone where
// ssh has one, and what follows '?' but for a ref.
func redact(arg string) string {
	arg = redactQuery(arg)
	at := strings.LastIndexByte(arg, '@')
	if at < 0 {
		return arg
	}
	scheme, rest := "", arg[:at]
	if i := strings.Index(rest, "://"); i >= 0 {
		scheme, rest = rest[:i+len("://")], rest[i+len("://"):]
	}
	if (scheme == "" || scheme == "ssh://") && !strings.ContainsAny(rest, ":/@") {
		return arg
	}
	return scheme + "***" + arg[at:]
}

// queryValue is a name after '?' with its value.
var queryValue = regexp.MustCompile(`([?&])([^=&?]*)=[^&]*`)

// redactQuery hides the values after '?' that Parse does not take: people put
// tokens there.
func redactQuery(arg string) string {
	return queryValue.ReplaceAllStringFunc(arg, func(found string) string {
		if m := queryValue.FindStringSubmatch(found); m[2] != "ref" {
			return m[1] + m[2] + "=***"
		}
		return found
	})
}

// String is the location as Parse reads it; scp-like ones as ssh://.
func (l Location) String() string {
	if l.Dir != "" {
		return l.Dir
	}
	out := l.URL
	if l.Path != "" {
		out += "//" + l.Path
	}
	if l.Ref != "" {
		out += "?ref=" + url.QueryEscape(l.Ref)
	}
	return out
}

// Open makes the source of the location. Of o it takes everything but URL and
// what is asked for; a file URL counts as asking for a local repository. For a
// directory it takes Limits and Log alone.
func (l Location) Open(o GitOptions) (Source, error) {
	if l.Dir != "" {
		return NewDirectory(DirectoryOptions{Path: l.Dir, Limits: o.Limits, Log: o.Log})
	}
	o.URL, o.Ref = l.URL, l.Ref
	o.Branch, o.Tag, o.Commit, o.Semver = "", "", "", ""
	o.AllowLocal = o.AllowLocal || strings.HasPrefix(l.URL, "file:")
	return NewGit(o)
}

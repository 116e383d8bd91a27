package sources

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret says where a secret stands: in a file or in an environment variable.
// It is read for every use, so that a rotated one is taken up at once, and is
// never held in an option, a log or an error.
type Secret struct {
	File string // path; a trailing line break is not part of the secret
	Env  string // name of an environment variable
}

func (s Secret) isSet() bool { return s.File != "" || s.Env != "" }

func (s Secret) read() (string, error) {
	switch {
	case s.File != "" && s.Env != "":
		return "", fmt.Errorf("secret is given both as file %s and as environment variable %s: give one", s.File, s.Env)
	case s.File != "":
		content, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		if secret := strings.TrimRight(string(content), "\r\n"); secret != "" {
			return secret, nil
		}
		return "", fmt.Errorf("secret file %s is empty", s.File)
	case s.Env != "":
		if secret := os.Getenv(s.Env); secret != "" {
			return secret, nil
		}
		return "", fmt.Errorf("environment variable %s is not set: it should hold the secret", s.Env)
	}
	return "", nil
}

// Auth is how a git source proves who it is, and how it checks who the server is.
type Auth struct {
	// Username for https; empty: git, which the forges take beside a token. For
	// ssh the user stands in the URL.
	Username string
	// Password or token for https, sent as basic authentication.
	Password Secret
	// Bearer sends Password as a bearer token instead, as some servers want.
	Bearer bool

	// Key is the ssh private key, in PEM or OpenSSH form. Not given: the agent
	// at SSH_AUTH_SOCK, if there is one.
	Key Secret
	// Passphrase of Key, if it has one.
	Passphrase Secret
	// KnownHosts is the known_hosts file that must know the ssh server. Empty:
	// ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts, those that exist.
	KnownHosts string
	// InsecureIgnoreHostKey takes any ssh server for the right one. Whoever is
	// between can then deploy what they like; it is logged as a warning.
	InsecureIgnoreHostKey bool

	// CAFile holds PEM certificates that https servers are checked against,
	// instead of the system's. Read for every use.
	CAFile string
	// InsecureSkipVerify takes any https server for the right one; logged as a
	// warning, as above.
	InsecureSkipVerify bool
}

// check tells what cannot be meant, without touching a file.
func (a Auth) check(scheme string) error {
	isSSH := scheme == schemeSSH
	switch {
	case a.Password.isSet() && isSSH:
		return errors.New("auth: a password or token does not work over ssh: give key, the ssh private key")
	case a.Key.isSet() && !isSSH:
		return errors.New("auth: an ssh key works with ssh URLs only: give password, a password or token")
	case a.Username != "" && isSSH:
		return errors.New("auth: over ssh the user stands in the URL (ssh://git@host/path): leave username away")
	case a.Username != "" && !a.Password.isSet():
		return errors.New("auth: username without password: give password too")
	case a.Bearer && !a.Password.isSet():
		return errors.New("auth: bearer without a token: give password, which holds it")
	case a.Passphrase.isSet() && !a.Key.isSet():
		return errors.New("auth: passphrase without key")
	}
	return nil
}

// headerForms are the forms in which a password crosses the wire and could come back.
func headerForms(username, password string) []string {
	return []string{password, base64.StdEncoding.EncodeToString([]byte(username + ":" + password))}
}

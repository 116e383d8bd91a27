package sources

import (
	"errors"

	"github.com/pacer-gitops/pacer/secret"
)

// Auth is how a git source proves who it is, and how it checks who the server is.
type Auth struct {
	// Username for https; empty: git, which the forges take beside a token. For
	// ssh the user stands in the URL.
	Username string
	// Password or token for https, sent as basic authentication.
	Password secret.Ref
	// Bearer sends Password as a bearer token instead, as some servers want.
	Bearer bool

	// Key is the ssh private key, in PEM or OpenSSH form. Not given: the agent
	// at SSH_AUTH_SOCK, if there is one.
	Key secret.Ref
	// Passphrase of Key, if it has one.
	Passphrase secret.Ref
	// KnownHosts is the known_hosts file that must know the ssh server. Empty:
	// ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts, those that exist.
	KnownHosts string
	// CAFile holds PEM certificates that https servers are checked against,
	// instead of the system's. Read for every use.
	CAFile string
	// InsecureSkipVerify takes any https server for the right one. Whoever is
	// between can then deploy what they like; it is logged as a warning.
	InsecureSkipVerify bool
}

// check tells what cannot be meant, without touching a file.
func (a Auth) check(scheme string) error {
	isSSH := scheme == schemeSSH
	switch {
	case a.Password.IsSet() && isSSH:
		return errors.New("auth: a password or token does not work over ssh: set key, the ssh private key")
	case a.Key.IsSet() && !isSSH:
		return errors.New("auth: an ssh key works with ssh URLs only: set password, a password or token")
	case a.Username != "" && isSSH:
		return errors.New("auth: over ssh the user is part of the URL (ssh://git@host/path): remove username")
	case a.Username != "" && !a.Password.IsSet():
		return errors.New("auth: username without password: set password, too")
	case a.Bearer && !a.Password.IsSet():
		return errors.New("auth: bearer without a token: set password to the token")
	case a.Passphrase.IsSet() && !a.Key.IsSet():
		return errors.New("auth: passphrase without key")
	}
	return nil
}

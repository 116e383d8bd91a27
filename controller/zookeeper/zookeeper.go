// Package zookeeper connects to a ZooKeeper ensemble: one connection, one
// session, one call of Dial. It knows the pitfalls of the client library and of
// the protocol, and nothing of what Pacer keeps there: who leads and what is
// stored is decided elsewhere.
package zookeeper

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/secret"
)

const (
	// DefaultRoot is the node under which everything of Pacer stands.
	DefaultRoot = "/pacer"
	// DefaultSessionTimeout fits ZooKeeper's default tick of 2 s: it is above
	// 4 ticks and below the 20 that a server grants at most.
	DefaultSessionTimeout = 10 * time.Second
	// defaultHandshake is how long a server may take to accept a connection, and
	// then to grant a session. The library would wait 6⅔ session timeouts for one
	// that accepts and then says nothing.
	defaultHandshake = time.Second
)

// Config says which ensemble is connected to, and as whom.
type Config struct {
	// Servers are the ensemble's servers, as host:port; port 2181 where none is
	// given. Names are looked up again for each connection.
	Servers []string
	// Root is the node under which Dial's caller keeps things; empty:
	// DefaultRoot. Dial makes it, and what of its parents is missing, and proves
	// by a write that it may write there.
	Root string
	// Existing: nothing is to be made or written. Where there is no root, Dial's
	// error wraps ErrNoRoot.
	Existing bool
	// SessionTimeout is asked of the server, which may grant another, see
	// Conn.SessionTimeout; 0: DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Handshake is how long TCP and TLS may take together, and then how long the
	// answer to the request for a session; 0: a second.
	Handshake time.Duration
	Auth      Auth
	TLS       TLS
	Log       *slog.Logger // nil: nothing is logged
}

// Auth is how ZooKeeper is told who asks, and whose the nodes are that are
// made. The zero value tells nothing, and everybody may read and write the nodes.
type Auth struct {
	User string // with Password: ZooKeeper's scheme digest
	// Password is read by each Dial, so that a rotated one is used by the next
	// session.
	Password secret.Ref
	// Certificate: the nodes belong to the subject of TLS.CertFile (ZooKeeper's
	// scheme x509), which must be the same for all replicas.
	Certificate bool
}

// IsSet tells whether nodes are to belong to somebody.
func (a Auth) IsSet() bool { return a.User != "" || a.Password.IsSet() || a.Certificate }

// complete fills in the defaults, or tells what is wrong.
func (c Config) complete() (Config, error) {
	c.Root = cmp.Or(c.Root, DefaultRoot)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, DefaultSessionTimeout)
	c.Handshake = cmp.Or(c.Handshake, defaultHandshake)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Servers) == 0 {
		return c, errors.New("zookeeper: no servers are given")
	}
	c.Servers = slices.Clone(c.Servers)
	for i, s := range c.Servers {
		full, err := ServerAddress(s)
		if err != nil {
			return c, err
		}
		c.Servers[i] = full
	}
	if err := CheckRoot(c.Root); err != nil {
		return c, err
	}
	if c.SessionTimeout < time.Millisecond || c.SessionTimeout > time.Hour {
		return c, fmt.Errorf("zookeeper: session timeout %s: expected 1ms to 1h", c.SessionTimeout)
	}
	return c, c.Auth.check(c.TLS)
}

func (a Auth) check(t TLS) error {
	switch {
	case (a.User == "") == a.Password.IsSet():
		return errors.New("zookeeper auth: user and password must be set together")
	case strings.Contains(a.User, ":"):
		return errors.New("zookeeper auth: the user must not contain a colon")
	case a.Certificate && a.User != "":
		return errors.New("zookeeper auth: user and password, and certificate are mutually exclusive: keep one")
	case a.Certificate && t.CertFile == "":
		return errors.New("zookeeper auth: certificate requires the certificate and key of tls")
	}
	return nil
}

// ServerAddress completes host or host:port to host:port.
func ServerAddress(s string) (string, error) {
	if strings.ContainsAny(s, "/ \t\r\n") || s == "" {
		return "", fmt.Errorf("zookeeper: server %q: expected host:port; set the node to use as root", s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil { // no port
		host, port = strings.Trim(s, "[]"), strconv.Itoa(zk.DefaultPort)
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("zookeeper: server %q: expected host:port", s)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return "", fmt.Errorf("zookeeper: server %q: expected host:port with a port from 1 to 65535", s)
	}
	return net.JoinHostPort(host, port), nil
}

// CheckRoot tells whether a node can be what Pacer works under: an absolute
// path, and not ZooKeeper's own.
func CheckRoot(root string) error {
	switch {
	case !strings.HasPrefix(root, "/") || root != path.Clean(root):
		return fmt.Errorf("zookeeper: root %q: expected an absolute path such as %s", root, DefaultRoot)
	case root == "/" || root == "/zookeeper" || strings.HasPrefix(root, "/zookeeper/"):
		return fmt.Errorf("zookeeper: root %q is reserved: expected a node of Pacer's own, such as %s", root, DefaultRoot)
	}
	for _, r := range root {
		// What ZooKeeper refuses in a path.
		if r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return fmt.Errorf("zookeeper: root %q contains a character that ZooKeeper does not allow in paths", root)
		}
	}
	return nil
}

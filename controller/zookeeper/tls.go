package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
)

// TLS is how the connection is protected. The zero value: not at all.
type TLS struct {
	Enabled bool `yaml:"enabled" jsonschema:"default=false" jsonschema_description:"use TLS"`
	clienttls.Files
}

// config reads the files, or is nil where TLS is not enabled.
func (t TLS) config(log *slog.Logger) (*tls.Config, error) {
	if !t.Enabled {
		if t.Files != (clienttls.Files{}) {
			return nil, errors.New("zookeeper tls: configured but not enabled")
		}
		return nil, nil
	}
	c, err := t.Config()
	if err != nil {
		return nil, fmt.Errorf("zookeeper tls: %w", err)
	}
	if t.Insecure {
		log.Warn("ZooKeeper's certificates are not verified: anyone in between can read and change the traffic")
	}
	return c, nil
}

// dial opens TCP, and TLS over it where c is not nil, to one server by its name.
func dial(ctx context.Context, address string, c *tls.Config, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil || c == nil {
		return raw, err
	}
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(address)
	}
	over := tls.Client(raw, c)
	if err := over.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("tls with %s: %w", address, err), raw.Close())
	}
	return over, nil
}

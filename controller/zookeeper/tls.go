package zookeeper

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// TLS is how the connection is protected. The zero value: not at all.
type TLS struct {
	Enabled    bool
	CAFile     string // PEM; empty: the system's
	CertFile   string // PEM, of the client; with KeyFile
	KeyFile    string
	ServerName string // expected in the certificate; empty: the host of the server
	// Insecure: any certificate will do. Everybody on the way can then read and
	// change what is sent.
	Insecure bool
}

// config reads the files, or is nil where TLS is not enabled.
func (t TLS) config(log *slog.Logger) (*tls.Config, error) {
	if !t.Enabled {
		if t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != "" || t.Insecure {
			return nil, errors.New("zookeeper tls: it is described but not enabled")
		}
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Insecure {
		log.Warn("certificates of ZooKeeper are not verified: anybody on the way can read and change what is sent")
		c.InsecureSkipVerify = true
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("zookeeper tls: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("zookeeper tls: %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("zookeeper tls: certificate and key are only of use together")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("zookeeper tls: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dial opens TCP, and TLS over it where c is not nil, to one server by its name.
func dial(ctx context.Context, address, serverName string, c *tls.Config, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil || c == nil {
		return raw, err
	}
	c = c.Clone()
	if c.ServerName = serverName; serverName == "" {
		c.ServerName, _, _ = net.SplitHostPort(address)
	}
	over := tls.Client(raw, c)
	if err := over.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("tls with %s: %w", address, err), raw.Close())
	}
	return over, nil
}

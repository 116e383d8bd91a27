package marathon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// TLS is how https is spoken.
type TLS struct {
	CAFile     string // PEM; empty: the system's
	CertFile   string // PEM, of the client; with KeyFile
	KeyFile    string
	ServerName string // expected in the certificate; empty: the host of the URL
	// Insecure: any certificate will do. Everybody on the way can then read
	// and change what is sent.
	Insecure bool
}

// config reads the files. The client's pair is read again for each handshake,
// so that a renewed one is used at once.
func (t TLS) config(log *slog.Logger) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.Insecure {
		log.Warn("certificates of Marathon are not verified: anybody on the way can read and change what is sent")
		c.InsecureSkipVerify = true
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("marathon tls: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("marathon tls: %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("marathon tls: certificate and key are only of use together")
	}
	if t.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("marathon tls: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// newTransport is the transport of one client.
func newTransport(o Options) (*http.Transport, error) {
	c, err := o.TLS.config(o.Log)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: o.DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       c,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxConnsPerHost:       32, // of the 64 that a standby lets through
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       60 * time.Second,
		ResponseHeaderTimeout: o.Timeout,
		ForceAttemptHTTP2:     true,
	}, nil
}

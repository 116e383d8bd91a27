// Package clienttls makes a client's TLS configuration from files: whom it
// trusts, and how it proves who it is. What is dialled with it, and the words
// for what goes wrong then, live with who dials.
package clienttls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files say how a server is verified and what it is shown. The zero value trusts
// what the system trusts and shows nothing. The tags are those of an option in the
// configuration.
type Files struct {
	CAFile     string `yaml:"caFile" kind:"path" flag:"ca-file" env:"PACER_CA_FILE" jsonschema_description:"PEM file of the CAs that the certificate of Marathon, or of ZooKeeper, is verified with; empty: the system's"`
	CertFile   string `yaml:"certFile" kind:"path" jsonschema_description:"PEM certificate of Pacer; requires keyFile"`
	KeyFile    string `yaml:"keyFile" kind:"path" jsonschema_description:"PEM key of certFile"`
	ServerName string `yaml:"serverName" jsonschema_description:"expected name in the server's certificate; empty: the host that is dialed"`
	Insecure   bool   `yaml:"insecureSkipVerify" jsonschema:"default=false" jsonschema_description:"accept any certificate; insecure: anyone in between can read and change everything"`
}

// Paired reports whether there are both of certificate and key, or neither.
func (f Files) Paired() bool { return (f.CertFile == "") == (f.KeyFile == "") }

// Config reads the files. The client's pair is read again for each handshake, so
// that a renewed one is used at once.
func (f Files) Config() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: f.ServerName,
		InsecureSkipVerify: f.Insecure, //nolint:gosec // an explicit option, which who has it warns of
	}
	if f.CAFile != "" {
		pem, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s contains no PEM certificate", f.CAFile)
		}
	}
	if !f.Paired() {
		return nil, errors.New("certificate and key must be set together")
	}
	if f.CertFile == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}

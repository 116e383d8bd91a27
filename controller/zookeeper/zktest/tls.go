package zktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files are PEM files of a TLS ensemble, for its clients.
type Files struct {
	CA        string // that the servers' certificates, for localhost, are from
	Cert, Key string // of a client that the servers know
}

// makeCertificates makes an authority and what it says of servers and clients.
func (e *Ensemble) makeCertificates() error {
	folder := filepath.Join(e.folder, "tls")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	ca, err := newCertificate("zktest CA", nil)
	if err != nil {
		return err
	}
	server, err := newCertificate("zookeeper", ca)
	if err != nil {
		return err
	}
	client, err := newCertificate("pacer", ca)
	if err != nil {
		return err
	}
	e.Files = Files{CA: filepath.Join(folder, "ca.pem"), Cert: filepath.Join(folder, "client.pem"), Key: filepath.Join(folder, "client-key.pem")}
	for name, content := range map[string][]byte{
		e.Files.CA: ca.certPEM(), e.Files.Cert: client.certPEM(), e.Files.Key: client.keyPEM(),
		e.serverPEM(): append(server.keyPEM(), server.certPEM()...),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (e *Ensemble) serverPEM() string { return filepath.Join(e.folder, "tls", "server.pem") }

// tlsConfig are lines of zoo.cfg.
func (e *Ensemble) tlsConfig(s *Server) map[string]string {
	return map[string]string{
		"secureClientPort": fmt.Sprint(s.secure.Number), "secureClientPortAddress": "127.0.0.1",
		"serverCnxnFactory":     "org.apache.zookeeper.server.NettyServerCnxnFactory",
		"ssl.keyStore.location": e.serverPEM(), "ssl.keyStore.type": "PEM",
		"ssl.trustStore.location": e.Files.CA, "ssl.trustStore.type": "PEM",
		"ssl.clientAuth": "want", "authProvider.x509": "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
	}
}

type certificate struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey
}

// newCertificate makes one that is signed by ca, or by itself.
func newCertificate(name string, ca *certificate) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &certificate{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: ca == nil,
	}}
	parent := ca
	if parent == nil {
		parent = c
	}
	c.der, err = x509.CreateCertificate(rand.Reader, c.cert, parent.cert, &key.PublicKey, parent.key)
	return c, err
}

func (c *certificate) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.der})
}

func (c *certificate) keyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

package zookeeper

import (
	"errors"
	"net"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
)

func TestTLS(t *testing.T) {
	e := zktest.Start(t, zktest.Options{Servers: 1, TLS: true})
	_, port, err := net.SplitHostPort(e.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	base := config(t, e)
	base.Servers = []string{"localhost:" + port}
	trusting := TLS{Enabled: true, Files: clienttls.Files{CAFile: e.Files.CA}}
	known := TLS{Enabled: true, Files: clienttls.Files{CAFile: e.Files.CA, CertFile: e.Files.Cert, KeyFile: e.Files.Key}}

	t.Run("the name of the server is what its certificate is checked against", func(t *testing.T) {
		c := base
		c.TLS = trusting
		dialed(t, c)
		c.TLS.ServerName = "zk1.example.com"
		_ = dialedInVain(t, c, "zk1.example.com")
		c.TLS.Insecure = true
		dialed(t, c)
	})
	t.Run("an authority that is not trusted", func(t *testing.T) {
		c := base
		c.TLS = TLS{Enabled: true}
		_ = dialedInVain(t, c, "certificate")
	})
	t.Run("without TLS there is no session", func(t *testing.T) {
		_ = dialedInVain(t, base, "EOF", "reset", "is it a ZooKeeper server?")
	})
	t.Run("nodes belong to the certificate", func(t *testing.T) {
		c := base
		c.TLS, c.Auth, c.Root = known, Auth{Certificate: true}, "/certified"
		conn := dialed(t, c)
		if acl, _, err := conn.GetACL(c.Root); err != nil || len(acl) != 1 || acl[0].Scheme != "x509" || acl[0].ID != "CN=pacer" {
			t.Errorf("ACL %+v, %v", acl, err)
		}
		c.TLS, c.Auth = trusting, Auth{}
		if _, err := try(t, c); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("a client without the certificate: %v", err)
		}
	})
	t.Run("a digest over TLS", func(t *testing.T) {
		c := base
		c.TLS, c.Auth, c.Root = trusting, Auth{User: "pacer", Password: password("right")}, "/digest"
		dialed(t, c)
		c.Auth.Password = password("wrong")
		if _, err := try(t, c); !errors.Is(err, zk.ErrNoAuth) {
			t.Error(err)
		}
	})
}

package leader

import (
	"encoding/json"
	"net"
	"path"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/secret"
)

func digest(password string) zookeeper.Auth {
	return zookeeper.Auth{User: "pacer", Password: secret.Value(password)}
}

// joinedAs opens a session that has its node in line, and the name of that.
func joinedAs(t *testing.T, c zookeeper.Config, address string) (Session, string) {
	t.Helper()
	s, err := NewEnsemble(c).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	node, _, err := s.Join(t.Context(), newID(), address)
	if err != nil {
		t.Fatal(err)
	}
	return s, node
}

// put makes a node in line as somebody who may, with an address and a proof.
func put(t *testing.T, who *zookeeper.Conn, line, id string, data []byte, flags int32) string {
	t.Helper()
	made, err := who.Create(path.Join(line, prefixOf(id)), data, flags, zk.WorldACL(zk.PermAll))
	if err != nil {
		t.Fatal(err)
	}
	return path.Base(made)
}

// caughtUp has a connection's server know what others wrote by now: each server answers
// reads by itself.
func caughtUp(t *testing.T, c *zookeeper.Conn) {
	t.Helper()
	if _, err := c.Sync("/"); err != nil {
		t.Fatal(err)
	}
}

func trusts(t *testing.T, s Session, node string, want Trust, why string) {
	t.Helper()
	caughtUp(t, s.(*session).Conn)
	who, err := s.Read(t.Context(), node)
	if err != nil || who.Trust != want {
		t.Errorf("%s: %+v, %v: want trust %d", why, who, err, want)
	}
}

// A stranger who may make nodes in line, and knows all that an honest replica has
// written there, proves nothing by it.
func TestAnAddressIsProvedByThePassword(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.SessionTimeout = longSession
	c.Auth = digest("correct-horse")
	line := path.Join(c.Root, candidatesNode)
	if _, err := operator(t, c).Create(line, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	_, honest := joinedAs(t, c, "http://honest")
	s, own := joinedAs(t, c, "http://own")
	trusts(t, s, honest, Proved, "another replica")
	trusts(t, s, own, Proved, "itself")

	nobody := c
	nobody.Auth, nobody.Root = zookeeper.Auth{}, c.Root+"-stranger"
	stranger := operator(t, nobody)
	id := candidate.FindStringSubmatch(honest)[1]
	reader := operator(t, c)
	caughtUp(t, reader)
	data, _, err := reader.Get(path.Join(line, honest))
	if err != nil {
		t.Fatal(err)
	}
	var copied identity
	if err := json.Unmarshal(data, &copied); err != nil || len(copied.Proof) == 0 {
		t.Fatalf("%s: %v", data, err)
	}
	write := func(i identity) []byte {
		text, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const ephemeral = zk.FlagEphemeral | zk.FlagSequence
	other := c
	other.Auth, other.Root = digest("battery-staple"), c.Root+"-other"
	o, _ := joinedAs(t, other, "http://other")
	guessed := o.(*session).MAC("the address of a candidate", []byte(`[]`))
	for why, node := range map[string]string{
		"an older Pacer's, or a forged one": put(t, stranger, line, newID(), []byte(`{"address": "http://evil"}`), ephemeral),
		"an empty proof":                    put(t, stranger, line, newID(), []byte(`{"address": "http://evil", "proof": ""}`), ephemeral),
		"a proof of another address":        put(t, stranger, line, id, write(identity{"http://evil", copied.Proof}), ephemeral),
		"a proof of another session":        put(t, stranger, line, id, data, ephemeral),
		"a proof of another password":       put(t, stranger, line, newID(), write(identity{"http://evil", guessed}), ephemeral),
		"a node that outlives its session":  put(t, stranger, line, id, data, zk.FlagSequence),
	} {
		trusts(t, s, node, Unproved, why)
	}

	long := put(t, stranger, line, newID(), write(identity{Address: "http://" + strings.Repeat("x", maxAddress)}), ephemeral)
	caughtUp(t, s.(*session).Conn)
	if _, err := s.Read(t.Context(), long); err == nil || !strings.Contains(err.Error(), "at most 2048") {
		t.Errorf("a long address: %v", err)
	}
}

func TestWithoutACredentialNothingIsProved(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.SessionTimeout = longSession
	_, other := joinedAs(t, c, "http://other")
	s, own := joinedAs(t, c, "http://own")
	trusts(t, s, other, Unprovable, "another replica")
	trusts(t, s, own, Unprovable, "itself")
}

// With a certificate it is ZooKeeper that proves who makes nodes, as long as
// nobody else may.
func TestAnAddressIsProvedByTheCertificate(t *testing.T) {
	e := zktest.Start(t, zktest.Options{Servers: 1, TLS: true})
	_, port, err := net.SplitHostPort(e.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, e)
	c.SessionTimeout = longSession
	c.Servers, c.Auth = []string{"localhost:" + port}, zookeeper.Auth{Certificate: true}
	c.TLS = zookeeper.TLS{Enabled: true, Files: clienttls.Files{CAFile: e.Files.CA, CertFile: e.Files.Cert, KeyFile: e.Files.Key}}
	_, honest := joinedAs(t, c, "http://honest")
	fresh, err := NewEnsemble(c).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	trusts(t, fresh, honest, Unproved, "who has no node yet does not know who it is")
	s, _ := joinedAs(t, c, "http://own")
	trusts(t, s, honest, Proved, "another replica")

	ours, line := operator(t, c), path.Join(c.Root, candidatesNode)
	for _, node := range []string{path.Join(line, honest), line, c.Root} {
		before, _, err := ours.GetACL(node)
		if err != nil {
			t.Fatal(err)
		}
		for acl, want := range map[zk.ACL]Trust{
			{Perms: zk.PermCreate, Scheme: "world", ID: "anyone"}:  Unproved,
			{Perms: zk.PermAdmin, Scheme: "x509", ID: "CN=pacer2"}: Unproved,
			{Perms: zk.PermRead, Scheme: "world", ID: "anyone"}:    Proved,
		} {
			if _, err := ours.SetACL(node, append(before[:len(before):len(before)], acl), -1); err != nil {
				t.Fatal(err)
			}
			trusts(t, s, honest, want, node+" with "+acl.Scheme+" "+acl.ID)
		}
		if _, err := ours.SetACL(node, before, -1); err != nil {
			t.Fatal(err)
		}
	}
	trusts(t, s, honest, Proved, "as before")

	nobody := c
	nobody.Auth, nobody.TLS.CertFile, nobody.TLS.KeyFile, nobody.Root = zookeeper.Auth{}, "", "", c.Root+"-stranger"
	if _, err := operator(t, nobody).Create(path.Join(line, prefixOf(newID())), nil, zk.FlagSequence, zk.WorldACL(zk.PermAll)); err == nil {
		t.Error("a stranger makes a node in line")
	}
}

// What a follower shows of the leader's address is what it is sure of.
func TestTheStatusSaysWhetherTheLeadersAddressIsProved(t *testing.T) {
	for name, auth := range map[string]zookeeper.Auth{"none": {}, "digest": digest("correct-horse")} {
		c := config(t, zktest.Shared(t))
		c.Root, c.Auth = c.Root+name, auth
		all := inLine(t, c, 2)
		zktest.Await(t, "the leader's address", func() bool { return all[1].Status().Leader == "http://replica-1" })
		if s := all[1].Status(); s.LeaderUnproved != (name == "none") || all[0].Status().LeaderUnproved {
			t.Errorf("auth %s: the follower says %+v", name, s)
		}
	}
}

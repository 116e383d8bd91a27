package config

import (
	"net/url"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// ZooKeeper is the ensemble in which several replicas elect one that writes, and
// keep what must outlive them.
type ZooKeeper struct {
	Servers        List          `yaml:"servers" flag:"zookeeper" env:"PACER_ZOOKEEPER" jsonschema_description:"servers of the ensemble, as host:port; list all of them; without any there is one replica and its state folder"`
	Root           string        `yaml:"root" jsonschema:"default=/pacer" jsonschema_description:"root node of all data of Pacer"`
	SessionTimeout Duration      `yaml:"sessionTimeout" jsonschema:"default=10s" jsonschema_description:"session timeout; failover takes at most this plus one tick; at least 4 x tickTime and within the limits of the servers"`
	Auth           ZooKeeperAuth `yaml:"auth" jsonschema_description:"Pacer's credentials, which also own its nodes; required where a server is on another machine"`
	TLS            zookeeper.TLS `yaml:"tls" jsonschema_description:"settings for TLS"`
}

// ZooKeeperAuth is user and password (scheme digest) or the certificate of tls
// (scheme x509).
type ZooKeeperAuth struct {
	User        string `yaml:"user" jsonschema_description:"user of the digest scheme"`
	Password    Secret `yaml:"password" jsonschema_description:"password of the digest scheme"`
	Certificate bool   `yaml:"certificate" jsonschema:"default=false" jsonschema_description:"the subject of tls.certFile owns the nodes (x509 scheme); it must be the same on all replicas"`
}

// IsSet tells whether there is an ensemble.
func (z ZooKeeper) IsSet() bool { return len(z.Servers) > 0 }

// shortSession is what a session timeout should not be below: servers have a
// tick of 2 s unless somebody changed it, and a pause of a busy machine is no
// reason for an election.
const shortSession = 6 * time.Second

// IsShort tells whether the session timeout asks for elections without need.
func (z ZooKeeper) IsShort() bool { return time.Duration(z.SessionTimeout) < shortSession }

func (z ZooKeeper) check(d *decoder) {
	if !z.IsSet() {
		if d.seen["zookeeper"] != nil {
			d.failAt("zookeeper.servers", "missing: list the servers of the ensemble, such as [zk1:2181, zk2:2181, zk3:2181]; for one replica, remove zookeeper")
		}
		return
	}
	for _, s := range z.Servers {
		if _, err := zookeeper.ServerAddress(s); err != nil {
			d.failAt("zookeeper.servers", "%v", err)
		}
	}
	if err := zookeeper.CheckRoot(z.Root); err != nil {
		d.failAt("zookeeper.root", "%v", err)
	}
	if t := time.Duration(z.SessionTimeout); t < time.Second || t > 10*time.Minute {
		d.failAt("zookeeper.sessionTimeout", "expected 1s to 10m: a server grants 2 to 20 of its ticks")
	}
	z.Auth.check(d, z.TLS)
	checkZooKeeperTLS(d, z.TLS)
}

func (a ZooKeeperAuth) check(d *decoder, t zookeeper.TLS) {
	digest := a.User != "" || a.Password.IsSet()
	switch {
	case digest && a.Certificate:
		d.failAt("zookeeper.auth", "user and password, and certificate are mutually exclusive: keep one")
	case digest && (a.User == "" || !a.Password.IsSet()):
		d.failAt("zookeeper.auth", "user and password must be set together")
	case a.Certificate && t.CertFile == "":
		d.failAt("zookeeper.auth.certificate", "requires certFile and keyFile of tls")
	}
}

func checkZooKeeperTLS(d *decoder, t zookeeper.TLS) {
	if !t.Enabled && t != (zookeeper.TLS{}) {
		d.failAt("zookeeper.tls", "configured but not enabled: set enabled: true")
		return
	}
	checkTLS(d, "zookeeper.tls", t.Files)
}

func checkTLS(d *decoder, key string, f clienttls.Files) {
	if !f.Paired() {
		d.failAt(key, "certFile and keyFile must be set together")
	}
}

// checkAdvertise refuses what other replicas could not ask.
func checkAdvertise(d *decoder, raw string) {
	if raw == "" {
		return
	}
	if strings.Contains(raw, "$") {
		d.failAt("advertise", "variables are not expanded here; where Pacer is a task of Marathon, leave advertise out: http, HOST and PORT0 of the task are the default")
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		d.failAt("advertise", "expected an http or https URL without user, such as http://pacer-1:9090")
	}
}

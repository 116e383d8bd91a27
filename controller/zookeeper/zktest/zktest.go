// Package zktest gives tests a real ZooKeeper ensemble on this machine, and the
// means to break it: servers are killed, frozen and wiped, links cut, held up
// and slowed down. It needs Debian's zookeeper package. No product code may import it.
package zktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// Options say what ensemble is wanted.
type Options struct {
	Servers int           // 0: 3; 1: a standalone server
	Tick    time.Duration // 0: 500 ms; sessions last 2 to 20 ticks
	// QuorumProxies puts a proxy into each link between two servers as well, see
	// Ensemble.Isolate.
	QuorumProxies bool
	// TLS: clients must speak it, see Ensemble.Files.
	TLS bool
	// Config holds further lines of zoo.cfg, Java further options of the JVM.
	Config map[string]string
	Java   []string
}

// Ensemble is a running ensemble. Its methods fail the test, or, of one that
// tests share, panic.
type Ensemble struct {
	Files Files // with Options.TLS

	options   Options
	folder    string
	temporary *testenv.Folder
	servers   []*Server
	quorum    map[[2]int]*link // from server, to server
}

// Start starts an ensemble that ends with the test.
func Start(t testing.TB, o Options) *Ensemble {
	t.Helper()
	Need(t)
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

var shared struct {
	sync.Mutex
	main     bool
	ensemble *Ensemble
}

// Main runs the tests of a package that use Shared: func TestMain(m *testing.M)
// { os.Exit(zktest.Main(m)) }.
func Main(m interface{ Run() int }) int {
	shared.main = true
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.ensemble != nil {
		shared.ensemble.Close()
	}
	return code
}

// Shared is the three servers that all tests of a package share, started for the
// first. A test works under a root of its own (see Root), and leaves the servers
// healthy and the proxies healed.
func Shared(t testing.TB) *Ensemble {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("zktest.Shared needs a TestMain that calls zktest.Main")
	}
	if shared.ensemble == nil {
		Need(t)
		e, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		shared.ensemble = e
	}
	return shared.ensemble
}

// Root is a node of its own for a test.
func Root(t testing.TB) string {
	clean := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}
	return fmt.Sprintf("/%s-%d", strings.Map(clean, t.Name()), time.Now().UnixNano())
}

// New starts an ensemble that ends with Close, or with this process however that
// ends.
func New(o Options) (*Ensemble, error) {
	o.Servers = cmp.Or(o.Servers, 3)
	o.Tick = cmp.Or(o.Tick, 500*time.Millisecond)
	e := &Ensemble{options: o, quorum: map[[2]int]*link{}}
	if err := e.start(); err != nil {
		e.Close()
		return nil, fmt.Errorf("zktest: %w", err)
	}
	return e, nil
}

// folderPrefix begins the name of an ensemble's folder.
const folderPrefix = "pacer-zktest-"

func (e *Ensemble) start() error {
	var err error
	if e.temporary, err = testenv.NewFolder(folderPrefix); err != nil {
		return err
	}
	e.folder = e.temporary.Path
	if e.options.TLS {
		if err := e.makeCertificates(); err != nil {
			return err
		}
	}
	for i := range e.options.Servers {
		s, err := newServer(i+1, filepath.Join(e.folder, fmt.Sprint(i+1)), e.options.TLS)
		if err != nil {
			return err
		}
		e.servers = append(e.servers, s)
	}
	if err := e.linkQuorum(); err != nil {
		return err
	}
	for _, s := range e.servers {
		if err := e.configure(s); err != nil {
			return err
		}
		if err := s.start(e.options.Java); err != nil {
			return err
		}
	}
	return e.healthy()
}

// linkQuorum puts a proxy between every two servers, one for each direction in
// which they connect.
func (e *Ensemble) linkQuorum() error {
	if !e.options.QuorumProxies {
		return nil
	}
	for _, from := range e.servers {
		for _, to := range e.servers {
			if from == to {
				continue
			}
			l, err := newLink(to)
			if err != nil {
				return err
			}
			e.quorum[[2]int{from.ID, to.ID}] = l
		}
	}
	return nil
}

// configure writes zoo.cfg.
func (e *Ensemble) configure(s *Server) error {
	lines := map[string]string{
		"tickTime": fmt.Sprint(e.options.Tick.Milliseconds()), "initLimit": "20", "syncLimit": "5",
		"dataDir": s.data(), "clientPort": fmt.Sprint(s.client.Number), "clientPortAddress": "127.0.0.1",
		"maxClientCnxns": "0", "admin.enableServer": "false", "4lw.commands.whitelist": "*",
		"standaloneEnabled": fmt.Sprint(e.options.Servers == 1),
	}
	if e.options.Servers > 1 {
		for _, peer := range e.servers {
			lines[fmt.Sprintf("server.%d", peer.ID)] = e.peerAddress(s, peer)
		}
	}
	if e.options.TLS {
		maps.Copy(lines, e.tlsConfig(s))
	}
	maps.Copy(lines, e.options.Config)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&b, "%s=%s\n", key, lines[key])
	}
	if err := os.WriteFile(s.configFile(), []byte(b.String()), 0o600); err != nil {
		return err
	}
	return s.writeID()
}

// peerAddress is where s finds a peer, or itself.
func (e *Ensemble) peerAddress(s, peer *Server) string {
	if l := e.quorum[[2]int{s.ID, peer.ID}]; l != nil {
		return fmt.Sprintf("127.0.0.1:%d:%d", l.quorum.port(), l.election.port())
	}
	if e.options.QuorumProxies {
		// Itself. A server tells its own address to peers, which would go there
		// past the proxies; this one they have no use for.
		return fmt.Sprintf("0.0.0.0:%d:%d", peer.quorum.Number, peer.election.Number)
	}
	return fmt.Sprintf("127.0.0.1:%d:%d", peer.quorum.Number, peer.election.Number)
}

// Close ends all servers and proxies.
func (e *Ensemble) Close() {
	for _, s := range e.servers {
		must(s.close())
	}
	for _, l := range e.quorum {
		l.close()
	}
	if e.temporary != nil {
		must(e.temporary.Remove())
	}
}

// Addresses are where clients connect: the servers' proxies.
func (e *Ensemble) Addresses() []string {
	var all []string
	for _, s := range e.servers {
		all = append(all, s.Proxy.Address())
	}
	return all
}

// Server is the server of a number, from 1.
func (e *Ensemble) Server(id int) *Server { return e.servers[id-1] }

// Servers are all servers.
func (e *Ensemble) Servers() []*Server { return slices.Clone(e.servers) }

// Leader is the server that leads the ensemble now, awaited.
func (e *Ensemble) Leader(t testing.TB) *Server {
	t.Helper()
	var found *Server
	Await(t, "a leader of the ensemble", func() bool {
		for _, s := range e.servers {
			if m := s.mode(); m == "leader" || m == "standalone" {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// Followers are the servers that follow now.
func (e *Ensemble) Followers() []*Server {
	return slices.DeleteFunc(e.Servers(), func(s *Server) bool { return s.mode() != "follower" })
}

// Healthy waits until every server serves and one of them leads.
func (e *Ensemble) Healthy(t testing.TB) {
	t.Helper()
	if err := e.healthy(); err != nil {
		t.Fatal(err)
	}
}

func (e *Ensemble) healthy() error {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	defer cancel()
	for {
		modes := map[string]int{}
		for _, s := range e.servers {
			if err := s.exited(); err != nil {
				return err
			}
			modes[s.mode()]++
		}
		if modes["standalone"] == 1 || modes["leader"] == 1 && modes["follower"] == len(e.servers)-1 {
			return nil
		}
		if !pause(ctx) {
			return fmt.Errorf("the ensemble is not healthy after %s: %v\n%s", testenv.Patience, modes, e.logs())
		}
	}
}

// Heal thaws and starts all servers, heals all proxies, and waits until the
// ensemble is healthy.
func (e *Ensemble) Heal(t testing.TB) {
	t.Helper()
	for _, l := range e.quorum {
		l.heal()
	}
	for _, s := range e.servers {
		s.Proxy.Heal()
		s.Thaw()
		if !s.Running() {
			s.Start(t)
		}
	}
	e.Healthy(t)
}

// LoseQuorum kills the servers that follow, and waits until the one that is left
// serves nobody any more; until Heal.
func (e *Ensemble) LoseQuorum(t testing.TB) {
	t.Helper()
	for _, s := range e.Followers() {
		s.Kill()
	}
	Await(t, "the end of the quorum", func() bool {
		return !slices.ContainsFunc(e.servers, func(s *Server) bool { return s.mode() != "" })
	})
}

// Wipe kills all servers, removes everything that they hold, and starts them.
func (e *Ensemble) Wipe(t testing.TB) {
	t.Helper()
	for _, s := range e.servers {
		s.Kill()
	}
	for _, s := range e.servers {
		must(os.RemoveAll(s.data()))
		must(s.writeID())
		s.Start(t)
	}
	e.Healthy(t)
}

// Remove removes a node with all that is below it, whosever it is. The servers
// hold everything in memory, and have little.
func (e *Ensemble) Remove(t testing.TB, node string) {
	t.Helper()
	var direct []string
	for _, s := range e.servers {
		direct = append(direct, s.Direct())
	}
	c, _, err := zk.Connect(direct, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.AddAuth("digest", []byte(superUser+":"+superUser)); err != nil {
		t.Fatal(err)
	}
	if err := remove(c, node); err != nil {
		t.Fatalf("remove %s: %v", node, err)
	}
}

func remove(c *zk.Conn, node string) error {
	names, _, err := c.Children(node)
	for _, n := range names {
		if err := remove(c, node+"/"+n); err != nil {
			return err
		}
	}
	if err == nil {
		err = c.Delete(node, -1)
	}
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// Isolate cuts a server off from the others, which needs QuorumProxies. Clients
// still reach it. The links are held up, as by a firewall that drops, until Heal
// or Rejoin.
func (e *Ensemble) Isolate(s *Server) { e.eachLink(s, (*link).hold) }

// Rejoin ends Isolate.
func (e *Ensemble) Rejoin(s *Server) { e.eachLink(s, (*link).heal) }

func (e *Ensemble) eachLink(s *Server, do func(*link)) {
	if len(e.quorum) == 0 {
		panic("zktest: an ensemble without QuorumProxies has no links to cut")
	}
	for pair, l := range e.quorum {
		if pair[0] == s.ID || pair[1] == s.ID {
			do(l)
		}
	}
}

// logs is what the servers said last.
func (e *Ensemble) logs() string {
	var b strings.Builder
	for _, s := range e.servers {
		fmt.Fprintf(&b, "server %d: %s\n", s.ID, s.lastLines())
	}
	return b.String()
}

// between is the time between two looks at something that is awaited.
const between = 20 * time.Millisecond

// pause waits until the next look, or tells that there is no time for another.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(between):
		return true
	}
}

// Await waits until a condition holds, and fails the test where it never does.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	for !holds() {
		if !pause(ctx) {
			t.Fatalf("%s did not come within %s", what, testenv.Patience)
		}
	}
}

func must(err error) {
	if err != nil {
		panic("zktest: " + err.Error())
	}
}

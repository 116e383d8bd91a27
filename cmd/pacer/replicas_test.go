package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/marathon/pathtest"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// These tests run three processes of the built binary against a real ensemble
// and the local Marathon. Each replica has an address of its own for Marathon, so
// that the record of what was written tells by whom, and links of its own to
// each ZooKeeper server, which can be cut.

const (
	shortSession = 2 * time.Second
	ensembleTick = 500 * time.Millisecond
)

// takeOver is how soon another replica leads when one is gone.
func (c *cluster) takeOver() time.Duration { return c.session + ensembleTick + time.Second }

// cluster is everything.
type cluster struct {
	t        testing.TB
	session  time.Duration
	binary   string
	origin   *gittest.Repo // the source of all; nil: each has a directory
	root     string
	ensemble *zktest.Ensemble
	marathon *httptest.Server
	replicas []*replicaProcess

	mu       sync.Mutex
	record   []wrote
	revision int
	apps     int
}

// wrote is one write that Marathon was sent.
type wrote struct {
	at     time.Time
	sender *replicaProcess
	id     string
	status int // 0: not answered yet
}

// replicaProcess is one replica and its links.
type replicaProcess struct {
	c        *cluster
	i        int
	folder   string          // its source, a directory of its own
	git      *gittest.Server // or its way to a repository
	listen   string
	config   string
	log      string
	marathon *httptest.Server
	path     *pathtest.Listener // to it
	away     bool               // Marathon cannot be reached; under c.mu
	links    []*tcpLink

	cmd *exec.Cmd
}

// newCluster is three replicas, each with a directory of its own as its source.
func newCluster(t testing.TB, e *zktest.Ensemble, apps int, session time.Duration) *cluster {
	t.Helper()
	return newClusterOf(t, e, apps, session, nil)
}

// ownEnsemble is for a test that breaks the ensemble; others use zktest.Shared.
func ownEnsemble(t testing.TB) *zktest.Ensemble {
	t.Helper()
	return zktest.Start(t, zktest.Options{Tick: ensembleTick, QuorumProxies: true})
}

// newClusterOf is the same of a repository, which each replica reaches by a
// server of its own; nil: of directories.
func newClusterOf(t testing.TB, e *zktest.Ensemble, apps int, session time.Duration, origin *gittest.Repo) *cluster {
	t.Helper()
	c := &cluster{t: t, session: session, apps: apps, origin: origin, root: zktest.Root(t), ensemble: e, binary: builtPacer(t)}
	m, err := local.New(local.Options{
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Update: report, Docker: "unix:///nonexistent.sock", Log: slog.New(slog.DiscardHandler)})
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.marathon = httptest.NewServer(m.Handler())
	t.Cleanup(func() {
		c.marathon.CloseClientConnections()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		c.marathon.Close()
	})
	for i := range 3 {
		c.replicas = append(c.replicas, c.newReplica(i, m.Handler()))
	}
	c.push()
	for _, r := range c.replicas {
		r.start()
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range c.replicas {
				t.Logf("replica %d:\n%s", r.i, r.lastLines())
			}
		}
	})
	return c
}

// builtPacer is the binary as it is shipped, but for its version: one for all tests.
func builtPacer(t testing.TB) string {
	t.Helper()
	path, err := buildPacer()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildPacer func() (string, error)

func build(path string) (string, error) {
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

func (c *cluster) newReplica(i int, marathon http.Handler) *replicaProcess {
	c.t.Helper()
	dir := c.t.TempDir()
	r := &replicaProcess{c: c, i: i, listen: testenv.FreePort(c.t).Address(), config: filepath.Join(dir, "pacer.yaml"), log: filepath.Join(dir, "log")}
	r.marathon, r.path = pathtest.Server(c.t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, marathon) }))
	r.marathon.Start()
	c.t.Cleanup(func() { r.marathon.CloseClientConnections(); r.marathon.Close() })
	var servers []string
	for _, address := range c.ensemble.Addresses() {
		l := newLink(c.t, address)
		r.links = append(r.links, l)
		servers = append(servers, l.address())
	}
	r.folder = filepath.Join(dir, "source")
	if err := os.Mkdir(r.folder, 0o700); err != nil {
		c.t.Fatal(err)
	}
	source := fmt.Sprintf("{directory: {path: %s, interval: 2s}}", r.folder)
	if c.origin != nil {
		r.git = c.origin.Serve(c.t, gittest.HTTP{})
		source = fmt.Sprintf("{git: {url: %s, branch: main, allowHTTP: true}}", r.git.Repo)
	}
	text := fmt.Sprintf(`
marathon: {url: %s, timeout: 5s, agentPort: 0}
zookeeper: {servers: [%s], root: %s, sessionTimeout: %s}
listen: %s
stateDir: %s
sources: {shop: %s}
syncs: {shop: {source: shop, scope: /shop, adopt: true, prune: "on"}}
`, r.marathon.URL, strings.Join(servers, ", "), c.root, c.session, r.listen, filepath.Join(dir, "state"), source)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.kill)
	return r
}

// serve is Marathon as one replica reaches it. It records writes.
func (r *replicaProcess) serve(w http.ResponseWriter, req *http.Request, marathon http.Handler) {
	c := r.c
	c.mu.Lock()
	away, n := r.away, -1
	if !away && req.Method != http.MethodGet && req.Method != http.MethodHead {
		n = len(c.record)
		c.record = append(c.record, wrote{at: time.Now(), sender: r, id: strings.TrimPrefix(req.URL.Path, "/v2/apps")})
	}
	c.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler)
	}
	if n < 0 {
		marathon.ServeHTTP(w, req)
		return
	}
	answer := httptest.NewRecorder()
	marathon.ServeHTTP(answer, req)
	c.mu.Lock()
	c.record[n].status = answer.Code
	c.mu.Unlock()
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // who was killed does not read it
}

func (r *replicaProcess) setAway(away bool) {
	r.c.mu.Lock()
	r.away = away
	r.c.mu.Unlock()
	if away {
		r.marathon.CloseClientConnections()
	}
}

func (r *replicaProcess) start() {
	r.c.t.Helper()
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.c.t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command(r.c.binary, "run", "--config", r.config)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		r.c.t.Fatal(err)
	}
}

func (r *replicaProcess) signal(s syscall.Signal) {
	r.c.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.c.t.Fatal(err)
	}
}

// kill is kill -9, awaited.
func (r *replicaProcess) kill() {
	if r.cmd == nil || r.cmd.ProcessState != nil {
		return
	}
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()
}

func (r *replicaProcess) lastLines() string {
	text, _ := os.ReadFile(r.log)
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// get asks the replica, with a limit: it may be frozen.
func (r *replicaProcess) get(path string) ([]byte, error) {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get("http://" + r.listen + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func (r *replicaProcess) status() (s status.Status) {
	body, err := r.get("/api/v1/status")
	if err == nil {
		_ = json.Unmarshal(body, &s) // one that is starting has none
	}
	return s
}

func (r *replicaProcess) leads() bool {
	s := r.status()
	return s.Leader != nil && s.Leader.Leading
}

func (r *replicaProcess) post(path string) int {
	r.c.t.Helper()
	resp, err := http.Post("http://"+r.listen+path, "application/json", nil)
	if err != nil {
		r.c.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// cut ends the links to ZooKeeper, or lets them be again.
func (r *replicaProcess) cut(cut bool) {
	for _, l := range r.links {
		l.cut(cut)
	}
}

// push writes the next revision of every app.
func (c *cluster) push() int {
	c.t.Helper()
	c.mu.Lock()
	c.revision++
	revision := c.revision
	c.mu.Unlock()
	var b bytes.Buffer
	b.WriteString("[")
	for i := range c.apps {
		if i > 0 {
			b.WriteString(",\n")
		}
		// No instances: what counts here is what is written, not what runs.
		fmt.Fprintf(&b, `{"id": "/shop/app-%d", "cmd": "sleep 1000", "cpus": 0.1, "mem": 32, "instances": 0, "env": {"REVISION": "%d"}}`, i, revision)
	}
	b.WriteString("]\n")
	if c.origin != nil {
		c.origin.Commit(fmt.Sprintf("revision %d", revision), map[string]string{"apps.json": b.String()})
		return revision
	}
	for _, r := range c.replicas {
		file := filepath.Join(r.folder, ".apps.json.tmp")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Rename(file, filepath.Join(r.folder, "apps.json")); err != nil {
			c.t.Fatal(err)
		}
	}
	return revision
}

// busy pushes one revision after the other until the returned function is
// called, so that whoever leads writes all the time.
func (c *cluster) busy() (rest func()) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				c.push()
			}
		}
	})
	var once sync.Once
	rest = func() { once.Do(func() { close(stop) }); group.Wait() }
	c.t.Cleanup(rest) // where the test fails meanwhile
	return rest
}

// live tells which revision each app in Marathon is of.
func (c *cluster) live() map[string]int {
	resp, err := http.Get(c.marathon.URL + "/v2/apps")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		Apps []struct {
			ID  string
			Env map[string]string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		c.t.Fatal(err)
	}
	revisions := map[string]int{}
	for _, a := range all.Apps {
		revisions[a.ID], _ = strconv.Atoi(a.Env["REVISION"])
	}
	return revisions
}

// applied tells whether every app is of a revision, and no other is there.
func (c *cluster) applied(revision int) bool {
	live := c.live()
	for _, r := range live {
		if r != revision {
			return false
		}
	}
	return len(live) == c.apps
}

// leader waits until one replica leads, and returns it.
func (c *cluster) leader(except ...*replicaProcess) *replicaProcess {
	c.t.Helper()
	var found *replicaProcess
	zktest.Await(c.t, "a leader", func() bool {
		for _, r := range c.replicas {
			if !slices.Contains(except, r) && r.leads() {
				found = r
			}
		}
		return found != nil
	})
	return found
}

// awaitThree waits until the leader knows of three candidates.
func (c *cluster) awaitThree() {
	c.t.Helper()
	zktest.Await(c.t, "three candidates", func() bool {
		s := c.leader().status() // nothing where it does not answer in time
		return s.Leader != nil && s.Leader.Candidates == 3
	})
}

// follower is one that does not lead.
func (c *cluster) follower() *replicaProcess {
	c.t.Helper()
	leader := c.leader()
	for _, r := range c.replicas {
		if r != leader {
			return r
		}
	}
	return nil
}

// converge brings everything to rest, and holds what must hold then: the newest
// revision runs, every replica says so, and the writes of terms lie one after
// the other.
func (c *cluster) converge() {
	c.t.Helper()
	revision := c.push()
	zktest.Await(c.t, "the newest revision in Marathon", func() bool { return c.applied(revision) })
	zktest.Await(c.t, "three replicas that are ready and show the same", func() bool {
		for _, r := range c.replicas {
			s := r.status()
			if len(s.NotReady()) > 0 || len(s.Syncs) != 1 || s.Leader == nil || s.Leader.Candidates != 3 ||
				len(s.Syncs[0].Apps) != c.apps {
				return false
			}
			for _, a := range s.Syncs[0].Apps {
				if a.State != status.Synced {
					return false
				}
			}
		}
		return true
	})
	c.inTurn()
}

// startOfTerm is what a replica logs when it has a lease.
var startOfTerm = regexp.MustCompile(`^time=(\S+) level=INFO msg=leading epoch=(\d+)`)

// terms lists when a replica began to lead, oldest first.
func (r *replicaProcess) terms() (began []time.Time, epochs []int) {
	text, err := os.ReadFile(r.log)
	if err != nil {
		r.c.t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if m := startOfTerm.FindStringSubmatch(lines.Text()); m != nil {
			at, err := time.Parse("2006-01-02T15:04:05.000Z07:00", m[1])
			if err != nil {
				r.c.t.Fatal(err)
			}
			epoch, _ := strconv.Atoi(m[2])
			began, epochs = append(began, at), append(epochs, epoch)
		}
	}
	return began, epochs
}

// inTurn holds that no write of a term came after one of a later term. Terms are
// told apart by replica and by when they began.
func (c *cluster) inTurn() {
	c.t.Helper()
	type term struct {
		of    *replicaProcess
		epoch int
		began time.Time
	}
	var terms []term
	for _, r := range c.replicas {
		began, epochs := r.terms()
		for i := range began {
			terms = append(terms, term{r, epochs[i], began[i]})
		}
	}
	slices.SortFunc(terms, func(a, b term) int { return a.began.Compare(b.began) })
	// Its lease came back. A wiped ensemble counts epochs anew, so one may come again.
	terms = slices.CompactFunc(terms, func(a, b term) bool { return a.of == b.of && a.epoch == b.epoch })
	c.mu.Lock()
	record := slices.Clone(c.record)
	c.mu.Unlock()
	newest := -1
	for _, w := range record {
		own := -1
		for i, term := range terms {
			if term.of == w.sender && !term.began.After(w.at) {
				own = i
			}
		}
		switch {
		case own < 0:
			c.t.Errorf("replica %d wrote %s at %s, and never led before", w.sender.i, w.id, w.at)
		case own < newest:
			c.t.Errorf("replica %d wrote %s at %s in the term that began at %s, after replica %d in the one that began at %s",
				w.sender.i, w.id, w.at, terms[own].began, terms[newest].of.i, terms[newest].began)
		default:
			newest = own
		}
	}
}

// tcpLink carries connections to one server until it is cut.
type tcpLink struct {
	ln net.Listener

	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]bool
}

func newLink(t testing.TB, target string) *tcpLink {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &tcpLink{ln: ln, conns: map[net.Conn]bool{}}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() { l.carry(conn, target) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		l.cut(true)
		group.Wait()
	})
	return l
}

func (l *tcpLink) address() string { return l.ln.Addr().String() }

// cut ends every connection, and new ones at once; or no more.
func (l *tcpLink) cut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = cut
	if cut {
		for conn := range l.conns {
			conn.Close()
		}
	}
}

func (l *tcpLink) add(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		conn.Close()
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *tcpLink) carry(client net.Conn, target string) {
	defer client.Close()
	if !l.add(client) {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.add(server) {
		return
	}
	var group sync.WaitGroup
	pump := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // it ends where either is closed
		to.Close()
		from.Close()
	}
	group.Go(func() { pump(server, client) })
	pump(client, server)
	group.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, client)
	delete(l.conns, server)
}

// TestReplicas plays each fault once, one after the other.
func TestReplicas(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, ownEnsemble(t), 10, shortSession)
	c.converge()
	fault := func(name string, play func()) {
		if !t.Failed() {
			began := time.Now()
			rest := c.busy()
			play()
			rest()
			c.ensemble.Heal(t)
			c.converge()
			t.Logf("%s: %s", name, time.Since(began).Round(time.Millisecond))
		}
	}
	// leadsWithin ends the leader and starts it again.
	leadsWithin := func(limit time.Duration, end func(*replicaProcess)) {
		took := testenv.Best(limit, func() time.Duration {
			c.awaitThree()
			old := c.leader()
			began := time.Now()
			end(old)
			next := c.leader(old)
			at, _ := next.terms()
			if old.cmd.ProcessState == nil { // not killed
				if err := old.cmd.Wait(); err != nil {
					t.Errorf("it did not end well: %v", err)
				}
			}
			old.start()
			return at[len(at)-1].Sub(began)
		})
		if t.Logf("the next leads after %s", took); took > limit {
			t.Errorf("the next leads after %s, want %s at most", took, limit)
		}
	}
	fault("kill -9 of the leader", func() {
		leadsWithin(c.takeOver(), (*replicaProcess).kill)
	})
	fault("SIGTERM of the leader", func() {
		leadsWithin(1100*time.Millisecond, func(r *replicaProcess) { r.signal(syscall.SIGTERM) })
	})
	fault("the leader is frozen for longer than the session", func() {
		old := c.leader()
		old.signal(syscall.SIGSTOP)
		next := c.leader(old)
		c.awaitWrite(next)
		old.signal(syscall.SIGCONT)
		zktest.Await(t, "that it knows", func() bool { s := old.status(); return s.Leader != nil && !s.Leader.Leading })
	})
	fault("the leader is frozen for less than half the session", func() {
		const none = 0
		changes := testenv.Best(none, func() int { // a busy machine may freeze it for longer
			c.awaitThree()
			old := c.leader()
			_, before := old.terms()
			old.signal(syscall.SIGSTOP)
			time.Sleep(300 * time.Millisecond) // the fault itself
			old.signal(syscall.SIGCONT)
			_, after := c.leader().terms()
			if after[len(after)-1] != before[len(before)-1] {
				return 1
			}
			return none
		})
		if changes != none {
			t.Error("each such freeze begins another term")
		}
	})
	fault("the leader is cut off from ZooKeeper, not from Marathon", func() {
		old := c.leader()
		old.cut(true)
		next := c.leader(old)
		c.awaitWrite(next)
		if old.leads() {
			t.Error("two lead")
		}
		old.cut(false)
	})
	fault("the leader is cut off from Marathon only", func() {
		old := c.leader()
		old.setAway(true)
		zktest.Await(t, "that it says so", func() bool { return old.status().Marathon.Error != "" })
		if !old.leads() {
			t.Error("it has lost its lease")
		}
		old.setAway(false)
	})
	fault("the leader of ZooKeeper is cut off from the other servers", func() {
		s := c.ensemble.Leader(t)
		c.ensemble.Isolate(s)
		c.awaitWrite(nil)
		c.ensemble.Rejoin(s)
	})
	fault("the leader of ZooKeeper is frozen", func() {
		s := c.ensemble.Leader(t)
		s.Freeze()
		time.Sleep(3 * time.Second) // the fault itself
		s.Thaw()
		c.awaitWrite(nil)
	})
	fault("two of three servers are killed, then all, and started again", func() {
		all := c.ensemble.Servers()
		all[0].Kill()
		all[1].Kill()
		zktest.Await(t, "that nobody leads", func() bool {
			return !slices.ContainsFunc(c.replicas, (*replicaProcess).leads)
		})
		all[2].Kill()
		for _, s := range all {
			s.Start(t)
		}
		c.awaitWrite(nil)
	})
	fault("all of ZooKeeper is wiped", func() {
		c.ensemble.Wipe(t)
		c.awaitEach("the loss", func(s status.Sync) bool { return s.StateLost != nil })
		c.act(c.follower(), "resume")
		c.awaitWrite(nil)
	})
	fault("an operator deletes the leader's node", func() {
		old := c.leader()
		_, before := old.terms()
		c.deleteFirst()
		zktest.Await(t, "another term", func() bool {
			next := c.leader()
			_, after := next.terms()
			return next != old || after[len(after)-1] != before[len(before)-1]
		})
	})
	fault("a follower is asked to have the leader abdicate", func() {
		old, follower := c.leader(), c.follower()
		if code := follower.post("/api/v1/leader/abdicate"); code != http.StatusAccepted {
			t.Errorf("it answers %d", code)
		}
		c.leader(old)
	})
	fault("a follower is asked to suspend, and to resume", func() {
		for _, verb := range []string{"suspend", "resume"} {
			if code := c.follower().post("/api/v1/syncs/shop/" + verb); code != http.StatusOK {
				t.Errorf("%s: %d", verb, code)
			}
			zktest.Await(t, "all that show it", func() bool {
				return !slices.ContainsFunc(c.replicas, func(r *replicaProcess) bool {
					s := r.status()
					return len(s.Syncs) != 1 || s.Syncs[0].Suspended != (verb == "suspend")
				})
			})
		}
	})
}

// awaitWrite waits until a replica has written once more; nil: any, which may
// be another one by then.
func (c *cluster) awaitWrite(r *replicaProcess) {
	c.t.Helper()
	began := time.Now()
	zktest.Await(c.t, "a write", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.ContainsFunc(c.record, func(w wrote) bool { return (r == nil || w.sender == r) && w.at.After(began) })
	})
}

// deleteFirst deletes the node of the first in line.
func (c *cluster) deleteFirst() {
	c.t.Helper()
	conn, err := zookeeper.Dial(c.t.Context(), zookeeper.Config{Servers: c.ensemble.Addresses(), Root: c.root, SessionTimeout: 5 * time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	line := c.root + "/candidates"
	if _, err := conn.Sync(line); err != nil { // its server may be behind
		c.t.Fatal(err)
	}
	names, _, err := conn.Children(line)
	if err != nil || len(names) == 0 {
		c.t.Fatalf("%v, %v", names, err)
	}
	number := func(name string) string { return name[strings.LastIndex(name, "-"):] }
	first := slices.MinFunc(names, func(a, b string) int { return strings.Compare(number(a), number(b)) })
	if err := conn.Delete(line+"/"+first, -1); err != nil {
		c.t.Fatal(err)
	}
}

// TestNothingOfAnOldTermLands cuts the path from the leader to Marathon while it
// writes, ends its term in each of the ways in which one can end, and heals the
// path when another replica leads: what the old leader had written must not come.
func TestNothingOfAnOldTermLands(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, zktest.Shared(t), 3, shortSession)
	c.converge()
	for _, end := range []struct {
		name string
		how  func(old *replicaProcess)
		undo func(old *replicaProcess)
	}{
		{"it abdicates", func(old *replicaProcess) {
			if code := old.post("/api/v1/leader/abdicate"); code != http.StatusAccepted {
				t.Errorf("it answers %d", code)
			}
		}, func(*replicaProcess) {}},
		{"SIGTERM", func(old *replicaProcess) { old.signal(syscall.SIGTERM) }, func(old *replicaProcess) {
			_ = old.cmd.Wait() // it was told to end
			old.start()
		}},
		{"kill -9", (*replicaProcess).kill, (*replicaProcess).start},
		{"SIGSTOP", func(old *replicaProcess) { old.signal(syscall.SIGSTOP) }, func(old *replicaProcess) { old.signal(syscall.SIGCONT) }},
		{"its lease ends: it is cut off from ZooKeeper", func(old *replicaProcess) { old.cut(true) }, func(old *replicaProcess) { old.cut(false) }},
	} {
		began := time.Now()
		old := c.leader()
		old.path.CutWrites()
		c.push()
		old.path.AwaitStuck(1)
		before := c.written(old)
		end.how(old)
		c.leader(old)
		old.path.Heal()
		old.path.AwaitDelivered()
		if late := c.written(old) - before; late > 0 {
			t.Errorf("%s: %d writes of the old leader landed under the next one", end.name, late)
		}
		end.undo(old)
		c.converge()
		t.Logf("%s: %s", end.name, time.Since(began).Round(time.Millisecond))
	}
}

// written is how many writes of a replica Marathon was sent.
func (c *cluster) written(by *replicaProcess) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.record {
		if w.sender == by {
			n++
		}
	}
	return n
}

// TestTheLeaderIsKilledWhileItChanges200Apps kills it at several steps: each
// app is changed once, and none is lost.
func TestTheLeaderIsKilledWhileItChanges200Apps(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, zktest.Shared(t), 200, shortSession)
	c.converge()
	for _, after := range []int{1, 60, 150} {
		c.mu.Lock()
		from := len(c.record)
		c.mu.Unlock()
		leader := c.leader()
		revision := c.push()
		zktest.Await(t, fmt.Sprintf("%d writes", after), func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.record)-from >= after
		})
		leader.kill()
		zktest.Await(t, "the revision", func() bool { return c.applied(revision) })
		leader.start()
		c.awaitThree()
		c.mu.Lock()
		times := map[string]int{}
		for _, w := range c.record[from:] {
			if w.status/100 == 2 {
				times[w.id]++
			}
		}
		c.mu.Unlock()
		for id, n := range times {
			if n != 1 {
				t.Errorf("killed after %d writes: %s was changed %d times", after, id, n)
			}
		}
		if len(times) != 200 {
			t.Errorf("killed after %d writes: %d apps were changed", after, len(times))
		}
	}
	c.inTurn()
}

// BenchmarkTakeOver measures from the end of the leader, by kill -9 and by
// SIGTERM, till another one may write, with a session timeout of 6 s and a tick
// of 0.5 s: go test ./cmd/pacer -run - -bench TakeOver -benchtime 10x
func BenchmarkTakeOver(b *testing.B) {
	c := newCluster(b, zktest.Shared(b), 5, 6*time.Second)
	c.converge()
	for name, signal := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "term": syscall.SIGTERM} {
		b.Run(name, func(b *testing.B) {
			var all []time.Duration
			for b.Loop() {
				old := c.leader()
				began := time.Now()
				old.signal(signal)
				next := c.leader(old)
				at, _ := next.terms()
				all = append(all, at[len(at)-1].Sub(began))
				_ = old.cmd.Wait() // it was killed
				old.start()
				c.awaitThree()
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2].Seconds(), "s/median")
			b.ReportMetric(all[len(all)-1].Seconds(), "s/most")
			b.ReportMetric(0, "ns/op")
		})
	}
}

var (
	soakRuns = flag.Int("soak", 2, "how many random `faults` TestSoak plays")
	soakSeed = flag.Uint64("soak-seed", 1, "`seed` of the first")
)

// TestSoak plays random freezes and partitions of the leader, each by a seed of
// its own; ./soak.sh plays many.
func TestSoak(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, zktest.Shared(t), 5, shortSession)
	c.converge()
	rest := c.busy()
	for n := range *soakRuns {
		seed := *soakSeed + uint64(n)
		random := rand.New(rand.NewPCG(seed, 7))
		upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
		leader := c.leader()
		time.Sleep(upTo(500 * time.Millisecond)) // seeded: when it happens is part of it
		long := shortSession/4 + upTo(2*shortSession)
		if random.IntN(2) == 0 { // what it writes does not arrive meanwhile
			leader.path.CutWrites()
		}
		switch what := random.IntN(3); what {
		case 0:
			leader.signal(syscall.SIGSTOP)
			time.Sleep(long)
			leader.signal(syscall.SIGCONT)
		case 1:
			leader.cut(true)
			time.Sleep(long)
			leader.cut(false)
		case 2: // packets are dropped meanwhile
			leader.signal(syscall.SIGSTOP)
			leader.cut(true)
			time.Sleep(long)
			leader.signal(syscall.SIGCONT)
			time.Sleep(upTo(shortSession))
			leader.cut(false)
		}
		leader.path.Heal()
		c.awaitWrite(nil)
		c.inTurn()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	rest()
	c.converge()
	c.mu.Lock()
	defer c.mu.Unlock()
	terms := 0
	for _, r := range c.replicas {
		began, _ := r.terms()
		terms += len(began)
	}
	t.Logf("%d faults from seed %d: %d leases, %d writes, none after one of a later term", *soakRuns, *soakSeed, terms, len(c.record))
}

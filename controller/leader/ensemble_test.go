package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
)

// These tests stand for election in a real ensemble.

func TestMain(m *testing.M) { os.Exit(zktest.Main(m)) }

const (
	testTimeout = 2 * time.Second  // four ticks
	longSession = 10 * time.Second // is granted at most, and nothing waits for its end
)

func config(t *testing.T, e *zktest.Ensemble) zookeeper.Config {
	t.Helper()
	return zookeeper.Config{Servers: e.Addresses(), Root: zktest.Root(t), SessionTimeout: testTimeout, Log: logOf(t, "zookeeper")}
}

func logOf(t *testing.T, who string) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("who", who)
}

// standing is a candidate in a test.
type standing struct {
	*Candidate
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	term   atomic.Pointer[Term] // nil: it does not work
	terms  atomic.Int32
}

// stand lets a candidate stand until stop, or the end of the test.
func stand(t *testing.T, name string, e Ensemble) *standing {
	t.Helper()
	return standWith(t, Options{Ensemble: e, Timeout: testTimeout, Address: "http://" + name, Log: logOf(t, name), Metrics: prometheus.NewRegistry()})
}

func standWith(t *testing.T, o Options) *standing {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &standing{Candidate: c, t: t, done: make(chan struct{})}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		err := c.Lead(ctx, func(ctx context.Context, term Term) {
			s.terms.Add(1)
			s.term.Store(&term)
			<-ctx.Done()
			s.term.Store(nil)
		})
		if err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *standing) stop() {
	s.cancel()
	<-s.done
}

// leads tells whether it works and may write.
func (s *standing) leads() bool {
	term := s.term.Load()
	return term != nil && term.Lease.Err() == nil
}

// awaitLeader waits for one of some to lead, and returns it.
func awaitLeader(t *testing.T, all ...*standing) *standing {
	t.Helper()
	var found *standing
	zktest.Await(t, "a leader", func() bool {
		for _, s := range all {
			if s.leads() {
				found = s
			}
		}
		return found != nil
	})
	return found
}

// awaitInLine waits until a candidate sees so many.
func (s *standing) awaitInLine(n int) {
	s.t.Helper()
	zktest.Await(s.t, fmt.Sprintf("%d candidates", n), func() bool { return s.Status().Candidates >= n })
}

// inLine starts candidates one after the other; the first leads. On a busy machine it
// may have lost its session by then: they start again.
func inLine(t *testing.T, c zookeeper.Config, n int) []*standing {
	t.Helper()
	for range 5 {
		var all []*standing
		for i := range n {
			s := stand(t, fmt.Sprintf("replica-%d", i+1), NewEnsemble(c))
			s.awaitInLine(i + 1)
			all = append(all, s)
		}
		if awaitLeader(t, all...) == all[0] {
			return all
		}
		for _, s := range all {
			s.stop()
		}
	}
	t.Fatal("five times another one than the first in line leads")
	return nil
}

func TestOneLeadsAndHandsOverWithinASecond(t *testing.T) {
	took := testenv.Best(time.Second, func() time.Duration { return handsOver(t) })
	if took > time.Second {
		t.Errorf("the next leads %s after the first was told to stop, want a second", took)
	}
}

// handsOver tells how soon the second of three leads after the first was told to stop.
func handsOver(t *testing.T) time.Duration {
	t.Helper()
	all := inLine(t, config(t, zktest.Shared(t)), 3)
	first := all[0].Status()
	if !first.Leading || first.State != Leading || first.Epoch == 0 || first.LeaseSeconds <= 0 || first.Leader != "http://replica-1" {
		t.Errorf("the leader: %+v", first)
	}
	zktest.Await(t, "the leader's address at the others", func() bool {
		return all[1].Status().Leader == "http://replica-1" && all[2].Status().Leader == "http://replica-1"
	})
	if s := all[1].Status(); s.Leading || s.State != Waiting || s.Epoch != first.Epoch {
		t.Errorf("a follower: %+v", s)
	}
	if _, err := all[1].Lease(); err == nil || !strings.Contains(err.Error(), "http://replica-1") {
		t.Errorf("a follower's lease: %v: want an error that names the leader", err)
	}
	began := time.Now()
	all[0].stop()
	next := awaitLeader(t, all[1], all[2])
	took := time.Since(began)
	if next != all[1] {
		t.Errorf("replica %v leads, want the second", next.o.Address)
	}
	if s := next.Status(); s.Epoch <= first.Epoch {
		t.Errorf("the epoch went from %d to %d", first.Epoch, s.Epoch)
	}
	return took
}

func TestWhoAbdicatesStandsAgainBehindTheOthers(t *testing.T) {
	all := inLine(t, config(t, zktest.Shared(t)), 2)
	if err := all[1].Abdicate(t.Context()); err == nil {
		t.Error("a follower abdicates")
	}
	for _, i := range []int{0, 1, 0} {
		all[1-i].awaitInLine(2)
		if err := all[i].Abdicate(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitLeader(t, all[1-i])
	}
}

func TestAnotherTimeoutThanConfiguredIsRefused(t *testing.T) {
	c := config(t, zktest.Shared(t))
	candidate, err := New(Options{Ensemble: NewEnsemble(c), Timeout: 3 * time.Second, Log: logOf(t, "x")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := candidate.Lead(ctx, func(context.Context, Term) { t.Error("it leads") }); err != nil {
			t.Error(err)
		}
	})
	zktest.Await(t, "the reason", func() bool {
		why := candidate.Status().NotReady()
		return strings.Contains(why, "2s") && strings.Contains(why, "3s")
	})
	cancel()
	group.Wait()
}

func TestNodesBelongToTheCredential(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.Auth = zookeeper.Auth{User: "pacer", Password: secret.Value("secret")}
	all := inLine(t, c, 2)
	stranger, _, err := zk.Connect(c.Servers, 5*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	node, err := all[0].Node()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Delete(node, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("somebody without the credential deletes the leader's node: %v", err)
	}
	all[0].stop()
	awaitLeader(t, all[1])
}

func TestForeignNodesInLineAreIgnored(t *testing.T) {
	c := config(t, zktest.Shared(t))
	conn := operator(t, c)
	if err := conn.Make(c.Root + "/" + candidatesNode + "/lock-0000000000"); err != nil {
		t.Fatal(err)
	}
	inLine(t, c, 2)
}

// operator is somebody with access to ZooKeeper.
func operator(t *testing.T, c zookeeper.Config) *zookeeper.Conn {
	t.Helper()
	c.SessionTimeout = longSession
	conn, err := zookeeper.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAnOperatorDeletesTheLeadersNode(t *testing.T) {
	c := config(t, zktest.Shared(t))
	all := inLine(t, c, 2)
	old := all[0].term.Load()
	node, err := all[0].Node()
	if err != nil {
		t.Fatal(err)
	}
	if err := operator(t, c).Delete(node, -1); err != nil {
		t.Fatal(err)
	}
	next := awaitLeader(t, all[1])
	if old.Lease.Err() == nil {
		t.Error("the old lease is in force")
	}
	next.awaitInLine(2) // the old one stands again
	if err := all[0].term.Load(); err != nil {
		t.Error("two lead")
	}
}

func TestALostReplyLeavesOneNodeAReplica(t *testing.T) {
	testenv.Long(t)
	e := zktest.Start(t, zktest.Options{})
	c := config(t, e)
	const opMulti = 14
	var lost atomic.Int32
	for _, s := range e.Servers() {
		s.Proxy.OnRequest(func(op int32) zktest.Fate {
			if op == opMulti && lost.Add(1) <= 2 { // the first makes the nodes
				return zktest.LoseReply
			}
			return zktest.Pass
		})
	}
	s := stand(t, "replica-1", NewEnsemble(c))
	awaitLeader(t, s)
	conn := operator(t, c)
	zktest.Await(t, "one node", func() bool {
		names, _, err := conn.Children(c.Root + "/" + candidatesNode)
		return err == nil && len(names) == 1
	})
	if lost.Load() < 3 {
		t.Errorf("%d transactions were seen", lost.Load())
	}
}

// counting counts how often sessions read the line.
type counting struct {
	Ensemble
	lists *atomic.Int32
}

func (c counting) Dial(ctx context.Context) (Session, error) {
	s, err := c.Ensemble.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return countingSession{s, c.lists}, nil
}

type countingSession struct {
	Session
	lists *atomic.Int32
}

func (s countingSession) Gone(ctx context.Context, node string) error {
	err := s.Session.Gone(ctx, node)
	if err == nil {
		s.lists.Add(1)
	}
	return err
}

func TestOneChangeWakesOneOfForty(t *testing.T) {
	c := config(t, zktest.Shared(t))
	var woken atomic.Int32
	var all []*standing
	for i := range 40 {
		s := stand(t, fmt.Sprintf("replica-%d", i), counting{NewEnsemble(c), &woken})
		s.awaitInLine(i + 1)
		all = append(all, s)
	}
	awaitLeader(t, all[0])
	woken.Store(0)
	all[0].stop()
	awaitLeader(t, all[1])
	if n := woken.Load(); n != 1 {
		t.Errorf("%d were woken, want 1", n)
	}
	var group sync.WaitGroup // hand over the others all at once, not one by one
	for _, s := range all {
		group.Go(s.stop)
	}
	group.Wait()
}

func TestAHundredElectionsLeakNothing(t *testing.T) {
	testenv.Long(t)
	c := config(t, zktest.Shared(t))
	all := inLine(t, c, 2)
	settled := func() (int, int) {
		for _, s := range all {
			s.awaitInLine(2)
		}
		runtime.GC()
		return runtime.NumGoroutine(), descriptors(t)
	}
	terms := func() int32 { return all[0].terms.Load() + all[1].terms.Load() }
	goroutines, files := settled()
	for i := range 100 {
		before := terms()
		now := awaitLeader(t, all...)
		for _, s := range all {
			if s != now {
				s.awaitInLine(2) // it knows as soon as it stands
			}
		}
		// Who has lost its session by itself, on a busy machine, has no lease to hand over.
		if err := now.Abdicate(t.Context()); err != nil && !errors.Is(err, ErrNoLease) {
			t.Fatalf("election %d: %v", i, err)
		}
		zktest.Await(t, "the next term", func() bool { return terms() > before })
	}
	zktest.Await(t, "as many goroutines and descriptors as before", func() bool {
		g, f := settled()
		return g <= goroutines && f <= files
	})
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestTheLeadersServerIsCutOffFromTheOthers(t *testing.T) {
	testenv.Long(t)
	e := zktest.Start(t, zktest.Options{QuorumProxies: true})
	all := inLine(t, config(t, e), 2)
	var old *Term
	for _, s := range all {
		if term := s.term.Load(); term != nil {
			old = term
		}
	}
	e.Isolate(e.Leader(t))
	zktest.Await(t, "a lease after the cut", func() bool {
		for _, s := range all {
			if term := s.term.Load(); term != nil && term.Lease.Err() == nil && (term.Lease != old.Lease) {
				return true
			}
		}
		return old.Lease.Err() == nil // it never lost it: it spoke to another server
	})
	if all[0].leads() && all[1].leads() {
		t.Error("two lead")
	}
	e.Heal(t)
	awaitLeader(t, all...)
}

func TestTheWipedEnsembleIsBegunAnew(t *testing.T) {
	testenv.Long(t)
	e := zktest.Start(t, zktest.Options{})
	all := inLine(t, config(t, e), 2)
	e.Wipe(t)
	awaitLeader(t, all...)
	for _, s := range all {
		s.awaitInLine(2)
	}
}

package zktest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// childEnv makes this test binary start an ensemble, tell of it, and wait to be
// killed.
const childEnv = "PACER_TEST_ZKTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		playChild()
	}
	os.Exit(Main(m))
}

func playChild() {
	e, err := New(Options{Servers: 1})
	must(err)
	fmt.Println(e.Server(1).process.Process.Pid, e.folder)
	_, err = os.Stdin.Read(make([]byte, 1)) // until the parent is gone
	must(err)
}

func connect(t *testing.T, servers ...string) *zk.Conn {
	t.Helper()
	c, _, err := zk.Connect(servers, 5*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// without are the addresses of the other servers.
func without(e *Ensemble, s *Server) []string {
	return slices.DeleteFunc(e.Addresses(), func(a string) bool { return a == s.Proxy.Address() })
}

// awaitWrite waits until a write through a connection succeeds.
func awaitWrite(t *testing.T, c *zk.Conn, node string) {
	t.Helper()
	Await(t, "a write of "+node, func() bool {
		_, err := c.Create(node, nil, 0, zk.WorldACL(zk.PermAll))
		return err == nil || errors.Is(err, zk.ErrNodeExists)
	})
}

func TestServersAreKilledStoppedFrozenAndStarted(t *testing.T) {
	testenv.Long(t)
	e := Shared(t)
	root := Root(t)
	for i, fault := range []struct{ begin, end func(*Server) }{
		{(*Server).Kill, func(s *Server) { s.Start(t) }},
		{(*Server).Stop, func(s *Server) { s.Start(t) }},
		{(*Server).Freeze, (*Server).Thaw},
	} {
		s := e.Leader(t)
		fault.begin(s)
		if s.mode() != "" {
			t.Errorf("fault %d: server %d still answers", i, s.ID)
		}
		if next := e.Leader(t); next == s {
			t.Errorf("fault %d: server %d still leads", i, s.ID)
		}
		awaitWrite(t, connect(t, without(e, s)...), fmt.Sprint(root, i)) // two of three are enough
		fault.end(s)
		e.Healthy(t)
	}
}

func TestWithoutAMajorityNothingIsWritten(t *testing.T) {
	testenv.Long(t)
	e := Shared(t)
	c := connect(t, e.Addresses()...)
	root := Root(t)
	awaitWrite(t, c, root)
	e.LoseQuorum(t)
	if _, err := c.Create(root+"/without", nil, 0, zk.WorldACL(zk.PermAll)); err == nil {
		t.Error("one of three wrote")
	}
	e.Heal(t)
	awaitWrite(t, c, root+"/with")
}

func TestWipedServersKnowNothing(t *testing.T) {
	testenv.Long(t)
	e := Shared(t)
	root := Root(t)
	awaitWrite(t, connect(t, e.Addresses()...), root)
	e.Wipe(t)
	c := connect(t, e.Addresses()...)
	Await(t, "an answer", func() bool {
		there, _, err := c.Exists(root)
		if err == nil && there {
			t.Fatal("a wiped ensemble knows what was written")
		}
		return err == nil
	})
}

func TestAnIsolatedLeaderIsReplaced(t *testing.T) {
	testenv.Long(t)
	e := Start(t, Options{QuorumProxies: true})
	root := Root(t)
	old := e.Leader(t)
	e.Isolate(old)
	Await(t, "another leader", func() bool {
		for _, s := range e.Servers() {
			if s != old && s.mode() == "leader" {
				return true
			}
		}
		return false
	})
	awaitWrite(t, connect(t, without(e, old)...), root)
	Await(t, "the end of the old leader", func() bool { return old.mode() != "leader" })
	e.Rejoin(old)
	e.Healthy(t)
	c := connect(t, old.Proxy.Address())
	Await(t, "the write at the server that was isolated", func() bool {
		there, _, err := c.Exists(root)
		return err == nil && there
	})
}

func TestTheProxyDecidesAboutRequests(t *testing.T) {
	e := Shared(t)
	s := e.Server(1)
	defer s.Proxy.Heal()
	c := connect(t, s.Proxy.Address())
	root := Root(t)
	awaitWrite(t, c, root)
	const create = 1
	for name, fate := range map[string]Fate{"/lost": Lose, "/reply": LoseReply} {
		asked := 0
		s.Proxy.OnRequest(func(op int32) Fate {
			if op != create || asked > 0 {
				return Pass
			}
			asked++
			return fate
		})
		if _, err := c.Create(root+name, nil, 0, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("%s: %v, want a lost connection", name, err)
		}
		s.Proxy.Heal()
		Await(t, "an answer", func() bool {
			there, _, err := c.Exists(root + name)
			if err == nil && there != (fate == LoseReply) {
				t.Errorf("%s: written is %v", name, there)
			}
			return err == nil
		})
	}
}

func TestTheProxyHoldsAndCuts(t *testing.T) {
	testenv.Long(t)
	s := Shared(t).Server(2)
	defer s.Proxy.Heal()
	c := connect(t, s.Proxy.Address())
	root := Root(t)
	awaitWrite(t, c, root)
	s.Proxy.Hold(ToClient)
	done := make(chan error, 1)
	go func() { _, _, err := c.Exists(root); done <- err }()
	Await(t, "the connection to be given up, or another error", func() bool {
		select {
		case err := <-done:
			if err == nil {
				t.Fatal("an answer came through")
			}
			return true
		default:
			return false
		}
	})
	s.Proxy.Heal()
	awaitWrite(t, c, root+"/healed")
	s.Proxy.Cut()
	Await(t, "no connection", func() bool { return s.Proxy.Connections() == 0 && c.State() != zk.StateHasSession })
	s.Proxy.Heal()
	awaitWrite(t, c, root+"/again")
}

func TestNothingOutlivesAKilledTest(t *testing.T) {
	Need(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	number, folder, _ := strings.Cut(strings.TrimSpace(line), " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	Await(t, "the end of the server", func() bool { return ended(pid) })
	next, err := testenv.NewFolder(folderPrefix) // as the next ensemble does
	if err != nil {
		t.Fatal(err)
	}
	defer next.Remove() //nolint:errcheck // swept by the next
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
	if _, err := os.Stat(Shared(t).folder); err != nil {
		t.Errorf("the folder of a running ensemble was swept: %v", err)
	}
}

// ended tells whether a process is gone, or waits only for somebody to be told.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(status), ") Z ")
}

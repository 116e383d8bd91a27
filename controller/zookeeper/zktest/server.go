package zktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

const jar = "/usr/share/java/zookeeper.jar"

// classPath is ZooKeeper, which names what it needs, what that leaves out for
// TLS, and something that writes its log.
var classPath = strings.Join([]string{jar, "/usr/share/java/netty-codec.jar", "/usr/share/java/netty-resolver.jar",
	"/usr/share/java/netty-transport-native-unix-common.jar", "/usr/share/java/slf4j-simple.jar"}, ":")

// superUser, with itself for a password, is allowed everything.
const superUser = "super"

// javaOptions make a server start fast and stay small. Nothing is forced to the
// disk: a process that is killed loses nothing by that, only a machine would.
var javaOptions = []string{
	"-Xmx96m", "-Xss256k", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData",
	// Of up to 400 answers of up to 1 MiB each none are kept in memory. The last
	// 500 transactions always are: a test must not write many big ones.
	"-Dzookeeper.maxResponseCacheSize=0",
	"-Dzookeeper.forceSync=no", "-Dzookeeper.preAllocSize=1024", "-Dzookeeper.admin.enableServer=false", "-Dzookeeper.jmx.log4j.disable=true",
	"-Dzookeeper.fastleader.maxNotificationInterval=1000", "-Dzookeeper.cnxTimeout=1000",
	"-Dzookeeper.DigestAuthenticationProvider.superDigest=" + zk.DigestACL(0, superUser, superUser)[0].ID,
	"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
	"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
}

// Need ends a test that needs ZooKeeper where it is not installed.
func Need(t testenv.Test) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	testenv.Program(t, "java")
	testenv.File(t, jar)
}

// Server is one server of an ensemble.
type Server struct {
	ID    int
	Proxy *Proxy // between it and its clients

	folder                   string
	client, quorum, election *testenv.Port
	secure                   *testenv.Port // for clients that speak TLS
	java                     []string

	mu      sync.Mutex
	process *exec.Cmd     // nil: not running
	gone    chan struct{} // closed when process has ended
	killed  bool          // on purpose
	frozen  bool
}

func newServer(id int, folder string, secure bool) (*Server, error) {
	s := &Server{ID: id, folder: folder}
	for _, p := range s.ports() {
		var err error
		if *p, err = testenv.NewPort(); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	target := s.Direct()
	if secure {
		target = s.secure.Address()
	}
	err := os.MkdirAll(s.data(), 0o700)
	if err == nil {
		s.Proxy, err = newProxy(target, false)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) ports() []**testenv.Port {
	return []**testenv.Port{&s.client, &s.quorum, &s.election, &s.secure}
}

// close ends the server and gives its ports back.
func (s *Server) close() error {
	s.Kill()
	if s.Proxy != nil {
		s.Proxy.close()
	}
	var errs []error
	for _, p := range s.ports() {
		if *p != nil {
			errs = append(errs, (*p).Release())
		}
	}
	return errors.Join(errs...)
}

func (s *Server) data() string       { return filepath.Join(s.folder, "data") }
func (s *Server) configFile() string { return filepath.Join(s.folder, "zoo.cfg") }
func (s *Server) logFile() string    { return filepath.Join(s.folder, "log") }

// Direct is where it listens, past the proxy.
func (s *Server) Direct() string { return s.client.Address() }

func (s *Server) writeID() error {
	if err := os.MkdirAll(s.data(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.data(), "myid"), fmt.Appendln(nil, s.ID), 0o600)
}

// Start starts it where it was killed or stopped. It does not wait for more.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(s.java); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) start(java []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("server %d runs already", s.ID)
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append(append([]string{}, javaOptions...), java...)
	args = append(args, "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", s.configFile())
	cmd := exec.Command("java", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.folder, log, log
	if err := testenv.Launch(cmd); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended says nothing: it was killed, or the log tells
		close(gone)
	}()
	s.java, s.process, s.gone, s.killed, s.frozen = java, cmd, gone, false, false
	return nil
}

// Running tells whether its process is there, also where it is frozen.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// Kill is kill -9, awaited.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Stop is SIGTERM, awaited.
func (s *Server) Stop() {
	s.Thaw() // it would not hear
	s.signal(syscall.SIGTERM)
}

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	s.killed = true
	if err := s.process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic("zktest: " + err.Error())
	}
	<-s.gone
	s.process = nil
}

// Freeze is SIGSTOP: connections to it stay, and it accepts more, but nothing is
// answered.
func (s *Server) Freeze() { s.pause(syscall.SIGSTOP, true) }

// Thaw is SIGCONT.
func (s *Server) Thaw() { s.pause(syscall.SIGCONT, false) }

func (s *Server) pause(sig syscall.Signal, frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.frozen == frozen {
		return
	}
	must(s.process.Process.Signal(sig))
	for give := time.Now().Add(testenv.Patience); frozen && !stopped(s.process.Process.Pid) && time.Now().Before(give); {
		time.Sleep(time.Millisecond)
	}
	s.frozen = frozen
}

// stopped reports whether every thread of a process has stopped: after SIGSTOP some
// may still answer for a moment. Without /proc that cannot be seen.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// exited is an error where it ended by itself.
func (s *Server) exited() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.killed {
		return nil
	}
	select {
	case <-s.gone:
		return fmt.Errorf("server %d has ended: %s\n%s", s.ID, s.process.ProcessState, s.lastLines())
	default:
		return nil
	}
}

// mode is leader, follower or standalone, and empty where it does not serve.
func (s *Server) mode() string {
	s.mu.Lock()
	up := s.process != nil && !s.frozen
	s.mu.Unlock()
	if !up {
		return ""
	}
	_, after, _ := strings.Cut(s.command("srvr"), "Mode: ")
	mode, _, _ := strings.Cut(after, "\n")
	return mode
}

// command is the answer to one of ZooKeeper's four-letter words, asked past the
// proxy; empty where none comes. The library's own function does not understand
// the answers of ZooKeeper 3.8.
func (s *Server) command(word string) string {
	conn, err := net.DialTimeout("tcp", s.Direct(), time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	must(conn.SetDeadline(time.Now().Add(time.Second)))
	if _, err := conn.Write([]byte(word)); err != nil {
		return ""
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return ""
	}
	return string(answer)
}

func (s *Server) lastLines() string {
	const most = 4000
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-most):]))
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"pacer": main})
}

// suite is all tests of this package, and what they share.
type suite struct{ tests *testing.M }

func (s suite) Run() int {
	// Most of their time these tests wait for processes.
	if err := flag.Set("test.parallel", "8"); err != nil { // unless the command line says otherwise
		panic(err)
	}
	folder, err := os.MkdirTemp("", "pacer-build-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	buildPacer = sync.OnceValues(func() (string, error) { return build(filepath.Join(folder, "pacer")) })
	return zktest.Main(s.tests)
}

// TestScripts plays the golden scripts: each verb, each class of error, each
// story, as a person would type them. Beside testscript's own commands there are
//
//	marathon             starts a local Marathon; its URL is in $PACER_MARATHON
//	deaf                 starts a server that takes calls and never answers; its
//	                     URL is in $DEAF, its address in $DEAF_ADDRESS
//	zookeeper            starts a ZooKeeper; its server is in $ZOOKEEPER
//	session NODE         makes a node there as a running Pacer has one, till the end
//	await TEXT CMD…      runs a command, or asks a URL, until the answer has the
//	                     text, or with ! has it no more
//	put ID FILE          puts a file's app into Marathon by hand
//	tasks ID             prints the ids of an app's tasks
//	inside FOLDER        prints the command lines of the processes that run in a
//	                     folder; fails if there are none, or with ! if there are any
//	documented FILE CMD  compares the last output with what a page of the
//	                     repository shows after the command, at one place at
//	                     least; see documentedLine
//
// -update rewrites the outputs that the scripts compare with.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"marathon":   startMarathon,
			"deaf":       startDeaf,
			"await":      await,
			"zookeeper":  startZooKeeper,
			"session":    holdSession,
			"put":        putApp,
			"tasks":      printTasks,
			"inside":     printInside,
			"documented": compareDocumented,
		},
	})
}

// scriptTest is the key of a script's test among its values.
type scriptTest struct{}

// setupScript gives git an author, and Pacer nothing from this machine.
func setupScript(env *testscript.Env) error {
	port, err := testenv.NewPort()
	if err != nil {
		return err
	}
	env.Defer(func() { _ = port.Release() })
	env.Setenv("PORT", fmt.Sprint(port.Number)) // a script's Pacer must have a known address
	marathon, err := testenv.NewPort()
	if err != nil {
		return err
	}
	env.Defer(func() { _ = marathon.Release() })
	env.Setenv("MARATHON_PORT", fmt.Sprint(marathon.Number)) // and so must a local Marathon that is its own process
	env.Values[scriptTest{}] = env.T()
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	env.Setenv("GORACE", "atexit_sleep_ms=10") // the race detector would let each of hundreds of commands end a second later
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env.Setenv("GIT_"+who+"_NAME", "Ada")
		env.Setenv("GIT_"+who+"_EMAIL", "ada@example.com")
		env.Setenv("GIT_"+who+"_DATE", "2026-01-02T03:04:05Z")
	}
	return nil
}

func startMarathon(ts *testscript.TestScript, neg bool, args []string) {
	m, err := local.New(local.Options{
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Update: report, Docker: "unix:///nonexistent.sock", Log: slog.New(slog.DiscardHandler)})
		},
		Log: slog.New(slog.DiscardHandler),
	})
	ts.Check(err)
	server := httptest.NewServer(m.Handler())
	ts.Defer(func() {
		server.CloseClientConnections()
		if err := m.Close(); err != nil {
			ts.Logf("close the local Marathon: %v", err)
		}
		server.Close()
	})
	ts.Setenv("PACER_MARATHON", server.URL)
}

func startDeaf(ts *testscript.TestScript, neg bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // its backlog takes the calls
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	ts.Setenv("DEAF", "http://"+ln.Addr().String())
	ts.Setenv("DEAF_ADDRESS", ln.Addr().String())
}

func startZooKeeper(ts *testscript.TestScript, neg bool, args []string) {
	zktest.Need(ts.Value(scriptTest{}).(testscript.T))
	e, err := zktest.New(zktest.Options{Servers: 1})
	ts.Check(err)
	ts.Defer(e.Close)
	ts.Setenv("ZOOKEEPER", e.Addresses()[0])
}

func holdSession(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	defer cancel()
	conn, err := zookeeper.Dial(ctx, zookeeper.Config{Servers: []string{ts.Getenv("ZOOKEEPER")}})
	ts.Check(err)
	ts.Defer(func() { ts.Check(conn.Close()) })
	ts.Check(conn.Make(path.Dir(args[0])))
	_, err = conn.Create(args[0], nil, zk.FlagEphemeral, conn.ACL())
	ts.Check(err)
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] await TEXT command…")
	}
	deadline := time.Now().Add(testenv.Patience)
	for {
		out := output(ts, args[1:])
		if strings.Contains(out, args[0]) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q did not come; the last output was:\n%s", args[0], out)
		}
		time.Sleep(100 * time.Millisecond) // between two looks, not for anything to happen
	}
}

func output(ts *testscript.TestScript, args []string) string {
	if url, found := strings.CutPrefix(args[0], "http"); found {
		answer, err := http.Get("http" + url)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return string(body)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "PACER_MARATHON="+ts.Getenv("PACER_MARATHON"), "HOME="+ts.Getenv("HOME"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s\n%v", out, err)
	}
	return string(out)
}

func putApp(ts *testscript.TestScript, neg bool, args []string) {
	body := ts.ReadFile(args[1])
	request, err := http.NewRequest(http.MethodPut, ts.Getenv("PACER_MARATHON")+"/v2/apps"+args[0], strings.NewReader(body))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode/100 != 2 {
		ts.Fatalf("PUT %s: %s: %s", args[0], answer.Status, text)
	}
}

func printInside(ts *testscript.TestScript, neg bool, args []string) {
	folder, err := filepath.EvalSymlinks(ts.MkAbs(args[0]))
	ts.Check(err)
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	ts.Check(err)
	found := false
	for _, link := range links {
		at, err := os.Readlink(link)
		if err != nil || at != folder && !strings.HasPrefix(at, folder+"/") {
			continue // ended meanwhile, or elsewhere
		}
		found = true
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		fmt.Fprintf(ts.Stdout(), "%q\n", bytes.Split(line, []byte{0}))
	}
	if found == neg {
		ts.Fatalf("processes in %s: %v", folder, found)
	}
}

func printTasks(ts *testscript.TestScript, neg bool, args []string) {
	answer, err := http.Get(ts.Getenv("PACER_MARATHON") + "/v2/apps" + args[0])
	ts.Check(err)
	defer answer.Body.Close()
	var found struct {
		App struct{ Tasks []struct{ ID string } }
	}
	ts.Check(json.NewDecoder(answer.Body).Decode(&found))
	var out bytes.Buffer
	for _, task := range found.App.Tasks {
		fmt.Fprintln(&out, task.ID)
	}
	_, err = ts.Stdout().Write(out.Bytes())
	ts.Check(err)
}

// compareDocumented fails where the output lacks a line that the docs show of it.
func compareDocumented(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: documented FILE COMMAND")
	}
	page, err := os.ReadFile(filepath.Join("../..", args[0]))
	ts.Check(err)
	places := strings.Split(string(page), "\n    $ "+args[1]+"\n")[1:]
	lacks := fmt.Sprintf("%s does not show %q", args[0], args[1])
	for _, shown := range places {
		line := undocumented(shown, ts.ReadFile("stdout"))
		if line == "" {
			return
		}
		lacks = fmt.Sprintf("%s shows this line of %q, which is not in its output: %s", args[0], args[1], line)
	}
	ts.Fatalf("%s", lacks)
}

// undocumented is the first line that a page shows of an output, up to its next command
// or text, which is not there; empty: all are.
func undocumented(shown, output string) string {
	for line := range strings.Lines(shown) {
		line, code := strings.CutPrefix(line, "    ")
		if !code && strings.TrimSpace(line) != "" || strings.HasPrefix(line, "$ ") {
			return ""
		}
		if !documentedLine(line).MatchString(output) {
			return line
		}
	}
	return ""
}

// documentedLine matches a line of the docs in an output: numbers may be others, and
// what the docs leave out with … may be anything.
func documentedLine(line string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(strings.TrimSpace(line))
	quoted = regexp.MustCompile(`\b([0-9a-f]{8}\b|\d+)`).ReplaceAllStringFunc(quoted, func(number string) string {
		if len(number) == 8 {
			return `[0-9a-f]{8}` // a revision
		}
		return `\d+`
	})
	return regexp.MustCompile(`(?m)^\s*` + strings.ReplaceAll(quoted, "…", ".*") + `$`)
}

package giteatest

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// childEnv makes this test binary start a server, tell of it, and wait to be killed.
const childEnv = "PACER_TEST_GITEATEST_CHILD"

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestNothingOutlivesAKilledTest(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		s := Start(t)
		fmt.Println(childEnv, s.process.Process.Pid, s.folder.Path)
		_, err := os.Stdin.Read(make([]byte, 1)) // until it is killed
		t.Fatal(err)
	}
	testenv.Gitea(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
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
	var pid int
	var folder string
	for lines := bufio.NewScanner(stdout); pid == 0 && lines.Scan(); {
		if _, told, ok := strings.Cut(lines.Text(), childEnv+" "); ok {
			number, path, _ := strings.Cut(told, " ")
			pid, _ = strconv.Atoi(number)
			folder = path
		}
	}
	if pid == 0 {
		t.Fatal("the child tells of no server")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	Await(t, "the end of the server", func() (bool, string) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z "), string(stat)
	})
	next, err := testenv.NewFolder(folderPrefix) // as the next server does
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

// What Gitea holds outlives that it is stopped.
func TestGiteaIsStoppedAndStarted(t *testing.T) {
	s := Start(t)
	r := s.NewRepository(t, map[string]string{"a": "1"})
	n := r.Open(forgetest.Opening{Files: map[string]string{"a": "2"}})
	r.Comment(n, "ada", "before")
	s.Stop()
	if _, err := http.Get(s.URL); err == nil {
		t.Error("it answers")
	}
	s.Start(t)
	if all := r.Comments(n, "ada"); len(all) != 1 || all[0].Body != "before" {
		t.Errorf("comments %+v", all)
	}
}

// Webhooks come signed, for each kind of event that the documentation asks to tick.
func TestGiteaSendsWebhooks(t *testing.T) {
	r := Shared(t).NewRepository(t, map[string]string{"a": "1"})
	got := make(chan string, 100)
	const key = "a-secret"
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		sum := hmac.New(sha256.New, []byte(key))
		sum.Write(body)
		if signature := q.Header.Get("X-Gitea-Signature"); err != nil || signature != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("signed %q, %v", signature, err)
		}
		got <- q.Header.Get("X-Gitea-Event-Type") // of X-Gitea-Event all but a push are pull_request
	}))
	defer hook.Close()
	r.Webhook(hook.URL, key)
	seen := map[string]int{}
	await := func(event string) {
		t.Helper()
		Await(t, "the webhook "+event, func() (bool, string) {
			select {
			case is := <-got:
				seen[is]++
			default:
			}
			return seen[event] > 0, fmt.Sprint(seen)
		})
		seen[event]--
	}
	n := r.Open(forgetest.Opening{Files: map[string]string{"a": "2"}, Labels: []string{"pacer/plan"}})
	await("push")
	await("pull_request")
	await("pull_request_label")
	r.Push(n, "More", map[string]string{"a": "3"})
	await("pull_request_sync")
	r.Merge(n)
	await("pull_request")
}

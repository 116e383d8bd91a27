package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
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

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// The benchmarks of this file are what ./bench.sh prints: Pacer, in a process of
// its own, against a Marathon of ten thousand apps of two tasks each and a git
// server, both in this process. They measure what a user would: from what
// happens to the request that answers it. Each is one run of many samples, so
// they are run with -benchtime 1x. In the environment:
//
//	PACER_BENCH_COSTS    not empty: requests take what they took a real Marathon
//	PACER_BENCH_SAMPLES  samples of each figure; 30
//	PACER_BENCH_APPS     apps; 10000

// TestTheGoalsAreMeasured runs the benchmarks that read Pacer's log and page with
// few apps, since nobody else notices when a message that they wait for changes.
func TestTheGoalsAreMeasured(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$", "-test.bench=Goal(ByHand|Webhook|Plan)$", "-test.benchtime=1x")
	run.Env = append(os.Environ(), "PACER_BENCH_APPS=200", "PACER_BENCH_SAMPLES=1")
	out, err := run.CombinedOutput()
	for _, figure := range []string{"BenchmarkGoalByHand.* put-p99-ms", "BenchmarkGoalWebhook.* put-p99-ms", "BenchmarkGoalPlan.* least-p99-ms"} {
		if err != nil || !regexp.MustCompile(figure).Match(out) {
			t.Fatalf("%v; want %q of:\n%s", err, figure, out)
		}
	}
}

func number(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return n
}

func withCosts() bool { return os.Getenv("PACER_BENCH_COSTS") != "" }

func goalApps() int    { return number("PACER_BENCH_APPS", 10_000) }
func goalSamples() int { return number("PACER_BENCH_SAMPLES", 30) }

// arena is a running Pacer and the world around it.
type arena struct {
	b        *testing.B
	marathon *localtest.Server
	repo     *gittest.Repo
	apps     int
	page     string
	pacer    *exec.Cmd
	log      string

	mu   sync.Mutex
	puts map[string]chan time.Time // path → told when Pacer's write arrives
}

// manifestOf is an app as it stands in git.
func manifestOf(b testing.TB, a *manifests.App) string {
	text, err := json.Marshal(a)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// newArena fills a Marathon and a repository with the same apps and runs Pacer on
// them until it has found them equal. syncs of one group each, or one of all.
func newArena(b *testing.B, syncs int, extra map[string]string) *arena {
	b.Helper()
	a := &arena{b: b, apps: goalApps(), puts: map[string]chan time.Time{}, marathon: localtest.New(b, localtest.Options{})}
	a.marathon.Fill(b, a.apps, 2)
	a.marathon.Hear(a.hear)
	a.repo = gittest.New(b)
	script := "commit refs/heads/main\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 5\nbegin\n"
	var files strings.Builder
	files.WriteString(script)
	add := func(name, content string) {
		fmt.Fprintf(&files, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	for i := range a.apps {
		add(a.file(i), manifestOf(b, localtest.App(i, 2)))
	}
	for name, content := range extra {
		add(name, content)
	}
	a.repo.GitInput(files.String(), "fast-import", "--quiet")
	a.marathon.SetCosts(withCosts())
	a.run(syncs)
	return a
}

// file is where the i-th app stands.
func (a *arena) file(i int) string { return fmt.Sprintf("g%02d/app%05d.json", i%100, i) }

func (a *arena) run(syncs int) {
	dir := a.b.TempDir()
	git := a.repo.Serve(a.b, gittest.HTTP{})
	var config strings.Builder
	fmt.Fprintf(&config, "marathon: {url: %s, agentPort: 0}\nlisten: 127.0.0.1:0\nstateDir: %s\nlog: {level: debug}\n", a.marathon.URL, filepath.Join(dir, "state"))
	fmt.Fprintf(&config, "sources: {repo: {git: {url: %s, branch: main, allowHTTP: true, interval: 1h, webhook: {secret: {env: HOOK}}}}}\nsyncs:\n", git.Repo)
	if syncs == 1 {
		config.WriteString("  all: {source: repo, scope: /}\n")
	} else {
		for i := range syncs {
			fmt.Fprintf(&config, "  s%02d: {source: repo, path: g%02d, scope: /g%02d}\n", i, i, i)
		}
	}
	file := filepath.Join(dir, "pacer.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		a.b.Fatal(err)
	}
	a.log = filepath.Join(dir, "log")
	out, err := os.Create(a.log)
	if err != nil {
		a.b.Fatal(err)
	}
	defer out.Close()
	a.pacer = exec.Command("pacer", "run", "--config", file)
	a.pacer.Stderr = out
	a.pacer.Env = append(os.Environ(), "HOOK=sesame")
	if err := a.pacer.Start(); err != nil {
		a.b.Fatal(err)
	}
	a.b.Cleanup(func() {
		_ = a.pacer.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := a.pacer.Wait(); err != nil {
			a.b.Logf("pacer: %v", err)
		}
	})
	a.page = a.await(regexp.MustCompile(`serving the page.* address=(\S+)`), 1)[0][1]
	a.await(regexp.MustCompile(`reconciliation ended" sync=\S+ revision=\S+ result=unchanged`), max(1, syncs-1))
}

// await waits for so many lines in Pacer's log.
func (a *arena) await(pattern *regexp.Regexp, n int) [][]string {
	a.b.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(a.log)
		if err != nil {
			a.b.Fatal(err)
		}
		if found := pattern.FindAllStringSubmatch(string(text), -1); len(found) >= n {
			return found
		}
	}
	text, _ := os.ReadFile(a.log)
	a.b.Fatalf("pacer did not get to %s:\n%s", pattern, text[max(0, len(text)-3000):])
	return nil
}

// hear is told of each request to Marathon.
func (a *arena) hear(r *http.Request) {
	if r.Method != http.MethodPut || !strings.HasPrefix(r.UserAgent(), "pacer/") {
		return
	}
	a.mu.Lock()
	told := a.puts[r.URL.Path]
	delete(a.puts, r.URL.Path)
	a.mu.Unlock()
	if told != nil {
		told <- time.Now()
	}
}

// expect returns what is told when Pacer writes an app.
func (a *arena) expect(id string) <-chan time.Time {
	told := make(chan time.Time, 1)
	a.mu.Lock()
	a.puts["/v2/apps"+id] = told
	a.mu.Unlock()
	return told
}

// scaleByHand scales an app as somebody else would, and returns how long after
// Marathon has taken that Pacer's write arrives.
func (a *arena) scaleByHand(i int) time.Duration {
	id := localtest.App(i, 2).ID
	told := a.expect(id)
	a.marathon.SetCosts(false) // the write by hand is not what is measured
	r, err := http.NewRequest(http.MethodPut, a.marathon.URL+"/v2/apps"+id+"?force=true", strings.NewReader(`{"instances": 3}`))
	if err != nil {
		a.b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.b.Fatal(err)
	}
	resp.Body.Close()
	began := time.Now()
	a.marathon.SetCosts(withCosts())
	if resp.StatusCode != http.StatusOK {
		a.b.Fatalf("scaling %s by hand: %s", id, resp.Status)
	}
	select {
	case at := <-told:
		return max(0, at.Sub(began))
	case <-time.After(time.Minute):
		a.b.Fatalf("%s was not put back", id)
	}
	return 0
}

// rest lets what Pacer began come to its end, as changes made by hand are rare: the
// settling time of apps without health checks is 5 s.
func (a *arena) rest() { time.Sleep(6 * time.Second) }

// process reads a figure of /proc.
func (a *arena) process(name string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.pacer.Process.Pid))
	if err != nil {
		a.b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// cpu is the time that Pacer has used of all cores.
func (a *arena) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.pacer.Process.Pid))
	if err != nil {
		a.b.Fatal(err)
	}
	_, after, _ := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(after))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // of 100 a second
}

func total(requests map[string]int) int {
	n := 0
	for kind, times := range requests {
		if kind != "GET /v2/events" && kind != "GET /ping" {
			n += times
		}
	}
	return n
}

// figures adds the median and the 99th percentile in ms.
func figures(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	ms := func(of float64) float64 {
		return float64(took[min(len(took)-1, int(of*float64(len(took))))]) / float64(time.Millisecond)
	}
	b.ReportMetric(ms(0.5), name+"-p50-ms")
	b.ReportMetric(ms(0.99), name+"-p99-ms")
}

// once runs a measurement once, however the benchmark is called.
func once(b *testing.B, f func()) {
	done := false
	for b.Loop() {
		if !done {
			f()
		}
		done = true
	}
}

func BenchmarkGoalAtRest(b *testing.B) {
	a := newArena(b, 1, nil)
	a.rest()
	once(b, func() {
		a.marathon.Forget()
		const seconds = 40 // longer than a resync of a sync
		before := a.cpu()
		time.Sleep(seconds * time.Second)
		b.ReportMetric(100*(a.cpu()-before).Seconds()/seconds, "cpu-percent")
		b.ReportMetric(float64(total(a.marathon.Requests())), "requests")
		b.ReportMetric(float64(a.marathon.Requests()["GET /ping"]), "pings")
		b.ReportMetric(a.process("VmRSS"), "resident-MB")
	})
}

func BenchmarkGoalByHand(b *testing.B) {
	a := newArena(b, 1, nil)
	var took []time.Duration
	once(b, func() {
		for i := range goalSamples() {
			a.rest()
			took = append(took, a.scaleByHand(37*i))
		}
		figures(b, "put", took)
	})
}

func BenchmarkGoalWebhook(b *testing.B) {
	a := newArena(b, 1, nil)
	var took []time.Duration
	once(b, func() {
		for i := range goalSamples() {
			a.rest()
			app := localtest.App(41*i, 2)
			app.Cmd = new(fmt.Sprintf("./serve --new %d", i))
			content := manifestOf(b, app)
			a.repo.GitInput(fmt.Sprintf("commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 3\none\nfrom refs/heads/main^0\nM 100644 inline %s\ndata %d\n%s\n",
				1700000001+i, a.file(41*i), len(content), content), "fast-import", "--quiet")
			told := a.expect(app.ID)
			began := time.Now()
			a.poke()
			select {
			case at := <-told:
				took = append(took, at.Sub(began))
			case <-time.After(time.Minute):
				b.Fatal("the commit was not applied")
			}
		}
		figures(b, "put", took)
	})
}

// poke sends a webhook.
func (a *arena) poke() { sendWebhook(a.b, a.page, "repo", "sesame") }

// sendWebhook sends a webhook of a source, signed as GitHub signs it, to a page.
func sendWebhook(t testing.TB, page, source, secret string) {
	t.Helper()
	body := `{"ref": "refs/heads/main"}`
	r, err := http.NewRequest(http.MethodPost, "http://"+page+"/webhooks/"+source, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("webhook: %s", resp.Status)
	}
}

var passTook = regexp.MustCompile(`msg="reconciliation ended".*result=unchanged.* took=(\S+)`)

// longestPass is how long the longest pass that changed nothing took of those in
// the log from an offset on.
func (a *arena) longestPass(from int) time.Duration {
	text, err := os.ReadFile(a.log)
	if err != nil {
		a.b.Fatal(err)
	}
	longest := time.Duration(0)
	for _, m := range passTook.FindAllStringSubmatch(string(text[from:]), -1) {
		if d, err := time.ParseDuration(m[1]); err == nil {
			longest = max(longest, d)
		}
	}
	return longest
}

// BenchmarkGoalBurst ends 1,250 tasks in ten seconds, of which Marathon tells by
// four events each.
func BenchmarkGoalBurst(b *testing.B) {
	a := newArena(b, 1, nil)
	client, err := marathon.New(marathon.Options{URLs: []string{a.marathon.URL}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	heard := a.count(client)
	a.rest()
	once(b, func() {
		tasks := a.tasks()
		info, err := os.Stat(a.log)
		if err != nil {
			b.Fatal(err)
		}
		before := a.process("VmRSS")
		a.marathon.Forget()
		events := heard()
		began := time.Now()
		for n := 0; n < min(1250, len(tasks)); n += 25 {
			a.end(tasks[n : n+25])
			time.Sleep(time.Until(began.Add(time.Duration(n) * 8 * time.Millisecond)))
		}
		time.Sleep(20 * time.Second)
		b.ReportMetric(float64(heard()-events), "events")
		b.ReportMetric(float64(a.marathon.Requests()["GET /v2/apps"]), "lists")
		b.ReportMetric(float64(a.longestPass(int(info.Size())))/float64(time.Millisecond), "pass-max-ms")
		b.ReportMetric(a.process("VmRSS")-before, "more-MB")
		b.ReportMetric(a.process("VmHWM"), "resident-max-MB")
	})
}

// count counts the events that Marathon tells.
func (a *arena) count(client *marathon.Client) func() int {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := client.Events(ctx)
	if err != nil {
		a.b.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	var done sync.WaitGroup
	done.Go(func() {
		for {
			if _, err := stream.Next(); err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
		}
	})
	a.b.Cleanup(func() { cancel(); done.Wait() })
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// tasks are the ids of one task of each app.
func (a *arena) tasks() []string {
	resp, err := http.Get(a.marathon.URL + "/v2/tasks")
	if err != nil {
		a.b.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		Tasks []struct{ ID, AppID string }
	}
	if err := json.NewDecoder(bufio.NewReader(resp.Body)).Decode(&all); err != nil {
		a.b.Fatal(err)
	}
	var ids []string
	seen := map[string]bool{}
	for _, t := range all.Tasks {
		if !seen[t.AppID] {
			seen[t.AppID] = true
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func (a *arena) end(tasks []string) {
	body, err := json.Marshal(map[string]any{"ids": tasks})
	if err != nil {
		a.b.Fatal(err)
	}
	resp, err := http.Post(a.marathon.URL+"/v2/tasks/delete", "application/json", bytes.NewReader(body))
	if err != nil {
		a.b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		a.b.Fatalf("ending tasks: %s", resp.Status)
	}
}

// folder is a directory of the apps of an arena.
func folder(b *testing.B, apps int) string {
	dir := b.TempDir()
	for i := range apps {
		file := filepath.Join(dir, fmt.Sprintf("g%02d/app%05d.json", i%100, i))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(manifestOf(b, localtest.App(i, 2))), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// BenchmarkGoalPlan is pacer plan as a command, beside what it cannot do
// without: get and decode the list, and read the files.
func BenchmarkGoalPlan(b *testing.B) {
	s := localtest.New(b, localtest.Options{})
	s.Fill(b, goalApps(), 2)
	s.SetCosts(withCosts())
	dir := folder(b, goalApps())
	var took, least []time.Duration
	once(b, func() {
		for range max(3, goalSamples()/5) {
			began := time.Now()
			readList(b, s.URL)
			readFiles(b, dir)
			least = append(least, time.Since(began))
			began = time.Now()
			out, err := exec.Command("pacer", "plan", dir, "--marathon", s.URL).CombinedOutput()
			took = append(took, time.Since(began))
			if err != nil || !bytes.Contains(out, fmt.Appendf(nil, "%d unchanged", goalApps())) {
				b.Fatalf("pacer plan: %v: %s", err, out[max(0, len(out)-200):])
			}
		}
		figures(b, "plan", took)
		figures(b, "least", least)
	})
}

func readList(b *testing.B, url string) {
	resp, err := http.Get(url + "/v2/apps?embed=apps.counts&embed=apps.deployments&embed=apps.lastTaskFailure&embed=apps.taskStats")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct{ Apps []manifests.App }
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil || len(all.Apps) != goalApps() {
		b.Fatal(len(all.Apps), err)
	}
}

func readFiles(b *testing.B, dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGoalRestore is pacer apply of everything into an empty Marathon,
// beside one array of everything: both till all of it runs. Pacer then watches
// that it goes on running before it says so.
func BenchmarkGoalRestore(b *testing.B) {
	dir := folder(b, goalApps())
	var restored, ended, least []time.Duration
	once(b, func() {
		for range max(3, goalSamples()/10) {
			least = append(least, oneArray(b))
			took, end := restore(b, dir)
			restored, ended = append(restored, took), append(ended, end)
		}
		figures(b, "restore", restored)
		figures(b, "command", ended)
		figures(b, "least", least)
	})
}

// oneArray is how long it takes till all apps run that are sent at once.
func oneArray(b *testing.B) time.Duration {
	ideal := localtest.New(b, localtest.Options{Costs: withCosts()})
	client, err := marathon.New(marathon.Options{URLs: []string{ideal.URL}, Timeout: 5 * time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	began := time.Now()
	var apps []*manifests.App
	for i := range goalApps() {
		apps = append(apps, localtest.App(i, 2))
	}
	if _, err := client.PutApps(b.Context(), apps, false); err != nil {
		b.Fatal(err)
	}
	ideal.Settled()
	return time.Since(began)
}

// restore is how long pacer apply takes till all apps run, and till it says so.
func restore(b *testing.B, dir string) (took, end time.Duration) {
	empty := localtest.New(b, localtest.Options{Costs: withCosts()})
	began := time.Now()
	var said []byte
	var err error
	running, ended := context.WithCancel(b.Context())
	go func() {
		defer ended()
		said, err = exec.Command("pacer", "apply", dir, "--marathon", empty.URL, "--timeout", "10m").CombinedOutput()
		end = time.Since(began)
	}()
	empty.Runs(running, localtest.App(goalApps()-1, 2).ID) // the last of the last array
	took = time.Since(began)
	<-running.Done()
	if done := fmt.Sprintf("%d applied", goalApps()); err != nil || !bytes.Contains(said, []byte(done)) {
		b.Fatalf("pacer apply: %v, want %q: %s", err, done, said[max(0, len(said)-2000):])
	}
	return took, end
}

// broken is an app that can never start: no agent has what it asks for.
const broken = `{"id": "/g99/broken", "cmd": "sleep 1000", "cpus": 0.1, "mem": 32, "constraints": [["hostname", "CLUSTER", "nowhere"]]}`

// BenchmarkGoalManySyncs scales apps of ninety-nine syncs of a hundred by hand,
// each once, without and with a hundredth that has an app that never starts.
func BenchmarkGoalManySyncs(b *testing.B) {
	for _, bench := range []struct {
		name  string
		extra map[string]string
	}{{"well", nil}, {"broken", map[string]string{"g99/broken.json": broken}}} {
		b.Run(bench.name, func(b *testing.B) {
			a := newArena(b, 100, bench.extra)
			a.rest()
			var took []time.Duration
			once(b, func() {
				pace := 50 * time.Millisecond // or as fast as Marathon takes writes at all
				if withCosts() {
					pace += localtest.Cost("PUT /v2/apps/ID", a.apps)
				}
				for i := range 99 {
					took = append(took, a.scaleByHand(i+100*(i%50)))
					time.Sleep(pace)
				}
				figures(b, "put", took)
			})
		})
	}
}

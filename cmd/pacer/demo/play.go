package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A story is one thing that the demo promises, played and checked.
type story struct {
	title string
	play  func(context.Context, *stage) error
}

// stories are the promises of the README: a push deploys, a merge scales, a
// revert rolls back.
var stories = []story{
	{"a commit that adds an app: it runs", playDeploy},
	{"a merged branch that changes instances 1 → 3: two tasks are added, the first is kept", playScale},
	{"a commit with a broken command: it is explained, the others stay up, git revert brings it back", playRevert},
}

// stage is what a story plays on: the repository to commit to, and the two
// doors by which anybody can see what came of it.
type stage struct {
	repo     *repository
	marathon string                 // URL
	reason   func(id string) string // what Pacer says of an app
	out      io.Writer
}

// storyDeadline is how long one step of a story may take: far more than it
// needs on a slow machine.
const storyDeadline = 90 * time.Second

// playStories plays all stories and returns the first that did not come true.
func playStories(ctx context.Context, s *stage) error {
	if err := s.until(ctx, "the first commit runs", func() string { return s.runs("web", 1) }); err != nil {
		return err
	}
	for i, story := range stories {
		fmt.Fprintf(s.out, "\nStory %d: %s\n", i+1, story.title)
		if err := story.play(ctx, s); err != nil {
			return fmt.Errorf("story %d failed: %s: %w", i+1, story.title, err)
		}
	}
	fmt.Fprintln(s.out, "\nAll three stories succeeded.")
	return nil
}

const clockCommand = "while true; do date; sleep 1; done"

func playDeploy(ctx context.Context, s *stage) error {
	if err := s.repo.write("clock.yaml", "id: clock\ncmd: "+clockCommand+"\ncpus: 0.1\nmem: 16\n"); err != nil {
		return err
	}
	committed, err := s.commit(ctx, "Add a clock")
	if err != nil {
		return err
	}
	return s.timed(ctx, committed, "clock runs", func() string { return s.runs("clock", 1) })
}

func playScale(ctx context.Context, s *stage) error {
	before, err := s.pids(ctx, "web")
	if err != nil {
		return err
	}
	if err := s.repo.git(ctx, "checkout", "--quiet", "-b", "more-web"); err != nil {
		return err
	}
	if err := s.repo.replace("web.yaml", "instances: 1", "instances: 3"); err != nil {
		return err
	}
	if _, err := s.commit(ctx, "Run three of the web app"); err != nil {
		return err
	}
	if err := s.repo.git(ctx, "checkout", "--quiet", "main"); err != nil {
		return err
	}
	merged := time.Now()
	if err := s.repo.git(ctx, "merge", "--quiet", "--no-ff", "--message", "Merge pull request: three of the web app", "more-web"); err != nil {
		return err
	}
	if err := s.timed(ctx, merged, "three run", func() string { return s.runs("web", 3) }); err != nil {
		return err
	}
	after, err := s.pids(ctx, "web")
	if err != nil {
		return err
	}
	return s.keptOne(before, after)
}

// keptOne checks that the one task of before is among the three of after, in
// the same process.
func (s *stage) keptOne(before, after map[string]int) error {
	for task, pid := range before {
		if after[task] != pid {
			return fmt.Errorf("task %s (process %d) was not kept: now there are %v", task, pid, after)
		}
		fmt.Fprintf(s.out, "  process %d was kept, new processes: %v\n", pid,
			slices.DeleteFunc(slices.Sorted(maps.Values(after)), func(p int) bool { return p == pid }))
	}
	return nil
}

func playRevert(ctx context.Context, s *stage) error {
	others, err := s.pids(ctx, "web")
	if err != nil {
		return err
	}
	if err := s.repo.replace("clock.yaml", clockCommand, "demoap --no-such-program"); err != nil {
		return err
	}
	if _, err := s.commit(ctx, "Break the clock"); err != nil {
		return err
	}
	if err := s.until(ctx, "the hanging rollout is explained", s.explained("clock", "127")); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  Pacer says: %s\n", s.reason(scope+"/clock"))
	reverted := time.Now()
	if err := s.repo.git(ctx, "revert", "--no-edit", "HEAD"); err != nil {
		return err
	}
	if err := s.timed(ctx, reverted, "clock runs again", func() string { return s.runs("clock", 1) }); err != nil {
		return err
	}
	now, err := s.pids(ctx, "web")
	if err != nil {
		return err
	}
	if !maps.Equal(others, now) {
		return fmt.Errorf("the other app did not stay up: its processes were %v and are %v", others, now)
	}
	fmt.Fprintf(s.out, "  the web app stayed up: processes %v\n", slices.Sorted(maps.Values(now)))
	return nil
}

// explained is satisfied when Pacer's reason for an app holds the word.
func (s *stage) explained(app, word string) func() string {
	return func() string {
		reason := s.reason(scope + "/" + app)
		if strings.Contains(reason, word) {
			return ""
		}
		return fmt.Sprintf("Pacer says of %s: %q", app, reason)
	}
}

func (s *stage) commit(ctx context.Context, message string) (time.Time, error) {
	began := time.Now()
	fmt.Fprintf(s.out, "  git commit -m %q\n", message)
	return began, s.repo.commit(ctx, message)
}

// timed waits and prints the seconds since the commit.
func (s *stage) timed(ctx context.Context, since time.Time, what string, unmet func() string) error {
	if err := s.until(ctx, what, unmet); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  ✔ %s %.1f s after the commit\n", what, time.Since(since).Seconds())
	return nil
}

// until waits for a condition: unmet says what is still missing, "" when
// nothing is.
func (s *stage) until(ctx context.Context, what string, unmet func() string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, storyDeadline,
		fmt.Errorf("not within %s", storyDeadline))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := unmet()
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %s", what, context.Cause(ctx), missing)
		case <-tick.C:
		}
	}
}

// liveApp is what the stories read of an app from Marathon's own API.
type liveApp struct {
	Instances    int                   `json:"instances"`
	Running      int                   `json:"tasksRunning"`
	Healthy      int                   `json:"tasksHealthy"`
	Version      string                `json:"version"`
	HealthChecks []struct{}            `json:"healthChecks"`
	Deployments  []struct{ ID string } `json:"deployments"`
	Tasks        []struct {
		ID    string `json:"id"`
		Host  string `json:"host"`
		Ports []int  `json:"ports"`
		State string `json:"state"`
	} `json:"tasks"`
}

// runs is satisfied when exactly n tasks of an app run, healthy if it has
// health checks, with no deployment left.
func (s *stage) runs(app string, n int) string {
	var answer struct{ App liveApp }
	if err := getJSON(s.marathon+"/v2/apps"+scope+"/"+app, &answer); err != nil {
		return err.Error()
	}
	a := answer.App
	if a.Instances == n && a.Running == n && len(a.Tasks) == n && len(a.Deployments) == 0 &&
		(len(a.HealthChecks) == 0 || a.Healthy == n) {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d run, %d healthy, %d tasks, %d deployments", app, a.Running, n, a.Healthy, len(a.Tasks), len(a.Deployments))
}

// pids asks every task of the web app itself for its process id.
func (s *stage) pids(_ context.Context, app string) (map[string]int, error) {
	var answer struct{ App liveApp }
	if err := getJSON(s.marathon+"/v2/apps"+scope+"/"+app, &answer); err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, task := range answer.App.Tasks {
		if len(task.Ports) == 0 {
			return nil, fmt.Errorf("task %s has no port to ask", task.ID)
		}
		var me identity
		if err := getJSON(fmt.Sprintf("http://127.0.0.1:%d/whoami", task.Ports[0]), &me); err != nil {
			return nil, err
		}
		pids[me.Task] = me.PID
	}
	return pids, nil
}

func getJSON(url string, into any) error {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

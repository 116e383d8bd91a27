package localtest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
)

// accounted is an executor whose tasks run in its books only.
type accounted struct {
	report func(executor.Update)
	start  time.Duration

	mu    sync.Mutex
	alive map[string]bool
}

func newAccounted(report func(executor.Update), start time.Duration) *accounted {
	return &accounted{report: report, start: start, alive: map[string]bool{}}
}

// Launch begins a task.
func (a *accounted) Launch(t executor.Task) error {
	a.mu.Lock()
	a.alive[t.ID] = true
	a.mu.Unlock()
	if a.start == 0 {
		a.run(t.ID)
	} else {
		time.AfterFunc(a.start, func() { a.run(t.ID) })
	}
	return nil
}

func (a *accounted) run(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.alive[id] {
		a.report(executor.Update{TaskID: id, State: executor.Running, Timestamp: time.Now(), IPs: []string{"127.0.0.1"}})
	}
}

// Kill ends a task.
func (a *accounted) Kill(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.alive[id] {
		delete(a.alive, id)
		a.report(executor.Update{TaskID: id, State: executor.Killed, Timestamp: time.Now()})
	}
}

// Exec is refused: there is nothing that could run a command.
func (a *accounted) Exec(_ context.Context, id, _ string) (int, error) {
	return 0, fmt.Errorf("task %s is only accounted: nothing can run in it", id)
}

func (a *accounted) Sandbox(string) string     { return "" }
func (a *accounted) Ready(executor.Task) error { return nil }
func (a *accounted) Enforcement() string       { return "nothing is enforced: tasks are only accounted" }
func (a *accounted) Files() http.Handler       { return http.NotFoundHandler() }
func (a *accounted) Close() error              { return nil }

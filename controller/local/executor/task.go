package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// runner is a task that is being run: a process or a container.
type runner interface {
	// start starts it. When it fails nothing is left.
	start(context.Context) (started, error)
	// supervise waits for the end. When kill ends it calls killing, and ends the
	// task within grace. When it returns, nothing of the task is left.
	supervise(kill context.Context, killing func(), grace func() time.Duration) ending
	// exec is Executor.Exec.
	exec(context.Context, string) (int, error)
}

type started struct {
	pid int
	ips []string
}

// ending is how a task ended.
type ending struct {
	state   State
	message string
	code    int
}

// task is a task that has not ended. One goroutine runs it from Launch to its
// terminal state and tells all updates.
type task struct {
	Task
	sandbox string
	update  func(Update)
	killed  context.Context // ends when the task is to be killed
	kill    context.CancelFunc
	ended   context.Context // ends when the command has ended
	end     context.CancelFunc

	mu     sync.Mutex
	grace  time.Duration
	runner runner         // while it runs
	execs  sync.WaitGroup // calls of Exec that use runner
}

func newTask(t Task, update func(Update)) *task {
	n := &task{Task: t, update: update, grace: t.KillGrace}
	n.killed, n.kill = context.WithCancel(context.Background())
	n.ended, n.end = context.WithCancel(context.Background())
	return n
}

func (t *task) tell(u Update) {
	u.TaskID, u.Timestamp = t.ID, time.Now()
	t.update(u)
}

func (t *task) limitGrace(most time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grace = min(t.grace, most)
}

func (t *task) killGrace() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.grace
}

// use gives the runner of a running task, to be given back by calling done.
func (t *task) use() (r runner, done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.runner == nil {
		return nil, nil, fmt.Errorf("task %q is not running", t.ID)
	}
	t.execs.Add(1)
	return t.runner, t.execs.Done, nil
}

func (t *task) setRunner(r runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runner = r
}

// run is the whole life of a task.
func (m *machine) run(t *task) {
	t.tell(Update{State: Staging})
	end := m.runToEnd(t)
	t.end()
	t.kill() // frees the context
	// Before the end is told the task is forgotten: whoever hears of it may look.
	now := time.Now()
	if err := os.Chtimes(t.sandbox, now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		m.log.Warn("a sandbox cannot be given its task's end as its time", "task", t.ID, "error", err)
	}
	m.mu.Lock()
	delete(m.tasks, t.ID)
	m.mu.Unlock()
	t.tell(Update{State: end.state, Message: end.message, ExitCode: end.code})
	m.collect(appFolder(t.App))
}

func (m *machine) runToEnd(t *task) ending {
	r, err := m.stage(t)
	if err != nil {
		return t.notStarted(err)
	}
	t.tell(Update{State: Starting})
	s, err := r.start(t.killed)
	if err != nil {
		return t.notStarted(err)
	}
	t.setRunner(r)
	t.tell(Update{State: Running, PID: s.pid, IPs: s.ips})
	end := r.supervise(t.killed, func() { t.tell(Update{State: Killing}) }, t.killGrace)
	t.setRunner(nil)
	t.end()
	t.execs.Wait()
	return end
}

// notStarted tells a failure from a kill that came first.
func (t *task) notStarted(err error) ending {
	if t.killed.Err() != nil {
		return ending{state: Killed, message: "Killed before it was running"}
	}
	return ending{state: Failed, message: sentence(err.Error())}
}

// sentence is an error as the message of an update, as Mesos writes them.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// stage does all that comes before the start.
func (m *machine) stage(t *task) (runner, error) {
	if t.Container != nil {
		// Asked first: a sandbox is not worth filling if nothing can use it.
		if err := m.engine.ready(t.killed); err != nil {
			return nil, err
		}
	}
	who, err := lookUser(t.Task)
	if err != nil {
		return nil, err
	}
	if err := m.makeSandbox(t, who); err != nil {
		return nil, err
	}
	if t.Container != nil {
		return m.stageContainer(t)
	}
	return &process{machine: m, task: t, user: who}, nil
}

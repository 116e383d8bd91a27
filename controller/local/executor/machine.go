package executor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// machine is the Executor of this machine.
type machine struct {
	options   Options
	dir       string
	sandboxes string       // the folder of the sandboxes, one folder below it for each app
	lock      *flock.Flock // held on dir, so that no other executor takes our tasks for orphans
	groups    *cgroups     // nil where there are none
	engine    *engine
	fetcher   fetcher
	log       *slog.Logger

	mu     sync.Mutex
	tasks  map[string]*task // those that have not ended
	closed bool
	wg     sync.WaitGroup // one for each task
}

// New makes an executor, and first ends all processes and containers that an
// executor on the same folder left behind when it was killed. It fails if the
// folder cannot be used or another executor uses it.
func New(o Options) (Executor, error) {
	if o.Update == nil {
		return nil, errors.New("executor: Options.Update is missing")
	}
	o.KeepPerApp = cmp.Or(o.KeepPerApp, 10)
	o.KeepFor = cmp.Or(o.KeepFor, 7*24*time.Hour)
	o.CloseGrace = cmp.Or(o.CloseGrace, 5*time.Second)
	o.FetchLimit = cmp.Or(o.FetchLimit, 4<<30)
	o.PublishIP = cmp.Or(o.PublishIP, "127.0.0.1")
	m := &machine{
		options: o,
		tasks:   map[string]*task{},
		log:     cmp.Or(o.Log, slog.Default()),
		fetcher: newFetcher(o.FetchLimit),
	}
	if err := m.openDir(); err != nil {
		return nil, err
	}
	m.groups = findCgroups(o.CgroupRoot, m.options.Owner)
	m.engine = newEngine(o.Docker, m.options.Owner, m.log)
	if err := m.endOrphans(); err != nil {
		m.closeDir()
		return nil, err
	}
	// Removes the containers of an earlier run. Where no engine answers now that is
	// done before the first container is made.
	if err := m.engine.ready(context.Background()); err != nil {
		m.log.Debug("containers cannot be run now", "error", err)
	}
	m.collectAll()
	return m, nil
}

// openDir makes, locks and marks the folder.
func (m *machine) openDir() (err error) {
	m.dir = m.options.Dir
	if m.dir == "" {
		m.dir, err = os.MkdirTemp("", "pacer-tasks-")
	} else if m.dir, err = filepath.Abs(m.dir); err == nil {
		err = os.MkdirAll(m.dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("the folder for tasks cannot be made: %w", err)
	}
	// The paths that processes report are without symlinks; so is ours.
	if m.dir, err = filepath.EvalSymlinks(m.dir); err != nil {
		return fmt.Errorf("the folder for tasks cannot be used: %w", err)
	}
	m.sandboxes = filepath.Join(m.dir, "sandboxes")
	if err := m.takeLock(); err != nil {
		return err
	}
	if err = m.takeOwner(); err == nil {
		err = os.MkdirAll(m.sandboxes, 0o755)
	}
	if err == nil && m.options.Dir == "" {
		err = os.Chmod(m.dir, 0o711) // tasks of other users pass through it
	}
	if err != nil {
		m.closeDir()
		return fmt.Errorf("the folder for tasks cannot be used: %w", err)
	}
	return nil
}

func (m *machine) takeLock() error {
	lock := flock.New(filepath.Join(m.dir, "lock"))
	if taken, err := lock.TryLock(); err != nil {
		return fmt.Errorf("the folder for tasks cannot be locked: %w", err)
	} else if !taken {
		return fmt.Errorf("the folder %s is in use by another running pacer: end it or choose another folder", m.dir)
	}
	m.lock = lock
	return nil
}

// takeOwner reads the folder's mark, or makes one. It is random rather than made
// of the path, because the same path in a container is another folder.
func (m *machine) takeOwner() error {
	if m.options.Owner != "" {
		return nil
	}
	name := filepath.Join(m.dir, "owner")
	known, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if m.options.Owner = strings.TrimSpace(string(known)); m.options.Owner != "" {
		return nil
	}
	random := make([]byte, 12)
	rand.Read(random)
	m.options.Owner = hex.EncodeToString(random)
	return os.WriteFile(name, []byte(m.options.Owner+"\n"), 0o600)
}

func (m *machine) closeDir() {
	if m.options.Dir == "" && !m.options.KeepSandboxes {
		if err := os.RemoveAll(m.dir); err != nil {
			m.log.Warn("the folder for tasks cannot be removed", "folder", m.dir, "error", err)
		}
	}
	m.lock.Close()
}

// Launch implements Executor.
func (m *machine) Launch(t Task) error {
	if err := check(t); err != nil {
		return fmt.Errorf("task %q cannot be launched: %w", t.ID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("task %q cannot be launched: the executor is closed", t.ID)
	}
	if m.tasks[t.ID] != nil || m.findSandbox(t.ID) != "" {
		return fmt.Errorf("task %q cannot be launched: a task of that ID was launched before", t.ID)
	}
	live := newTask(t, m.options.Update)
	live.sandbox = filepath.Join(m.sandboxes, appFolder(t.App), t.ID)
	m.tasks[t.ID] = live
	m.wg.Go(func() { m.run(live) })
	return nil
}

// check says what makes a task senseless on any machine.
func check(t Task) error {
	if err := checkName(t.ID); err != nil {
		return fmt.Errorf("its ID %w", err)
	}
	if err := checkName(appFolder(t.App)); err != nil {
		return fmt.Errorf("its app's name %w", err)
	}
	if t.Cmd != "" && len(t.Args) > 0 {
		return errors.New("it has both a command line and arguments")
	}
	if t.Container == nil && t.Cmd == "" && len(t.Args) == 0 {
		return errors.New("it has neither a command line nor arguments nor an image")
	}
	if t.Container != nil && t.Container.Image == "" {
		return errors.New("its container has no image")
	}
	return nil
}

// checkName says why s cannot name a folder.
func checkName(s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return errors.New("does not name a folder")
	case len(s) > 255:
		return errors.New("is longer than 255 bytes")
	case strings.ContainsAny(s, "/\x00\n"):
		return errors.New("has a slash, a newline or a zero byte")
	}
	return nil
}

// appFolder is an app's id with its slashes replaced as Marathon does in task ids.
func appFolder(app string) string {
	return cmp.Or(strings.ReplaceAll(strings.Trim(app, "/"), "/", "_"), "_")
}

func (m *machine) find(taskID string) *task {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tasks[taskID]
}

// Kill implements Executor.
func (m *machine) Kill(taskID string) {
	if t := m.find(taskID); t != nil {
		t.kill()
	}
}

// Exec implements Executor.
func (m *machine) Exec(ctx context.Context, taskID, command string) (int, error) {
	t := m.find(taskID)
	if t == nil {
		return -1, fmt.Errorf("task %q is not running", taskID)
	}
	r, done, err := t.use()
	if err != nil {
		return -1, err
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ended, cancel)()
	return r.exec(ctx, command)
}

// Ready implements Executor.
func (m *machine) Ready(t Task) error {
	if t.Container == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return m.engine.ready(ctx)
}

// Files implements Executor.
func (m *machine) Files() http.Handler { return fileServer(m.sandboxes).handler() }

// Enforcement implements Executor.
func (m *machine) Enforcement() string { return m.groups.String() }

// Close implements Executor. It is safe to call it twice.
func (m *machine) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		m.wg.Wait()
		return nil
	}
	m.closed = true
	for _, t := range m.tasks {
		t.limitGrace(m.options.CloseGrace)
		t.kill()
	}
	m.mu.Unlock()
	m.wg.Wait()
	// What left its session and dropped its environment while its task was being
	// ended would be found here, and what a task's end could not end is named.
	err := m.endOrphans()
	m.fetcher.client.CloseIdleConnections()
	err = errors.Join(err, m.engine.close())
	m.groups.close()
	m.closeDir()
	return err
}

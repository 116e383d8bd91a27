package executor

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// recheck is how long the engine's answer, or its absence, is taken for granted.
const recheck = 3 * time.Second

// ownerLabel marks our containers. Marathon's own label is MESOS_TASK_ID.
const ownerLabel = "pacer.owner"

// engine is the machine's Docker engine.
type engine struct {
	address string
	owner   string
	log     *slog.Logger
	client  *client.Client // nil if the address is not one
	broken  error          // why

	mu      sync.Mutex
	checked time.Time
	err     error
	swept   bool // our containers of an earlier run are gone
}

func newEngine(address, owner string, log *slog.Logger) *engine {
	e := &engine{owner: owner, log: log}
	options := []client.Opt{client.WithHost(address)}
	if address == "" {
		address = cmp.Or(os.Getenv("DOCKER_HOST"), client.DefaultDockerHost)
		options = []client.Opt{client.FromEnv}
	}
	e.address = address
	e.client, e.broken = client.New(options...)
	return e
}

// ready says why no container can be run now. Before the first may be, those
// that an earlier run left behind are removed.
func (e *engine) ready(ctx context.Context) error {
	if e.broken != nil {
		return fmt.Errorf("the Docker engine's address %q cannot be used: %w", e.address, e.broken)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.checked.IsZero() && time.Since(e.checked) < recheck {
		return e.err
	}
	e.err = e.ask(ctx)
	if ctx.Err() == nil || e.err == nil {
		e.checked = time.Now() // else the asker's haste says nothing
	}
	return e.err
}

// noEngineError says that nobody is there. The client's own words about a
// socket that is not there say the same again, at length.
type noEngineError struct {
	address string
	cause   error
}

func (e *noEngineError) Error() string {
	said := fmt.Sprintf("no Docker engine answers at %s: start one (dockerd), the app waits", e.address)
	if client.IsErrConnectionFailed(e.cause) {
		return said
	}
	return fmt.Sprintf("%s (%v)", said, e.cause)
}

func (e *noEngineError) Unwrap() error { return e.cause }

// EngineAnswers asks the machine's Docker engine, at DOCKER_HOST or where it usually
// listens, whether it is there, and returns the address that it asked.
func EngineAnswers(ctx context.Context) (address string, answers bool) {
	e := newEngine("", "", slog.New(slog.DiscardHandler))
	if e.broken != nil {
		return e.address, false
	}
	defer e.client.Close() //nolint:errcheck // ends idle connections and never fails
	return e.address, e.ping(ctx) == nil
}

func (e *engine) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := e.client.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return &noEngineError{e.address, err}
	}
	return nil
}

func (e *engine) ask(ctx context.Context) error {
	if err := e.ping(ctx); err != nil {
		return err
	}
	if e.swept {
		return nil
	}
	if err := e.sweep(); err != nil {
		return err
	}
	e.swept = true
	return nil
}

// forget lets the next ready ask anew.
func (e *engine) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checked = time.Time{}
}

// sweep removes all containers with our mark.
func (e *engine) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.removeOwn(ctx); err != nil {
		return fmt.Errorf("containers left behind cannot be removed from the Docker engine at %s: %w", e.address, err)
	}
	return nil
}

func (e *engine) removeOwn(ctx context.Context) error {
	list, err := e.client.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", ownerLabel+"="+e.owner),
	})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		e.log.Warn("removing a container that was left behind", "container", c.ID, "image", c.Image)
		if err := e.remove(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a container, killing it if it runs. One that is gone, or that
// somebody else is removing, is no error.
func (e *engine) remove(ctx context.Context, id string) error {
	_, err := e.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !isNotFound(err) && !strings.Contains(err.Error(), "already in progress") {
		return err
	}
	return nil
}

// close removes what is left of our containers, if there can be any.
func (e *engine) close() (err error) {
	if e.client == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.swept {
		err = e.sweep()
	}
	_ = e.client.Close() // ends idle connections and never fails
	return err
}

package sources

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// attemptGrace is how long an attempt whose context has ended may take to say so.
// All that it does ends with the context; but a disk that does not answer holds
// whoever reads from it, and must not hold the process.
const attemptGrace = 2 * time.Second

// attempt runs what reads a source, one at a time: turn has room for one. It returns
// soon after ctx ends, whatever becomes of the work, which then keeps the turn. A
// panic is an error: what is read is written by others, and one source's must not
// end the process. Name is that of the source, for errors that are not the work's.
func attempt[T any](ctx context.Context, name string, turn chan struct{}, log *slog.Logger, work func() (T, error)) (result T, _ error) {
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return result, fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	var made T // apart from result, which is returned while the work may go on
	done := make(chan error, 1)
	go func() {
		err := recovered(name, log, func() (err error) {
			made, err = work()
			return err
		})
		<-turn
		done <- err
	}()
	select {
	case err := <-done:
		return made, err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return made, err
	case <-time.After(attemptGrace):
		return result, fmt.Errorf("%s: %w; the attempt had still not ended %s later", name, context.Cause(ctx), attemptGrace)
	}
}

// recovered makes an error of a panic.
func recovered(name string, log *slog.Logger, work func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%s: internal error: %v: please report it, with the log", name, reason)
			log.Error("reading a source panicked", "source", name, "reason", reason, "stack", string(debug.Stack()))
		}
	}()
	return work()
}

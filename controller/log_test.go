package controller

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines is a log at the level that pacer run has by default.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// with is the lines that hold all of the words.
func (l *lines) with(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		missing := false
		for _, w := range words {
			missing = missing || !strings.Contains(line, w)
		}
		if !missing {
			found = append(found, line)
		}
	}
	return found
}

// TestLogTellsWhatANewRevisionCannotDo: whoever has nothing but the log sees a
// push that changes nothing because it is wrong, or because it must be approved.
func TestLogTellsWhatANewRevisionCannotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"))
		g.options.Log = slog.New(slog.NewTextHandler(log, nil))
		g.options.Syncs[0].Policy.MaxDeletes.Count = 1
		g.start()
		defer g.stop()

		tree := files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1")
		tree["shop-a.json"] = `{"id": "/shop/a", "cmd": `
		g.repo.push(tree)
		after(10 * testResync)
		if found := log.with("level=WARN", `"reconciliation ended"`, "commit-2", "blocked=1"); len(found) != 1 || strings.Contains(found[0], "problems=0") {
			t.Errorf("a broken file was told %d times, want once: %q", len(found), found)
		}

		g.repo.push(files("/shop/a", "v1"))
		after(10 * testResync)
		if found := log.with("level=WARN", `"reconciliation ended"`, "commit-3", "problems=0", "blocked=2"); len(found) != 1 {
			t.Errorf("deletes held back were told %d times, want once: %q", len(found), found)
		}

		g.repo.push(files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"))
		after(10 * testResync)
		if found := log.with("level=INFO", `"reconciliation ended"`, "commit-4", "result=unchanged"); len(found) != 1 {
			t.Errorf("a revision that changes nothing was told %d times, want once: %q", len(found), found)
		}
	})
}

// TestLogTellsAnUnreadableSourceOnce: not again with each look.
func TestLogTellsAnUnreadableSourceOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		g := newRig(t, files("/shop/a", "v1"))
		g.options.Log = slog.New(slog.NewTextHandler(log, nil))
		g.start()
		defer g.stop()
		g.repo.fail(errors.New("no route to host"))
		after(30 * time.Minute)
		if found := log.with("level=WARN", `"source cannot be read"`); len(found) != 1 {
			t.Errorf("told %d times, want once: %q", len(found), found)
		}
		g.repo.fail(errors.New("wrong password"))
		after(30 * time.Minute)
		if found := log.with("level=WARN", `"source cannot be read"`, "wrong password"); len(found) != 1 {
			t.Errorf("another error was told %d times, want once: %q", len(found), found)
		}
		g.repo.fail(nil)
		g.repo.commit(files("/shop/a", "v1"))
		after(30 * time.Minute)
		if found := log.with("level=INFO", `"source can be read again"`); len(found) != 1 {
			t.Errorf("its return was told %d times, want once: %q", len(found), found)
		}
	})
}

package controller

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
)

// A process that dies between a write and the note of its deployment leaves one
// that hangs. The next knows it for its own: it tells how it fails, holds back
// what depends on it, and supersedes it at once when git is mended.
func TestAWriteWhoseAnswerNobodyHeardIsOurs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"/a", "/p"} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t)
				good := wish{Cmd: cmdRuns, Instances: 1, Ports: 1}
				bad := wish{Cmd: cmdFails + " 127", Instances: 1, Ports: 1}
				s.move(map[string]wish{id: good})
				s.rests("before")
				s.plot = func(r *http.Request) flaw {
					if r.Method == http.MethodPut {
						return killAfter
					}
					return sound
				}
				s.move(map[string]wish{id: bad, "/b": {Cmd: cmdRuns, Instances: 1, On: "/a"}})
				after(time.Second)
				s.plot = nil
				s.again()
				s.rests("while it fails")

				s.move(map[string]wish{id: good, "/b": {Cmd: cmdRuns, Instances: 1, On: "/a"}})
				began := time.Now()
				for len(s.amiss()) > 0 && time.Since(began) < time.Hour {
					after(time.Second)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("superseded after %s", took)
				}
				for _, line := range s.close() {
					t.Error(line)
				}
			})
		})
	}
}

// What is noted as sent and was never taken is forgotten, and never claimed.
func TestAWriteThatWasNeverTakenIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStorm(t)
		s.plot = func(r *http.Request) flaw {
			if r.Method == http.MethodPost {
				return killBefore
			}
			return sound
		}
		s.move(map[string]wish{"/a": {Cmd: cmdRuns, Instances: 1}})
		after(time.Second)
		if state := s.shelf.state(t, "all"); state.Sent["/a"].Body == "" || state.Rollouts["/a"].Kind != "" {
			t.Errorf("saved before the write: %+v", state)
		}
		s.plot = nil
		s.move(nil) // somebody thought better of it
		s.again()
		s.rests("later")
		if state := s.shelf.state(t, "all"); len(state.Sent) > 0 || state.Inventory["/a"].Kind != "" {
			t.Errorf("saved later: %+v", state)
		}
		for _, line := range s.close() {
			t.Error(line)
		}
	})
}

// A save that failed may have saved: what people were told is not in force is not
// left in the store by a line that tells of a write alone.
func TestAfterASaveThatFailedAllIsSaved(t *testing.T) {
	t.Parallel()
	shelf := &shelf{saved: map[string][]byte{}}
	p := &pass{c: &Controller{store: shelf}, y: &syncer{spec: testSync("shop"), memory: memory{loaded: true}}}
	p.y.memory.state.Sent = map[string]store.Sent{}
	suspend := &order{change: func(s *store.State) error {
		s.Suspended = true
		return nil
	}}
	answers := make([]error, 1)
	shelf.late = errors.New("the folder cannot be synced")
	if p.carryOut(t.Context(), []*order{suspend}, answers); answers[0] == nil || p.y.memory.state.Suspended {
		t.Fatalf("suspended: %v, told %v", p.y.memory.state.Suspended, answers[0])
	}
	shelf.late = nil
	k := p.keep(t.Context())
	if err := k.sending(func(sent map[string]store.Sent) { sent["/shop/a"] = store.Sent{Body: "b"} }); err != nil {
		t.Error(err)
	}
	if err := k.close(); err != nil {
		t.Error(err)
	}
	if state := shelf.state(t, "shop"); state.Suspended || len(state.Sent) != 1 {
		t.Errorf("saved: %+v", state)
	}
}

// However much there is to save, and however slow the store is, what an apply changes
// is saved during a tenth of the time at most, but not left to its end.
func TestSavesTakeATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &slowShelf{shelf: &shelf{saved: map[string][]byte{}}, takes: 3 * time.Second}
		p := &pass{c: &Controller{store: shelf}, y: &syncer{spec: testSync("shop"), memory: memory{loaded: true}}}
		k := &keeper{p: p, ctx: t.Context()}
		began := time.Now()
		for range 10_000 {
			k.change(func() bool { return true })
			time.Sleep(100 * time.Millisecond)
		}
		if took, least := time.Since(began), time.Since(began)/20; shelf.spent < least || shelf.spent > took/10 {
			t.Errorf("of %s %s went to saving", took, shelf.spent)
		}
	})
}

// A slowShelf takes its time for each save.
type slowShelf struct {
	*shelf
	takes, spent time.Duration
}

func (s *slowShelf) Save(ctx context.Context, sync string, state store.State) error {
	time.Sleep(s.takes)
	s.spent += s.takes
	return s.shelf.Save(ctx, sync, state)
}

// A note is of use only if what Marathon shows is known by it, whatever ports it
// has assigned.
func TestBodyIsKnownAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStorm(t)
		all := map[string]wish{}
		for i, id := range stormApps[:4] {
			all[id] = wish{Cmd: cmdRuns, Check: i%2 == 0, Ports: i % 3}
		}
		all["/p"] = wish{Cmd: cmdRuns, Instances: 1, Check: true}
		s.plot = func(r *http.Request) flaw {
			if r.Method == http.MethodPost && !strings.Contains(r.URL.Path, "restart") {
				return killAfter
			}
			return sound
		}
		for range all {
			s.move(all)
			after(time.Second)
			if sent := s.shelf.state(t, "all").Sent; len(sent) != 1 {
				t.Errorf("noted: %+v", sent)
			}
			s.again()
			after(2 * time.Second)
		}
		s.plot = nil
		s.again()
		after(2 * time.Second)
		state := s.shelf.state(t, "all")
		for id := range all {
			if state.Sent[id].Body != "" || state.Inventory[id].Hash == "" {
				t.Errorf("%s is not known again: %+v", id, state)
			}
		}
		s.git = all
		s.rests("later")
		for _, line := range s.close() {
			t.Error(line)
		}
	})
}

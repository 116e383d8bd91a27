package controller

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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

package controller

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

var flawNames = map[flaw]string{
	refused: "locked by nobody", tooMany: "too many deployments", broken: "500", brokenDone: "502 though taken", cutBefore: "cut before it was taken",
	cutAfter: "cut after it was taken", half: "half an answer", silent: "no answer though taken", late: "taken late", slow: "answered late",
	killBefore: "killed before it was taken", killAfter: "killed after it was taken",
}

// Each flaw that the network, Marathon and the process may have, at each kind of
// write, over the local Marathon: in the end all is as git says, nothing was
// written twice or needlessly (the storm watches over that), and nothing after.
func TestEachFlawOfEachWrite(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	up := wish{Cmd: cmdRuns, Instances: 2, Check: true, Ports: 1}
	other, more := up, up
	other.Salt, more.Instances = 1, 3
	for name, c := range map[string]struct {
		before, after map[string]wish
		method        string
	}{
		"create an app":  {nil, map[string]wish{"/a": up}, http.MethodPost},
		"update an app":  {map[string]wish{"/a": up}, map[string]wish{"/a": other}, http.MethodPut},
		"scale an app":   {map[string]wish{"/a": up}, map[string]wish{"/a": more}, http.MethodPut},
		"delete an app":  {map[string]wish{"/a": up}, nil, http.MethodDelete},
		"create a pod":   {nil, map[string]wish{"/p": up}, http.MethodPost},
		"update a pod":   {map[string]wish{"/p": up}, map[string]wish{"/p": other}, http.MethodPut},
		"delete a pod":   {map[string]wish{"/p": up}, nil, http.MethodDelete},
		"delete a group": {map[string]wish{"/g/e": up}, nil, http.MethodDelete},
	} {
		for f := sound + 1; f < flaws; f++ {
			t.Run(name+", "+flawNames[f], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStorm(t)
					s.move(c.before)
					after(20 * time.Second)
					if wrong := s.amiss(); len(wrong) > 0 {
						t.Fatal(wrong)
					}
					spoilt := 0
					meant := func(method, path string) bool {
						return method == c.method && strings.HasPrefix(path, "/v2/groups") == (name == "delete a group")
					}
					s.plot = func(r *http.Request) flaw {
						if !meant(r.Method, r.URL.Path) || spoilt > 0 {
							return sound
						}
						spoilt++
						return f
					}
					done := len(s.writes)
					s.move(c.after)
					after(90 * time.Second)
					s.alive()
					s.rests("after")
					if spoilt != 1 {
						t.Errorf("%d requests met the flaw", spoilt)
					}
					taken := 0
					for _, w := range s.writes[done:] {
						if method, path, _ := strings.Cut(w, " "); meant(method, path) {
							taken++
						}
					}
					if taken != 1 {
						t.Errorf("the write was taken %d times: %v", taken, s.writes[done:])
					}
					for _, line := range s.close() {
						t.Error(line)
					}
				})
			})
		}
	}
}

// move commits and has it seen.
func (s *storm) move(git map[string]wish) {
	s.git = map[string]wish{}
	for id, w := range git {
		s.git[id] = w
	}
	s.repo.commit(tree(s.git))
	s.life.TriggerAll(ada)
}

package status

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/sources"
)

func TestNotReady(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	able := Sync{Name: "able", Planned: now, Revision: sources.Revision{ID: "r1"}}
	with := func(name string, change func(*Sync)) Sync {
		y := able
		y.Name = name
		change(&y)
		return y
	}
	failing := func(since time.Duration) Sync {
		return with("shop", func(y *Sync) { y.SourceError, y.SourceFailing = "connection refused", now.Add(-since) })
	}
	tests := map[string]struct {
		change func(*Status)
		want   []string
	}{
		"all is well":         {func(*Status) {}, nil},
		"not running":         {func(s *Status) { s.Running = false }, []string{"the controller is not running"}},
		"no session":          {func(s *Status) { s.Leader = &leader.Status{State: leader.Connecting} }, []string{"this replica cannot become the leader: no ZooKeeper session yet"}},
		"a full disk":         {func(s *Status) { s.Store = "no space left on device" }, []string{"the store cannot be used: no space left on device"}},
		"two errors at once":  {func(s *Status) { s.Store = errors.Join(errors.New("one"), errors.New("two")).Error() }, []string{"the store cannot be used: one; two"}},
		"an unreadable state": {func(s *Status) { s.Syncs[0].StoreError = "cannot read it" }, []string{"sync able: cannot read it"}},
		"one of two unreadable": {func(s *Status) {
			s.Syncs = append(s.Syncs, with("b", func(y *Sync) { y.StoreError = "cannot read it" }))
		}, []string{"sync b: cannot read it"}},
		"a source never read": {func(s *Status) {
			s.Syncs = append(s.Syncs, Sync{Name: "new", SourceError: "no such host", SourceFailing: now})
		}, []string{"sync new: its source has not been fetched yet: no such host"}},
		"held at what was applied": {func(s *Status) {
			s.Syncs = []Sync{failing(time.Second)}
			s.Syncs[0].Revision.ID = ""
		}, []string{"sync shop: its source has not been fetched yet: connection refused"}},
		"nothing compared yet":   {func(s *Status) { s.Syncs = append(s.Syncs, Sync{Name: "new"}) }, []string{"sync new: git and Marathon have not been compared yet"}},
		"a source fails briefly": {func(s *Status) { s.Syncs = []Sync{failing(59 * time.Second)} }, nil},
		"the only source fails":  {func(s *Status) { s.Syncs = []Sync{failing(time.Minute)} }, []string{"sync shop: its source cannot be read since 2026-03-01 11:59:00 UTC: connection refused"}},
		"one of two fails":       {func(s *Status) { s.Syncs = append(s.Syncs, failing(time.Hour)) }, nil},
		"rolled back meanwhile": {func(s *Status) {
			s.Syncs = []Sync{failing(time.Hour)}
			s.Syncs[0].RolledBack = new(store.Pin)
		}, nil},
		"Marathon is away": {func(s *Status) { s.Marathon.Error = "connection refused" }, []string{"Marathon cannot be read: connection refused"}},
		"Marathon of two is away, told once": {func(s *Status) {
			s.Marathon.Error = "connection refused"
			s.Syncs = append(s.Syncs, with("b", func(*Sync) {}))
		}, []string{"Marathon cannot be read: connection refused"}},
		"one of two Marathons is away": {func(s *Status) {
			s.Marathon.Error = "berlin: connection refused"
			s.Marathons = map[string]Marathon{"berlin": {Error: "connection refused"}, "dublin": {}}
			s.Syncs = []Sync{with("b", func(y *Sync) { y.Marathon = "berlin" }), with("d", func(y *Sync) { y.Marathon = "dublin" })}
		}, nil},
		"one Marathon is away, the other's source": {func(s *Status) {
			s.Marathon.Error = "berlin: connection refused"
			s.Marathons = map[string]Marathon{"berlin": {Error: "connection refused"}, "dublin": {}}
			s.Syncs = []Sync{with("b", func(y *Sync) { y.Marathon = "berlin" }), failing(time.Hour)}
			s.Syncs[1].Marathon = "dublin"
		}, []string{"Marathon berlin cannot be read: connection refused", "sync shop: its source cannot be read since 2026-03-01 11:00:00 UTC: connection refused"}},
		"suspended": {func(s *Status) { s.Syncs[0].Suspended = true }, nil},
		"no syncs":  {func(s *Status) { s.Syncs = nil }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := Status{Now: now, Running: true, Syncs: []Sync{able}}
			test.change(&s)
			if got := strings.Join(s.NotReady(), "\n"); got != strings.Join(test.want, "\n") {
				t.Errorf("not ready for\n%s\nwant\n%s", got, strings.Join(test.want, "\n"))
			}
		})
	}
}

package status

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
)

func TestUnsteady(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := start.Add(-time.Hour)
	fail := func(at time.Duration) marathon.Status {
		return marathon.Status{LastConfigChangeAt: config, LastTaskFailure: &marathon.TaskFailure{
			Message: "Command exited with status 1", Timestamp: start.Add(at), Version: config}}
	}
	older := fail(0)
	older.LastTaskFailure.Version = config.Add(-time.Minute)
	for name, c := range map[string]struct {
		seen []marathon.Status // each when it happened
		at   time.Duration     // when it is asked
		want string
	}{
		"no failure":                       {nil, 0, ""},
		"of an older version":              {[]marathon.Status{older}, time.Second, ""},
		"one, just now":                    {[]marathon.Status{fail(0)}, time.Second, "restarted, last: exit code 1"},
		"one, a moment ago":                {[]marathon.Status{fail(0)}, 6 * time.Second, ""},
		"two":                              {[]marathon.Status{fail(0), fail(10 * time.Second)}, 40 * time.Second, "restarted 2 times in 5 min, last: exit code 1"},
		"two, long ago":                    {[]marathon.Status{fail(0), fail(10 * time.Second)}, 80 * time.Second, ""},
		"two, far apart":                   {[]marathon.Status{fail(0), fail(time.Hour)}, time.Hour + 30*time.Second, ""},
		"a slow loop between two failures": {[]marathon.Status{fail(0), fail(4 * time.Minute)}, 9 * time.Minute, "restarted 2 times in 9 min, last: exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Restarts
			for _, s := range c.seen {
				r.Observe(marathon.State{Apps: map[string]marathon.App{"/a": {Status: s}}}, s.LastTaskFailure.Timestamp)
			}
			why, until := r.Unsteady("/a", start.Add(c.at))
			if why != c.want || (why == "") != until.IsZero() || !until.Equal(r.NextSteady(start.Add(c.at))) {
				t.Errorf("got %q till %s, want %q", why, until, c.want)
			}
		})
	}
}

package local

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/scheduler"
)

func TestLabelsMakeTasksFail(t *testing.T) {
	state := func(r *rig, id string) string {
		ts, _ := r.app(id)["tasks"].([]any)
		if len(ts) == 0 {
			return ""
		}
		return ts[0].(map[string]any)["state"].(string)
	}
	create := func(r *rig, label, value, more string) {
		r.Helper()
		r.call(201, "POST", "/v2/apps", `{"id":"/x","cmd":"sleep 1","labels":{"`+label+`":"`+value+`"}`+more+`}`)
	}
	for name, play := range map[string]func(*rig){
		"never start": func(r *rig) {
			create(r, scheduler.LabelNeverStart, "true", "")
			time.Sleep(time.Hour)
			if s := state(r, "/x"); s != "TASK_STAGING" {
				r.Errorf("after an hour: %s", s)
			}
			r.call(200, "DELETE", "/v2/apps//x", "")
			r.settled()
		},
		"fail at once": func(r *rig) {
			create(r, scheduler.LabelFailAtOnce, "true", "")
			r.await("a failure", func() bool { return r.app("/x")["lastTaskFailure"] != nil })
			if len(r.fake.running("/x")) != 0 {
				r.Error("it was launched")
			}
		},
		"fail after": func(r *rig) {
			create(r, scheduler.LabelFailAfter, "7", "")
			r.settled()
			at := time.Now()
			r.await("a failure", func() bool { return r.app("/x")["lastTaskFailure"] != nil })
			if ran := time.Since(at).Round(time.Second); ran != 7*time.Second {
				r.Errorf("it failed after %v", ran)
			}
			if f := r.app("/x")["lastTaskFailure"].(map[string]any); f["state"] != "TASK_FAILED" {
				r.Errorf("failure %v", f)
			}
		},
		"never healthy": func(r *rig) {
			create(r, scheduler.LabelNeverHealthy, "true", `,"healthChecks":[{"protocol":"TCP","portIndex":0,"gracePeriodSeconds":1,"intervalSeconds":1,"maxConsecutiveFailures":0}]`)
			time.Sleep(time.Minute)
			if app := r.app("/x"); app["tasksUnhealthy"] != 1.0 || len(app["deployments"].([]any)) != 1 {
				r.Errorf("unhealthy %v, deployments %v", app["tasksUnhealthy"], app["deployments"])
			}
		},
		"slow to die": func(r *rig) {
			create(r, scheduler.LabelSlowToDie, "30", "")
			r.settled()
			at := time.Now()
			r.call(200, "DELETE", "/v2/apps//x", "")
			r.settled()
			if took := time.Since(at).Round(time.Second); took != 30*time.Second {
				r.Errorf("it died after %v", took)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { play(newRig(t)) }) })
	}
}

func TestFailuresOfTheAPI(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Failures = true })
	r.call(204, "POST", "/local/failures", `{"method":"GET","path":"/v2/apps","status":503,"message":"later","times":2}`)
	r.call(200, "GET", "/v2/info", "")
	for range 2 {
		if out := r.call(503, "GET", "/v2/apps", ""); out["message"] != "later" {
			t.Errorf("answer %v", out)
		}
	}
	r.call(200, "GET", "/v2/apps", "")

	r.call(201, "POST", "/v2/apps", `{"id":"/x","cmd":"sleep 1"}`)
	r.settled()
	id := r.call(201, "POST", "/local/failures/lock", `{"id":"/x"}`)["id"]
	if ds := r.call(409, "PUT", "/v2/apps//x", `{"cmd":"sleep 2"}`)["deployments"].([]any); ds[0].(map[string]any)["id"] != id {
		t.Errorf("locked by %v, want %v", ds, id)
	}
	r.call(201, "POST", "/local/failures/lock", `{"id":"/x"}`) // a second one: both end
	if w := r.raw("DELETE", "/local/failures/lock", ""); w.Code != 204 {
		t.Errorf("unlock: %d", w.Code)
	}
	r.call(200, "PUT", "/v2/apps//x", `{"cmd":"sleep 2"}`)
	r.settled()
}

func TestAnAnswerIsDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Failures = true })
		r.call(204, "POST", "/local/failures", `{"path":"/v2/info","delay":30}`)
		for _, want := range []time.Duration{30 * time.Second, 0} {
			at := time.Now()
			r.call(200, "GET", "/v2/info", "")
			if took := time.Since(at); took != want {
				t.Errorf("the answer took %v, want %v", took, want)
			}
		}
	})
}

func TestAFailureThatMakesNoSenseIsRefused(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Failures = true })
	for _, body := range []string{`{"nonsense":1}`, `[]`, `{"status":99}`, `{"status":600}`, `{"status":500,"half":true}`, `{"delay":-1}`, `{"delay":1e300}`, `{"times":-1}`, `{"times":"2"}`} {
		r.call(400, "POST", "/local/failures", body)
	}
	r.call(200, "GET", "/v2/info", "")
	r.call(404, "POST", "/local/failures/lock", `{"id":"/none"}`)
	r.call(405, "GET", "/local/failures", "")
}

func TestFailuresAreOffByDefault(t *testing.T) {
	newRig(t).call(500, "POST", "/local/failures", `{"status":503}`)
}

func TestAnAnswerIsCutAndStreamsAreDropped(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Failures = true })
	server := httptest.NewServer(r.m.Handler())
	defer server.Close()
	r.call(204, "POST", "/local/failures", `{"half":true,"path":"/v2/apps"}`)
	a, err := server.Client().Post(server.URL+"/v2/apps", "application/json", strings.NewReader(`{"id":"/h","cmd":"sleep 1"}`))
	if err == nil {
		_, err = io.ReadAll(a.Body)
		a.Body.Close()
	}
	if err == nil {
		t.Error("the answer came whole")
	}
	r.app("/h") // it was done all the same

	q, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v2/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", "text/event-stream")
	a, err = server.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	stream := bufio.NewReader(a.Body)
	if line, err := stream.ReadString('\n'); err != nil || !strings.Contains(line, "event_stream_attached") {
		t.Errorf("the stream began with %q, %v", line, err)
	}
	r.call(204, "POST", "/local/failures/streams", "")
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestStreamsAreKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rec := r.events("?event_type=deployment_success")
		time.Sleep(35 * time.Second)
		rec.mu.Lock()
		text := rec.text.String()
		rec.mu.Unlock()
		if text != "\r\n\r\n\r\n" {
			t.Errorf("35 s of silence read %q, want three empty lines", text)
		}
	})
}

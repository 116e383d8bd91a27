package marathon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/secret"
)

func TestWritesOfRecordings(t *testing.T) {
	t.Parallel()
	crud, bulk, pods, locks := recording(t, "apps-crud"), recording(t, "apps-bulk"), recording(t, "pods"), recording(t, "locks")
	ctx := t.Context()
	put := find(t, crud, "PUT", "/v2/apps//crud/one?partialUpdate=false", 200)
	for name, c := range map[string]struct {
		step step
		ask  func(*Client) (Receipt, error)
		uri  string
		want Receipt
	}{
		"create": {crud[1], func(c *Client) (Receipt, error) { return c.CreateApp(ctx, appNamed("/crud/one"), false) },
			"POST /v2/apps", Receipt{"<uuid-1>", vers(1), true}},
		"put": {put, func(c *Client) (Receipt, error) { return c.PutApp(ctx, appNamed("/crud/one"), false) },
			"PUT /v2/apps/crud/one?force=false&partialUpdate=false", Receipt{"<uuid-4>", vers(7), false}},
		"put creates": {crud[21], func(c *Client) (Receipt, error) { return c.PutApp(ctx, appNamed("/crud/two"), false) },
			"PUT /v2/apps/crud/two?force=false&partialUpdate=false", Receipt{"<uuid-8>", vers(15), true}},
		"put forced": {locks[12], func(c *Client) (Receipt, error) { return c.PutApp(ctx, appNamed("/lock/a"), true) },
			"PUT /v2/apps/lock/a?force=true&partialUpdate=false", Receipt{"<uuid-7>", vers(10), true}},
		"bulk": {bulk[0], func(c *Client) (Receipt, error) {
			return c.PutApps(ctx, []*manifests.App{appNamed("/bulk/a0"), appNamed("/bulk/a1")}, false)
		}, "PUT /v2/apps?force=false&partialUpdate=false", Receipt{"<uuid-1>", vers(1), false}},
		"restart": {crud[23], func(c *Client) (Receipt, error) { return c.RestartApp(ctx, "/crud/one", false) },
			"POST /v2/apps/crud/one/restart?force=false", Receipt{"<uuid-9>", vers(16), false}},
		"delete": {crud[25], func(c *Client) (Receipt, error) { return c.DeleteApp(ctx, "/crud/two", false) },
			"DELETE /v2/apps/crud/two?force=false", Receipt{"<uuid-10>", vers(17), false}},
		"create a pod": {pods[1], func(c *Client) (Receipt, error) { return c.CreatePod(ctx, &manifests.Pod{ID: "/p/one"}, false) },
			"POST /v2/pods", Receipt{"<uuid-1>", vers(1), true}},
		"put a pod": {pods[5], func(c *Client) (Receipt, error) { return c.PutPod(ctx, &manifests.Pod{ID: "/p/one"}, false) },
			"PUT /v2/pods/p/one?force=false", Receipt{"<uuid-3>", vers(5), false}},
		"delete a pod": {pods[19], func(c *Client) (Receipt, error) { return c.DeletePod(ctx, "/p/one", false) },
			"DELETE /v2/pods/p/one?force=false", Receipt{"<uuid-7>", "", false}},
		"roll a deployment back": {locks[16], func(c *Client) (Receipt, error) { return c.RollbackDeployment(ctx, "d") },
			"DELETE /v2/deployments/d?force=false", Receipt{"<uuid-9>", vers(13), false}},
		"cancel a deployment": {locks[20], func(c *Client) (Receipt, error) { return Receipt{}, c.CancelDeployment(ctx, "d") },
			"DELETE /v2/deployments/d?force=true", Receipt{}},
	} {
		t.Run(name, func(t *testing.T) {
			method, uri, _ := strings.Cut(c.uri, " ")
			path, _, _ := strings.Cut(uri, "?")
			f := newFake(t, answers(t, map[string]step{method + " " + path: c.step}))
			got, err := c.ask(newClient(t, Options{URLs: []string{f.URL}}))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
			seen := f.requests()[0]
			if seen.URI != uri {
				t.Errorf("asked %s, want %s", seen.URI, uri)
			}
			if seen.Body != "" && (seen.Length != fmt.Sprint(len(seen.Body)) || seen.ContentType != "application/json") {
				t.Errorf("body of %d bytes was sent with Content-Length %q, Content-Type %q", len(seen.Body), seen.Length, seen.ContentType)
			}
		})
	}
}

func vers(n int) string { return at(n).Format("2006-01-02T15:04:05.000Z") }

func TestErrorsOfRecordings(t *testing.T) {
	t.Parallel()
	crud, bulk, errs, locks := recording(t, "apps-crud"), recording(t, "apps-bulk"), recording(t, "errors"), recording(t, "locks")
	for name, c := range map[string]struct {
		step step
		kind Kind
		says string
	}{
		"exists":          {crud[2], KindConflict, "An app with id [/crud/one] already exists."},
		"missing":         {crud[27], KindNotFound, "App '/crud/two' does not exist"},
		"locked":          {locks[6], KindLocked, "(deployments <uuid-2>)"},
		"one of many bad": {find(t, bulk, "PUT", "/v2/apps?partialUpdate=false", 422), KindRejected, "(1)/cpus: error.min"},
		"rules":           {errs[13], KindRejected, "Object is not valid; /portDefinitions: Ports must be unique."},
		"not JSON":        {errs[0], KindRejected, "Invalid JSON: Unexpected end-of-input"},
		"several":         {errs[24], KindRejected, "/instances: error.min; /mem: error.min"},
		"media type":      {errs[35], KindOther, "Unsupported Media Type"},
		"unknown URL":     {errs[28], KindUnknown, "URI not found"},
		"too many":        {says(403, `{"message":"Max number (100) of running deployments is achieved. Wait for existing deployments to complete"}`), KindTooMany, "Max number (100)"},
		"forbidden":       {says(403, `{"message":"Not Authorized to perform this action!"}`), KindForbidden, "Not Authorized"},
		"who are you":     {step{Status: 401, Body: []byte("<html><head><title>Error 401</title>")}, KindUnauthorised, "Error 401"},
		"pod missing":     {says(404, `{"message":"{\"message\": \"pod with /x does not exist\"}","details":[]}`), KindNotFound, "404: pod with /x does not exist"},
		"proxy":           {step{Status: 502, Body: []byte("<html>Could not")}, KindUnknown, "502: bad gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, answers(t, map[string]step{"PUT /v2/apps/a": c.step}))
			_, err := newClient(t, Options{URLs: []string{f.URL}}).PutApp(t.Context(), appNamed("/a"), false)
			if KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("kind %d: %v\nwant kind %d: …%s…", KindOf(err), err, c.kind, c.says)
			}
			if n := len(f.requests()); n != 1 {
				t.Errorf("a write was sent %d times", n)
			}
		})
	}
}

func TestErrorsEchoNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "hunter2-canary"
	app := appNamed("/a")
	app.Env = map[string]manifests.EnvValue{"DB_PASSWORD": {Value: canary}}
	for _, body := range []string{
		`{"message":"Invalid JSON","details":[{"path":"/env","errors":["\"` + canary + `\" is not an object"]}]}`,
		`{"message":"Invalid JSON","details":[{"path":"/id","errors":["'id' is undefined on object: {\"env\":{\"X\":\"` + canary + `\"}}"]}]}`,
		`{"message":"Invalid JSON","details":"Unexpected end at [Source: (byte[])\"{\"X\": \"` + canary + `\" line 1"}`,
		`{"message":"no: ` + canary + `\nlevel=INFO forged=yes"}`,
	} {
		_, err := clientOf(t, map[string]step{"PUT /v2/apps/a": says(422, body)}).PutApp(t.Context(), app, false)
		if err == nil || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\nbecame %v", body, err)
		}
	}
}

// A write that may have arrived must be known as such, and not be repeated at
// the next URL; one that cannot have arrived is.
func TestOutcomeOfAWrite(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"deploymentId":`))
	}
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	html := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
	}
	for name, h := range map[string]http.HandlerFunc{"cut": cut, "half an answer": half, "no answer": silent, "success that is no JSON": html} {
		t.Run(name, func(t *testing.T) {
			var second atomic.Int32
			other := newFake(t, func(w http.ResponseWriter, r *http.Request) { second.Add(1) })
			f := newFake(t, h)
			c := newClient(t, Options{URLs: []string{f.URL, other.URL}, Timeout: 200 * time.Millisecond})
			_, err := c.PutApp(t.Context(), appNamed("/a"), false)
			if KindOf(err) != KindUnknown {
				t.Errorf("kind %d: %v: want unknown", KindOf(err), err)
			}
			if second.Load() != 0 {
				t.Error("the write was repeated at the other URL")
			}
		})
	}
	t.Run("dead URL, then a good one", func(t *testing.T) {
		crud := recording(t, "apps-crud")
		f := newFake(t, answers(t, map[string]step{"PUT /v2/apps/crud/two": crud[21]}))
		c := newClient(t, Options{URLs: []string{deadURL(t), f.URL}})
		for range 2 { // the second goes to the good one at once
			if _, err := c.PutApp(t.Context(), appNamed("/crud/two"), false); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(f.requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
	t.Run("all dead", func(t *testing.T) {
		c := newClient(t, Options{URLs: []string{deadURL(t), deadURL(t)}})
		if _, err := c.PutApp(t.Context(), appNamed("/a"), false); KindOf(err) != KindNotSent {
			t.Errorf("kind %d: %v", KindOf(err), err)
		}
	})
	t.Run("fence", func(t *testing.T) {
		denied := errors.New("the lease has ended")
		f := newFake(t, func(http.ResponseWriter, *http.Request) {})
		c := newClient(t, Options{URLs: []string{f.URL}, Wrap: func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(*http.Request) (*http.Response, error) { return nil, denied })
		}})
		_, err := c.PutApp(t.Context(), appNamed("/a"), false)
		if KindOf(err) != KindNotSent || !errors.Is(err, denied) || len(f.requests()) != 0 {
			t.Errorf("kind %d: %v", KindOf(err), err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// deadURL is where nobody listens.
func deadURL(t testing.TB) string { return "http://" + testenv.FreePort(t).Address() }

func TestReadsGoOnAtTheNextURL(t *testing.T) {
	t.Parallel()
	bad := newFake(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	good := newFake(t, answers(t, map[string]step{"GET /v2/apps": says(200, `{"apps":[]}`)}))
	c := newClient(t, Options{URLs: []string{deadURL(t), bad.URL, good.URL}})
	if apps, err := c.Apps(t.Context()); err != nil || apps == nil || len(apps) != 0 {
		t.Errorf("got %v, %v", apps, err)
	}
}

func TestLeaderIsPreferred(t *testing.T) {
	t.Parallel()
	var leader *fake
	standby := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Marathon-Leader", leader.URL)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("[]"))
	})
	leader = newFake(t, answers(t, map[string]step{"GET /v2/deployments": says(200, "[]")}))
	c := newClient(t, Options{URLs: []string{standby.URL, leader.URL}})
	for range 3 {
		if _, err := c.Deployments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := len(standby.requests()), len(leader.requests()); a != 1 || b != 2 {
		t.Errorf("standby was asked %d times, leader %d: want 1 and 2", a, b)
	}
}

func TestCredentialsStayAtHome(t *testing.T) {
	t.Parallel()
	thief := newFake(t, func(http.ResponseWriter, *http.Request) {})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	c := newClient(t, Options{URLs: []string{f.URL}, Auth: Auth{User: "u", Password: secret.Value("canary")}})
	_, err := c.Apps(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not among the configured URLs") || strings.Contains(err.Error(), "canary") {
		t.Errorf("redirect: %v", err)
	}
	if _, err = c.DeleteApp(t.Context(), "/a", false); err == nil {
		t.Error("a write followed a redirect")
	}
	if len(thief.requests()) != 0 {
		t.Errorf("another host was asked: %+v", thief.requests())
	}
	if !strings.HasPrefix(f.requests()[0].Authorization, "Basic ") {
		t.Error("no credentials were sent to the right host")
	}
}

func TestSecretsAreReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	f := newFake(t, answers(t, map[string]step{"GET /v2/deployments": says(200, "[]")}))
	c := newClient(t, Options{URLs: []string{f.URL}, Auth: Auth{Token: secret.Ref{File: file}}})
	if _, err := c.Deployments(t.Context()); err == nil {
		t.Error("a missing secret was no error")
	}
	for _, v := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(v+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Deployments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := f.requests()
	if len(got) != 2 || got[0].Authorization != "token=one" || got[1].Authorization != "token=two" {
		t.Errorf("sent %+v", got)
	}
	if s := fmt.Sprintf("%v %+v", secret.Value("canary"), Auth{Bearer: secret.Value("canary")}); strings.Contains(s, "canary") {
		t.Errorf("a secret prints as %s", s)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	x := secret.Value("x")
	for name, o := range map[string]Options{
		"no URL":       {},
		"no scheme":    {URLs: []string{"localhost:8080"}},
		"other scheme": {URLs: []string{"ftp://localhost"}},
		"userinfo":     {URLs: []string{"http://user:canary@localhost"}},
		"bad URL":      {URLs: []string{"http://user:canary@local host:%zz"}},
		"two ways":     {URLs: []string{"http://h"}, Auth: Auth{Bearer: x, Token: x}},
		"user alone":   {URLs: []string{"http://h"}, Auth: Auth{User: "u"}},
		"missing CA":   {URLs: []string{"https://h"}, TLS: clienttls.Files{CAFile: "/nonexistent/ca.pem"}},
		"cert alone":   {URLs: []string{"https://h"}, TLS: clienttls.Files{CertFile: "/nonexistent/c.pem"}},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(answers(t, map[string]step{"GET /v2/deployments": says(200, "[]")}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if _, err := newClient(t, Options{URLs: []string{s.URL}}).Deployments(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate was taken: %v", err)
	}
	if _, err := newClient(t, Options{URLs: []string{s.URL}, TLS: clienttls.Files{Insecure: true}}).Deployments(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestIDsCannotMeanSomethingElse(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, Options{URLs: []string{f.URL}})
	for _, id := range []string{"", "/", "a", "/a/", "/a//b", "/a/..", "/../groups", "/a?force=true", "/a%2fb", "/A", "/a/*"} {
		if _, err := c.DeleteApp(t.Context(), id, false); err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
	if _, err := c.PutApps(t.Context(), []*manifests.App{appNamed("/a"), appNamed("/a")}, false); err == nil {
		t.Error("the same id twice was taken")
	}
	if len(f.requests()) != 0 {
		t.Errorf("sent: %+v", f.requests())
	}
}

func TestPutGroupSendsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	f := newFake(t, answers(t, map[string]step{
		"GET /v2/groups/g": says(200, `{"id":"/g","apps":[{"id":"/g/a"}],"groups":[],"enforceRole":true}`),
		"PUT /v2/groups/g": says(200, `{"deploymentId":"d","version":"v"}`),
	}))
	c := newClient(t, Options{URLs: []string{f.URL}})
	if _, err := c.PutGroup(t.Context(), &manifests.Group{ID: "/g", Dependencies: []string{"/h"}, Apps: []manifests.App{{ID: "/g/a"}}}, false); err != nil {
		t.Fatal(err)
	}
	if got, want := f.requests()[1].Body, `{"dependencies":["/h"],"enforceRole":true}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if _, err := c.DeleteGroup(t.Context(), "/g", false); KindOf(err) != KindConflict {
		t.Errorf("a group with an app in it was not spared: %v", err)
	}
}

func TestCancelledWriteSaysWhy(t *testing.T) {
	t.Parallel()
	why := errors.New("superseded")
	started := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { close(started); <-r.Context().Done() })
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-started; cancel(why) }()
	_, err := newClient(t, Options{URLs: []string{f.URL}}).PutApp(ctx, appNamed("/a"), false)
	if KindOf(err) != KindUnknown || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

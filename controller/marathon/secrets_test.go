package marathon

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

// TestWhatTasksSayHasNoEnvInIt: how a task ended and what its health check found
// is quoted in reasons, pages and comments. No value of the environment is left in
// it, whatever its name is and however the task encoded it.
func TestWhatTasksSayHasNoEnvInIt(t *testing.T) {
	t.Parallel()
	const canary = "canary-3f9a+7c21/x"
	for name, form := range map[string]string{
		"plain": canary, "base64": base64.StdEncoding.EncodeToString([]byte(canary)), "base64 in the midst": base64.RawURLEncoding.EncodeToString([]byte("user:" + canary)),
		"hex": hex.EncodeToString([]byte(canary)), "a URL": url.QueryEscape(canary), "JSON": strings.ReplaceAll(canary, "/", `\/`),
	} {
		said, _ := json.Marshal("exited with status 1: cannot log in with " + form + " at db")
		env := fmt.Sprintf(`{"GREETING":%q,"SHORT":"at"}`, canary)
		failure := fmt.Sprintf(`"lastTaskFailure":{"message":%s,"taskId":"a.1","host":"h","state":"TASK_FAILED"}`, said)
		app := fmt.Sprintf(`{"id":"/a","cmd":"x","env":%s,%s,"tasks":[{"id":"a.1","version":"2026-11-30T13:33:29.883Z","healthCheckResults":[{"alive":false,"lastFailureCause":%s}]}]}`, env, failure, said)
		pod := fmt.Sprintf(`{"id":"/p","environment":%s,"containers":[{"name":"c"}],"version":"2026-11-30T13:33:29.883Z"}`, env)
		status := fmt.Sprintf(`{"id":"/p","instances":[{"id":"i","status":"STABLE","specReference":"/v2/pods/p::versions/2026-11-30T13:33:29.883Z","message":%[1]s,"containers":[{"name":"c","message":%[1]s,"termination":{"message":%[1]s}}]}],
			"terminationHistory":[{"instanceID":"i","terminatedAt":"2026-11-30T13:33:29.883Z","message":%[1]s,"containers":[{"termination":{"message":%[1]s}}]}]}`, said)
		s := newFake(t, answers(t, map[string]step{
			"GET /v2/apps": says(200, `{"apps":[`+app+`]}`), "GET /v2/apps/a": says(200, `{"app":`+app+`}`), "GET /v2/groups/a": says(200, `{"id":"/a","apps":[`+app+`]}`),
			"GET /v2/pods": says(200, `[`+pod+`]`), "GET /v2/pods/::status": says(200, `[`+status+`]`),
			"GET /v2/pods/p": says(200, pod), "GET /v2/pods/p::status": says(200, status),
		}))
		c := newClient(t, Options{URLs: []string{s.URL}})
		check := func(what string, said any, err error) {
			t.Helper()
			text, _ := json.Marshal(said)
			if plain := string(text); err != nil || !strings.Contains(plain, "cannot log in with") || !strings.Contains(plain, `at db`) || strings.Contains(plain, strings.Trim(form, "=")) || strings.Contains(plain, canary) {
				t.Errorf("%s, %s: %s, %v", name, what, text, err)
			}
		}
		apps, err := c.Apps(t.Context())
		check("a list", apps["/a"].Status, err)
		listed, err := c.Under(t.Context(), "/a", &Known{})
		check("a group", listed["/a"].Status, err)
		one, err := c.App(t.Context(), "/a")
		check("an app", one.Status, err)
		check("its tasks", one.Tasks, err)
		pods, err := c.Pods(t.Context())
		check("pods", pods["/p"].Status, err)
		check("instances of pods", pods["/p"].Instances, err)
		p, err := c.Pod(t.Context(), "/p")
		check("a pod", p.Status, err)
		check("its instances", p.Instances, err)
		if got := one.Definition.Env["GREETING"].Value; got != canary {
			t.Errorf("the definition has %q", got)
		}
	}
}

// TestWhatTasksSayIsCut: a task may say much.
func TestWhatTasksSayIsCut(t *testing.T) {
	t.Parallel()
	s := newFake(t, answers(t, map[string]step{"GET /v2/apps": says(200, `{"apps":[{"id":"/a","cmd":"x","lastTaskFailure":{"message":"`+strings.Repeat("a", 1<<20)+`\u001b","host":"h\u001b`+strings.Repeat("h", 1<<20)+`"}}]}`)}))
	apps, err := newClient(t, Options{URLs: []string{s.URL}}).Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f := apps["/a"].Status.LastTaskFailure; len(f.Message)+len(f.Host) > 3*maxMessage || strings.ContainsRune(f.Message+f.Host, '\x1b') {
		t.Errorf("%d bytes of message, %d of host", len(f.Message), len(f.Host))
	}
}

// TestRefusalsRepeatNoSecret: nor where Marathon escapes what it repeats.
func TestRefusalsRepeatNoSecret(t *testing.T) {
	t.Parallel()
	const canary = `canary"3f9a\7c21`
	quoted, _ := json.Marshal(canary)
	encoded := base64.StdEncoding.EncodeToString([]byte(canary))
	body, _ := json.Marshal(map[string]any{"message": "not valid: " + string(quoted), "details": []any{
		map[string]any{"path": "/env/" + canary, "errors": []string{"is wrong: " + encoded, "\x00", canary}},
	}})
	s := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write(body)
	})
	_, err := newClient(t, Options{URLs: []string{s.URL}}).PutApp(t.Context(), &manifests.App{ID: "/a", Env: map[string]manifests.EnvValue{"X": {Value: canary}}}, false)
	if err == nil || !strings.Contains(err.Error(), "not valid") || !strings.Contains(err.Error(), "is wrong") || strings.Contains(err.Error(), "3f9a") || strings.Contains(err.Error(), "Y2FuYX") {
		t.Error(err)
	}
}

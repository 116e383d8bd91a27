package controller

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// What does not come up is told with its cause: while it hangs, and when it has
// failed; over real processes, their own last words and a real health check.
func TestCausesAreToldOnTheLocalMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(sick.Close)
	at, err := url.Parse(sick.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t)
	s.options.Syncs[0].Deadline = 15 * time.Second
	with := func(definition, more string) string { return strings.TrimSuffix(definition, "}") + more + "}" }
	s.push(map[string]string{
		"huge.json": strings.Replace(s.definition("huge", "sleep 1000", 3), `"cpus": 0.01`, `"cpus": 99999`, 1),
		"typo.json": s.definition("typo", "demoap", 1),
		"sick.json": with(s.definition("sick", "sleep 1000", 1), fmt.Sprintf(
			`, "healthChecks": [{"protocol": "HTTP", "path": "/health", "port": %s, "gracePeriodSeconds": 0, "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 0}]`, at.Port())),
	})
	c, stop := s.start()
	defer stop()
	for id, cause := range map[string]string{
		"/shop/huge": `0 of 3 running: (\d+) of \d+ offers refused, all for cpus: requires 99999, largest offer 6[34](\.\d+)?$`,
		"/shop/typo": `exit code 127: .*demoap: .*not found`,
		"/shop/sick": `1 of 1 running, but /health answers 503 Service Unavailable \(0 healthy\)$`,
	} {
		words := regexp.MustCompile(cause)
		for _, state := range []status.Condition{status.InRollout, status.Failed} {
			eventually(t, fmt.Sprintf("%s to be %s for %s", id, state, cause), func() (bool, string) {
				for _, a := range c.Status().Syncs[0].Apps {
					if a.ID == id {
						late := a.Condition == status.Failed && state == status.InRollout // this machine is slow
						return (a.Condition == state || late) && words.MatchString(a.Reason), fmt.Sprintf("%s: %s", a.Condition, a.Reason)
					}
				}
				return false, "not there"
			})
		}
	}
}

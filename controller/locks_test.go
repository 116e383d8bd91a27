package controller

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Drift is found while the deployment that caused it goes on and locks the app. It
// is healed soon after that has ended, and no write runs into the lock.
func TestDriftIsHealedWithoutRunningIntoTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, change := range map[string]struct{ method, path, body, live string }{
			"a command": {"PUT", "/v2/apps//shop/cart", `{"cmd": "slow"}`, "run"},
			"a scale":   {"PUT", "/v2/apps//shop/cart", `{"instances": 3}`, "run"},
			"a delete":  {"DELETE", "/v2/apps//shop/cart?force=false", "", "run"},
		} {
			f := newFleet(t, "a")
			leader := f.replicas[0]
			var mu sync.Mutex
			var refused []string
			leader.line.written = func(r *http.Request, _ []byte) func(int) {
				return func(status int) {
					mu.Lock()
					defer mu.Unlock()
					if status == http.StatusConflict {
						refused = append(refused, fmt.Sprintf("%s %s at %s", r.Method, r.URL, time.Now().Format(time.TimeOnly)))
					}
				}
			}
			leader.lead()
			after(10 * time.Second)
			f.byHand(change.method, change.path, change.body)
			after(40 * time.Second) // a slow task takes 20 s
			app := f.site.app("/shop/cart")
			if app == nil || app["cmd"] != change.live || app["instances"] != 1.0 || app["tasksRunning"] != 1.0 {
				t.Errorf("%s: not healed: %v", name, app)
			}
			mu.Lock()
			if len(refused) > 0 {
				t.Errorf("%s: refused: %v", name, refused)
			}
			mu.Unlock()
			f.close()
		}
	})
}

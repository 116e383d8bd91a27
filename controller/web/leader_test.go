package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/marathon/pathtest"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
)

// replica is one that leads or follows, with tokens. It is asked at its URL.
func replica(t *testing.T, leading bool, at func(context.Context) (leader.Replica, error)) (*httptest.Server, *asked, *replicaOptions) {
	t.Helper()
	status := sampleStatus()
	status.Leader = &leader.Status{State: leader.Waiting, Leader: "http://other:9090", Epoch: 42, Candidates: 3}
	if leading {
		status.Leader = &leader.Status{State: leader.Leading, Leading: true, Epoch: 42}
	}
	o, a := testOptions(t, status)
	o.Leader = at
	o.Tokens = Tokens{Read: token("see"), Act: token("do")}
	if !leading {
		o.Suspend = func(context.Context, string, store.Asked) error { return reconcile.ErrNotLeading }
		o.Abdicate = func(context.Context) error { return leader.ErrNoLease }
	}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	o.Address = server.URL
	made := &replicaOptions{Options: o}
	made.remake = func() { handler = New(made.Options) }
	made.remake()
	return server, a, made
}

// proved is a leader whose address is proved.
func proved(url string) func(context.Context) (leader.Replica, error) { return led(url, leader.Proved) }

func led(url string, trust leader.Trust) func(context.Context) (leader.Replica, error) {
	return func(context.Context) (leader.Replica, error) { return leader.Replica{Address: url, Trust: trust}, nil }
}

// replicaOptions can be changed, and the replica be made anew with them.
type replicaOptions struct {
	Options
	remake func()
}

func post(t *testing.T, url, token, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestAFollowerHasTheLeaderDoWhatItIsAskedFor(t *testing.T) {
	lead, asked, _ := replica(t, true, nil)
	follower, own, _ := replica(t, false, proved(lead.URL))
	code, said := post(t, follower.URL+"/api/v1/syncs/shop/approve", "do", `{"ids": ["/shop/a"], "revision": "3f9c2a7"}`)
	if code != http.StatusOK || !strings.Contains(said, "approved in shop") {
		t.Errorf("%d %s", code, said)
	}
	if want := "approve shop [/shop/a] 3f9c2a7"; len(asked.names) != 1 || asked.names[0] != want {
		t.Errorf("the leader did %q, want %q", asked.names, want)
	}
	if len(own.names) != 1 || own.names[0] != "shop" {
		t.Errorf("the follower did %q, want a look of its own alone", own.names)
	}
	// A browser's form goes back to the page of the replica that it came from.
	code, _ = post(t, follower.URL+"/api/v1/syncs/shop/suspend", "do", "", "Accept", "text/html", "Origin", follower.URL, "Sec-Fetch-Site", "same-origin")
	if code != http.StatusSeeOther || asked.names[1] != "suspend shop" || asked.by.Via != "page" {
		t.Errorf("%d, %q by %s", code, asked.names, asked.by)
	}
	code, _ = post(t, follower.URL+"/api/v1/syncs/shop/resume", "do", "", "Pacer-Via", "command line", "Pacer-User", "ada@laptop")
	if code != http.StatusOK || asked.names[2] != "resume shop" || asked.by.Via != "command line" || asked.by.User != "ada@laptop" {
		t.Errorf("%d, %q by %s", code, asked.names, asked.by)
	}
	if code, _ = post(t, follower.URL+"/api/v1/leader/abdicate", "do", ""); code != http.StatusAccepted {
		t.Errorf("abdicate: %d", code)
	}
	if code, _ = post(t, follower.URL+"/api/v1/syncs/gone/sync", "do", ""); code != http.StatusNotFound {
		t.Errorf("the leader's refusal arrives as %d", code)
	}
}

func TestAFollowerPassesOnNothingThatItWouldNotDo(t *testing.T) {
	lead, asked, _ := replica(t, true, nil)
	follower, _, _ := replica(t, false, proved(lead.URL))
	if code, _ := post(t, follower.URL+"/api/v1/leader/abdicate", "see", ""); code != http.StatusForbidden {
		t.Errorf("with the token that only sees: %d", code)
	}
	if code, _ := post(t, follower.URL+"/api/v1/syncs/shop/suspend", "do", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("from another site: %d", code)
	}
	if len(asked.names) > 0 {
		t.Errorf("the leader did %q", asked.names)
	}
}

func TestAWebhookReachesTheLeaderToo(t *testing.T) {
	var looked []string
	hooks := func(who string) Webhooks {
		return Webhooks{
			Secret: func(string) secret.Ref { return token("key") },
			Look:   func(source string, _ store.Asked) error { looked = append(looked, who+" "+source); return nil },
		}
	}
	lead, _, o := replica(t, true, nil)
	o.Webhooks = hooks("leader")
	o.remake()
	follower, _, o := replica(t, false, proved(lead.URL))
	o.Webhooks = hooks("follower")
	o.remake()
	code, said := post(t, follower.URL+"/webhooks/shop", "", `{"any": "thing"}`, "X-Gitlab-Token", "key")
	if code != http.StatusAccepted || !slices.Equal(looked, []string{"follower shop", "leader shop"}) {
		t.Errorf("%d %s: looked at: %q", code, said, looked)
	}
	if code, _ := post(t, follower.URL+"/webhooks/shop", "", `{}`, "X-Gitlab-Token", "wrong"); code != http.StatusUnauthorized || len(looked) != 2 {
		t.Errorf("a wrong signature: %d, %q", code, looked)
	}
}

// What proves somebody goes to no address that is not proved, and nothing at all to
// one that could be proved and is not.
func TestNoSecretGoesToALeaderThatIsNotProved(t *testing.T) {
	for name, c := range map[string]struct {
		trust   leader.Trust
		tokens  bool
		path    string
		header  []string
		arrives bool
	}{
		"a token":                         {leader.Unprovable, true, "/api/v1/syncs/shop/suspend", nil, false},
		"a token that nobody asked for":   {leader.Unprovable, false, "/api/v1/syncs/shop/suspend", nil, false},
		"a cookie of another server here": {leader.Unprovable, false, "/api/v1/syncs/shop/suspend", []string{"Authorization", "", "Cookie", "session=secret"}, false},
		"no secret":                       {leader.Unprovable, false, "/api/v1/syncs/shop/suspend", []string{"Authorization", "", "X-Api-Key", "secret"}, true},
		"the secret of a webhook":         {leader.Unprovable, false, "/webhooks/shop", []string{"X-Gitlab-Token", "key"}, false},
		"a forged node, a token":          {leader.Unproved, true, "/api/v1/leader/abdicate", nil, false},
		"a forged node, no secret":        {leader.Unproved, false, "/api/v1/leader/abdicate", []string{"Authorization", ""}, false},
		"a forged node, a webhook":        {leader.Unproved, false, "/webhooks/shop", []string{"X-Gitlab-Token", "key"}, false},
		"proved":                          {leader.Proved, true, "/api/v1/syncs/shop/suspend", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived []http.Header
			there := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived = append(arrived, r.Header) }))
			defer there.Close()
			follower, _, o := replica(t, false, led(there.URL, c.trust))
			if !c.tokens {
				o.Tokens = Tokens{}
			}
			looked := 0
			o.Webhooks = Webhooks{Secret: func(string) secret.Ref { return token("key") }, Look: func(string, store.Asked) error { looked++; return nil }}
			o.remake()
			code, said := post(t, follower.URL+c.path, "do", "{}", c.header...)
			if len(arrived) > 0 != c.arrives {
				t.Errorf("answered %d %s; %d requests arrived: %v", code, said, len(arrived), arrived)
			}
			for _, h := range arrived {
				if text := fmt.Sprint(h); strings.Contains(text, "secret") || c.trust != leader.Proved && h.Get("Authorization") != "" {
					t.Errorf("there arrived %s", text)
				}
			}
			switch {
			case c.arrives:
			case c.path == "/webhooks/shop": // what it is for is done here
				if code != http.StatusAccepted || looked != 1 {
					t.Errorf("the webhook: %d %s, %d looks", code, said, looked)
				}
			case code != http.StatusServiceUnavailable || !strings.Contains(said, there.URL) || !strings.Contains(said, "zookeeper.auth"):
				t.Errorf("answered %d %s: want the address, and what is missing", code, said)
			}
		})
	}
}

func TestWithoutALeaderToAskTheAnswerSaysSo(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	redirects := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	gone := "http://" + testenv.FreePort(t).Address()
	var own string
	for name, c := range map[string]struct {
		at   func(context.Context) (leader.Replica, error)
		head []string
		code int
		want string
	}{
		"nobody leads":       {at: func(context.Context) (leader.Replica, error) { return leader.Replica{}, leader.ErrNobody }, want: "no leader at the moment"},
		"itself":             {at: func(ctx context.Context) (leader.Replica, error) { return proved(own)(ctx) }, want: "about to become the leader"},
		"no URL":             {at: proved("file:///etc/passwd"), want: "not a URL"},
		"it does not answer": {at: proved(gone), want: "does not answer"},
		"passed on already":  {at: proved(elsewhere.URL), head: []string{forwarded, "1"}, want: "has just changed"},
		"it redirects":       {at: proved(redirects.URL), code: http.StatusTemporaryRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			follower, asked, o := replica(t, false, c.at)
			own = o.Address
			if c.code == 0 {
				c.code = http.StatusServiceUnavailable
			}
			code, said := post(t, follower.URL+"/api/v1/syncs/shop/suspend", "do", "", c.head...)
			if code != c.code || !strings.Contains(said, c.want) {
				t.Errorf("%d %s", code, said)
			}
			for _, name := range asked.names {
				if name != "shop" {
					t.Errorf("the follower did %q", name)
				}
			}
		})
	}
}

func TestAbdicate(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(context.Context) error
		code int
	}{
		"one replica":   {nil, http.StatusConflict},
		"it leads":      {func(context.Context) error { return nil }, http.StatusAccepted},
		"not any more":  {func(context.Context) error { return leader.ErrNoLease }, http.StatusServiceUnavailable},
		"another error": {func(context.Context) error { return errors.New("x") }, http.StatusServiceUnavailable},
	} {
		for _, path := range []string{"/leader/abdicate", "/api/v1/leader/abdicate"} {
			o, _ := testOptions(t, sampleStatus())
			o.Abdicate = c.do
			w := httptest.NewRecorder()
			New(o).ServeHTTP(w, httptest.NewRequest("POST", path, nil))
			if w.Code != c.code {
				t.Errorf("%s: %d, want %d: %s", name, w.Code, c.code, w.Body)
			}
		}
	}
}

func TestThePageSaysWhoLeads(t *testing.T) {
	for want, l := range map[string]*leader.Status{
		"This replica is the leader, epoch 42, candidates: 3":                     {State: leader.Leading, Leading: true, Epoch: 42, Candidates: 3},
		`the leader is <a href="http://other:9090" rel="noopener noreferrer">`:    {State: leader.Waiting, Leader: "http://other:9090", Epoch: 42},
		"the leader is <bdi>http://forged:9090</bdi> (address not authenticated)": {State: leader.Waiting, Leader: "http://forged:9090", LeaderUnproved: true},
		"This replica is a follower: no leader is known":                          {State: leader.Connecting},
		"<strong>This replica cannot become the leader.</strong> <bdi>not 10s":    {State: leader.Connecting, Reason: "not 10s"},
		"the leader is <bdi>javascript:alert(1)</bdi>":                            {State: leader.Waiting, Leader: "javascript:alert(1)"},
	} {
		status := sampleStatus()
		status.Leader = l
		o, _ := testOptions(t, status)
		if page := get(t, New(o), "/").Body.String(); !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestAnActionThatIsGivenUpDoesNotReachTheLeader: who asked was told that it is
// not known, and may have asked for something else meanwhile.
func TestAnActionThatIsGivenUpDoesNotReachTheLeader(t *testing.T) {
	var arrived atomic.Int32
	lead, path := pathtest.Server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	lead.Start()
	t.Cleanup(lead.Close)
	follower, _, _ := replica(t, false, proved(lead.URL))
	path.CutWrites()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", follower.URL+"/api/v1/leader/abdicate", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer do")
	done := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		done <- err
	}()
	path.AwaitStuck(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	follower.Close() // it has given up, too
	path.Heal()
	path.AwaitDelivered()
	lead.Close()
	if n := arrived.Load(); n > 0 {
		t.Errorf("the leader was asked %d times", n)
	}
}

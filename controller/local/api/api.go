package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// Options say how an API answers.
type Options struct {
	Cluster  manifests.Cluster
	Address  string // host:port at which clients reach it; empty: taken from each request
	Failures bool   // serve /local/failures
}

// API is Marathon's HTTP API.
type API struct {
	scheduler *scheduler.Scheduler
	options   Options
	started   time.Time
	failures  []failure // that a test asked for; under the scheduler's lock
}

// New makes the API of a scheduler.
func New(s *scheduler.Scheduler, o Options) *API {
	return &API{scheduler: s, options: o, started: time.Now()}
}

// call is one request while it is served. Handlers have it under the lock of the
// scheduler.
type call struct {
	*http.Request
	views
	api  *API
	body body // of an endpoint that takes one
}

// views are what answers show of a Marathon.
type views struct{ *scheduler.Scheduler }

// handler serves a call.
type handler func(*call) (*reply, error)

// endpoint is what a request asks for.
type endpoint struct {
	serve     handler
	takesBody bool
	direct    func(http.ResponseWriter, *http.Request) // answers by itself, without the lock; nil: serve does
}

func on(h handler) endpoint { return endpoint{serve: h} }

func withBody(h handler) endpoint { return endpoint{serve: h, takesBody: true} }

// withID serves a call about an app, pod or group.
func withID(h func(c *call, id string) (*reply, error), id string) handler {
	return func(c *call) (*reply, error) { return h(c, id) }
}

// refuse is the endpoint of what there is not.
func refuse(err error) endpoint {
	return on(func(*call) (*reply, error) { return nil, err })
}

// methods are the endpoints of one path.
type methods map[string]endpoint

func (m methods) of(r *http.Request) endpoint {
	if e, found := m[r.Method]; found {
		return e
	}
	return refuse(state.Refuse(http.StatusMethodNotAllowed, "Method Not Allowed"))
}

// get is a path that is only read.
func get(r *http.Request, h handler) endpoint { return methods{http.MethodGet: on(h)}.of(r) }

var errNotFound = state.Refuse(http.StatusInternalServerError, "URI not found")

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-a.scheduler.Done():
		answer(w, r, nil, state.Refuse(http.StatusServiceUnavailable, "the local Marathon is closed"))
	default:
		if !a.options.Failures || !a.fails(w, r) {
			a.serve(w, r)
		}
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead && r.URL.Path != "/v2/pods" && r.URL.Path != "/v2/events" {
		r = r.Clone(r.Context()) // what is read by GET is asked for by HEAD, too
		r.Method = http.MethodGet
	}
	e := a.endpoint(r)
	if e.direct != nil {
		e.direct(w, r)
		return
	}
	out, err := a.call(w, r, e)
	answer(w, r, out, err)
}

func (a *API) call(w http.ResponseWriter, r *http.Request, e endpoint) (out *reply, err error) {
	c := &call{Request: r, views: views{a.scheduler}, api: a}
	if e.takesBody {
		if c.body, err = readBody(w, r); err != nil {
			return nil, err
		}
	}
	a.scheduler.Do(func() { out, err = e.serve(c) })
	return out, err
}

// endpoint finds what a request asks for. Marathon's paths hold ids with and
// without a second slash (/v2/apps//a/b), which is why no ServeMux is used.
func (a *API) endpoint(r *http.Request) endpoint {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v2/") && path != "/v2/events" && !acceptsJSON(r) {
		return refuse(state.Refuse(http.StatusNotAcceptable, "Not Acceptable"))
	}
	for _, p := range []struct {
		prefix string
		find   func(r *http.Request, rest string) endpoint
	}{
		{"/v2/apps", appsEndpoint}, {"/v2/groups", groupsEndpoint}, {"/v2/pods", podsEndpoint},
		{"/v2/deployments", deploymentsEndpoint}, {"/v2/queue", queueEndpoint}, {"/v2/tasks", tasksEndpoint},
	} {
		if rest, found := strings.CutPrefix(path, p.prefix); found && (rest == "" || rest[0] == '/') {
			return p.find(r, rest)
		}
	}
	if path == "/files" || strings.HasPrefix(path, "/files/") {
		return endpoint{direct: a.scheduler.Executor.Files().ServeHTTP} // the sandboxes of tasks, as a Mesos agent gives them
	}
	switch strings.TrimSuffix(path, "/") {
	case "/v2/info":
		return get(r, readInfo)
	case "/v2/leader":
		return get(r, readLeader)
	case "/v2/plugins":
		return get(r, readPlugins)
	case "/metrics":
		return get(r, readMetrics)
	case "/ping":
		return methods{http.MethodGet: {direct: ping}}.of(r)
	case "/v2/events":
		return methods{http.MethodGet: {direct: a.stream}}.of(r)
	}
	return refuse(errNotFound)
}

// flag is a query parameter that is true or false; as in Java all but true is
// false.
func (c *call) flag(name string, otherwise bool) bool {
	v := c.URL.Query().Get(name)
	if v == "" {
		return otherwise
	}
	return strings.EqualFold(v, "true")
}

// edit is a write that is forced on demand.
func (c *call) edit(group string, change func(*state.Draft) error) scheduler.Edit {
	return scheduler.Edit{Group: group, Force: c.flag("force", false), Change: change}
}

// write carries an edit out and answers as most writes do.
func (c *call) write(e scheduler.Edit) (*reply, error) {
	dep, err := c.Deployments.Write(e)
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusOK, deployed: dep.ID, body: map[string]any{"deploymentId": dep.ID, "version": dep.Version}}, nil
}

// cluster is what definitions are checked against.
func (c *call) cluster() *manifests.Cluster { return c.Versions.Root.Cluster(c.api.options.Cluster) }

// location is where a new definition is, by Marathon's own (wrong) account.
func (c *call) location(id string) string { return "http://" + c.Host + id }

// clientIP is the other end of the request.
func (c *call) clientIP() string {
	i := strings.LastIndexByte(c.RemoteAddr, ':')
	return strings.Trim(c.RemoteAddr[:max(i, 0)], "[]")
}

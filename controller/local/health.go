package local

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/manifests"
)

// health is what one check of one task has found.
type health struct {
	seen         bool // a probe has told something
	alive        bool
	failures     int // in a row
	firstSuccess stamp
	lastSuccess  stamp
	lastFailure  stamp
	lastCause    string
}

type healthView struct {
	Alive        bool   `json:"alive"`
	Failures     int    `json:"consecutiveFailures"`
	FirstSuccess *stamp `json:"firstSuccess,omitempty"`
	LastFailure  *stamp `json:"lastFailure,omitempty"`
	LastSuccess  *stamp `json:"lastSuccess,omitempty"`
	LastCause    string `json:"lastFailureCause,omitempty"`
	InstanceID   string `json:"instanceId"`
}

func (h *health) view(instance string) healthView {
	v := healthView{Alive: h.alive, Failures: h.failures, LastCause: h.lastCause, InstanceID: "instance [" + instance + "]"}
	for _, at := range []struct {
		from stamp
		to   **stamp
	}{{h.firstSuccess, &v.FirstSuccess}, {h.lastFailure, &v.LastFailure}, {h.lastSuccess, &v.LastSuccess}} {
		if !at.from.IsZero() {
			*at.to = &at.from
		}
	}
	return v
}

// check is one health check of a task: apps' and pods' alike.
type check struct {
	protocol     string // HTTP, HTTPS, TCP or COMMAND
	byMesos      bool   // run by the agent, which keeps failures of the grace period to itself
	command      string
	path         string
	port         int
	grace        time.Duration
	delay        time.Duration // before the first probe
	interval     time.Duration
	timeout      time.Duration
	maxFailures  int // in a row before the task is killed; 0: never
	ignore1xx    bool
	noSuchTarget string // why it cannot be asked at all
	definition   any    // as events print it
}

// prober asks a task whether it is healthy; nil: it is.
type prober interface {
	probe(ctx context.Context, host string, c check) error
	get(ctx context.Context, address string) (status int, body string, contentType string, err error)
}

// network probes as Marathon does: over the network, following no certificate
// authority, since tasks sign their own certificates.
type network struct{}

func (network) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect is an answer
		},
	}
}

func (n network) probe(ctx context.Context, host string, c check) error {
	address := net.JoinHostPort(host, strconv.Itoa(c.port))
	if c.protocol == "TCP" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	scheme := "http://"
	if c.protocol == "HTTPS" {
		scheme = "https://"
	}
	path := c.path
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	status, _, _, err := n.get(ctx, scheme+address+path)
	if err != nil {
		return err
	}
	if status < 200 || status >= 400 {
		return fmt.Errorf("%d %s", status, http.StatusText(status))
	}
	return nil
}

func (n network) get(ctx context.Context, address string) (int, string, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", "", err
	}
	a, err := n.client().Do(r)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return 0, "", "", err
	}
	const enough = 64 << 10 // of a body that nobody may read
	body, err := io.ReadAll(io.LimitReader(a.Body, enough))
	return a.StatusCode, string(body), a.Header.Get("Content-Type"), errors.Join(err, a.Body.Close())
}

// tellChecks tells of the health checks of an app's version, once. Those of pods
// are Mesos' affair.
func (m *Marathon) tellChecks(s *spec) {
	for n := range s.app.HealthChecks {
		h := &s.app.HealthChecks[n]
		text, err := encode(h)
		key := s.version.String() + string(text)
		if err != nil || slices.Contains(m.checks[s.id], key) {
			continue
		}
		m.checks[s.id] = append(m.checks[s.id], key)
		m.publish("add_health_check_event", func() map[string]any {
			return map[string]any{"appId": s.id, "version": s.version, "healthCheck": h}
		})
	}
}

// dropChecks tells that no version of an app is checked any more.
func (m *Marathon) dropChecks(id string) {
	for range m.checks[id] {
		m.publish("remove_health_check_event", func() map[string]any { return map[string]any{"appId": id} })
	}
	delete(m.checks, id)
}

// checksOf are the health checks of a task.
func (m *Marathon) checksOf(t *task) []check {
	s := t.instance.spec
	var cs []check
	if s.app != nil {
		for n := range s.app.HealthChecks {
			cs = append(cs, appCheck(&s.app.HealthChecks[n], t))
		}
		return cs
	}
	for n := range s.pod.Containers {
		if c := &s.pod.Containers[n]; c.Name == t.name && c.HealthCheck != nil {
			cs = append(cs, podCheck(c, t, len(s.pod.Networks) > 0))
		}
	}
	return cs
}

// seconds is a duration of a normal form, in which none is missing.
func seconds[T int | float64](p *T) time.Duration {
	return time.Duration(float64(*p) * float64(time.Second))
}

func appCheck(h *manifests.HealthCheck, t *task) check {
	c := check{
		protocol: or(h.Protocol, "HTTP"), path: or(h.Path, ""), ignore1xx: or(h.IgnoreHTTP1xx, false),
		grace: seconds(h.GracePeriodSeconds), interval: seconds(h.IntervalSeconds),
		timeout: seconds(h.TimeoutSeconds), maxFailures: *h.MaxConsecutiveFailures, definition: h,
	}
	switch c.protocol { // those that Mesos runs begin after delaySeconds
	case "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP":
		c.protocol, c.byMesos = c.protocol[len("MESOS_"):], true
		c.delay = seconds(h.DelaySeconds)
	case "COMMAND":
		c.byMesos = true
		c.delay = seconds(h.DelaySeconds)
		if h.Command != nil {
			c.command = h.Command.Value
		}
		return c
	}
	n := or(h.PortIndex, 0)
	switch {
	case h.Port != nil:
		c.port = *h.Port
	case n < len(t.ports):
		c.port = t.ports[n]
	default:
		c.noSuchTarget = fmt.Sprintf("the task has no host port with index %d", n)
	}
	return c
}

func podCheck(pc *manifests.PodContainer, t *task, networked bool) check {
	h := pc.HealthCheck
	c := check{
		byMesos: true,
		grace:   seconds(h.GracePeriodSeconds), interval: seconds(h.IntervalSeconds), delay: seconds(h.DelaySeconds),
		timeout: seconds(h.TimeoutSeconds), maxFailures: *h.MaxConsecutiveFailures, definition: h,
	}
	endpoint := ""
	switch {
	case h.Exec != nil:
		c.protocol = "COMMAND"
		if h.Exec.Command != nil {
			c.command = or(h.Exec.Command.Shell, "")
		}
		return c
	case h.HTTP != nil:
		c.protocol, c.path, endpoint = or(h.HTTP.Scheme, "HTTP"), or(h.HTTP.Path, ""), h.HTTP.Endpoint
	case h.TCP != nil:
		c.protocol, endpoint = "TCP", h.TCP.Endpoint
	}
	port, ok := endpointPorts(pc, t, networked)[endpoint]
	if !ok {
		c.noSuchTarget = fmt.Sprintf("endpoint %q has no host port", endpoint)
	}
	c.port = port
	return c
}

// watchHealth starts the probes of a task that has begun to run.
func (m *Marathon) watchHealth(t *task) {
	checks := m.checksOf(t)
	if t.health != nil || len(checks) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	t.cancel = cancel
	for n, c := range checks {
		if t.instance.spec.labels()[labelNeverHealthy] == "true" {
			c.noSuchTarget = "the label " + labelNeverHealthy + " says so"
		}
		t.health = append(t.health, &health{})
		m.work.Go(func() { m.probeLoop(ctx, t, n, c) })
	}
}

func (m *Marathon) probeLoop(ctx context.Context, t *task, n int, c check) {
	wait := time.NewTimer(c.delay)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		err := m.probe(ctx, t, c)
		if ctx.Err() != nil {
			return
		}
		m.reports.push(func(m *Marathon) { m.probed(t, n, c, err) })
		wait.Reset(max(c.interval, time.Millisecond))
	}
}

func (m *Marathon) probe(ctx context.Context, t *task, c check) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.timeout, time.Second))
	defer cancel()
	if c.noSuchTarget != "" {
		return errors.New(c.noSuchTarget)
	}
	if c.protocol == "COMMAND" {
		code, err := m.executor.Exec(ctx, t.id, c.command)
		if err == nil && code != 0 {
			err = fmt.Errorf("command exited with status %d", code)
		}
		return err
	}
	return m.prober.probe(ctx, m.options.Agent.Hostname, c)
}

// probed takes the result of a probe.
func (m *Marathon) probed(t *task, n int, c check, err error) {
	h, i := t.health[n], t.instance
	if t.over() {
		return
	}
	was := h.alive
	switch {
	case err == nil:
		h.alive, h.failures, h.lastSuccess = true, 0, m.stampNow()
		if h.firstSuccess.IsZero() {
			h.firstSuccess = h.lastSuccess
		}
	case h.firstSuccess.IsZero() && time.Since(t.startedAt.Time) < c.grace:
		if c.byMesos {
			return
		}
		// It does not count yet, but Marathon shows that the task is not well.
	default:
		m.publish("failed_health_check_event", func() map[string]any {
			return map[string]any{"appId": i.spec.id, "taskId": i.id, "healthCheck": c.definition}
		})
		tooMany := c.maxFailures > 0 && h.failures >= c.maxFailures
		h.alive, h.lastFailure, h.lastCause = false, m.stampNow(), err.Error()
		h.failures++
		if tooMany {
			m.killUnhealthy(t, h)
		}
	}
	h.seen = true
	if was != h.alive {
		m.publish("health_status_changed_event", func() map[string]any {
			return map[string]any{"appId": i.spec.id, "instanceId": i.id, "version": i.spec.version, "alive": h.alive}
		})
	}
	m.tellHealth(i)
	m.poke()
}

func (m *Marathon) tellHealth(i *instance) {
	now := i.health()
	if now == i.healthy || now != nil && i.healthy != nil && *now == *i.healthy {
		return
	}
	i.healthy = now
	if i.spec.pod != nil {
		i.since = m.stampNow() // health is part of the state of what Mesos checks
	}
	m.publish("instance_health_changed_event", func() map[string]any {
		return map[string]any{"instanceId": i.id, "runSpecId": i.spec.id, "healthy": now, "runSpecVersion": i.spec.version}
	})
}

// killUnhealthy ends a task; its instance stays wanted and is launched again.
func (m *Marathon) killUnhealthy(t *task, h *health) {
	i := t.instance
	if t.killing {
		return
	}
	m.noteFailure(t, executor.Killed, "Task was killed since health check failed. Reason: "+h.lastCause)
	m.publish("unhealthy_instance_kill_event", func() map[string]any {
		return map[string]any{"appId": i.spec.id, "taskId": t.id, "instanceId": i.id, "version": i.spec.version,
			"reason": h.lastCause, "host": m.options.Agent.Hostname, "slaveId": m.agentID}
	})
	m.killTasks(i)
}

// readiness is what the readiness check of an instance has found.
type readiness struct {
	name     string
	taskID   string
	told     bool // something was heard
	ready    bool
	response map[string]any
}

// checkReadiness starts asking a running instance whether it is ready.
func (m *Marathon) checkReadiness(s *spec, i *instance) {
	t := i.current()
	if i.readiness != nil || t == nil {
		return
	}
	c := s.app.ReadinessChecks[0]
	i.readiness = &readiness{name: or(c.Name, "readinessCheck"), taskID: t.id}
	port, found := 0, false
	n := 0
	for _, p := range appPorts(s.app) {
		if p.noHost {
			continue
		}
		if p.name == or(c.PortName, "http-api") && n < len(t.ports) {
			port, found = t.ports[n], true
		}
		n++
	}
	if !found {
		return // refused by validation; without a port nothing is ever ready
	}
	scheme := "http"
	if or(c.Protocol, "HTTP") == "HTTPS" {
		scheme = "https"
	}
	address := fmt.Sprintf("%s://%s%s", scheme, net.JoinHostPort(m.options.Agent.Hostname, strconv.Itoa(port)), or(c.Path, "/"))
	ctx, cancel := context.WithCancel(m.ctx)
	stop := t.cancel
	t.cancel = func() { stop(); cancel() }
	r := i.readiness
	m.work.Go(func() { m.readinessLoop(ctx, i, r, c, address) })
}

func (m *Marathon) readinessLoop(ctx context.Context, i *instance, r *readiness, c manifests.ReadinessCheck, address string) {
	codes := c.HTTPStatusCodesForReady
	if len(codes) == 0 {
		codes = []int{http.StatusOK}
	}
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, seconds(c.TimeoutSeconds))
		status, body, kind, err := m.prober.get(asked, address)
		cancel()
		ready := err == nil && slices.Contains(codes, status)
		m.reports.push(func(*Marathon) {
			if i.readiness != r {
				return
			}
			r.told, r.ready = true, ready
			i.readied = i.readied || ready
			if or(c.PreserveLastResponse, false) {
				r.response = lastResponse(address, status, body, kind, err)
			}
		})
		if ready {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(seconds(c.IntervalSeconds)):
		}
	}
}

// lastResponse is an answer to a readiness check as Marathon keeps it; where none
// came it makes one up.
func lastResponse(address string, status int, body, kind string, err error) map[string]any {
	if err != nil {
		status, kind, body = http.StatusGatewayTimeout, "text/plain", fmt.Sprintf("Marathon could not query %s: %v", address, err)
	}
	media, _, _ := strings.Cut(kind, ";")
	return map[string]any{"status": status, "body": body, "contentType": strings.TrimSpace(media)}
}

// readinessView lists the readiness checks of an id as GET prints them.
func (m *Marathon) readinessView(id string) []any {
	views := []any{}
	for _, i := range m.instances[id] {
		r := i.readiness
		if r == nil || !r.told || len(m.deploymentsOf(id)) == 0 {
			continue
		}
		v := map[string]any{"name": r.name, "taskId": r.taskID, "ready": r.ready}
		if r.response != nil {
			v["lastResponse"] = r.response
		}
		views = append(views, v)
	}
	return views
}

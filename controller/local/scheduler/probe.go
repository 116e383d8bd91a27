package scheduler

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// Prober asks tasks over the network.
type Prober interface {
	Get(ctx context.Context, url string) (Response, error)
	Dial(ctx context.Context, address string) error
}

// Response is what a task answered.
type Response struct {
	Status      int
	Body        string
	ContentType string
}

// network probes as Marathon does: it trusts any certificate, since tasks sign
// their own, and follows no redirect, which is an answer.
type network struct{}

var networkClient = &http.Client{
	Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Dial connects and hangs up.
func (network) Dial(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Get asks once. It reads the beginning of the body, which is rarely asked for.
func (network) Get(ctx context.Context, address string) (Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Response{}, err
	}
	a, err := networkClient.Do(r)
	if err != nil {
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return Response{}, err
	}
	const enough = 64 << 10
	body, err := io.ReadAll(io.LimitReader(a.Body, enough))
	return Response{a.StatusCode, string(body), a.Header.Get("Content-Type")}, errors.Join(err, a.Body.Close())
}

// check is one health check of a task: apps' and pods' alike.
type check struct {
	protocol    string // HTTP, HTTPS, TCP or COMMAND
	byMesos     bool   // run by the agent, which keeps failures of the grace period to itself
	command     string
	path        string
	port        int
	grace       time.Duration
	delay       time.Duration // before the first probe
	interval    time.Duration
	timeout     time.Duration
	maxFailures int    // in a row before the task is killed; 0: never
	impossible  string // why the task cannot be asked at all
	definition  any    // as events print it
}

// checksOf are the health checks of a task.
func checksOf(t *state.Task) []check {
	s := t.Instance.Spec
	var cs []check
	if s.App != nil {
		for n := range s.App.HealthChecks {
			cs = append(cs, appCheck(&s.App.HealthChecks[n], t))
		}
	} else {
		for n := range s.Pod.Containers {
			if c := &s.Pod.Containers[n]; c.Name == t.Name && c.HealthCheck != nil {
				cs = append(cs, podCheck(c, t))
			}
		}
	}
	if s.Labels()[LabelNeverHealthy] == "true" {
		for n := range cs {
			cs[n].impossible = "the label " + LabelNeverHealthy + " says so"
		}
	}
	return cs
}

func appCheck(h *manifests.HealthCheck, t *state.Task) check {
	c := check{
		path:  ptr.Deref(h.Path, ""),
		grace: seconds(h.GracePeriodSeconds), interval: seconds(h.IntervalSeconds),
		timeout: seconds(h.TimeoutSeconds), maxFailures: *h.MaxConsecutiveFailures, definition: h,
	}
	c.protocol, c.byMesos = strings.CutPrefix(*h.Protocol, "MESOS_")
	c.byMesos = c.byMesos || c.protocol == "COMMAND"
	if c.byMesos {
		c.delay = seconds(h.DelaySeconds)
	}
	n := ptr.Deref(h.PortIndex, 0)
	switch {
	case c.protocol == "COMMAND":
		if h.Command != nil {
			c.command = h.Command.Value
		}
	case h.Port != nil:
		c.port = *h.Port
	case n < len(t.Ports):
		c.port = t.Ports[n]
	default:
		c.impossible = fmt.Sprintf("the task has no host port with index %d", n)
	}
	return c
}

func podCheck(pc *manifests.PodContainer, t *state.Task) check {
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
			c.command = ptr.Deref(h.Exec.Command.Shell, "")
		}
		return c
	case h.HTTP != nil:
		c.protocol, c.path, endpoint = *h.HTTP.Scheme, ptr.Deref(h.HTTP.Path, ""), h.HTTP.Endpoint
	case h.TCP != nil:
		c.protocol, endpoint = "TCP", h.TCP.Endpoint
	}
	port, ok := t.EndpointPorts(pc)[endpoint]
	if !ok {
		c.impossible = fmt.Sprintf("endpoint %q has no host port", endpoint)
	}
	c.port = port
	return c
}

// probe asks a task once; nil: it is healthy.
func (c check) probe(ctx context.Context, p Prober, e executor.Executor, host, taskID string) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.timeout, time.Second))
	defer cancel()
	address := net.JoinHostPort(host, strconv.Itoa(c.port))
	switch {
	case c.impossible != "":
		return errors.New(c.impossible)
	case c.protocol == "COMMAND":
		code, err := e.Exec(ctx, taskID, c.command)
		if err == nil && code != 0 {
			err = fmt.Errorf("command exited with status %d", code)
		}
		return err
	case c.protocol == "TCP":
		return p.Dial(ctx, address)
	}
	r, err := p.Get(ctx, strings.ToLower(c.protocol)+"://"+address+"/"+strings.TrimPrefix(c.path, "/"))
	if err == nil && (r.Status < 200 || r.Status >= 400) {
		err = fmt.Errorf("%d %s", r.Status, http.StatusText(r.Status))
	}
	return err
}

package marathon

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
)

// DefaultTimeout is how long a request may take where nothing else is said.
const DefaultTimeout = time.Minute

// Options are what a Client is made of. Only URLs is needed.
type Options struct {
	// URLs of the Marathons of one cluster: http://m1:8080. Any of them will
	// do; the leader is preferred once it is known to be one of them.
	URLs []string
	Auth Auth
	TLS  clienttls.Files
	// Timeout of one request with its answer; zero: DefaultTimeout, since a write to a
	// Marathon of ten thousand apps takes seconds.
	Timeout time.Duration
	// DialTimeout of one connection; zero: 5 s. It bounds how long a dead
	// Marathon holds up the turn of the next.
	DialTimeout time.Duration
	// Silence is how long an event stream may say nothing though its Marathon is
	// there; zero: 15 s, one of Marathon's keep-alives and a half.
	Silence time.Duration
	// MaxBody is how long an answer may be, in bytes after decompression; zero:
	// 256 MiB. A longer answer is an error, as is one that is too much in another
	// way: see ErrTooLarge.
	MaxBody int64
	// MaxEvent is how long one event may be, in bytes; zero: 8 MiB, the plan
	// of a deployment of 40,000 apps.
	MaxEvent int
	// AgentPort is where the Mesos agents listen, of which the last words of
	// tasks are read; zero: 5051; negative: they are not asked.
	AgentPort int
	UserAgent string // empty: pacer
	// Wrap, if given, wraps the transport: every request of the client goes
	// through what it returns.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Lease returns the lease that is in force, or why there is none: no byte of
	// a write leaves without one. It returns the same one as long as it is in
	// force. Nil: writes are always allowed. Reads need none.
	Lease func() (Lease, error)
	Log   *slog.Logger // nil: nothing is logged
}

// filled is o with every default filled in.
func (o Options) filled() Options {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.DialTimeout = cmp.Or(o.DialTimeout, 5*time.Second)
	o.Silence = cmp.Or(o.Silence, 15*time.Second)
	o.MaxBody = cmp.Or(o.MaxBody, 256<<20)
	o.MaxEvent = cmp.Or(o.MaxEvent, 8<<20)
	o.AgentPort = cmp.Or(o.AgentPort, 5051)
	o.UserAgent = cmp.Or(o.UserAgent, "pacer")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Client asks and tells one Marathon cluster. Its methods may be called from
// several goroutines.
type Client struct {
	options Options
	bases   []*url.URL
	http    *http.Client
	agents  *http.Client // never sent a credential
	fence   *fence       // what writes go through
	pulses  *pulses      // whether they are there
	current atomic.Int32 // index of the base that answered last
	home    atomic.Pointer[sandboxes]
	// versions holds what pods were in versions of before.
	versions memo
	wrote    atomic.Pointer[wroteHook] // of the Cache, if there is one
}

// New returns a client. It asks Marathon nothing.
func New(o Options) (*Client, error) {
	o = o.filled()
	bases, err := parseURLs(o.URLs)
	if err != nil {
		return nil, err
	}
	if err := o.Auth.check(); err != nil {
		return nil, err
	}
	t, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	c := &Client{options: o, bases: bases, agents: newAgents(bases)}
	c.http = c.newHTTP(t)
	c.pulses = newPulses(bases, c.newPing(t))
	c.fence = &fence{lease: o.Lease, open: c.newFenced}
	if o.Lease == nil {
		c.fence.lease = alwaysWritable
	} else {
		warnOfProxies(o.Log, bases, t.Proxy)
	}
	return c, nil
}

// newHTTP sends requests through a transport.
func (c *Client) newHTTP(t *http.Transport) *http.Client {
	h := &http.Client{Transport: t, CheckRedirect: c.redirect}
	if c.options.Wrap != nil {
		h.Transport = c.options.Wrap(t)
	}
	return h
}

// Close lets idle connections go, and ends writes: what of them was not delivered
// is not sent any more when it returns.
func (c *Client) Close() {
	c.pulses.close()
	c.fence.close()
	c.http.CloseIdleConnections()
	c.agents.CloseIdleConnections()
}

func parseURLs(raw []string) ([]*url.URL, error) {
	if len(raw) == 0 {
		return nil, errors.New("marathon: no URL given: expected one such as http://localhost:8080")
	}
	var bases []*url.URL
	for _, s := range raw {
		u, err := url.Parse(strings.TrimRight(strings.TrimSpace(s), "/"))
		switch {
		case err != nil: // its text holds the URL, and that perhaps a password
			return nil, errors.New("marathon: a URL cannot be parsed: expected one such as http://localhost:8080")
		case u.User != nil:
			return nil, fmt.Errorf("marathon: URL %s contains a user or password: move them to auth", u.Redacted())
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
			return nil, fmt.Errorf("marathon: URL %q: expected one such as http://localhost:8080", s)
		}
		bases = append(bases, u)
	}
	return bases, nil
}

// redirect decides where a redirect may lead, for credentials go along:
//
//	a write                               nowhere: it might be done twice, or elsewhere
//	from https to http                    nowhere, even if both are configured
//	a URL with a user in it               nowhere
//	to a configured scheme, host and port yes
//	to any other                          nowhere
//	the fourth in a row                   nowhere
func (c *Client) redirect(r *http.Request, via []*http.Request) error {
	to, from := r.URL, via[len(via)-1].URL
	if len(via) >= 4 {
		return errors.New("Marathon's redirects form a loop")
	}
	if via[0].Method != http.MethodGet {
		return fmt.Errorf("Marathon redirects a write to %s: set the URL of Marathon itself, not of something in front of it", oneLine(to.Host))
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return fmt.Errorf("Marathon redirects from https to %s://%s, where anyone in between can read the credential: not followed", oneLine(to.Scheme), oneLine(to.Host))
	}
	if to.User != nil {
		return fmt.Errorf("Marathon redirects to %s with a user in the URL: not followed", oneLine(to.Host))
	}
	for _, b := range c.bases {
		if b.Scheme == to.Scheme && b.Host == to.Host {
			return c.options.Auth.set(r) // Go drops it where the host differs
		}
	}
	return fmt.Errorf("Marathon redirects to %s://%s, which is not among the configured URLs: add it", oneLine(to.Scheme), oneLine(to.Host))
}

// request is one question to Marathon.
type request struct {
	method string
	path   string // with query
	body   any    // JSON; nil: none
	// into, if given, reads a successful answer while it arrives, which is then
	// not kept. It is called anew for each URL that is tried.
	into func(io.Reader) error
}

func (r request) write() bool { return r.method != http.MethodGet }

// answer is a whole answer to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    string
}

// do asks one URL after the other until there is an answer, and gives a
// successful answer or an error. A write that may have arrived is not repeated.
func (c *Client) do(ctx context.Context, r request) (*answer, error) {
	var payload []byte
	if r.body != nil {
		var err error
		if payload, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
	}
	var failed []error
	first := int(c.current.Load())
	for i := range c.bases {
		n := (first + i) % len(c.bases)
		a, err := c.once(ctx, c.bases[n], r, payload)
		if err == nil {
			c.current.Store(int32(n))
			c.preferLeader(a.header)
			return a, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil || !elsewhere(r, err) {
			break
		}
	}
	return nil, joined(failed)
}

// elsewhere says whether another URL may be asked after err.
func elsewhere(r request, err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	if r.write() {
		return e.Kind() == KindNotSent
	}
	return e.Status == 0 || e.Status >= 502
}

// joined is the last error, which tells most, with those before it. The type
// of all is the last's; but if one of them may have arrived, so may the whole.
func joined(errs []error) error {
	last := errs[len(errs)-1]
	if len(errs) == 1 {
		return last
	}
	return fmt.Errorf("%w (before that: %w)", last, errors.Join(errs[:len(errs)-1]...))
}

// preferLeader turns to the leader if it is one of those that are configured:
// a standby only passes on, and gives up after 10 s.
func (c *Client) preferLeader(h http.Header) {
	leader, err := url.Parse(h.Get("X-Marathon-Leader"))
	if err != nil || leader.Host == "" {
		return
	}
	for i, b := range c.bases {
		if b.Host == leader.Host {
			c.current.Store(int32(i))
			return
		}
	}
}

// once asks one URL. What is known to be away, or becomes so meanwhile, is not
// waited for: see pulse.
func (c *Client) once(ctx context.Context, base *url.URL, r request, payload []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	failure := &Error{Method: r.method, URL: base.String() + r.path}
	p := c.pulses.at(base)
	if failure.Cause = p.there(ctx); failure.Cause != nil {
		return nil, failure
	}
	c.pulses.use()
	misses := 1
	if r.write() {
		misses = writeMisses
	}
	ctx, vigil := p.watch(ctx, misses)
	defer vigil.end()
	sent := new(atomic.Bool)
	req, err := c.newRequest(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	}), base, r, payload)
	if err != nil {
		return nil, err
	}
	sender, lease := c.http, Lease(noLease{})
	if r.write() {
		f, err := c.fence.enter()
		if err != nil {
			failure.Cause = err
			return nil, failure
		}
		bounded, cancel := f.bounded(req.Context())
		defer cancel()
		ctx, req, sender, lease = bounded, req.WithContext(bounded), f.http, f.lease
	}
	resp, err := sender.Do(req)
	if err != nil {
		failure.Sent, failure.Cause = sent.Load(), unwrapURL(err)
		cause := context.Cause(ctx)
		if cause == nil {
			cause = lease.Err() // connections may be cut before the context hears of it
		}
		if cause != nil && !errors.Is(err, cause) {
			failure.Cause = fmt.Errorf("%w: %w", cause, failure.Cause)
		}
		return nil, failure
	}
	p.hear()
	resp.Body = heardBody{resp.Body, p}
	defer resp.Body.Close()
	failure.Sent = true
	if r.into != nil && resp.StatusCode == http.StatusOK {
		if failure.Cause = c.readInto(resp, r.into); failure.Cause != nil {
			return nil, failure
		}
		return &answer{status: resp.StatusCode, header: resp.Header, url: failure.URL}, nil
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		failure.Status = resp.StatusCode
		failure.read(resp.Header, c.words(resp), newCleanser(r.body))
		return nil, failure
	}
	body, err := c.readAll(resp)
	if err != nil {
		failure.Cause = brokenOff(err)
		return nil, failure
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, url: failure.URL}, nil
}

func (c *Client) newRequest(ctx context.Context, base *url.URL, r request, payload []byte) (*http.Request, error) {
	var body io.Reader
	if payload != nil {
		body = bytes.NewReader(payload) // sets Content-Length: a standby loses chunked bodies
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base.String()+r.path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "gzip") // by ourselves, to see how much comes over the network
	req.Header.Set("User-Agent", c.options.UserAgent)
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, c.options.Auth.set(req)
}

// readInto has an answer read while it arrives.
func (c *Client) readInto(resp *http.Response, into func(io.Reader) error) error {
	if !isJSON(resp.Header) {
		return fmt.Errorf("its answer cannot be used: "+notJSON, oneLine(resp.Header.Get("Content-Type")))
	}
	body, err := c.body(resp)
	if err != nil {
		return brokenOff(err)
	}
	err = into(body)
	switch {
	case body.Err() != nil:
		return brokenOff(body.Err())
	case err != nil:
		return fmt.Errorf("its answer cannot be used: %w", err)
	}
	return nil
}

// readAll is the whole of an answer.
func (c *Client) readAll(resp *http.Response) ([]byte, error) {
	body, err := c.body(resp)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(body)
}

// words is the beginning of an answer that is no success. Its status says
// enough, so what cannot be read of it is left out.
func (c *Client) words(resp *http.Response) []byte {
	body, err := c.body(resp)
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	return b
}

// brokenOff is what is said of an answer that cannot be read to its end.
func brokenOff(err error) error {
	if errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("its answer: %w", err)
	}
	return fmt.Errorf("its answer ends early: %w", err)
}

const notJSON = "it is %q and not JSON: is this URL a Marathon?"

// unwrapURL drops the URL that net/http repeats in its errors.
func unwrapURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// read takes over what an unsuccessful answer says. Details is a list after a
// 422 and a text after a 400, and a message may be JSON inside a string (404
// of pods): all measured.
func (e *Error) read(h http.Header, body []byte, c cleanser) {
	var w struct {
		Message     string          `json:"message"`
		Details     json.RawMessage `json:"details"`
		Deployments []struct {
			ID string `json:"id"`
		} `json:"deployments"`
	}
	if !isJSON(h) || json.Unmarshal(body, &w) != nil {
		e.Message = plainText(body)
		c.clean(&e.Message)
		return
	}
	var inner struct{ Message string }
	if json.Unmarshal([]byte(w.Message), &inner) == nil && inner.Message != "" {
		w.Message = inner.Message
	}
	e.Message = w.Message
	var text string
	if json.Unmarshal(w.Details, &text) == nil && text != "" {
		e.Message = w.Message + ": " + text
	}
	if json.Unmarshal(w.Details, &e.Details) != nil {
		e.Details = nil
	}
	e.Details = e.Details[:min(len(e.Details), mostDetails)]
	texts := []*string{&e.Message}
	for i := range e.Details {
		d := &e.Details[i]
		d.Errors = d.Errors[:min(len(d.Errors), mostWords)]
		texts = append(texts, &d.Path)
		for j := range d.Errors {
			texts = append(texts, &d.Errors[j])
		}
	}
	c.clean(texts...)
	for _, d := range w.Deployments {
		e.Deployments = append(e.Deployments, oneLine(d.ID))
	}
}

// plainText is the beginning of a body that is no JSON; of HTML only the title.
func plainText(body []byte) string {
	s := string(body)
	if _, after, ok := strings.Cut(s, "<title>"); ok {
		s, _, _ = strings.Cut(after, "</title>")
	} else if strings.HasPrefix(strings.TrimSpace(s), "<") {
		return ""
	}
	return s[:min(len(s), 300)]
}

func isJSON(h http.Header) bool {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// decode reads one JSON document into v. What is not exactly that is an error.
func (a *answer) decode(method string, v any) error {
	wrong := func(format string, args ...any) error {
		return &Error{Method: method, URL: a.url, Sent: true,
			Cause: fmt.Errorf("its answer cannot be used: "+format, args...)}
	}
	if !isJSON(a.header) {
		return wrong(notJSON, oneLine(a.header.Get("Content-Type")))
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return wrong("%w", err)
	}
	if s, ok := v.(interface{ shape() error }); ok {
		if err := s.shape(); err != nil {
			return wrong("%w", err)
		}
	}
	return nil
}

// get reads a document.
func (c *Client) get(ctx context.Context, path string, v any) error {
	a, err := c.do(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	return a.decode(http.MethodGet, v)
}

// idPath is the path of an id below prefix. An id that Marathon itself would
// not take is refused, so that no request can mean another one than it says.
func idPath(prefix, id string) (string, error) {
	if !strings.HasPrefix(id, "/") || len(id) < 2 {
		return "", fmt.Errorf("marathon: id %q: expected an absolute id such as /shop/cart", id)
	}
	for segment := range strings.SplitSeq(id[1:], "/") {
		if segment == "" || strings.Trim(segment, ".") == "" || strings.ContainsFunc(segment, notOfID) {
			return "", fmt.Errorf("marathon: id %q: expected segments of a-z, 0-9, - and dots", id)
		}
	}
	return prefix + id, nil
}

func notOfID(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// OnWrite has f called with the ids of each write, and the version that Marathon
// answered with, empty if it is not known: also of one that may not have arrived.
func (c *Client) OnWrite(f func(ids []string, version string)) { c.wrote.Store(&wroteHook{f}) }

// wroteHook is told of each write of a Client.
type wroteHook struct {
	f func(ids []string, version string)
}

package forge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/meter"
	"github.com/pacer-gitops/pacer/visible"
)

const (
	// requestTimeout is how long one request may take, with its answer.
	requestTimeout = 30 * time.Second
	// maxAnswer is how many bytes an answer may have: a page of a hundred pull requests
	// with all that GitHub says of each is 3 MB.
	maxAnswer = 16 << 20
	// maxFailure is how much is read of an answer that is an error.
	maxFailure = 64 << 10
	// maxReason is how much of an answer that is an error is told.
	maxReason = 300
	// maxKept is how many bytes of answers are kept to be asked for again by their ETag.
	maxKept = 32 << 20
)

// newHTTPClient makes the client that all types of forges ask through. authorize gives a
// request its token, read anew, which is never sent to another host: redirects there are
// refused, since GitLab's header would go along.
//
// An answer that is an error comes back as one, so that all client libraries return the
// same errors, wrapped in a *url.Error; see plain:
//
//	answer                                                error
//	401                                                   ErrDenied
//	403 or 429 with Retry-After, or no request left       RateLimitError
//	429, or 403 for a secondary rate limit, without       RateLimitError, in a minute
//	403                                                   ErrDenied
//	404, 410                                              ErrNotFound
//	other from 400                                        StatusError
func newHTTPClient(o Options, authorize func(r *http.Request) (secrets []string, err error)) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	tls, err := o.TLS.Config()
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = tls
	t.MaxIdleConnsPerHost = 4
	t.ResponseHeaderTimeout = requestTimeout
	var next http.RoundTripper = &signer{next: t, authorize: authorize}
	if o.Wrap != nil {
		next = o.Wrap(next)
	}
	return &http.Client{
		Transport: &transport{next: next, agent: cmp.Or(o.UserAgent, "pacer"), log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), kept: map[string]*kept{}},
		Timeout:   requestTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
				return fmt.Errorf("redirected to %s://%s, where the token must not be sent: set forge.url to the address of the API itself", r.URL.Scheme, r.URL.Host)
			}
			if len(via) >= 5 {
				return errors.New("redirected more than 5 times")
			}
			return nil
		},
	}, nil
}

// StatusError is an answer that is an error.
type StatusError struct {
	Code   int
	Method string
	Path   string
	Reason string // what the forge said, for people, without secrets; perhaps empty

	limited bool // a rate limit: no right is lacking
}

func (e *StatusError) Error() string {
	out := fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Code, http.StatusText(e.Code))
	if e.Reason != "" {
		out += ": " + e.Reason
	}
	return out
}

func (e *StatusError) Unwrap() error {
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		if !e.limited {
			return ErrDenied
		}
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	}
	return nil
}

// plain is an error without what package net/http says around one of ours, which names
// method and path itself.
func plain(err error) error {
	around, ok := err.(*url.Error) //nolint:errorlint // only the outermost
	if !ok {
		return err
	}
	if _, ok := errors.AsType[*StatusError](around.Err); ok {
		return around.Err
	}
	return err
}

// signer gives a request its token, and hides it in an answer that is an error. Nothing
// before it sees the token.
type signer struct {
	next      http.RoundTripper
	authorize func(r *http.Request) (secrets []string, err error)
}

func (s *signer) RoundTrip(given *http.Request) (*http.Response, error) {
	r := given.Clone(given.Context())
	secrets, err := s.authorize(r)
	if err != nil {
		return nil, err
	}
	resp, err := s.next.RoundTrip(r)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxFailure))
	resp.Body.Close() //nolint:errcheck // only read
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	hidden := visible.Hide(string(body), secrets, visible.LeastSecret)
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(hidden)), int64(len(hidden))
	return resp, nil
}

// transport bounds answers, asks again for what it has by its ETag, which costs none of
// GitHub's limit, and turns answers into errors.
type transport struct {
	next  http.RoundTripper
	agent string
	log   *slog.Logger

	mu    sync.Mutex
	kept  map[string]*kept // URL → answer
	bytes int
}

// kept is an answer that came with an ETag.
type kept struct {
	etag   string
	header http.Header
	body   []byte
	used   time.Time
}

func (t *transport) RoundTrip(given *http.Request) (*http.Response, error) {
	r := given.Clone(given.Context())
	r.Header.Set("User-Agent", t.agent)
	known := t.known(r)
	if known != nil {
		r.Header.Set("If-None-Match", known.etag)
	}
	began := time.Now()
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.log.Debug("asked the forge", "method", r.Method, "path", r.URL.Path, "status", resp.StatusCode, "took", time.Since(began))
	body, err := readAnswer(r.Context(), resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, failure(r, resp, body)
	}
	if resp.StatusCode == http.StatusNotModified && known != nil {
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		header := maps.Clone(known.header)
		maps.Copy(header, resp.Header) // limits are those of now
		resp.Header, body = header, known.body
	} else {
		t.keep(r, resp, body)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// readAnswer reads a body within bounds, also of what it makes of memory when it is
// decoded.
func readAnswer(ctx context.Context, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close() //nolint:errcheck // only read
	m := meter.NewReader(resp.Body, maxAnswer, nil)
	body, err := io.ReadAll(m)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return body, nil
}

func (t *transport) known(r *http.Request) *kept {
	if r.Method != http.MethodGet {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.kept[r.URL.String()]
	if k != nil {
		k.used = time.Now()
	}
	return k
}

// keep notes an answer that has an ETag, and forgets those that were not used for
// longest.
func (t *transport) keep(r *http.Request, resp *http.Response, body []byte) {
	etag := resp.Header.Get("ETag")
	if r.Method != http.MethodGet || resp.StatusCode != http.StatusOK || etag == "" || len(body) > maxKept/4 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := r.URL.String()
	if before := t.kept[key]; before != nil {
		t.bytes -= len(before.body)
	}
	t.kept[key] = &kept{etag: etag, header: resp.Header.Clone(), body: body, used: time.Now()}
	t.bytes += len(body)
	for t.bytes > maxKept {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(t.kept)), func(a, b string) int { return t.kept[a].used.Compare(t.kept[b].used) })
		t.bytes -= len(t.kept[oldest].body)
		delete(t.kept, oldest)
	}
}

// failure is the error that an answer is; the table is above newHTTPClient.
func failure(r *http.Request, resp *http.Response, body []byte) error {
	failed := &StatusError{Code: resp.StatusCode, Method: r.Method, Path: r.URL.Path, Reason: reason(body)}
	limited := resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests
	if until, ok := limitedUntil(resp.Header, time.Now()); limited && ok {
		failed.limited = true
		return &RateLimitError{Until: until, Err: failed}
	}
	if resp.StatusCode == http.StatusTooManyRequests || limited && strings.Contains(strings.ToLower(failed.Reason), "secondary rate limit") {
		failed.limited = true
		return &RateLimitError{Until: time.Now().Add(time.Minute), Err: failed}
	}
	return failed
}

// reason is what an answer that is an error says, for people: the messages of JSON as the
// forges write it, of another answer its beginning.
//
//	GitHub       {"message": "…", "errors": [{"message": "…"}, {"field": "…", "code": "…"}, "…"]}
//	GitLab       {"message": "…" or {"field": ["…"]}}, {"error": "…", "error_description": "…"}
//	Gitea        {"message": "…", "errors": ["…"]}
//	Bitbucket    {"error": {"message": "…", "detail": "…"}}, {"errors": [{"message": "…"}]}
func reason(body []byte) string {
	text := string(body)
	var answer map[string]any
	if json.Unmarshal(body, &answer) == nil {
		var said []string
		for _, key := range []string{"message", "error", "error_description", "errors"} {
			said = messages(said, answer[key])
		}
		if len(said) > 0 {
			text = strings.Join(said, ": ")
		}
	}
	return visible.Cut(visible.Words(visible.Cut(text, 4*maxReason)), maxReason)
}

// messages appends the texts of a value of a JSON answer.
func messages(said []string, v any) []string {
	switch v := v.(type) {
	case string:
		if v != "" {
			said = append(said, v)
		}
	case []any:
		for _, one := range v {
			said = messages(said, one)
		}
	case map[string]any:
		if _, ok := v["message"].(string); ok {
			return messages(messages(said, v["message"]), v["detail"])
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			for _, text := range messages(nil, v[key]) {
				said = append(said, key+" "+text)
			}
		}
	}
	return said
}

// maxLimit is how far off the end of a rate limit is believed to be: GitHub's, the
// longest, are of an hour.
const maxLimit = 2 * time.Hour

// limitedUntil reads when a request may be sent again. Sources: RFC 9110, 10.2.3
// (Retry-After); GitHub, "Rate limits for the REST API"; GitLab, "Rate limits".
func limitedUntil(h http.Header, now time.Time) (time.Time, bool) {
	bounded := func(t time.Time) (time.Time, bool) {
		if t.After(now.Add(maxLimit)) {
			t = now.Add(maxLimit)
		}
		return t, true
	}
	if after := h.Get("Retry-After"); after != "" {
		if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
			return bounded(now.Add(time.Duration(seconds) * time.Second))
		}
		if at, err := http.ParseTime(after); err == nil {
			return bounded(at)
		}
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
		if h.Get(prefix+"Remaining") != "0" {
			continue
		}
		if reset, err := strconv.ParseInt(h.Get(prefix+"Reset"), 10, 64); err == nil {
			return bounded(time.Unix(reset, 0))
		}
	}
	return time.Time{}, false
}

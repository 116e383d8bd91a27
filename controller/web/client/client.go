// Package client calls the API of a running Pacer for the command line: its errors
// name the flags and environment variables by which URL and token are set.
//
// It knows nothing of flags, of exit codes and of printing.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reset"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/visible"
)

// Default is the URL of a Pacer on this machine.
const Default = "http://127.0.0.1:9090"

// Client calls one running Pacer.
type Client struct {
	URL       string // empty: that of PACER_SERVER, else Default
	TokenFile string // file with the token; empty: the token is in PACER_TOKEN

	known bool // it has answered as a Pacer does
}

// token is what this caller authenticates with; empty: nothing.
func (c *Client) token() (string, error) {
	if c.TokenFile == "" {
		return strings.TrimSpace(os.Getenv("PACER_TOKEN")), nil
	}
	text, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// answerLimit is how much of an answer is read: a status of ten thousand apps
// has a few MB.
const answerLimit = 256 << 20

// noRedirects takes a redirect as the answer: net/http would send the token along to
// another port of the host, and by http in place of https. An interrupted
// request is dropped, and does not arrive later.
var noRedirects = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         reset.OnClose((&net.Dialer{Timeout: 30 * time.Second}).DialContext),
		TLSHandshakeTimeout: 10 * time.Second,
	},
}

// base is the URL of the running Pacer, without a slash at its end. It has no user and
// no password, which would show in logs and lists of processes, and in errors.
func (c *Client) base() (string, error) {
	from, given := "--server", c.URL
	if given == "" {
		from, given = "PACER_SERVER", os.Getenv("PACER_SERVER")
	}
	if given == "" {
		return Default, nil
	}
	u, err := url.Parse(given)
	switch {
	case strings.Contains(given, "@"):
		return "", fmt.Errorf("%s contains a user or password: give the URL without, and the token with --token-file or PACER_TOKEN", from)
	case !strings.Contains(given, "://"):
		return "", fmt.Errorf("%s: %q has no scheme: write http://%s, or https://%s", from, given, given, given)
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%s: expected an http or https URL such as %s, found %q", from, Default, given)
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%s: expected a URL without ? and #, found %q", from, given)
	}
	return strings.TrimRight(given, "/"), nil
}

// refused says what an answer means that is no success:
//
//	status   answer                    said
//	401      of a Pacer                that a token is needed, or another one
//	403 421 503 with a message         the message, which a Pacer gives to the first question too
//	other    to the first question     the message and: is this a Pacer?
//	any      with a message            the message
//	any      without: a web page, …    the status, and that it may be no Pacer, or a proxy before one
func (c *Client) refused(asked string, resp *http.Response, body []byte, token bool) string {
	var answer struct{ Message string }
	_ = json.Unmarshal(body, &answer) // what is no JSON has no message
	hint := "is this a Pacer? --server or PACER_SERVER gives its URL"
	switch {
	case answer.Message == "":
		kind := ""
		if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "text/html" {
			kind = " with a web page, as a proxy or another server does"
		}
		return fmt.Sprintf("%s answers %s%s: %s", asked, resp.Status, kind, hint)
	case resp.StatusCode == http.StatusUnauthorized && token:
		return fmt.Sprintf("%s does not accept this token: set another with --token-file or PACER_TOKEN (%s)", asked, answer.Message)
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Sprintf("%s requires a token: set it with --token-file or PACER_TOKEN", asked)
	case resp.Request.Method != http.MethodGet || c.known:
		return answer.Message
	}
	said := fmt.Sprintf("%s answers %s: %s", asked, resp.Status, answer.Message)
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusMisdirectedRequest, http.StatusServiceUnavailable:
		return said
	}
	return said + ": " + hint
}

// do sends a request and decodes the answer into v, if any.
func (c *Client) do(ctx context.Context, method, path string, body, v any) error {
	base, err := c.base()
	if err != nil {
		return err
	}
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, payload)
	if err != nil {
		return err // base is a URL
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Pacer-Via", "command line")
	req.Header.Set("Pacer-User", userName())
	token, err := c.token()
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := noRedirects.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return fmt.Errorf("no Pacer answers at %s: %w: set its URL with --server or PACER_SERVER", base, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("the answer of %s ends early: %w", base, err)
	}
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		return errors.New(visible.Line(fmt.Sprintf("%s redirects (%s) to %q, which would also receive the token, so it is not followed: if a Pacer is there, set its URL with --server or PACER_SERVER", base+path, resp.Status, to)))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return errors.New(visible.Line(c.refused(base+path, resp, text, token != "")))
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer of %s is not one of a Pacer (%w): is this one, and no proxy before it answers?", base, err)
	}
	return nil
}

// userName is who acts, as far as this machine knows: it is not proved.
func userName() string {
	if name := os.Getenv("PACER_USER"); name != "" {
		return headerText(name)
	}
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return headerText(name)
}

// headerText is a text without what a header cannot have.
func headerText(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// Status is the status of the named syncs; of all where none is named.
func (c *Client) Status(ctx context.Context, names []string) (status.Status, error) {
	var st status.Status
	if err := c.do(ctx, http.MethodGet, "/api/v1/status", nil, &st); err != nil {
		return st, err
	}
	if st.Now.IsZero() {
		return st, errors.New("the answer is JSON, and not the status of a Pacer: is this one? --server or PACER_SERVER gives its URL")
	}
	c.known = true
	for _, name := range names {
		if !slices.ContainsFunc(st.Syncs, func(y status.Sync) bool { return y.Name == name }) {
			var known []string
			for _, y := range st.Syncs {
				known = append(known, y.Name)
			}
			return st, controller.NoSync(name, known)
		}
	}
	if len(names) > 0 {
		st.Syncs = slices.DeleteFunc(st.Syncs, func(y status.Sync) bool { return !slices.Contains(names, y.Name) })
	}
	return st, nil
}

// Act requests an action on a sync, such as suspend, and returns the message of the
// answer.
func (c *Client) Act(ctx context.Context, sync, verb string, body any) (message string, err error) {
	var answer struct{ Message string }
	err = c.do(ctx, http.MethodPost, "/api/v1/syncs/"+url.PathEscape(sync)+"/"+verb, body, &answer)
	return answer.Message, err
}

// Diff is the plan of a sync for its present revision; with ids only for these.
func (c *Client) Diff(ctx context.Context, sync string, ids []string) (p plan.Plan, err error) {
	query := url.Values{"id": ids}
	err = c.do(ctx, http.MethodGet, "/api/v1/syncs/"+url.PathEscape(sync)+"/diff?"+query.Encode(), nil, &p)
	return p, err
}

package main

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

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/reset"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/visible"
)

// server is a running Pacer, as the verbs that ask or tell one see it.
type server struct {
	url       string
	tokenFile string
	timeout   time.Duration // of one answer; 0: none but the context's
	known     bool          // it has answered as a Pacer does
}

const defaultServer = "http://127.0.0.1:9090"

// addFlags adds what every verb that talks to a running Pacer takes.
func (s *server) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.url, "server", "", "`URL` of the running Pacer (environment: PACER_SERVER)")
	cmd.Flags().Lookup("server").DefValue = defaultServer
	cmd.Flags().StringVar(&s.tokenFile, "token-file", "", "`FILE` with the token of the running Pacer (the token itself: PACER_TOKEN)")
	if cmd.Flags().Lookup("timeout") == nil { // wait has another one
		cmd.Flags().DurationVar(&s.timeout, "timeout", time.Minute, "timeout of a request, with exit code 3; 0: no limit")
	}
}

// token is what this caller proves itself with; empty: nothing.
func (s *server) token() (string, error) {
	if s.tokenFile == "" {
		return strings.TrimSpace(os.Getenv("PACER_TOKEN")), nil
	}
	text, err := os.ReadFile(s.tokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// answerLimit is how much of an answer is read: a status of ten thousand apps
// has a few MB.
const answerLimit = 256 << 20

// noRedirects takes a redirect for the answer: net/http would send the token along to
// another port of the host, and by http in place of https. What is interrupted is
// dropped, and does not come later.
var noRedirects = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         reset.OnClose((&net.Dialer{Timeout: 30 * time.Second}).DialContext),
		TLSHandshakeTimeout: 10 * time.Second,
	},
}

// refusal is an answer that is no success.
type refusal struct {
	status  int
	message string
}

func (e *refusal) Error() string { return e.message }

// base is the URL of the running Pacer, without a slash at its end. It has no user and
// no password, which would show in logs and lists of processes, and in errors.
func (s *server) base() (string, error) {
	from, given := "--server", s.url
	if given == "" {
		from, given = "PACER_SERVER", os.Getenv("PACER_SERVER")
	}
	if given == "" {
		return defaultServer, nil
	}
	u, err := url.Parse(given)
	switch {
	case strings.Contains(given, "@"):
		return "", fmt.Errorf("%s contains a user or password: give the URL without, and the token with --token-file or PACER_TOKEN", from)
	case !strings.Contains(given, "://"):
		return "", fmt.Errorf("%s: %q has no scheme: write http://%s, or https://%s", from, given, given, given)
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%s: expected an http or https URL such as %s, found %q", from, defaultServer, given)
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
func (s *server) refused(asked string, resp *http.Response, body []byte, token bool) string {
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
	case resp.Request.Method != http.MethodGet || s.known:
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
func (s *server) do(ctx context.Context, method, path string, body, v any) error {
	return within(ctx, s.timeout, func(ctx context.Context) error { return s.ask(ctx, method, path, body, v) })
}

func (s *server) ask(ctx context.Context, method, path string, body, v any) error {
	base, err := s.base()
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
	token, err := s.token()
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
		return &refusal{resp.StatusCode, visible.Line(fmt.Sprintf("%s redirects (%s) to %q, which would also receive the token, so it is not followed: if a Pacer is there, set its URL with --server or PACER_SERVER", base+path, resp.Status, to))}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &refusal{resp.StatusCode, visible.Line(s.refused(base+path, resp, text, token != ""))}
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer of %s is not one of a Pacer (%w): is this one, and no proxy before it answers?", base, err)
	}
	return nil
}

// userName is who acts, as far as this machine knows: nobody proves it.
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

// status asks for what is known of the named syncs; of all where none is named.
func (s *server) status(ctx context.Context, names []string) (status.Status, error) {
	var st status.Status
	if err := s.do(ctx, http.MethodGet, "/api/v1/status", nil, &st); err != nil {
		return st, err
	}
	if st.Now.IsZero() {
		return st, errors.New("the answer is JSON, and not the status of a Pacer: is this one? --server or PACER_SERVER gives its URL")
	}
	s.known = true
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

// act asks for an action and prints what the answer says.
func (s *server) act(cmd *cobra.Command, sync, verb string, body any) error {
	var answer struct{ Message string }
	if err := s.do(cmd.Context(), http.MethodPost, "/api/v1/syncs/"+url.PathEscape(sync)+"/"+verb, body, &answer); err != nil {
		return err
	}
	printLine(cmd.OutOrStdout(), "%s", answer.Message)
	return nil
}

// newAction is a verb that asks the same of each named sync, and says why.
func newAction(verb, short, long, example string) *cobra.Command {
	var s server
	var reason string
	cmd := &cobra.Command{
		Use:     verb + " SYNC…",
		Short:   short,
		Long:    long,
		Example: example,
		Args:    syncArgument(0, verb+" shop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				if err := s.act(cmd, name, verb, map[string]any{"reason": reason}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	s.addFlags(cmd)
	reasonFlag(cmd, &reason)
	return cmd
}

// reasonFlag adds a flag that says why a person acts.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "reason, for the status and the history")
}

// printJSON writes a value as JSON that can be seen whole.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(visible.JSON(b.Bytes()))
	return err
}

// printLine writes one line, of text that may come from outside.
func printLine(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, visible.Line(fmt.Sprintf(format, args...)))
}

package forge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/meter"
)

const canary = "ghp_canaryOfATokenThatIsNeverTold"

// bearer signs as GitHub's and Gitea's clients do.
func bearer(r *http.Request) ([]string, error) {
	r.Header.Set("Authorization", "Bearer "+canary)
	return []string{canary}, nil
}

// answering is a client of a server with one handler.
func answering(t *testing.T, o Options, h http.HandlerFunc) (*http.Client, string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := newHTTPClient(o, bearer)
	if err != nil {
		t.Fatal(err)
	}
	return c, server.URL
}

func get(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", plain(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestAnswersBecomeErrors(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		is     error
		until  time.Duration // of a rate limit; 0: none
		text   string
	}{
		"401":                       {status: 401, body: `{"message": "Bad credentials"}`, is: ErrDenied, text: "GET /a: 401 Unauthorized: Bad credentials"},
		"403":                       {status: 403, is: ErrDenied, text: "GET /a: 403 Forbidden"},
		"403 with requests left":    {status: 403, header: map[string]string{"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": after(time.Minute)}, is: ErrDenied},
		"403 with Retry-After":      {status: 403, header: map[string]string{"Retry-After": "30"}, until: 30 * time.Second},
		"403 without requests left": {status: 403, header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": after(time.Hour)}, until: time.Hour},
		"403 for a secondary limit": {status: 403, body: `{"message": "You have exceeded a secondary rate limit."}`, until: time.Minute},
		"429":                       {status: 429, until: time.Minute},
		"429 with Retry-After":      {status: 429, header: map[string]string{"Retry-After": "7"}, until: 7 * time.Second},
		"429 with a date":           {status: 429, header: map[string]string{"Retry-After": now.Add(9 * time.Second).Format(http.TimeFormat)}, until: 9 * time.Second},
		"429 with nonsense":         {status: 429, header: map[string]string{"Retry-After": "-1"}, until: time.Minute},
		"429 with GitLab's header":  {status: 429, header: map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": after(time.Minute * 3)}, until: 3 * time.Minute},
		"429 for ever":              {status: 429, header: map[string]string{"Retry-After": "999999999"}, until: maxLimit},
		"404":                       {status: 404, is: ErrNotFound, text: "GET /a: 404 Not Found"},
		"410":                       {status: 410, is: ErrNotFound},
		"404 with Retry-After":      {status: 404, header: map[string]string{"Retry-After": "30"}, is: ErrNotFound},
		"422":                       {status: 422, body: `{"message": "Validation Failed", "errors": [{"field": "line", "code": "invalid"}]}`, text: "Validation Failed: code invalid: field line"},
		"502":                       {status: 502, body: "<html>\n\x1b[31mbad gateway", text: `502 Bad Gateway: <html> \x1b[31mbad gateway`},
		"500, long":                 {status: 500, body: strings.Repeat("é", 200_000), text: "500 Internal Server Error: éé"},
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(now))
			h := http.Header{}
			for k, v := range c.header {
				h.Set(k, v)
			}
			tr := &transport{log: slog.New(slog.DiscardHandler), next: &signer{authorize: bearer, next: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: c.status, Header: h, Body: io.NopCloser(strings.NewReader(c.body))}, nil
			})}}
			_, err := get(&http.Client{Transport: tr}, "https://forge.example/a?private=query")
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("%s: %v, expected %v", name, err, c.is)
			}
			if c.until > 0 && errors.Is(err, ErrDenied) {
				t.Errorf("%s: a rate limit is told as a missing right: %v", name, err)
			}
			limit, limited := errors.AsType[*RateLimitError](err)
			if limited != (c.until > 0) || limited && !limit.Until.Equal(now.Add(c.until)) {
				t.Errorf("%s: %v, expected a limit for %v", name, err, c.until)
			}
			failed, ok := errors.AsType[*StatusError](err)
			if !ok || failed.Code != c.status || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 2*maxReason || strings.Contains(err.Error(), "private") {
				t.Errorf("%s: %v, expected %d %s", name, err, c.status, c.text)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestATokenIsInNoErrorAndNoLog(t *testing.T) {
	var log bytes.Buffer
	var seen []string
	o := Options{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			seen = append(seen, fmt.Sprint(r.Header, r.URL))
			return next.RoundTrip(r)
		})
	}}
	var sent []string
	before := 0
	c, url := answering(t, o, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"message": "%s %s"}`, strings.Repeat("x", before), r.Header.Get("Authorization"))
	})
	// The reason is cut behind the token, in its midst, and before it.
	for _, before = range []int{0, maxReason - len("x Bearer ") - 15, 4*maxReason - len("x Bearer ") - 15} {
		_, err := get(c, url+"/a?b=c")
		if err == nil || sent[len(sent)-1] != "Bearer "+canary {
			t.Fatalf("%v, sent %q", err, sent)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, canary[:10]) {
			t.Errorf("the error has the token: %s", text)
		}
	}
	for what, text := range map[string]string{"the log": log.String(), "what watches requests": strings.Join(seen, "\n")} {
		if strings.Contains(text, canary[:10]) {
			t.Errorf("%s has the token: %s", what, text)
		}
	}
	if !strings.Contains(log.String(), `"status":400`) || len(seen) != 3 {
		t.Errorf("log %s, watched %q", log.String(), seen)
	}
}

func TestATokenThatCannotBeReadIsAnError(t *testing.T) {
	want := errors.New("secret file is empty")
	c, err := newHTTPClient(Options{}, func(*http.Request) ([]string, error) { return nil, want })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(c, "http://127.0.0.1:1/"); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

func TestRedirects(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the stranger got %v", r.Header) }))
	defer stranger.Close()
	c, url := answering(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stranger":
			http.Redirect(w, r, stranger.URL, http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/moved":
			http.Redirect(w, r, "/here", http.StatusMovedPermanently)
		default:
			fmt.Fprint(w, r.Header.Get("Authorization"))
		}
	})
	for path, want := range map[string]string{"/stranger": "set forge.url to the address of the API itself", "/loop": "redirected more than 5 times"} {
		if _, err := get(c, url+path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if body, err := get(c, url+"/moved"); err != nil || body != "Bearer "+canary {
		t.Errorf("moved: %q, %v", body, err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	c, url := answering(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/values" {
			fmt.Fprint(w, "["+strings.Repeat("{},", 2_000_000)+"{}]")
			return
		}
		text := strings.Repeat("x", 1<<20)
		for range maxAnswer>>20 + 1 {
			fmt.Fprintf(w, "%q,", text)
		}
	})
	for _, path := range []string{"/bytes", "/values"} {
		if body, err := get(c, url+path); !errors.Is(err, meter.ErrTooLarge) {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
}

func TestWhatIsUnchangedIsNotSentAgain(t *testing.T) {
	version, sent := 1, 0
	c, url := answering(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		etag := fmt.Sprintf(`"%d"`, version)
		w.Header().Set("ETag", etag)
		w.Header().Set("X-Answer", strconv.Itoa(version))
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent++
		w.Header().Set("Link", "<next>")
		fmt.Fprintf(w, "version %d of %s %s", version, r.Method, r.URL)
	})
	for i, want := range []struct {
		version int
		body    string
		sent    int
	}{{1, "version 1 of GET /a", 1}, {1, "version 1 of GET /a", 1}, {2, "version 2 of GET /a", 2}, {2, "version 2 of GET /a", 2}} {
		version = want.version
		resp, err := c.Get(url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if string(body) != want.body || sent != want.sent || resp.StatusCode != 200 || resp.Header.Get("Link") != "<next>" || resp.ContentLength != int64(len(body)) {
			t.Errorf("%d: %d %q %v, %d sent", i, resp.StatusCode, body, resp.Header, sent)
		}
	}
	if tr := c.Transport.(*transport); tr.bytes != len("version 2 of GET /a") {
		t.Errorf("%d bytes are kept: an answer that was replaced is counted", tr.bytes)
	}
	for range 2 {
		if _, err := c.Post(url+"/a", "text/plain", nil); err != nil {
			t.Fatal(err)
		}
	}
	if sent != 4 {
		t.Errorf("%d sent: a POST was answered from what is kept", sent)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	size, piece := maxKept/8, []byte(`"`+strings.Repeat("x", 1<<20-3)+`",`)
	c, url := answering(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"same"`)
		if r.Header.Get("If-None-Match") == `"same"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("X-Sent", "yes")
		n := size
		if r.URL.Path == "/large" {
			n = maxKept/4 + 1<<20
		}
		for range n >> 20 {
			_, _ = w.Write(piece)
		}
	})
	ask := func(path string) {
		if _, err := get(c, url+path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	tr := c.Transport.(*transport)
	known := func(path string) bool { return tr.kept[url+path] != nil }
	for i := range 8 {
		ask("/" + strconv.Itoa(i))
	}
	ask("/0") // used last, though kept first
	ask("/8")
	ask("/large")
	if !known("/0") || known("/1") || !known("/2") || !known("/8") || known("/large") || tr.bytes != 8*size || len(tr.kept) != 8 {
		t.Errorf("%d answers, %d bytes are kept; 0 %t, 1 %t, 2 %t, 8 %t, large %t", len(tr.kept), tr.bytes, known("/0"), known("/1"), known("/2"), known("/8"), known("/large"))
	}
}

func TestReasonsOfForges(t *testing.T) {
	for body, want := range map[string]string{
		`{"message": "Not Found", "documentation_url": "https://docs"}`:                    "Not Found",
		`{"message": "Validation Failed", "errors": [{"message": "too long"}, "or else"]}`: "Validation Failed: too long: or else",
		`{"message": {"base": ["is gone", "is bad"]}}`:                                     "base is gone: base is bad",
		`{"error": "invalid_token", "error_description": "revoked"}`:                       "invalid_token: revoked",
		`{"type": "error", "error": {"message": "no", "detail": "none"}}`:                  "no: none",
		`{"errors": [{"context": null, "message": "no such", "exceptionName": "a.b.C"}]}`:  "no such",
		`{"unknown": 1}`: `{"unknown": 1}`,
		"<p>\n no  way":  "<p> no way",
		"":               "",
	} {
		if got := reason([]byte(body)); got != want {
			t.Errorf("%s: %q, expected %q", body, got, want)
		}
	}
}

func FuzzReason(f *testing.F) {
	f.Add([]byte(`{"message": {"base": ["is gone"]}, "errors": [{"message": "a", "detail": {"b": 1}}]}`))
	f.Add([]byte("\x1b[31m \xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := reason(body)
		if len(got) > maxReason+len("…") || strings.ContainsAny(got, "\x1b\n\r\x00") {
			t.Errorf("%q", got)
		}
	})
}

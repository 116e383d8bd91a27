package marathon

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
)

// packed compresses a text, as one member of a gzip file: members that stand one
// after the other are one file.
func packed(tb testing.TB, text string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = io.WriteString(z, text)
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// bomb is begin, then 250 MiB of more, then end: a thousandth of it compressed.
func bomb(tb testing.TB, begin, more, end string) []byte {
	tb.Helper()
	return slicesOf(packed(tb, begin), bytes.Repeat(packed(tb, strings.Repeat(more, 1<<18/len(more))), 1000), packed(tb, end))
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// noise is a text that does not compress to less than three quarters.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}

// allocated is how many bytes f takes from the heap in all, garbage included: it
// holds no more than that.
func allocated(f func()) int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64() - before)
}

// TestBombs: what a hostile Marathon, or whoever speaks for it, answers to each
// request is refused long before it is held, with an error that says so and is
// not taken for an answer.
func TestBombs(t *testing.T) {
	reads := map[string]func(context.Context, *Client) error{
		"/v2/apps":   func(ctx context.Context, c *Client) error { _, err := c.Apps(ctx); return err },
		"/v2/apps/a": func(ctx context.Context, c *Client) error { _, err := c.App(ctx, "/a"); return err },
		"/v2/groups": func(ctx context.Context, c *Client) error { _, err := c.Groups(ctx); return err },
		"/v2/groups/a": func(ctx context.Context, c *Client) error {
			_, err := c.Under(ctx, "/a", &Known{})
			return err
		},
		"/v2/pods":          func(ctx context.Context, c *Client) error { _, err := c.Pods(ctx); return err },
		"/v2/pods/::status": func(ctx context.Context, c *Client) error { _, err := c.Pods(ctx); return err },
		"/v2/deployments":   func(ctx context.Context, c *Client) error { _, err := c.Deployments(ctx); return err },
		"/v2/queue":         func(ctx context.Context, c *Client) error { _, err := c.Queue(ctx); return err },
		"/v2/info":          func(ctx context.Context, c *Client) error { _, err := c.Info(ctx); return err },
		"/files/read": func(ctx context.Context, c *Client) error {
			c.home.Store(&sandboxes{local: true})
			_, err := c.Stderr(ctx, TaskFailure{AppID: "/a", TaskID: "a.1"})
			return err
		},
	}
	deep := packed(t, strings.Repeat(`{"groups":[`, 300_000))
	padded := packed(t, `{"id":"/","x":"`+noise(150<<10)+`"`)
	for name, c := range map[string]struct {
		path   string
		status int
		plain  bool
		body   []byte
	}{
		"apps of empty health checks":  {path: "/v2/apps", body: bomb(t, `{"apps":[{"id":"/a","healthChecks":[`, "{},", "{}]}]}")},
		"apps of empty apps":           {path: "/v2/apps", body: bomb(t, `{"apps":[{"id":"/a","x":[`, "{},", "{}]}]}")},
		"a long name":                  {path: "/v2/apps", body: bomb(t, `{"apps":[{"id":"/`, "a", `"}]}`)},
		"blanks":                       {path: "/v2/apps", body: bomb(t, `{"apps":[`, " ", `]}`)},
		"another member":               {path: "/v2/apps", body: bomb(t, `{"x":[`, "[],", `[]],"apps":[]}`)},
		"tasks":                        {path: "/v2/apps/a", body: bomb(t, `{"app":{"id":"/a","tasks":[`, "{},", "{}]}}")},
		"groups":                       {path: "/v2/groups", body: bomb(t, `{"id":"/","groups":[`, "{},", "{}]}")},
		"apps of a group":              {path: "/v2/groups/a", body: bomb(t, `{"id":"/a","apps":[`, "{},", "{}]}")},
		"deep groups":                  {path: "/v2/groups", body: deep},
		"deep groups, not compressed":  {path: "/v2/groups", plain: true, body: bytes.Repeat([]byte(`{"groups":[`), 300_000)},
		"groups behind noise":          {path: "/v2/groups", body: slicesOf(padded, bomb(t, `,"groups":[`, "{},", "{}]}"))},
		"pods":                         {path: "/v2/pods", body: bomb(t, `[`, "{},", "{}]")},
		"instances of pods":            {path: "/v2/pods/::status", body: bomb(t, `[{"id":"/a","instances":[`, "{},", "{}]}]")},
		"deployments":                  {path: "/v2/deployments", body: bomb(t, `[`, "{},", "{}]")},
		"deployments, not compressed":  {path: "/v2/deployments", plain: true, body: []byte("[" + strings.Repeat("{},", 8<<20) + "{}]")},
		"ids, not compressed":          {path: "/v2/deployments", plain: true, body: []byte(`[{"affectedApps":[` + strings.Repeat(`"",`, 16<<20) + `""]}]`)},
		"the queue":                    {path: "/v2/queue", body: bomb(t, `{"queue":[`, "{},", "{}]}")},
		"info":                         {path: "/v2/info", body: bomb(t, `{"version":"1.11.0","marathon_config":{"features":[`, `"",`, `""]}}`)},
		"a sandbox":                    {path: "/files/read", body: bomb(t, `{"data":"`, "a", `"}`)},
		"complaints":                   {path: "/v2/apps", status: 422, body: bomb(t, `{"message":"x","details":[`, `{},`, `{}]}`)},
		"an error of words":            {path: "/v2/apps", status: 500, body: bomb(t, `{"message":"`, `a`, `"}`)},
		"an error of a proxy, endless": {path: "/v2/apps", status: 502, plain: true, body: bytes.Repeat([]byte("a"), 64<<20)},
		"locks, not compressed":        {path: "/v2/apps", status: 409, plain: true, body: []byte(`{"message":"x","deployments":[` + strings.Repeat(`{},`, 8<<20) + `{}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case r.URL.Path != c.path && r.URL.Path == "/v2/pods":
					_, _ = io.WriteString(w, `[{"id":"/a"}]`)
					return
				case r.URL.Path != c.path:
					t.Errorf("asked for %s", r.URL)
				case !c.plain:
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.WriteHeader(max(c.status, 200))
				for rest := c.body; len(rest) > 0; {
					n, err := w.Write(rest[:min(len(rest), 64<<10)])
					if rest = rest[n:]; err != nil {
						return
					}
				}
			})
			client := newClient(t, Options{URLs: []string{s.URL}})
			var err error
			held := allocated(func() { err = reads[c.path](t.Context(), client) })
			t.Logf("%d KiB held for %d KiB: %.200v", held>>10, len(c.body)>>10, err)
			if held > 64<<20 {
				t.Errorf("%d MiB were held", held>>20)
			}
			e, ok := errors.AsType[*Error](err)
			switch {
			case !ok:
				t.Errorf("no error of Marathon: %v", err)
			case c.status == 0 && (e.Kind() != KindUnknown || !errors.Is(err, ErrTooLarge)):
				t.Errorf("kind %v: %v", e.Kind(), err)
			case c.status != 0 && e.Status != c.status:
				t.Errorf("status %d: %v", e.Status, err)
			case len(err.Error()) > 16<<10:
				t.Errorf("%d bytes of words", len(err.Error()))
			}
		})
	}
}

// TestAsManyAppsAsAnybodyHas: definitions that are as alike as they can be, and
// long, compress best, and are no bomb.
func TestAsManyAppsAsAnybodyHas(t *testing.T) {
	t.Parallel()
	const n = 1000
	var b strings.Builder
	b.WriteString(`{"apps":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"/shop/app%05d","version":"2026-11-30T13:%02d:29.%03dZ","cmd":"./serve","instances":2`, i, i%60, i%1000)
		b.WriteString(`,"labels":{"team":"platform","HAPROXY_0_VHOST":"shop.example.com","HAPROXY_GROUP":"external"},"env":{`)
		for j := range 40 {
			fmt.Fprintf(&b, `"VARIABLE_%d":"value of variable %d",`, j, j)
		}
		b.WriteString(`"X":"y"},"healthChecks":[`)
		for j := range 10 {
			fmt.Fprintf(&b, `{"protocol":"MESOS_HTTP","path":"/health/%d","portIndex":0,"gracePeriodSeconds":300,"intervalSeconds":60,"maxConsecutiveFailures":3,"timeoutSeconds":20},`, j)
		}
		b.WriteString(`{"protocol":"COMMAND","command":{"value":"true"}}],"constraints":[`)
		for range 10 {
			b.WriteString(`["hostname","UNIQUE"],["rack","GROUP_BY","3"],`)
		}
		b.WriteString(`["a","CLUSTER","b"]],"container":{"type":"DOCKER","docker":{"image":"registry.example.com/shop/app:1"},"portMappings":[`)
		for j := range 10 {
			fmt.Fprintf(&b, `{"containerPort":%d,"hostPort":0,"labels":{},"name":"port%d","protocol":"tcp","servicePort":%d},`, 8000+j, j, 10000+j)
		}
		b.WriteString(`{"containerPort":1,"servicePort":1,"labels":{}}]},"deployments":[],"tasksRunning":2}`)
	}
	b.WriteString(`]}`)
	whole := packed(t, b.String())
	s := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		_, _ = w.Write(whole)
	})
	apps, err := newClient(t, Options{URLs: []string{s.URL}}).Apps(t.Context())
	t.Logf("%d MiB from %d KiB", b.Len()>>20, len(whole)>>10)
	if err != nil || len(apps) != n {
		t.Errorf("%d apps, %v", len(apps), err)
	}
}

// TestEventBombs: an event, which comes as it is, ends the stream where it is too
// much to decode.
func TestEventBombs(t *testing.T) {
	for name, data := range map[string]string{
		"steps":        `{"plan":{"steps":[` + strings.Repeat(`{},`, 1<<20) + `{}]}}`,
		"actions":      `{"plan":{"steps":[{"actions":[` + strings.Repeat(`{},`, 1<<20) + `{}]}]}}`,
		"deep":         strings.Repeat(`{"plan":`, 1000),
		"a long event": `{"appId":"` + strings.Repeat("a", 5<<20) + `"}`,
		"many lines":   strings.Repeat("1\ndata: ", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: deployment_info\ndata: "+data+"\n\n")
			})
			stream, err := newClient(t, Options{URLs: []string{s.URL}, MaxEvent: 4 << 20}).Events(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			var e Event
			held := allocated(func() {
				if e, err = stream.Next(); err == nil {
					e.IDs()
				}
			})
			if err == nil || held > 64<<20 {
				t.Errorf("%d MiB held, %v", held>>20, err)
			}
		})
	}
}

package local

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreCompressedForWhoAsks(t *testing.T) {
	r := newRig(t)
	r.call(201, "POST", "/v2/apps", `{"id":"/big","cmd":"sleep 1","instances":0,"env":{"A":"`+strings.Repeat("a", 1024)+`"}}`)
	plain := r.raw("GET", "/v2/apps", "").Body.String()
	for accept, packed := range map[string]bool{
		"": false, "gzip": true, "deflate, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false, "br": false,
	} {
		q := httptest.NewRequest("GET", "/v2/apps", nil)
		q.Header.Set("Accept-Encoding", accept)
		w := r.do(q)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("Accept-Encoding %q: compressed: %v", accept, got)
			continue
		}
		var body io.Reader = w.Body
		if packed {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		if text, err := io.ReadAll(body); err != nil || string(text) != plain {
			t.Errorf("Accept-Encoding %q: %v, other text of %d bytes", accept, err, len(text))
		}
	}
	if w := r.raw("GET", "/v2/leader", ""); w.Header().Get("Content-Encoding") != "" {
		t.Error("a short answer is compressed")
	}
}

// manyApps is the body that makes n apps without instances.
func manyApps(n int) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"/many/g%d/a%d","cmd":"sleep 1","instances":0,"labels":{"n":"%d"},"env":{"A":"1"}}`, i%100, i, i)
	}
	return b.String() + "]"
}

// BenchmarkTenThousandApps measures what the local Marathon promises: an array
// of 10,000 apps in less than 5 s, and all of them read, over the network and
// with compression, in less than 150 ms. The first reading is the slowest.
func BenchmarkTenThousandApps(b *testing.B) {
	body := manyApps(10_000)
	for b.Loop() {
		m, err := newMarathon(Options{Executor: (&fake{}).make, Data: b.TempDir()}, &healthy{})
		if err != nil {
			b.Fatal(err)
		}
		server := httptest.NewServer(m.Handler())
		ask := func(method, path, body string) time.Duration {
			at := time.Now()
			q, err := http.NewRequestWithContext(b.Context(), method, server.URL+path, strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			a, err := server.Client().Do(q)
			if err != nil {
				b.Fatal(err)
			}
			defer a.Body.Close()
			if _, err := io.Copy(io.Discard, a.Body); err != nil || a.StatusCode != http.StatusOK {
				b.Fatal(a.StatusCode, err)
			}
			return time.Since(at)
		}
		b.ReportMetric(float64(ask("PUT", "/v2/apps?partialUpdate=false", body).Milliseconds()), "create-ms")
		b.ReportMetric(float64(ask("GET", "/v2/apps", "").Milliseconds()), "first-read-ms")
		b.ReportMetric(float64(ask("GET", "/v2/apps", "").Milliseconds()), "read-ms")
		b.ReportMetric(float64(ask("PUT", "/v2/apps//many/g1/a1", `{"env":{"A":"2"}}`).Milliseconds()), "change-ms")
		b.ReportMetric(float64(ask("GET", "/v2/groups", "").Milliseconds()), "groups-ms")
		server.Close()
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

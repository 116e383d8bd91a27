package marathon

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/clienttls/tlstest"
	"github.com/pacer-gitops/pacer/secret"
)

// A Marathon with a certificate of a company's own authority that asks its
// clients for theirs, for lists and for the stream.
func TestOwnAuthorityAndClientCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	cert := tlstest.WritePair(t, "pacer", certFile, keyFile)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/events") {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: a\ndata: {}\n\n")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apps":[]}`)
	}))
	clients := x509.NewCertPool()
	clients.AddCert(cert)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	tlstest.WritePEM(t, caFile, "CERTIFICATE", s.Certificate().Raw)

	right := newClient(t, Options{URLs: []string{s.URL}, TLS: clienttls.Files{CAFile: caFile, CertFile: certFile, KeyFile: keyFile}})
	if _, err := right.Apps(t.Context()); err != nil {
		t.Errorf("list: %v", err)
	}
	stream, err := right.Events(t.Context())
	if err != nil {
		t.Fatalf("events: %v", err)
	}
	defer stream.Close()
	if e, err := stream.Next(); err != nil || e.Type != "a" {
		t.Errorf("events: %+v, %v", e, err)
	}
	for name, wrong := range map[string]clienttls.Files{
		"no certificate of the client": {CAFile: caFile},
		"unknown authority":            {CertFile: certFile, KeyFile: keyFile},
		"another name":                 {CAFile: caFile, CertFile: certFile, KeyFile: keyFile, ServerName: "marathon.example.org"},
	} {
		if _, err := newClient(t, Options{URLs: []string{s.URL}, TLS: wrong}).Apps(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Answers come compressed, and the limit holds for what they unfold to.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("asked with Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = io.WriteString(z, `{"apps":[`+strings.Repeat(" ", 1<<20)+`]}`)
		_ = z.Close()
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(packed.Bytes())
	})
	if _, err := newClient(t, Options{URLs: []string{s.URL}}).Apps(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := newClient(t, Options{URLs: []string{s.URL}, MaxBody: 1 << 16}).Apps(t.Context())
	if err == nil || !strings.Contains(err.Error(), "longer than 65536 bytes") {
		t.Errorf("an answer that unfolds beyond the limit: %v", err)
	}
}

// Each way to prove who asks is used for lists and for the stream.
func TestEachWayToProveWhoAsks(t *testing.T) {
	t.Parallel()
	for want, auth := range map[string]Auth{
		"Basic cGFjZXI6c2VzYW1l": {User: "pacer", Password: secret.Value("sesame")},
		"Bearer sesame":          {Bearer: secret.Value("sesame")},
		"token=sesame":           {Token: secret.Value("sesame")},
	} {
		s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/v2/events" {
				w.Header().Set("Content-Type", "text/event-stream")
			}
			_, _ = io.WriteString(w, `{"apps":[]}`)
		})
		c := newClient(t, Options{URLs: []string{s.URL}, Auth: auth})
		if _, err := c.Apps(t.Context()); err != nil {
			t.Error(err)
		}
		stream, err := c.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stream.Close()
		for _, r := range s.requests() {
			if r.Authorization != want {
				t.Errorf("%s was asked for with %q, want %q", r.URI, r.Authorization, want)
			}
		}
	}
}

// The second half of a list that breaks off is asked of the next URL, from the
// beginning.
func TestAListThatBreaksOffIsReadElsewhere(t *testing.T) {
	t.Parallel()
	broken := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"apps":[{"id":"/a","cmd":"old"},`)
	})
	good := newFake(t, answers(t, map[string]step{"GET /v2/apps": says(200, `{"apps":[{"id":"/b","cmd":"x"}]}`)}))
	apps, err := newClient(t, Options{URLs: []string{broken.URL, good.URL}}).Apps(t.Context())
	if err != nil || len(apps) != 1 || apps["/b"].Definition == nil {
		t.Errorf("got %v, %v", apps, err)
	}
}

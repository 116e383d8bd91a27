package clienttls

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/clienttls/tlstest"
)

// server tells each client the name in its certificate.
func server(t *testing.T, dir string) (s *httptest.Server, ca string) {
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range r.TLS.PeerCertificates {
			_, _ = io.WriteString(w, c.Subject.CommonName)
		}
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(dir, "ca.pem")
	tlstest.WritePEM(t, ca, "CERTIFICATE", s.Certificate().Raw)
	return s, ca
}

// get asks over a connection of its own.
func get(t *testing.T, url string, c *tls.Config) (string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestServersAreVerifiedByTheFiles(t *testing.T) {
	s, ca := server(t, t.TempDir())
	for name, test := range map[string]struct {
		files Files
		fails string
	}{
		"its authority":             {Files{CAFile: ca}, ""},
		"nobody of that name":       {Files{CAFile: ca, ServerName: "other.invalid"}, "other.invalid"},
		"the name in it":            {Files{CAFile: ca, ServerName: "example.com"}, ""},
		"an authority of nobody's":  {Files{}, "certificate"},
		"anybody, who is warned of": {Files{Insecure: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := test.files.Config()
			if err != nil {
				t.Fatal(err)
			}
			_, err = get(t, s.URL, c)
			if ok := err == nil; ok != (test.fails == "") || !ok && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%v, want %q", err, test.fails)
			}
		})
	}
}

// A certificate that was renewed is shown from the next handshake on.
func TestARenewedPairIsUsedAtOnce(t *testing.T) {
	dir := t.TempDir()
	s, ca := server(t, dir)
	f := Files{CAFile: ca, CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	tlstest.WritePair(t, "first", f.CertFile, f.KeyFile)
	c, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "renewed"} {
		tlstest.WritePair(t, name, f.CertFile, f.KeyFile)
		if got, err := get(t, s.URL, c); err != nil || got != name {
			t.Errorf("shown %q, %v, want %q", got, err, name)
		}
	}
}

func TestFilesThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		files Files
		want  string
	}{
		"no such authority":    {Files{CAFile: dir + "/none.pem"}, "CA file: open " + dir + "/none.pem"},
		"no PEM":               {Files{CAFile: empty}, "CA file " + empty + " contains no PEM certificate"},
		"a certificate alone":  {Files{CertFile: empty}, "certificate and key must be set together"},
		"a key alone":          {Files{KeyFile: empty}, "certificate and key must be set together"},
		"a pair that is empty": {Files{CertFile: empty, KeyFile: empty}, "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := test.files.Config(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller"
)

// hookSite is a site whose source shop has a webhook, and what was looked at.
func hookSite(t *testing.T) (http.Handler, *[]string) {
	t.Helper()
	o, _ := testOptions(t, sampleStatus())
	looked := &[]string{}
	o.Tokens = Tokens{Act: func() (string, error) { return "token", nil }} // forges have none
	o.Webhooks = Webhooks{
		Secret: func(source string) func() (string, error) {
			switch source {
			case "shop", "gone":
				return func() (string, error) { return "sesame", nil }
			case "blank":
				return func() (string, error) { return "", nil }
			case "lost":
				return func() (string, error) { return "", errors.New("no such file") }
			}
			return nil
		},
		Look: func(source string) error {
			if source == "gone" {
				return controller.ErrNoSource
			}
			*looked = append(*looked, source)
			return nil
		},
	}
	return New(o), looked
}

func signature(h func() hash.Hash, key string, body []byte) string {
	mac := hmac.New(h, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func send(h http.Handler, source string, header map[string]string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/webhooks/"+source, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWebhooks(t *testing.T) {
	body := []byte(`{"ref": "refs/heads/main", "repository": {"clone_url": "http://198.51.100.1/evil.git"}}`)
	good := signature(sha256.New, "sesame", body)
	for name, test := range map[string]struct {
		source string
		header map[string]string
		body   []byte
		want   int
	}{
		"GitHub":                    {header: map[string]string{"X-Hub-Signature-256": "sha256=" + good, "X-Hub-Signature": "sha1=" + signature(sha1.New, "sesame", body)}, want: 202},
		"Gitea":                     {header: map[string]string{"X-Gitea-Signature": good, "X-Hub-Signature-256": "sha256=" + good}, want: 202},
		"Gitea, alone":              {header: map[string]string{"X-Gitea-Signature": good}, want: 202},
		"Forgejo":                   {header: map[string]string{"X-Forgejo-Signature": good}, want: 202},
		"Bitbucket":                 {header: map[string]string{"X-Hub-Signature": "sha256=" + good}, want: 202},
		"GitLab":                    {header: map[string]string{"X-Gitlab-Token": "sesame"}, want: 202},
		"GitLab, wrong":             {header: map[string]string{"X-Gitlab-Token": "sesamf", "X-Hub-Signature-256": "sha256=" + good}, want: 401},
		"unsigned":                  {want: 401},
		"SHA-1 alone":               {header: map[string]string{"X-Hub-Signature": "sha1=" + signature(sha1.New, "sesame", body)}, want: 401},
		"another key":               {header: map[string]string{"X-Hub-Signature-256": "sha256=" + signature(sha256.New, "other", body)}, want: 401},
		"another body":              {header: map[string]string{"X-Hub-Signature-256": "sha256=" + good}, body: append(body, ' '), want: 401},
		"half a signature":          {header: map[string]string{"X-Hub-Signature-256": "sha256=" + good[:32]}, want: 401},
		"no digits":                 {header: map[string]string{"X-Hub-Signature-256": "sha256=" + strings.Repeat("zz", 32)}, want: 401},
		"empty signature":           {header: map[string]string{"X-Hub-Signature-256": "sha256="}, want: 401},
		"no JSON":                   {header: map[string]string{"X-Gitlab-Token": "sesame"}, body: []byte("payload={"), want: 202},
		"too long":                  {header: map[string]string{"X-Gitlab-Token": "sesame"}, body: bytes.Repeat([]byte("x"), maxWebhookBytes+1), want: 413},
		"just not too long":         {header: map[string]string{"X-Gitlab-Token": "sesame"}, body: bytes.Repeat([]byte("x"), maxWebhookBytes), want: 202},
		"source without a webhook":  {source: "other", header: map[string]string{"X-Gitlab-Token": "sesame"}, want: 404},
		"source that went away":     {source: "gone", header: map[string]string{"X-Gitlab-Token": "sesame"}, want: 404},
		"secret that is empty":      {source: "blank", header: map[string]string{"X-Gitlab-Token": ""}, want: 503},
		"secret that is lost":       {source: "lost", header: map[string]string{"X-Gitlab-Token": "sesame"}, want: 503},
		"the page's token is none":  {header: map[string]string{"Authorization": "Bearer token"}, want: 401},
		"name that is a path aside": {source: "..%2fshop", header: map[string]string{"X-Gitlab-Token": "sesame"}, want: 404},
	} {
		t.Run(name, func(t *testing.T) {
			h, looked := hookSite(t)
			source, b := test.source, test.body
			if source == "" {
				source = "shop"
			}
			if b == nil {
				b = body
			}
			w := send(h, source, test.header, b)
			if w.Code != test.want {
				t.Errorf("answered %d, want %d: %s", w.Code, test.want, w.Body)
			}
			if n := len(*looked); (n == 1) != (test.want == 202) {
				t.Errorf("looked at %v", *looked)
			}
			for _, secret := range []string{"sesame", good, "198.51.100.1"} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("the answer has %q in it: %s", secret, w.Body)
				}
			}
		})
	}
}

// A flood is answered before it is read, and another source's webhook is not
// held up by it.
func TestAFloodOfWebhooks(t *testing.T) {
	h, looked := hookSite(t)
	taken := 0
	for range 10 * webhookBurst {
		r := httptest.NewRequest("POST", "/webhooks/shop", unread{t, taken > 2*webhookBurst})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusTooManyRequests {
			taken++
		}
	}
	if taken < webhookBurst || taken > 5*webhookBurst {
		t.Errorf("%d of %d were taken, want about %d", taken, 10*webhookBurst, webhookBurst)
	}
	if len(*looked) != 0 {
		t.Errorf("unsigned ones led to looks at %v", *looked)
	}
	if w := send(h, "blank", nil, nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("another source's was answered %d", w.Code)
	}
}

// unread is a body that must perhaps not be read.
type unread struct {
	t    *testing.T
	must bool
}

func (u unread) Read([]byte) (int, error) {
	if u.must {
		u.t.Error("a body was read that is too many")
	}
	return 0, fmt.Errorf("at %s: cut off", time.Now())
}

func FuzzWebhook(f *testing.F) {
	f.Add("X-Hub-Signature-256", "sha256=00", []byte("{}"))
	f.Add("X-Gitlab-Token", "sesame", []byte(""))
	f.Add("X-Hub-Signature", "sha1=00", []byte("{}"))
	f.Fuzz(func(t *testing.T, name, value string, body []byte) {
		h := http.Header{}
		h.Set(name, value)
		want := h.Get("X-Gitlab-Token") == "sesame"
		for _, s := range signatureHeaders {
			digits, ok := strings.CutPrefix(h.Get(s.name), s.prefix)
			want = want || ok && strings.EqualFold(digits, signature(sha256.New, "sesame", body))
		}
		if signed(h, body, "sesame") != want {
			t.Errorf("%s: %q over %q: want %v", name, value, body, want)
		}
	})
}

package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/secret"
)

// hookSite is a site whose source shop has a webhook, and what was looked at.
func hookSite(t *testing.T) (http.Handler, *[]string) {
	t.Helper()
	o, _ := testOptions(t, sampleStatus())
	looked := &[]string{}
	o.Tokens = Tokens{Act: token("token")} // forges have none
	o.Webhooks = Webhooks{
		Secret: func(source string) secret.Ref {
			switch source {
			case "shop", "gone":
				return token("sesame")
			case "blank":
				return token("")
			case "lost":
				return secret.Ref{File: "/run/secrets/webhook"}
			}
			return secret.Ref{}
		},
		Look: func(source string, by store.Asked) error {
			if source == "gone" {
				return controller.ErrNoSource
			}
			if by.By != store.AskedByWebhook || net.ParseIP(by.Address) == nil {
				t.Errorf("the look was asked for by %q", by)
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

// from sends a webhook for the source shop from an address. The body counts what is
// read of it.
func from(h http.Handler, address, signature string, body io.Reader, length int64) int {
	r := httptest.NewRequest("POST", "/webhooks/shop", body)
	r.RemoteAddr, r.ContentLength = address, length
	if signature != "" {
		r.Header.Set("X-Hub-Signature-256", signature)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// counted is a body that counts what is read of it.
type counted struct {
	io.Reader
	n *int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// TestAFloodOfUnsignedWebhooks holds up no signed one, from the same address or
// from another, and soon costs next to nothing.
func TestAFloodOfUnsignedWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, looked := hookSite(t)
		body := `{"ref": "refs/heads/main"}`
		good := "sha256=" + signature(sha256.New, "sesame", []byte(body))
		forged := "sha256=" + strings.Repeat("00", 32)
		large := strings.Repeat("x", maxWebhookBytes)
		var read int64
		for n := range 5000 {
			for _, fake := range []string{"", forged} {
				code := from(h, "203.0.113.9:1000", fake, counted{strings.NewReader(large), &read}, int64(len(large)))
				if code != http.StatusUnauthorized && code != http.StatusTooManyRequests {
					t.Fatalf("a forged one is answered %d", code)
				}
			}
			if n%250 != 0 {
				continue
			}
			for _, address := range []string{"203.0.113.9:2000", "198.51.100.7:3000"} { // of the flood, as behind a proxy, and of the forge
				if code := from(h, address, good, strings.NewReader(body), int64(len(body))); code != http.StatusAccepted {
					t.Fatalf("after %d forged ones, a signed one of %s is answered %d", n, address, code)
				}
			}
			time.Sleep(time.Second / webhookRate * 2)
		}
		if len(*looked) != 40 {
			t.Errorf("looked %d times, want 40", len(*looked))
		}
		if most := int64(failureBurst+20*failureRate) * maxWebhookBytes; read > most {
			t.Errorf("%d MiB were read of forged ones, at most %d", read>>20, most>>20)
		}
		if code := from(h, "203.0.113.9:1000", forged, counted{strings.NewReader("{}"), &read}, 2); code != http.StatusTooManyRequests {
			t.Errorf("a small forged one is answered %d", code)
		}
	})
}

// TestAFloodOfSignedWebhooks: of whoever has seen one, or of a forge that is out of
// its mind. Another source's is not held up by it.
func TestAFloodOfSignedWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, looked := hookSite(t)
		for n := range 10 * webhookBurst {
			code := send(h, "shop", map[string]string{"X-Gitlab-Token": "sesame"}, []byte("{}")).Code
			if want := map[bool]int{true: http.StatusAccepted, false: http.StatusTooManyRequests}[n < webhookBurst]; code != want {
				t.Fatalf("number %d is answered %d, want %d", n, code, want)
			}
		}
		if len(*looked) != webhookBurst {
			t.Errorf("looked %d times", len(*looked))
		}
		if w := send(h, "gone", map[string]string{"X-Gitlab-Token": "sesame"}, nil); w.Code != http.StatusNotFound {
			t.Errorf("another source's was answered %d", w.Code)
		}
	})
}

// TestWhatCannotBeSignedIsNotRead: what has no signature, or none that is one, is
// answered by its headers.
func TestWhatCannotBeSignedIsNotRead(t *testing.T) {
	for name, header := range map[string][2]string{
		"no signature": {"X-Other", "a"}, "no digits": {"X-Hub-Signature-256", "sha256=zz"}, "half of one": {"X-Hub-Signature-256", "sha256=0011"},
		"SHA-1": {"X-Hub-Signature", "sha1=" + strings.Repeat("00", 20)}, "another token": {"X-Gitlab-Token", "sesamf"},
	} {
		h, _ := hookSite(t)
		r := httptest.NewRequest("POST", "/webhooks/shop", unread{t, true})
		r.Header.Set(header[0], header[1])
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: answered %d", name, w.Code)
		}
	}
}

// TestAddressesWithFailuresAreBounded: whoever has many addresses fills no memory.
func TestAddressesWithFailuresAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f failures
		for i := range 3 * maxFailing {
			f.note(fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255))
		}
		if len(f.all) > maxFailing {
			t.Errorf("%d addresses are remembered", len(f.all))
		}
		if !f.tooMany("192.0.2.1:80") {
			t.Error("addresses that are not remembered have no limit")
		}
		time.Sleep(time.Minute)
		f.note("192.0.2.1:80")
		if f.tooMany("192.0.2.1:80") || f.tooMany("10.0.0.1:80") || len(f.all) != 1 {
			t.Errorf("a minute later %d addresses are remembered", len(f.all))
		}
		for range failureBurst {
			f.note("[2001:db8::1]:80")
		}
		if !f.tooMany("[2001:db8::ffff]:80") || f.tooMany("[2001:db8:0:1::1]:80") {
			t.Error("an address of IPv6 is not counted by its network")
		}
	})
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

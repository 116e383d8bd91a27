package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"github.com/pacer-gitops/pacer/controller"
)

// Webhooks is how forges tell that a source may have moved. Zero: none may.
type Webhooks struct {
	// Secret gives the secret that the webhook of a source is signed with, anew
	// for each request; nil: the source has none, and whoever calls is told that
	// there is nothing here.
	Secret func(source string) func() (string, error)
	// Look asks for a look at a source soon. controller.ErrNoSource answers 404.
	Look func(source string) error
}

// The caps of webhooks: what is beyond is answered by 429 before anything of it
// is read, and the source's interval finds what it would have told.
const (
	webhookRate  = 10 // a second, for each source
	webhookBurst = 30
	// maxWebhookBytes is how long a webhook may be. None is read beyond it.
	maxWebhookBytes = 1 << 20
)

// limits hold one limiter for each source that has a webhook: their number is
// bounded by the configuration.
type limits struct {
	mu  sync.Mutex
	all map[string]*rate.Limiter
}

func (l *limits) allow(source string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[source] == nil {
		if l.all == nil {
			l.all = map[string]*rate.Limiter{}
		}
		l.all[source] = rate.NewLimiter(webhookRate, webhookBurst)
	}
	return l.all[source].Allow()
}

// webhook takes the webhook of a forge for a source. It proves who sends it by
// the raw body and looks at nothing in it: it means no more than look again, so
// that nothing that it names can be fetched, and a replayed one does no harm.
func (s *site) webhook() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := r.PathValue("source")
		code, err := s.takeWebhook(source, r)
		if err != nil {
			s.Log.Warn("webhook refused", "source", source, "remote", r.RemoteAddr, "status", code, "error", err)
			s.writeJSON(w, code, answer{err.Error()})
			return
		}
		s.Log.Debug("webhook taken", "source", source, "remote", r.RemoteAddr)
		if target := s.leaderToo(r); target != nil { // it is the leader's look that matters
			s.passOn(target).ServeHTTP(w, r)
			return
		}
		s.writeJSON(w, code, answer{source + " will be looked at"})
	})
}

var (
	errNoWebhook = errors.New("there is no webhook of this name")
	errTooMany   = errors.New("too many webhooks: the source is looked at anyway")
	errUnsigned  = errors.New("the signature is missing or wrong")
	errNoSecret  = errors.New("the secret of this webhook cannot be read; the log says why")
)

func (s *site) takeWebhook(source string, r *http.Request) (int, error) {
	var secret func() (string, error)
	if s.Webhooks.Secret != nil {
		secret = s.Webhooks.Secret(source)
	}
	if secret == nil {
		return http.StatusNotFound, errNoWebhook
	}
	if !s.hooks.allow(source) {
		return http.StatusTooManyRequests, errTooMany
	}
	key, err := secret()
	if err != nil || key == "" { // unknown is not empty: nobody is believed
		s.Log.Error("the secret of a webhook cannot be read, so none is believed", "source", source, "error", err)
		return http.StatusServiceUnavailable, errNoSecret
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return codeOf(err), errors.New("the body is too long, or cut off")
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // for who has to look at it again
	if !signed(r.Header, body, key) {
		return http.StatusUnauthorized, errUnsigned
	}
	switch err := s.Webhooks.Look(source); {
	case errors.Is(err, controller.ErrNoSource):
		return http.StatusNotFound, errNoWebhook
	case err != nil:
		return http.StatusServiceUnavailable, err
	}
	return http.StatusAccepted, nil
}

// signatureHeaders are where forges put the HMAC-SHA-256 of the body, and what
// stands before its hexadecimal digits. Sources: GitHub, "Validating webhook
// deliveries"; Gitea and Forgejo, "Webhooks"; Bitbucket Cloud, "Secure webhooks",
// and Data Center, "Manage webhooks".
var signatureHeaders = []struct{ name, prefix string }{
	{"X-Hub-Signature-256", "sha256="}, // GitHub, and Gitea and Forgejo beside their own
	{"X-Gitea-Signature", ""},
	{"X-Forgejo-Signature", ""},
	{"X-Hub-Signature", "sha256="}, // Bitbucket; GitHub's of this name is SHA-1, and not believed
}

// signed tells whether a webhook was sent by who knows the key. All that is
// compared is compared in constant time. GitLab sends the key itself, as
// X-Gitlab-Token.
func signed(h http.Header, body []byte, key string) bool {
	if token := h.Get("X-Gitlab-Token"); token != "" {
		return same(token, key)
	}
	for _, s := range signatureHeaders {
		digits, ok := strings.CutPrefix(h.Get(s.name), s.prefix)
		if !ok || digits == "" {
			continue
		}
		given, err := hex.DecodeString(digits)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		return err == nil && hmac.Equal(given, mac.Sum(nil))
	}
	return false
}

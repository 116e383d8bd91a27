package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/secret"
)

// Webhooks is how forges tell that a source may have moved. Zero: none may.
type Webhooks struct {
	// Secret gives the secret that the webhook of a source is signed with, anew
	// for each request; nil: the source has none, and whoever calls is told that
	// there is nothing here.
	Secret func(source string) secret.Ref
	// Look asks for a look at a source soon. controller.ErrNoSource answers 404.
	Look func(source string, by store.Asked) error
}

// The caps of webhooks. Those that are signed and those that are not have limits of
// their own, so that who cannot sign holds up nobody who can:
//
//	what comes                          is answered
//	no signature, or none that is one   401, unread
//	a wrong one                         401, read up to 1 MiB
//	either, from an address of which    429; read only where it has at most 64 KiB,
//	  too many came                     which costs little, and may be signed: behind a
//	                                    proxy the forge has the same address
//	signed, beyond the source's limit   429: its interval finds what it would have told
//	signed                              202
const (
	webhookRate  = 10 // a second, for each source, of those that are signed
	webhookBurst = 30
	failureRate  = 5 // a second, for each address, of those that are not
	failureBurst = 20
	// maxWebhookBytes is how long a webhook may be. None is read beyond it.
	maxWebhookBytes = 1 << 20
	// cheapBytes is how long one may be that is looked at in any case.
	cheapBytes = 64 << 10
	// maxFailing is how many addresses are counted by themselves, all others
	// together.
	maxFailing = 1000
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

// failures count, by address, the webhooks that were not signed.
type failures struct {
	mu     sync.Mutex
	all    map[netip.Prefix]*rate.Limiter
	others *rate.Limiter // of all addresses beyond maxFailing
}

// tooMany reports whether too many came from an address.
func (f *failures) tooMany(remote string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[network(remote)]
	if l == nil && len(f.all) >= maxFailing {
		l = f.others
	}
	return l != nil && l.Tokens() < 1
}

// note counts one of an address.
func (f *failures) note(remote string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[netip.Prefix]*rate.Limiter{}
		f.others = rate.NewLimiter(failureRate, failureBurst)
	}
	from := network(remote)
	if f.all[from] == nil && len(f.all) >= maxFailing { // those of which none came for long are forgotten
		maps.DeleteFunc(f.all, func(_ netip.Prefix, l *rate.Limiter) bool { return l.Tokens() >= failureBurst })
	}
	switch {
	case f.all[from] != nil:
		f.all[from].Allow()
	case len(f.all) >= maxFailing:
		f.others.Allow()
	default:
		f.all[from] = rate.NewLimiter(failureRate, failureBurst)
		f.all[from].Allow()
	}
}

// network is what counts as one address: of IPv6 the network, of which whoever
// has one has all.
func network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// webhook takes the webhook of a forge for a source. It proves who sends it by
// the raw body and looks at nothing in it: it means no more than look again, so
// that nothing that it names can be fetched, and a replayed one does no harm.
func (s *site) webhook() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := r.PathValue("source")
		code, err := s.takeWebhook(source, r)
		if err != nil {
			level := slog.LevelWarn
			if code == http.StatusTooManyRequests {
				level = slog.LevelDebug // a flood of requests is none of the log
			}
			s.Log.Log(r.Context(), level, "webhook refused", "source", source, "remote", r.RemoteAddr, "status", code, "error", err)
			s.writeJSON(w, code, answer{err.Error()})
			return
		}
		s.Log.Debug("webhook accepted", "source", source, "remote", r.RemoteAddr)
		if target := s.leaderToo(r); target != nil { // it is the leader's look that matters
			s.passOn(target).ServeHTTP(w, r)
			return
		}
		s.writeJSON(w, code, answer{source + " will be fetched"})
	})
}

var (
	errNoWebhook       = errors.New("there is no webhook with this name")
	errTooManyUnsigned = errors.New("too many webhooks with an invalid signature from this address")
	errTooMany         = errors.New("too many webhooks: the source is being fetched anyway")
	errUnsigned        = errors.New("the signature is missing or wrong")
	errNoSecret        = errors.New("cannot read the secret of this webhook; see the log")
)

func (s *site) takeWebhook(source string, r *http.Request) (int, error) {
	var signed secret.Ref
	if s.Webhooks.Secret != nil {
		signed = s.Webhooks.Secret(source)
	}
	if !signed.IsSet() {
		return http.StatusNotFound, errNoWebhook
	}
	key, err := signed.Read()
	if err != nil || key == "" { // unknown is not empty: nobody is believed
		s.Log.Error("cannot read the secret of a webhook, so all its calls are refused", "source", source, "error", err)
		return http.StatusServiceUnavailable, errNoSecret
	}
	if code, err := s.prove(r, key); err != nil {
		return code, err
	}
	if !s.hooks.allow(source) {
		return http.StatusTooManyRequests, errTooMany
	}
	switch err := s.Webhooks.Look(source, store.Asked{By: store.AskedByWebhook, Address: addressOf(r)}); {
	case errors.Is(err, controller.ErrNoSource):
		return http.StatusNotFound, errNoWebhook
	case err != nil:
		return http.StatusServiceUnavailable, err
	}
	return http.StatusAccepted, nil
}

// prove reads a webhook and looks whether who knows the key has sent it; the caps
// are above.
func (s *site) prove(r *http.Request, key string) (int, error) {
	tooMany := s.unsigned.tooMany(r.RemoteAddr)
	refused := func() (int, error) {
		s.unsigned.note(r.RemoteAddr)
		if tooMany {
			return http.StatusTooManyRequests, errTooManyUnsigned
		}
		return http.StatusUnauthorized, errUnsigned
	}
	if !mayBeSigned(r.Header, key) || tooMany && (r.ContentLength < 0 || r.ContentLength > cheapBytes) {
		return refused()
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.unsigned.note(r.RemoteAddr)
		return codeOf(err), errors.New("the body is too long, or truncated")
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // for who has to look at it again
	if !signed(r.Header, body, key) {
		return refused()
	}
	return 0, nil
}

// mayBeSigned reports whether the headers of a webhook hold what may be a signature
// of its body, or are proof by themselves.
func mayBeSigned(h http.Header, key string) bool {
	if token := h.Get("X-Gitlab-Token"); token != "" {
		return same(token, key)
	}
	given, is := givenSignature(h)
	return is && len(given) == sha256.Size
}

// givenSignature is the signature that a webhook came with.
func givenSignature(h http.Header) (given []byte, is bool) {
	for _, s := range signatureHeaders {
		digits, ok := strings.CutPrefix(h.Get(s.name), s.prefix)
		if !ok || digits == "" {
			continue
		}
		given, err := hex.DecodeString(digits)
		return given, err == nil
	}
	return nil, false
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
	given, is := givenSignature(h)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return is && hmac.Equal(given, mac.Sum(nil))
}

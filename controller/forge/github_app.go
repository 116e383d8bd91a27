package forge

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/go-github/v89/github"

	"github.com/pacer-gitops/pacer/secret"
)

// gitHubApp asks for tokens as a GitHub App. Sources: GitHub, "Generating a JSON Web Token
// (JWT) for a GitHub App", "Generating an installation access token for a GitHub App".
type gitHubApp struct {
	id, installation int64
	key              secret.Ref
	client           *github.Client // asks as the App itself

	lock chan struct{} // holds one value while nobody has it; unlike a mutex it can be given up
	// What follows is under lock.
	token      *github.InstallationToken // nil: there is none
	generation int                       // counts tokens
	slug       string                    // the App's name in logins; empty: not asked yet
}

// tokenMargin is how long before its end a token is no longer used. It ends after an hour.
const tokenMargin = time.Minute

func newGitHubApp(o Options, api string) (*gitHubApp, error) {
	if o.App.ID <= 0 || o.App.Installation <= 0 || !o.App.Key.IsSet() {
		return nil, errors.New("a GitHub App needs all of id, installation and key")
	}
	a := &gitHubApp{id: o.App.ID, installation: o.App.Installation, key: o.App.Key, lock: make(chan struct{}, 1)}
	a.lock <- struct{}{}
	c, err := newHTTPClient(o, func(r *http.Request) ([]string, error) {
		token, err := a.jwt(time.Now())
		return sign(r, token), err
	})
	if err != nil {
		return nil, err
	}
	a.client, err = newGitHubClient(c, api)
	return a, err
}

// jwt is the token by which the App asks as itself.
func (a *gitHubApp) jwt(now time.Time) (string, error) {
	text, err := a.key.Read()
	if err != nil {
		return "", fmt.Errorf("private key of GitHub App %d: %w", a.id, err)
	}
	key, err := parseRSAKey([]byte(text))
	if err != nil {
		return "", fmt.Errorf("private key of GitHub App %d in %s: %w", a.id, a.key, err)
	}
	// GitHub refuses what is issued in its future, and what lasts longer than 10 minutes.
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(), "iss": strconv.FormatInt(a.id, 10)})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	if err != nil {
		return "", fmt.Errorf("private key of GitHub App %d: %w", a.id, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// parseRSAKey reads the private key that GitHub hands out, in PKCS #1, or the same in
// PKCS #8. No error quotes it.
func parseRSAKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block: expected the file that GitHub handed out, which begins with -----BEGIN RSA PRIVATE KEY-----")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := parsed.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("PEM block %q is no RSA private key", block.Type)
}

// locked calls do unless the context ends first.
func (a *gitHubApp) locked(ctx context.Context, do func() error) error {
	select {
	case <-a.lock:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { a.lock <- struct{}{} }()
	return do()
}

// authorize signs a request with the token of the installation.
func (a *gitHubApp) authorize(r *http.Request) (secrets []string, err error) {
	token, _, err := a.current(r.Context())
	if err != nil {
		return nil, err
	}
	return sign(r, token.GetToken()), nil
}

// current is a token that is still good, and its number.
func (a *gitHubApp) current(ctx context.Context) (token *github.InstallationToken, generation int, err error) {
	err = a.locked(ctx, func() error {
		if a.token == nil || !time.Now().Before(a.token.GetExpiresAt().Add(-tokenMargin)) {
			got, _, err := a.client.Apps.CreateInstallationToken(ctx, a.installation, &github.InstallationTokenOptions{})
			if err == nil && got.GetToken() == "" {
				err = errors.New("answer has no token")
			}
			if err != nil {
				return fmt.Errorf("ask for a token of installation %d as GitHub App %d: %w", a.installation, a.id, plain(err))
			}
			a.token = got
			a.generation++
		}
		token, generation = a.token, a.generation
		return nil
	})
	return token, generation, err
}

// forget has the next request ask for a new token, if the present one is still this one;
// 0: whichever it is.
func (a *gitHubApp) forget(ctx context.Context, generation int) error {
	return a.locked(ctx, func() error {
		if generation == 0 || generation == a.generation {
			a.token = nil
		}
		return nil
	})
}

// login is the user that the App's comments are of. It is asked once.
func (a *gitHubApp) login(ctx context.Context) (login string, err error) {
	err = a.locked(ctx, func() error {
		if a.slug == "" {
			app, _, err := a.client.Apps.Get(ctx, "")
			if err == nil && app.GetSlug() == "" {
				err = errors.New("answer has no slug")
			}
			if err != nil {
				return fmt.Errorf("ask for the name of GitHub App %d: %w", a.id, plain(err))
			}
			a.slug = app.GetSlug()
		}
		login = a.slug + "[bot]"
		return nil
	})
	return login, err
}

// renewing sends a request once more, with a new token, when GitHub refuses the token: it
// was revoked before its end.
type renewing struct {
	next http.RoundTripper
	app  *gitHubApp
}

func (t *renewing) RoundTrip(r *http.Request) (*http.Response, error) {
	_, generation, err := t.app.current(r.Context())
	if err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(r)
	failed, ok := errors.AsType[*StatusError](err)
	if !ok || failed.Code != http.StatusUnauthorized || r.Body != nil && r.GetBody == nil {
		return resp, err
	}
	if err := t.app.forget(r.Context(), generation); err != nil {
		return nil, err
	}
	again := r.Clone(r.Context())
	if r.Body != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return t.next.RoundTrip(again)
}

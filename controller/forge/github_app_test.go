package forge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/secret"
)

func TestGitHubAppTokens(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openApp(t, g, "pacer")
	n := w.Open(forgetest.Opening{Files: change(1)})
	comment := func() {
		t.Helper()
		if _, err := f.CreateComment(t.Context(), n, "x"); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := f.Pulls(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	comment()
	if got := g.AppTokens(); got != 1 {
		t.Errorf("%d tokens for the first requests, expected 1", got)
	}
	g.RevokeAppTokens()
	comment() // whose body is sent again
	if got := g.AppTokens(); got != 2 || len(w.Comments(n, "pacer[bot]")) != 2 {
		t.Errorf("%d tokens, %d comments after the first was revoked", got, len(w.Comments(n, "pacer[bot]")))
	}
	// Two requests that are refused with one token ask for one new token.
	app := f.(*gitHub).app
	_, generation, err := app.current(t.Context())
	for range 2 {
		if err = errors.Join(err, app.forget(t.Context(), generation)); err != nil {
			t.Fatal(err)
		}
		comment()
	}
	if got := g.AppTokens(); got != 3 {
		t.Errorf("%d tokens, expected 3", got)
	}
	// A token that is refused though it is new: once more, and no third time.
	g.Requests()
	g.Break(forgetest.Fault{Path: "/repos/", Status: 401, Body: `{"message": "Bad credentials"}`})
	if _, err := f.CreateComment(t.Context(), n, "x"); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "ghs_") {
		t.Errorf("%v", err)
	}
	if got := g.Requests(); len(got) != 3 {
		t.Errorf("requests: %q", got)
	}
	g.Heal()

	g.TokenLife = tokenMargin / 2
	g.RevokeAppTokens()
	before := g.AppTokens()
	comment()
	comment()
	if got := g.AppTokens() - before; got < 2 {
		t.Errorf("%d tokens, though each ends within the margin", got)
	}
}

func TestGitHubAppKey(t *testing.T) {
	_, g := gitHubWorld(t)
	id, installation, key := g.NewApp("pacer", forgetest.AppPermissions)
	_, _, stranger := g.NewApp("another", forgetest.AppPermissions)
	block, _ := pem.Decode([]byte(key))
	parsed, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(parsed)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	for name, c := range map[string]struct{ key, err string }{
		"as GitHub hands it out": {key, ""},
		"PKCS #8":                {encode("PRIVATE KEY", pkcs8), ""},
		"of another App":         {stranger, "ask for a token of installation"},
		"no PEM":                 {"hunter2-hunter2", "no PEM block: expected the file that GitHub handed out"},
		"not RSA":                {encode("PRIVATE KEY", wrong), "is no RSA private key"},
		"nonsense":               {encode("RSA PRIVATE KEY", []byte("hunter2-hunter2")), "is no RSA private key"},
		"empty":                  {"", "is empty: write the secret to it"},
	} {
		if err := os.WriteFile(file, []byte(c.key), 0o600); err != nil {
			t.Fatal(err)
		}
		f := openAs(t, g, func(o *Options) {
			o.Token, o.App = secret.Ref{}, App{ID: id, Installation: installation, Key: secret.Ref{File: file}}
		})
		_, _, err := f.Pulls(t.Context())
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "eyJ")) {
			t.Errorf("%s: %v, expected %q", name, err, c.err)
		}
	}

	// The key is read for each token: a new one is used at once.
	if err := os.WriteFile(file, []byte("gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openAs(t, g, func(o *Options) {
		o.Token, o.App = secret.Ref{}, App{ID: id, Installation: installation, Key: secret.Ref{File: file}}
	})
	if _, _, err := f.Pulls(t.Context()); err == nil {
		t.Error("no key, and no error")
	}
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Pulls(t.Context()); err != nil {
		t.Error(err)
	}

	missing := openAs(t, g, func(o *Options) {
		o.Token, o.App = secret.Ref{}, App{ID: id, Installation: installation + 50, Key: secret.Value(key)}
	})
	if _, _, err := missing.Pulls(t.Context()); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "ask for a token of installation") {
		t.Errorf("an installation that is not there: %v", err)
	}
}

func TestGitHubAppDoesNotWaitForAnother(t *testing.T) {
	_, g := gitHubWorld(t)
	f := openApp(t, g, "pacer")
	g.Break(forgetest.Fault{Path: "/access_tokens", Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, _, err := f.Pulls(ctx)
		first <- err
	}()
	for len(g.Requests()) == 0 { // until it hangs
		time.Sleep(time.Millisecond)
	}
	gaveUp, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := f.Pulls(gaveUp); !errors.Is(err, context.Canceled) {
		t.Errorf("one that gave up while another asks for the token: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	g.Heal()
	if _, _, err := f.Pulls(t.Context()); err != nil {
		t.Error(err)
	}
}

package forgetest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gitHubApp is a GitHub App that is installed once.
type gitHubApp struct {
	id, installation int64
	slug             string
	key              *rsa.PublicKey
	permissions      map[string]string
	blind            bool
}

// AppPermissions are all that Pacer needs.
var AppPermissions = map[string]string{"contents": "read", "metadata": "read", "pull_requests": "write", "statuses": "write", "checks": "write"}

// NewApp makes a GitHub App and installs it. The private key is as GitHub hands it out.
func (g *GitHub) NewApp(slug string, permissions map[string]string) (id, installation int64, privateKey string) {
	t := g.World.t
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	a := &gitHubApp{id: g.World.nextID(), installation: g.World.nextID(), slug: slug, key: &key.PublicKey, permissions: permissions}
	g.apps = append(g.apps, a)
	return a.id, a.installation, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// RevokeAppTokens ends all tokens of installations.
func (g *GitHub) RevokeAppTokens() {
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	for text, token := range g.tokens {
		if token.app != nil {
			delete(g.tokens, text)
		}
	}
}

// AppTokens is how many tokens of installations were handed out.
func (g *GitHub) AppTokens() int {
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	return g.made
}

// SetAppPermissions changes what Apps may do, with tokens that are handed out from now on.
func (g *GitHub) SetAppPermissions(permissions map[string]string) {
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	for _, a := range g.apps {
		a.permissions = permissions
	}
}

// HideFromApps takes the repository out of the installations, or adds it again.
func (g *GitHub) HideFromApps(hidden bool) {
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	for _, a := range g.apps {
		a.blind = hidden
	}
}

// appOf is the App that a JSON web token is of.
func (g *GitHub) appOf(token string) (*gitHubApp, error) {
	refused := func(why string) error { return &refusal{status: http.StatusUnauthorized, message: why} }
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, refused("A JSON web token could not be decoded")
	}
	var header struct{ Alg string }
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	for i, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return nil, refused("A JSON web token could not be decoded")
		}
	}
	i := slices.IndexFunc(g.apps, func(a *gitHubApp) bool { return strconv.FormatInt(a.id, 10) == claims.Iss })
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if i < 0 || err != nil || header.Alg != "RS256" {
		return nil, refused("Integration not found")
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(g.apps[i].key, crypto.SHA256, hash[:], signature) != nil {
		return nil, refused("A JSON web token could not be decoded")
	}
	now := time.Now().Unix() // of the machine, whose clock the client has
	switch {
	case claims.Iat > now:
		return nil, refused("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case claims.Exp <= now || claims.Exp > now+600:
		return nil, refused("'Expiration time' claim ('exp') is too far in the future")
	}
	return g.apps[i], nil
}

func (g *GitHub) getApp(q *ask) (any, error) {
	return map[string]any{"id": q.token.app.id, "slug": q.token.app.slug, "name": q.token.app.slug}, nil
}

func (g *GitHub) createToken(q *ask) (any, error) {
	app := q.token.app
	if strconv.FormatInt(app.installation, 10) != q.PathValue("id") {
		return nil, notFound
	}
	life := g.TokenLife
	if life == 0 {
		life = time.Hour
	}
	g.made++
	text := fmt.Sprintf("ghs_%s%d", strings.Repeat("x", 30), g.made)
	g.tokens[text] = &Token{Permissions: app.permissions, Blind: app.blind, app: app, expires: g.World.clock.Add(life)}
	return map[string]any{"token": text, "expires_at": stamp(g.World.clock.Add(life)), "permissions": app.permissions, "repository_selection": "selected"}, nil
}

// checkBody is what creates or updates a check run.
type checkBody struct {
	Name       string  `json:"name"`
	HeadSHA    string  `json:"head_sha"`
	ExternalID *string `json:"external_id"`
	Status     *string `json:"status"`
	Conclusion *string `json:"conclusion"`
	Output     *struct {
		Title       string            `json:"title"`
		Summary     string            `json:"summary"`
		Annotations []checkAnnotation `json:"annotations"`
	} `json:"output"`
}

type checkAnnotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn int    `json:"start_column"`
	EndColumn   int    `json:"end_column"`
	Level       string `json:"annotation_level"`
	Message     string `json:"message"`
}

// checkOf reads what a request says about a check run.
func (g *GitHub) checkOf(q *ask) (b checkBody, err error) {
	if q.token.app == nil {
		return b, &refusal{status: http.StatusForbidden, message: "You must authenticate via a GitHub App."}
	}
	if err := g.may(q, "checks", "write"); err != nil {
		return b, err
	}
	if json.Unmarshal(q.body, &b) != nil {
		return b, &refusal{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	if b.Conclusion == nil && b.Status != nil && *b.Status == "completed" {
		return b, invalid("conclusion is missing")
	}
	if b.Output == nil {
		return b, nil
	}
	if b.Output.Title == "" || b.Output.Summary == "" {
		return b, invalid("output needs title and summary")
	}
	if len(b.Output.Annotations) > 50 {
		return b, invalid("annotations exceeds a maximum quantity of 50")
	}
	for _, a := range b.Output.Annotations {
		columns := a.StartColumn > 0 || a.EndColumn > 0
		if a.Path == "" || a.StartLine < 1 || a.EndLine < a.StartLine || a.Message == "" || columns && a.StartLine != a.EndLine || !slices.Contains([]string{"notice", "warning", "failure"}, a.Level) {
			return b, invalid("annotation %+v", a)
		}
	}
	return b, nil
}

// update appends annotations, as GitHub does, and replaces all else.
func (c *Check) update(b checkBody) {
	if b.Name != "" {
		c.Name = b.Name
	}
	if b.ExternalID != nil {
		c.ExternalID = *b.ExternalID
	}
	if b.Status != nil {
		c.Status = *b.Status
	}
	if b.Conclusion != nil {
		c.Conclusion, c.Status = *b.Conclusion, "completed"
	}
	if b.Output == nil {
		return
	}
	c.Title, c.Summary = b.Output.Title, b.Output.Summary
	for _, a := range b.Output.Annotations {
		c.Annotations = append(c.Annotations, Annotation{File: a.Path, Line: a.StartLine, Column: a.StartColumn, Level: a.Level, Text: a.Message})
	}
}

func (c *Check) json() map[string]any {
	return map[string]any{
		"id": c.ID, "name": c.Name, "head_sha": c.Commit, "external_id": c.ExternalID, "status": c.Status, "conclusion": orNull(c.Conclusion), "app": map[string]any{"slug": c.App},
		"output": map[string]any{"title": orNull(c.Title), "summary": orNull(c.Summary), "annotations_count": len(c.Annotations)},
	}
}

func (g *GitHub) createCheck(q *ask) (any, error) {
	b, err := g.checkOf(q)
	if err != nil {
		return nil, err
	}
	at, err := g.commit(b.HeadSHA)
	if err != nil || b.Name == "" {
		return nil, invalid("No commit found for SHA: %s", b.HeadSHA)
	}
	c := &Check{ID: g.World.nextID(), App: q.token.app.slug, Commit: at, Status: "queued", Created: g.World.tick()}
	c.update(b)
	g.World.checks = append(g.World.checks, c)
	return c.json(), nil
}

func (g *GitHub) updateCheck(q *ask) (any, error) {
	for _, c := range g.World.checks {
		if strconv.FormatInt(c.ID, 10) != q.PathValue("id") {
			continue
		}
		b, err := g.checkOf(q)
		if err != nil {
			return nil, err
		}
		c.update(b)
		return c.json(), nil
	}
	return nil, notFound
}

// listChecks lists the newest check run of each App and name, newest first.
func (g *GitHub) listChecks(q *ask, ref string) (any, error) {
	if err := g.may(q, "checks", "read"); err != nil {
		return nil, err
	}
	at, err := g.commit(ref)
	if err != nil {
		return nil, notFound
	}
	query := q.URL.Query()
	var newest []*Check
	for _, c := range slices.Backward(g.World.checks) {
		older := slices.ContainsFunc(newest, func(n *Check) bool { return n.Name == c.Name && n.App == c.App })
		app := slices.IndexFunc(g.apps, func(a *gitHubApp) bool { return a.slug == c.App })
		otherApp := query.Get("app_id") != "" && (app < 0 || query.Get("app_id") != strconv.FormatInt(g.apps[app].id, 10))
		if c.Commit != at || older && query.Get("filter") != "all" || otherApp || query.Get("check_name") != "" && query.Get("check_name") != c.Name {
			continue
		}
		newest = append(newest, c)
	}
	total := len(newest)
	out := []map[string]any{}
	for _, c := range page(g, q, newest) {
		out = append(out, c.json())
	}
	return map[string]any{"total_count": total, "check_runs": out}, nil
}

package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/visible"
)

//go:embed assets
var embedded embed.FS

// contentTypes names the assets that are served, and as what. The template is
// not among them.
var contentTypes = map[string]string{
	"style.css": "text/css; charset=utf-8",
	"page.js":   "text/javascript; charset=utf-8",
	"icon.svg":  "image/svg+xml",
}

type renderer struct {
	page    *template.Template
	pull    *template.Template // of the plan of a pull request
	version string
}

// newRenderer panics where the embedded template is wrong, which a test shows.
func newRenderer(version string) *renderer {
	funcs := template.FuncMap{
		"asset": assetPath,
		"link":  safeLink,
		"path":  url.PathEscape,
		"short": plan.ShortRevision,
		"ago":   ago,
		"took":  func(began, ended time.Time) string { return span(ended.Sub(began)) },
		"capital": func(s string) string {
			first, size := utf8.DecodeRuneInString(s)
			return string(unicode.ToUpper(first)) + s[size:]
		},
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
	page := template.Must(template.New("page.html").Funcs(funcs).ParseFS(embedded, "assets/page.html"))
	return &renderer{page: page, pull: parsePull(funcs), version: version}
}

// maxCalm is how many apps that need nobody's attention the page lists, unless
// all of them are asked for: ten thousand rows help nobody.
const maxCalm = 100

func (s *site) page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := maxCalm
		if r.URL.Query().Has("all") {
			limit = -1
		}
		var body bytes.Buffer
		if err := s.renderer.render(&body, s.Status(), limit); err != nil {
			s.Log.Error("cannot render the page", "error", err)
			http.Error(w, "cannot render the page; see the log", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		s.write(w, []byte(visible.Text(body.String())))
	})
}

func (r *renderer) render(body *bytes.Buffer, status status.Status, maxCalm int) error {
	return r.page.Execute(body, newPageView(status, r.version, maxCalm))
}

func (s *site) assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("file")
		kind, ok := contentTypes[name]
		content, err := fs.ReadFile(embedded, "assets/"+name)
		if !ok || err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		s.write(w, content)
	})
}

// assetPath adds the content's hash, so that an upgrade is seen at once though
// assets are cached for good.
func assetPath(name string) (string, error) {
	content, err := fs.ReadFile(embedded, "assets/"+name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return "/assets/" + name + "?v=" + hex.EncodeToString(sum[:6]), nil
}

// safeLink returns the address if it is one that a browser may follow, else
// nothing: the text is then shown without a link.
func safeLink(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return u.String()
}

func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "never"
	case d < time.Second: // a commit's clock may be ahead of ours
		return "just now"
	default:
		return span(d) + " ago"
	}
}

// span tells a duration in its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d, 0).Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < day:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 2*day:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", int(d/day))
	}
}

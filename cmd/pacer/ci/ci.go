// Package ci writes the problems of manifests as the systems that check pull requests
// show them, at their lines: workflow commands of GitHub Actions (and of Gitea's and
// Forgejo's Actions), the Code Quality report of GitLab, and SARIF.
//
// It takes values and returns text. Which problems there are, and where the text goes, is
// decided elsewhere.
package ci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// The formats.
const (
	GitHub = "github"
	GitLab = "gitlab"
	SARIF  = "sarif"
)

// Formats lists what Write can write.
func Formats() []string { return []string{GitHub, GitLab, SARIF} }

// Problem is a problem of a manifest, and where its file is.
type Problem struct {
	manifests.Problem
	// Folder is the path from the root of the repository to what Problem.File is
	// relative to, with slashes; empty: that is the root.
	Folder string
}

// In says of problems where their files are.
func In(folder string, problems []manifests.Problem) []Problem {
	all := make([]Problem, 0, len(problems))
	for _, p := range problems {
		all = append(all, Problem{p, folder})
	}
	return all
}

// file is the path of the file from the root of the repository; empty: it is of no file.
func (p Problem) file() string {
	if file := path.Join(p.Folder, p.File); p.File != "" && p.File != "." {
		return file
	}
	return ""
}

func (p Problem) isWarning() bool { return p.Severity == manifests.SeverityWarning }

// text is the message, with the id that it is about.
func (p Problem) text() string {
	if p.ID == "" {
		return visible.Words(p.Message)
	}
	return visible.Words(p.ID + ": " + p.Message)
}

// Format writes problems in one of Formats, each time the same bytes for the same ones.
// version is that of Pacer.
func Format(format string, all []Problem, version string) ([]byte, error) {
	switch format {
	case GitHub:
		return github(all), nil
	case GitLab:
		return gitlab(all)
	case SARIF:
		return sarif(all, version)
	}
	return nil, fmt.Errorf("output format %q: expected one of %s", format, strings.Join(Formats(), ", "))
}

// github writes a workflow command for each problem. Source: GitHub, "Workflow commands
// for GitHub Actions"; the escapes are those of actions/toolkit, command.ts.
func github(all []Problem) []byte {
	var b strings.Builder
	for _, p := range all {
		command := "error"
		if p.isWarning() {
			command = "warning"
		}
		var properties []string
		if file := p.file(); file != "" {
			properties = append(properties, "file="+property(file))
		}
		if p.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", p.Line), fmt.Sprintf("col=%d", p.Column))
		}
		properties = append(properties, "title=pacer")
		fmt.Fprintf(&b, "::%s %s::%s\n", command, strings.Join(properties, ","), data(p.text()))
	}
	return []byte(b.String())
}

var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func data(s string) string     { return dataEscapes.Replace(s) }
func property(s string) string { return propertyEscapes.Replace(s) }

// quality is an entry of a Code Quality report. Source: GitLab, "Code Quality", "Code
// Quality report format".
type quality struct {
	Description string `json:"description"`
	CheckName   string `json:"check_name"`
	Fingerprint string `json:"fingerprint"`
	Severity    string `json:"severity"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
		} `json:"lines"`
	} `json:"location"`
}

func gitlab(all []Problem) ([]byte, error) {
	report := make([]quality, 0, len(all))
	fingerprints := fingerprints(all)
	for i, p := range all {
		q := quality{Description: p.text(), CheckName: ruleOf(p), Fingerprint: fingerprints[i], Severity: "major"}
		if p.isWarning() {
			q.Severity = "minor"
		}
		q.Location.Path, q.Location.Lines.Begin = orRoot(p.file()), max(1, p.Line)
		report = append(report, q)
	}
	return indented(report)
}

// orRoot is the path of a file, or that of the repository's root.
func orRoot(file string) string {
	if file == "" {
		return "."
	}
	return file
}

// fingerprints tell problems apart, and are the same when lines move: by them GitLab and
// GitHub find out which problems are new.
func fingerprints(all []Problem) []string {
	seen := map[string]int{}
	var out []string
	for _, p := range all {
		what := strings.Join([]string{p.file(), p.ID, p.Path, string(p.Severity), p.Message}, "\x00")
		sum := sha256.Sum256([]byte(fmt.Sprintf("%s\x00%d", what, seen[what])))
		seen[what]++
		out = append(out, hex.EncodeToString(sum[:]))
	}
	return out
}

// The rules: Pacer has one for each of Marathon's, which no user switches off, so they
// are told apart by what follows alone.
const (
	ruleError   = "invalid-manifest"
	ruleWarning = "doubtful-manifest"
)

func ruleOf(p Problem) string {
	if p.isWarning() {
		return ruleWarning
	}
	return ruleError
}

// sarif writes a log of the Static Analysis Results Interchange Format 2.1.0 (OASIS).
func sarif(all []Problem, version string) ([]byte, error) {
	type object = map[string]any
	rule := func(id, text, level string) object {
		return object{"id": id, "shortDescription": object{"text": text}, "defaultConfiguration": object{"level": level}}
	}
	results := make([]object, 0, len(all))
	fingerprints := fingerprints(all)
	for i, p := range all {
		level := "error"
		if p.isWarning() {
			level = "warning"
		}
		result := object{
			"ruleId": ruleOf(p), "level": level, "message": object{"text": p.text()},
			"partialFingerprints": object{"pacer/v1": fingerprints[i]},
		}
		if file := p.file(); file != "" {
			place := object{"artifactLocation": object{"uri": (&url.URL{Path: file}).String(), "uriBaseId": "%SRCROOT%"}}
			if p.Line > 0 {
				place["region"] = object{"startLine": p.Line, "startColumn": max(1, p.Column)}
			}
			result["locations"] = []object{{"physicalLocation": place}}
		}
		results = append(results, result)
	}
	return indented(object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []object{{
			"tool": object{"driver": object{
				"name": "pacer", "version": version,
				"rules": []object{
					rule(ruleError, "Marathon would refuse this manifest, or Pacer cannot read it", "error"),
					rule(ruleWarning, "This manifest is accepted, but may not do what it should", "warning"),
				},
			}},
			"results": results,
		}},
	})
}

func indented(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(visible.JSON(text), '\n'), nil
}

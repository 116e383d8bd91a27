package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// apiError is an answer that is not a success, in Marathon's words.
type apiError struct {
	status int
	body   any // of the answer, encoded as JSON
}

// Error is the status and the body, for logs.
func (e *apiError) Error() string {
	b, _ := json.Marshal(e.body) // made of strings only
	return fmt.Sprintf("%d: %s", e.status, b)
}

// message is what the answer says in its member of that name.
func (e *apiError) message() string {
	m, _ := e.body.(message)
	return m.Message
}

type message struct {
	Message     string `json:"message"`
	Details     any    `json:"details,omitempty"`
	Deployments []ref  `json:"deployments,omitempty"`
}

type ref struct {
	ID string `json:"id"`
}

type detail struct {
	Path   string   `json:"path"`
	Errors []string `json:"errors"`
}

func fail(status int, format string, args ...any) *apiError {
	return &apiError{status, message{Message: fmt.Sprintf(format, args...)}}
}

// missing is a 404 with the empty details that Marathon adds in most places.
func missing(format string, args ...any) *apiError {
	return &apiError{http.StatusNotFound, message{Message: fmt.Sprintf(format, args...), Details: []detail{}}}
}

func noApp(id string) *apiError { return missing("App '%s' does not exist", id) }

// noAppToWrite is the 404 of writes, which lacks the details of reads.
func noAppToWrite(id string) *apiError {
	return fail(http.StatusNotFound, "App '%s' does not exist", id)
}

// noPath is the 404 of kills in what does not exist, or has no tasks.
func noPath(id string) *apiError { return fail(http.StatusNotFound, "Path '%s' does not exist", id) }

func noPod(id string) *apiError { return missing("Pod '%s' does not exist", id) }

func invalidShape(details ...detail) *apiError {
	return &apiError{http.StatusUnprocessableEntity, message{Message: "Invalid JSON", Details: details}}
}

func invalidObject(details ...detail) *apiError {
	return &apiError{http.StatusUnprocessableEntity, message{Message: "Object is not valid", Details: details}}
}

const lockedMessage = "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."

func locked(ids []string) *apiError {
	m := message{Message: lockedMessage}
	for _, id := range ids {
		m.Deployments = append(m.Deployments, ref{id})
	}
	return &apiError{http.StatusConflict, m}
}

// refusal is what Marathon answers to violations; nil if it takes the
// definition. Violations of Pacer's own rules (Status 0) do not count here.
func refusal(vs []manifests.Violation, prefix string, answer func(...detail) *apiError) error {
	var details []detail
	index := map[string]int{}
	for _, v := range vs {
		if v.Status == 0 || v.Warning {
			continue
		}
		if v.Status != http.StatusUnprocessableEntity {
			return fail(v.Status, "%s", v.Answer)
		}
		path := prefix + v.Path
		if v.Path == "" {
			path = prefix + "/"
		}
		i, seen := index[path]
		if !seen {
			i = len(details)
			index[path] = i
			details = append(details, detail{Path: path})
		}
		details[i].Errors = append(details[i].Errors, v.Answer)
	}
	if details == nil {
		return nil
	}
	return answer(details...)
}

// without cuts the places of Pacer's own violations (unknown fields) out of a
// tree, since Marathon ignores them; it says whether it cut anything.
func without(tree any, vs []manifests.Violation) bool {
	cut := false
	for _, v := range vs {
		if v.Status == 0 && !v.Warning && cutPath(tree, v.Path) {
			cut = true
		}
	}
	return cut
}

// cutPath deletes the member at a path in Marathon's notation: /a(0)/b.
func cutPath(tree any, path string) bool {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		name, index, indexed := strings.Cut(strings.TrimSuffix(part, ")"), "(")
		object, ok := tree.(map[string]any)
		if !ok {
			return false
		}
		if i == len(parts)-1 && !indexed {
			_, there := object[name]
			delete(object, name)
			return there
		}
		tree = object[name]
		if indexed {
			list, ok := tree.([]any)
			var n int
			if _, err := fmt.Sscanf(index, "%d", &n); err != nil || !ok || n < 0 || n >= len(list) {
				return false
			}
			tree = list[n]
		}
	}
	return false
}

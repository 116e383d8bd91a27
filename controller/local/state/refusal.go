package state

import (
	"encoding/json"
	"fmt"

	"github.com/pacer-gitops/pacer/manifests"
)

// Refusal is Marathon's answer to what it does not do, in its own words.
type Refusal struct {
	Status      int    `json:"-"` // of HTTP
	Message     string `json:"message"`
	Details     any    `json:"details,omitempty"` // []Detail, or text
	Deployments []Ref  `json:"deployments,omitempty"`
}

// Detail is what is wrong at one place of a definition.
type Detail struct {
	Path   string   `json:"path"`
	Errors []string `json:"errors"`
}

// Ref names a deployment.
type Ref struct {
	ID string `json:"id"`
}

// Error is the status and the body of the answer.
func (r *Refusal) Error() string {
	b, _ := json.Marshal(r) // made of strings only
	return fmt.Sprintf("%d: %s", r.Status, b)
}

// Refuse is an answer with a message alone.
func Refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Message: fmt.Sprintf(format, args...)}
}

// InvalidJSON is the answer to a body of the wrong shape.
func InvalidJSON(details ...Detail) *Refusal {
	return &Refusal{Status: 422, Message: "Invalid JSON", Details: details}
}

// Invalid is the answer to a definition that breaks a rule.
func Invalid(details ...Detail) *Refusal {
	return &Refusal{Status: 422, Message: "Object is not valid", Details: details}
}

// InvalidAt is Invalid for one error at one place.
func InvalidAt(path, format string, args ...any) *Refusal {
	return Invalid(Detail{path, []string{fmt.Sprintf(format, args...)}})
}

// Refused is what Marathon answers to violations of a definition, whose place in
// the body is prefix; nil if it takes the definition. Violations of Pacer's own
// rules (Status 0) do not count here. invalid words those of status 422.
func Refused(vs []manifests.Violation, prefix string, invalid func(...Detail) *Refusal) error {
	var details []Detail
	index := map[string]int{}
	for _, v := range vs {
		if v.Status == 0 || v.Warning {
			continue
		}
		if v.Status != 422 {
			return Refuse(v.Status, "%s", v.Answer)
		}
		path := prefix + v.Path
		if v.Path == "" {
			path = prefix + "/"
		}
		i, seen := index[path]
		if !seen {
			i = len(details)
			index[path] = i
			details = append(details, Detail{Path: path})
		}
		details[i].Errors = append(details[i].Errors, v.Answer)
	}
	if details == nil {
		return nil
	}
	return invalid(details...)
}

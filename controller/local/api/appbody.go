package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// readApp turns a part of a body into a checked app. base is the group that
// relative ids lie in; prefix is the app's place in the body.
func readApp(tree any, base, prefix string, c *manifests.Cluster) (*manifests.App, error) {
	a, err := decode(tree, prefix, manifests.DecodeApp)
	if err != nil {
		return nil, err
	}
	a.ID = manifests.AbsoluteID(base, a.ID)
	for n, on := range a.Dependencies {
		a.Dependencies[n] = manifests.AbsoluteID(base, on)
	}
	if err := state.Refused(manifests.ValidateApp(a, c), prefix, state.Invalid); err != nil {
		return nil, err
	}
	return a, lowerCaseOperator(a)
}

// decode reads a definition as Marathon does, which ignores what Pacer alone
// refuses, such as unknown fields.
func decode[T any](tree any, prefix string, read func(any) (*T, []manifests.Violation)) (*T, error) {
	v, vs := read(tree)
	if v == nil && without(tree, vs) {
		v, vs = read(tree)
	}
	if err := state.Refused(vs, prefix, state.InvalidJSON); err != nil || v != nil {
		return v, err
	}
	// It does not decode, though no rule of Marathon says why.
	d := state.Detail{Path: "/", Errors: []string{}}
	for _, v := range vs {
		d.Errors = append(d.Errors, v.Message)
	}
	return nil, state.InvalidJSON(d)
}

// without makes of a tree what Marathon reads of it where Pacer has rules of its own:
// what Marathon ignores is cut out, and what it reads as something else is that. It
// reports whether it changed anything.
func without(tree any, vs []manifests.Violation) bool {
	changed := false
	for _, v := range vs {
		switch {
		case v.Status != 0 || v.Warning:
		case v.Read != nil:
			object := maps.Clone(v.Read.Value)
			if object == nil {
				object = map[string]any{}
			}
			changed = replaceAt(tree, v.Read.Path, object) || changed
		default:
			changed = replaceAt(tree, v.Path, nil) || changed
		}
	}
	return changed
}

// replaceAt puts an object at a path in Marathon's notation, /a(0)/b, in the place of
// the value that is there; nil: it deletes that, unless it is in a list. It reports
// whether it did.
func replaceAt(tree any, path string, object map[string]any) bool {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		name, index, indexed := strings.Cut(strings.TrimSuffix(part, ")"), "(")
		above, ok := tree.(map[string]any)
		if !ok {
			return false
		}
		value, there := above[name]
		last := i == len(parts)-1
		switch {
		case !there:
			return false
		case indexed:
			list, ok := value.([]any)
			n, err := strconv.Atoi(index)
			if err != nil || !ok || n < 0 || n >= len(list) || last && object == nil {
				return false
			}
			if last {
				list[n] = object
				return true
			}
			tree = list[n]
		case !last:
			tree = value
		case object == nil:
			delete(above, name)
			return true
		default:
			above[name] = object
			return true
		}
	}
	return false
}

// lowerCaseOperator is how Marathon fails over an operator in lower case, which
// its validation lets pass. Pacer writes it in upper case.
func lowerCaseOperator(a *manifests.App) error {
	for _, c := range a.Constraints {
		if c.Operator != strings.ToUpper(c.Operator) {
			parts := []string{c.Field, c.Operator}
			if c.Value != nil {
				parts = append(parts, *c.Value)
			}
			return state.Refuse(http.StatusInternalServerError, "illegal constraint specification %s", strings.Join(parts, ","))
		}
	}
	return nil
}

// readUpdate reads the body of an update: in full, or laid over the live app.
func (c *call) readUpdate(o map[string]any, live *state.RunSpec, full bool, prefix string) (*manifests.App, error) {
	if full {
		delete(o, "version")
	} else if live != nil {
		o = overlay(live, o)
	}
	a, err := readApp(o, "/", prefix, c.cluster())
	if err == nil && full {
		a.ExecutorResources = nil // lost by this door
	}
	return a, err
}

// overlay is the live app with the members of an update in place of its own.
// Source: Marathon's AppHelpers and testdata/conformance/api/apps-crud.json.
func overlay(live *state.RunSpec, o map[string]any) map[string]any {
	merged := map[string]any{}
	if text, err := json.Marshal(live.App); err == nil {
		if b, err := parseBody(text); err == nil {
			merged = b.object()
		}
	}
	// An older form replaces what it has become.
	for old, now := range map[string]string{"ports": "portDefinitions", "uris": "fetch", "ipAddress": "networks", "networks": "container"} {
		if _, given := present(o, old); given {
			delete(merged, now)
		}
	}
	for _, lost := range []string{"resourceLimits", "executorResources"} {
		delete(merged, lost)
	}
	for k, v := range o {
		if v != nil {
			merged[k] = v
		}
	}
	return merged
}

// onlyVersion is the version that an update goes back to, if it has one, which
// must then be all that it has.
func onlyVersion(o map[string]any) (version string, given bool, err error) {
	v, given := present(o, "version")
	if !given {
		return "", false, nil
	}
	for k, other := range o {
		if k != "version" && k != "id" && other != nil {
			return "", true, state.InvalidAt("/", "The 'version' field may only be combined with the 'id' field.")
		}
	}
	text, isText := v.(string)
	if !isText {
		return "", true, invalidJSONAt("/version", "error.expected.jsstring")
	}
	return text, true, nil
}

func parseVersion(text string) (time.Time, error) {
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return when, state.Refuse(http.StatusUnprocessableEntity, "Invalid timestamp provided '%s'. Expecting ISO-8601 datetime string.", text)
	}
	return when, nil
}

package manifests

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// idSegments is Marathon's rule for ids: see MARATHON's AppDefinition and
// PathId (segments of lower-case letters, digits and inner "-", joined by dots).
var idSegments = regexp.MustCompile(`^(/[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)+$`)

// maxID bounds ids, in bytes. Marathon has no bound, but every group in an id
// costs something.
const maxID = 1000

// maxSegments bounds how deep an id lies in groups.
const maxSegments = 100

var errIDForm = errors.New(`is not an id: an id consists of lower-case letters, digits and "-", with "/" between groups, as in /shop/cart`)

// resolveID makes a written id absolute against base, as Marathon would:
// double and trailing slashes go. It refuses what Marathon refuses, and ".."
// except where climb allows it (dependencies).
func resolveID(text, base string, climb bool) (string, error) {
	if text == "" {
		return "", errors.New(`is empty: an id is needed, as in /shop/cart`)
	}
	if len(text) > maxID {
		return "", fmt.Errorf("is longer than %d bytes: shorten it", maxID)
	}
	var segments []string
	if !strings.HasPrefix(text, "/") {
		segments = splitID(base)
	}
	for _, s := range splitID(text) {
		switch {
		case s == "." && climb:
		case s == ".." && climb:
			if len(segments) == 0 {
				return "", errors.New(`climbs above the root group: there are too many ".."`)
			}
			segments = segments[:len(segments)-1]
		default:
			segments = append(segments, s)
		}
	}
	if len(segments) > maxSegments {
		return "", fmt.Errorf("lies deeper in groups than %d: shorten it", maxSegments)
	}
	id := "/" + strings.Join(segments, "/")
	switch {
	case len(id) > maxID:
		return "", fmt.Errorf("is longer than %d bytes with the group that it lies in: shorten it", maxID)
	case id != "/" && !idSegments.MatchString(id):
		return "", errIDForm
	}
	return id, nil
}

// splitID lists the segments of an id, without empty ones.
func splitID(id string) []string {
	return strings.FieldsFunc(id, func(r rune) bool { return r == '/' })
}

// joinID is an id without needless slashes and without the first one.
func joinID(id string) string { return strings.Join(splitID(id), "/") }

// ParentID is the group that a clean id stands in: / for one at the top, and for / itself.
func ParentID(id string) string {
	i := strings.LastIndexByte(id, '/')
	if i <= 0 {
		return "/"
	}
	return id[:i]
}

// Within reports whether a clean id is the group or lies in it.
func Within(id, group string) bool {
	if group == "/" || id == group {
		return true
	}
	return len(id) > len(group) && id[len(group)] == '/' && strings.HasPrefix(id, group)
}

// Overlap reports whether there are ids in both of two scopes.
func Overlap(a, b string) bool { return Within(a, b) || Within(b, a) }

// checkScope refuses an id that a sync may not touch.
func checkScope(id, scope string) error {
	if Within(id, scope) {
		return nil
	}
	return fmt.Errorf("lies outside of %s: a sync touches only its scope", scope)
}

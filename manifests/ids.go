package manifests

import (
	"slices"
	"strings"
)

// AbsoluteID resolves an id against the group base, as Marathon does
// (PathId.canonicalPath): double and trailing slashes are dropped, "." and ".."
// are followed. Marathon resolves relative ids against the root everywhere but
// in a group.
func AbsoluteID(base, id string) string {
	if isCanonicalID(id) {
		return id
	}
	var parts []string
	if !strings.HasPrefix(id, "/") {
		parts = splitID(base)
	}
	for _, part := range splitID(id) {
		switch part {
		case ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	return "/" + strings.Join(parts, "/")
}

// isCanonicalID is the fast way out for the ids that Marathon shows.
func isCanonicalID(id string) bool {
	if len(id) < 2 || id[0] != '/' || id[len(id)-1] == '/' {
		return id == "/"
	}
	return !strings.Contains(id, "//") && !strings.Contains(id, "/.")
}

// absoluteIDs resolves a set of ids.
func absoluteIDs(base string, ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	for i, id := range ids {
		if !isCanonicalID(id) {
			ids = slices.Clone(ids)
			for j := i; j < len(ids); j++ {
				ids[j] = AbsoluteID(base, ids[j])
			}
			break
		}
	}
	return sortedSet(ids)
}

// topLevel is the top-level group that an absolute id lies in. An app in the
// root is in none.
func topLevel(id string) (group string, nested bool) {
	if len(id) < 2 {
		return "", false
	}
	if i := strings.IndexByte(id[1:], '/'); i >= 0 {
		return id[:i+1], true
	}
	return "", false
}

func isTopLevel(id string) bool {
	return len(id) > 1 && strings.LastIndexByte(id, '/') == 0
}

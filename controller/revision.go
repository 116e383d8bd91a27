package controller

import (
	"strings"

	"github.com/pacer-gitops/pacer/controller/plan"
)

// contentHash begins the revisions of directories.
const contentHash = plan.ContentHash

// ShortRevision is how a revision is shown to people. IsRevision takes it.
func ShortRevision(id string) string { return plan.ShortRevision(id) }

// IsRevision reports whether a revision is the one that a person gave, whole or
// the beginning of it, with or without sha256: in front. Given nothing, any is.
func IsRevision(id, given string) bool {
	return strings.HasPrefix(id, given) || strings.HasPrefix(id, contentHash+given)
}

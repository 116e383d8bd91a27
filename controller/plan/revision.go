package plan

import "strings"

// ContentHash begins the revisions of directories.
const ContentHash = "sha256:"

// ShortRevision shortens a commit, or the hash of a directory's content, for
// people: to 8 digits.
func ShortRevision(id string) string {
	const digits = 8
	hash, hashed := strings.CutPrefix(id, ContentHash)
	hash = hash[:min(digits, len(hash))]
	if hashed {
		return ContentHash + hash
	}
	return hash
}

// IsRevision reports whether a revision is the one that a person gave, whole or
// the beginning of it, with or without sha256: in front. Given nothing, any is.
func IsRevision(id, given string) bool {
	return strings.HasPrefix(id, given) || strings.HasPrefix(id, ContentHash+given)
}

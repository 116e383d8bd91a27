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

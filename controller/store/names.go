package store

import (
	"fmt"
	"net/url"
	"strings"
)

// longestName is what every file system takes, less what setting aside adds.
const longestName = 200

// escaped is the name of a sync as that of a file or node. Characters beside a-z,
// 0-9, - and _ are written as %XX: names differ on file systems that do not tell A
// from a, too.
func escaped(sync string) (string, error) {
	var b strings.Builder
	for _, c := range []byte(sync) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() == 0 || b.Len() > longestName {
		return "", fmt.Errorf("the name must have 1 to %d characters; each other than a-z, 0-9, - and _ counts as three", longestName)
	}
	return b.String(), nil
}

// unescaped is the sync of a name, where it is one.
func unescaped(name string) (sync string, ok bool) {
	sync, err := url.PathUnescape(name)
	if err != nil {
		return "", false
	}
	again, err := escaped(sync)
	return sync, err == nil && again == name
}

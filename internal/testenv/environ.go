package testenv

import (
	"os"
	"slices"
	"strings"
)

// Environ is the environment for git, and for what runs it, without git's variables:
// where git itself runs the tests, as a hook or git bisect run does, GIT_DIR is the
// repository of who runs them, and the test's commits and settings would go there.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
}

package sources

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// docs/configuration.md promises the limits; its lines are made of the numbers here.
func TestDocumentedLimits(t *testing.T) {
	content, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{}.withDefaults()
	for _, line := range []string{
		fmt.Sprintf("a file that is read | %d MiB;", l.FileBytes>>20),
		fmt.Sprintf("files and folders of a snapshot | %s, %d deep; %d bytes per name; %d MiB of files, %d MiB of folders |", thousands(l.Files), l.Depth, maxName, l.TotalBytes>>20, maxFolders>>20),
		fmt.Sprintf("a pack on the wire | %d GiB, %s objects |", l.FetchBytes>>30, thousands(l.Objects)),
		fmt.Sprintf("including the results of its deltas | %d GiB,", l.InflatedBytes>>30),
		fmt.Sprintf("a base of a file that is read | %d MiB |", l.ObjectBytes>>20),
		fmt.Sprintf("a chain of deltas | %s, which expand to %d MiB |", thousands(gitpack.MaxDepth), gitpack.MaxChain>>20),
		fmt.Sprintf("a branch name | %d bytes;", maxShown),
		fmt.Sprintf("an operation on a git server | 2 min; %.0f s without a byte", maxStall.Seconds()),
	} {
		if !strings.Contains(string(content), line) {
			t.Errorf("docs/configuration.md does not say %q", line)
		}
	}
}

// thousands writes a number with a comma after each three digits.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

package manifests

import (
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// substitution is what ${NAME} is replaced by in one file.
type substitution struct {
	values  map[string]string
	longest int // name, in bytes
	room    int // bytes by which the texts of the file may still grow; below 0: too much
}

// newSubstitution lets the texts of a file grow by so many bytes in all: a few
// letters of it stand for a value as long as the configuration likes.
func newSubstitution(values map[string]string, room int) substitution {
	s := substitution{values: values, room: room}
	for name := range values {
		s.longest = max(s.longest, len(name))
	}
	return s
}

// replace replaces ${NAME} in every string value, never in keys, for the
// names given and for no others. $${NAME} stands for a literal ${NAME} of such a
// name. What is put in is not looked at again.
func (s *substitution) replace(n *syntax.Node) {
	if len(s.values) == 0 || s.room < 0 {
		return
	}
	if n.Kind == syntax.String {
		n.Text = s.expand(n.Text)
	}
	for _, m := range n.Members {
		s.replace(m.Value)
	}
}

func (s *substitution) expand(text string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	var b strings.Builder
	for s.room >= 0 {
		before, after, found := strings.Cut(text, "${")
		if !found {
			break
		}
		name, _, closed := strings.Cut(after[:min(len(after), s.longest+1)], "}")
		value, known := s.values[name]
		switch {
		case !closed || !known:
			b.WriteString(before + "${")
			text = after
			continue
		case strings.HasSuffix(before, "$"):
			b.WriteString(before + "{" + name + "}")
		default:
			s.room -= len(value)
			b.WriteString(before + value)
		}
		text = after[len(name)+1:]
	}
	return b.String() + text
}

package manifests

import "strings"

// substitute replaces ${NAME} in every string value, never in keys, for the
// names given and for no others. $${NAME} stands for a literal ${NAME} of such a
// name. What is put in is not looked at again.
func (n *node) substitute(values map[string]string) {
	if len(values) == 0 {
		return
	}
	if n.kind == stringNode {
		n.text = expand(n.text, values)
	}
	for _, m := range n.members {
		m.value.substitute(values)
	}
}

func expand(text string, values map[string]string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			return b.String() + text
		}
		name, rest, closed := strings.Cut(after, "}")
		value, known := values[name]
		switch {
		case !closed || !known:
			b.WriteString(before + "${")
			text = after
			continue
		case strings.HasSuffix(before, "$"):
			b.WriteString(before + "{" + name + "}")
		default:
			b.WriteString(before + value)
		}
		text = rest
	}
}

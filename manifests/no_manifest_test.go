package manifests

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// A file that is no manifest is told to be none, once, and nothing else of it;
// what is or may be one is read to its end.
func TestNoManifestIsToldOnce(t *testing.T) {
	const playbook = "- hosts: all\n  debug: yes\n  vars: &v {a: 1}\n- hosts: web\n  vars: *v\n  mode: 0644\n"
	for name, c := range map[string]struct {
		file string
		want []string // what the messages begin with
	}{
		"an object":       {"openapi: 3.0.0\npaths:\n  /a:\n    200: {on: off}\n    404: &x {}\n", []string{"1:1 none of the keys"}},
		"a known one":     {"x: &x {a: yes}\nservices:\n  a:\n    <<: *x\n", []string{"1:1 this looks like a Compose file"}},
		"a list":          {playbook, []string{"1:1 a list in which nothing is an app, pod or group"}},
		"a list of text":  {"[a, 1, yes, ~]", []string{"1:1 a list in which nothing is an app, pod or group"}},
		"documents":       {"kind: Service\napiVersion: v1\n---\nkind: Role\nrules: [y]\n---\n" + playbook, []string{"1:1 this looks like a manifest of Kubernetes"}},
		"keys brought in": {"x-base: &b {cmd: sleep 1}\n<<: *b\nother: yes\n", []string{"1:1 none of the keys", `2:1 merge keys ("<<")`}},
		"an app":          {"id: /a\ncmd: sleep 1\nlabels: {a: yes, b: 0644}\n", []string{"3:13 yes is", "3:21 digits after a zero"}},
		"an app among others": {"a: yes\n---\nid: /a\ncmd: yes\n---\n- b: no\n", []string{
			"1:1 none of the keys", "4:6 yes is", "6:1 a list in which nothing"}},
		"an app in a list": {"- a: yes\n- id: /a\n  cmd: yes\n", []string{"1:3 none of the keys", "3:8 yes is"}},
	} {
		d := NewReader().Read(fstest.MapFS{"a.yaml": {Data: []byte(c.file)}}, Options{})
		var got []string
		for i, p := range d.Problems {
			text := itoa(p.Line) + ":" + itoa(p.Column) + " " + p.Message
			if i < len(c.want) && strings.HasPrefix(text, c.want[i]) {
				text = c.want[i]
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if (name != "an app") != (len(d.Unreadable) > 0) {
			t.Errorf("%s: unreadable: %q", name, d.Unreadable)
		}
	}
}

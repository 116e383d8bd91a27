package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReadsMarathonsAnswers: what a real Marathon answered can be put into a
// repository as it is, in both forms.
func TestReadsMarathonsAnswers(t *testing.T) {
	for _, kind := range []string{"app", "pod"} {
		data, err := os.ReadFile("../testdata/conformance/" + kind + "-transitions.json")
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct {
			Name       string
			LiveBefore json.RawMessage
		}
		if err := json.Unmarshal(data, &cases); err != nil {
			t.Fatal(err)
		}
		cluster := DefaultCluster()
		cluster.Features = []string{"external_volumes", "gpu_resources", "secrets", "task_killing", "vips"}
		read := 0
		for _, c := range cases {
			if len(c.LiveBefore) == 0 || string(c.LiveBefore) == "null" {
				continue
			}
			content := string(c.LiveBefore)
			if kind == "app" {
				content = fmt.Sprintf(`{"apps": [%s]}`, content)
			}
			d := NewReader().Read(oneFile("a.json", content), Options{Cluster: cluster})
			for _, p := range d.Problems {
				if p.Severity == SeverityError {
					t.Errorf("%s: %s", c.Name, p)
				}
			}
			if len(d.Items) != 1 {
				continue
			}
			read++
			checkRoundTrip(t, c.Name, d, cluster)
		}
		if read < len(cases)/2 {
			t.Errorf("only %d of %d %ss were read", read, len(cases), kind)
		}
		t.Logf("%d of %d %ss", read, len(cases), kind)
	}
}

// checkRoundTrip renders a desired state, reads that and renders it again.
func checkRoundTrip(t *testing.T, name string, d Desired, cluster Cluster) {
	t.Helper()
	for _, format := range []string{FormatJSON, FormatYAML} {
		rendered, err := Render(d, cluster, format)
		if err != nil {
			t.Fatal(err)
		}
		again := NewReader().Read(oneFile("r."+format, string(rendered)), Options{Cluster: cluster})
		twice, err := Render(again, cluster, format)
		if err != nil || string(twice) != string(rendered) {
			t.Errorf("%s as %s: %v %q", name, format, err, texts(again))
		}
	}
}

// TestReadsGroupsAnswer: what GET /v2/groups answers, where each pod stands
// under its status, can be put into a repository as it is.
func TestReadsGroupsAnswer(t *testing.T) {
	data, err := os.ReadFile("../testdata/conformance/api/pods.json")
	if err != nil {
		t.Fatal(err)
	}
	var conversation struct {
		Steps []struct {
			Request struct{ Method, Path string }
			Body    json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &conversation); err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, s := range conversation.Steps {
		if s.Request.Method != "GET" || !strings.HasPrefix(s.Request.Path, "/v2/groups") {
			continue
		}
		d := NewReader().Read(oneFile("a.json", string(s.Body)), Options{Scope: "/"})
		for _, p := range d.Problems {
			if p.Severity == SeverityError {
				t.Errorf("%s: %s", s.Request.Path, p)
			}
		}
		for _, item := range d.Items {
			if item.Kind == KindPod && len(item.Pod.Containers) > 0 {
				pods++
			}
		}
	}
	if pods == 0 {
		t.Error("no pod was read")
	}
}

package reconcile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	runtimemetrics "runtime/metrics"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/meter"
)

// Whatever manifests may say comes back as it was, with what could not be read.
func TestWhatIsKeptIsWhole(t *testing.T) {
	tree := fstest.MapFS{
		"broken.yaml":   {Data: []byte("id: /shop/broken\ncpus: many\ncmd: x\n")},
		"half.json":     {Data: []byte(`{"id": `)},
		"group/g.yaml":  {Data: []byte("id: /shop/group\ndependencies: [/shop/a]\napps: []\n")},
		"group/pod.yml": {Data: []byte("id: /shop/group/pod\ncontainers:\n- {name: c, resources: {cpus: 0.1, mem: 32}, exec: {command: {shell: sleep 1}}}\nscaling: {kind: fixed, instances: 0}\n")},
		"a.json":        {Data: []byte(`{"id": "/shop/a", "cmd": "echo <&> é \u2028", "cpus": 0.1, "mem": 32.5, "instances": 0, "portDefinitions": [], "constraints": [["a", "UNIQUE"]], "labels": {}, "env": {"A": "", "S": {"secret": "s"}}, "secrets": {"s": {"source": "/s"}}, "unreachableStrategy": "disabled", "backoffFactor": 1.15}`)},
	}
	recordings, err := filepath.Glob("../../testdata/conformance/api/*.json")
	if err != nil || len(recordings) == 0 {
		t.Fatal("no recordings: ", err)
	}
	for i, name := range recordings {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for j, body := range bodiesIn(text) {
			tree[fmt.Sprintf("recorded/%d-%d.json", i, j)] = &fstest.MapFile{Data: body}
		}
	}
	want := manifests.NewReader().Read(tree, manifests.Options{Scope: "/shop", Cluster: manifests.DefaultCluster()})
	if len(want.Items) < 20 || len(want.Broken) == 0 || len(want.Unreadable) == 0 || len(want.Problems) == 0 {
		t.Fatalf("the sample is too tame: %d items, %d broken, %d unreadable", len(want.Items), len(want.Broken), len(want.Unreadable))
	}
	content, sum, err := Pack(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpack(content, sum)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if again, same, err := Pack(got); err != nil || same != sum || !bytes.Equal(again, content) {
		t.Errorf("packed again it has another checksum: %v", err)
	}
}

// bodiesIn lists the app definitions that a recording sent.
func bodiesIn(text []byte) [][]byte {
	var bodies [][]byte
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if id, ok := v["id"].(string); ok && strings.HasPrefix(id, "/") && v["cmd"] != nil && v["tasks"] == nil {
				v = maps.Clone(v)
				v["id"] = "/shop/recorded/" + fmt.Sprint(len(bodies)) + strings.ReplaceAll(id, "/", "-")
				if body, err := json.Marshal(v); err == nil {
					bodies = append(bodies, body)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	var tree any
	if json.Unmarshal(text, &tree) == nil {
		walk(tree)
	}
	return bodies
}

// TestKeptBombs: what is kept expands to no more than a revision may ask for.
func TestKeptBombs(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, `{"format":1,"items":[`)
	for range 200 {
		_, _ = io.WriteString(z, strings.Repeat("{},", 1<<18))
	}
	_ = z.Close()
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	runtimemetrics.Read(sample)
	before := sample[0].Value.Uint64()
	_, err := unpack(b.Bytes(), strings.Repeat("0", 64))
	runtimemetrics.Read(sample)
	if n := sample[0].Value.Uint64() - before; !errors.Is(err, errNotKept) || !errors.Is(err, meter.ErrTooLarge) || n > 64<<20 {
		t.Errorf("%d KiB of gzip: %d MiB allocated, %v", b.Len()>>10, n>>20, err)
	}
}

func TestUnpackRefusesWhatItDidNotPack(t *testing.T) {
	content, sum, err := Pack(manifests.Desired{Unreadable: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range content {
		damaged := bytes.Clone(content)
		damaged[i] ^= 0x10
		if d, err := unpack(damaged, sum); err == nil && len(d.Unreadable) != 1 {
			t.Fatalf("byte %d changed: %+v", i, d)
		}
		if _, err := unpack(content[:i], sum); !errors.Is(err, errNotKept) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
	}
}

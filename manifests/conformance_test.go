package manifests

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// transition is one recording of testdata/conformance: what a real Marathon
// 1.11.26 did when after was put over liveBefore.
type transition struct {
	Name       string          `json:"name"`
	LiveBefore json.RawMessage `json:"liveBefore"`
	After      json.RawMessage `json:"after"`
	LiveAfter  json.RawMessage `json:"liveAfter"`
	Status     int             `json:"status"`
	Outcome    string          `json:"outcome"`
	Error      marathonError   `json:"error"`
}

type marathonError struct {
	Message string          `json:"message"`
	Details json.RawMessage `json:"details"`
}

// complaints are the paths and words of an answer. One without details
// complains about the definition as a whole.
func (e marathonError) complaints() map[string][]string {
	var details []struct {
		Path   string   `json:"path"`
		Errors []string `json:"errors"`
	}
	if err := json.Unmarshal(e.Details, &details); err != nil {
		return map[string][]string{"/": {e.Message}}
	}
	m := map[string][]string{}
	for _, d := range details {
		m[d.Path] = append(m[d.Path], d.Errors...)
		slices.Sort(m[d.Path])
	}
	return m
}

// complaints are those of them that Marathon would have.
func complaints(violations []Violation) map[string][]string {
	m := map[string][]string{}
	for _, v := range violations {
		if v.Status != 0 && !v.Warning {
			m[v.Path] = append(m[v.Path], v.Answer)
			slices.Sort(m[v.Path])
		}
	}
	return m
}

// Where Pacer differs on purpose from what was recorded.
var (
	// unknownFields: Marathon takes an unknown field in silence, Pacer refuses it.
	unknownFields = []string{"unknown-field"}
	// lostWithLeader: Marathon loses tty: false when its leader changes, so
	// Pacer counts it as absent, and sees no difference where Marathon saw one.
	lostWithLeader = []string{"tty-false"}
)

func isCase(name string, kinds []string) bool {
	_, kind, _ := strings.Cut(name, ".")
	return slices.Contains(kinds, kind)
}

func recording(t testing.TB, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func parseTree(t testing.TB, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return tree
}

func errorsOf(violations []Violation) []Violation {
	return slices.DeleteFunc(slices.Clone(violations), func(v Violation) bool { return v.Warning })
}

func unmarshal[T any](t testing.TB, b []byte) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// rules are the functions of one kind of definition, for tests that hold for
// apps and pods alike.
type rules[T any] struct {
	decode    func(any) (*T, []Violation)
	validate  func(*T, *Cluster) []Violation
	normalise func(d, live *T, c *Cluster) *T
	compare   func(live, desired *T) Comparison
	hash      func(*T) string
	trim      func(*T, *Cluster) *T
}

var (
	appRules = rules[App]{DecodeApp, ValidateApp, NormaliseApp, CompareApps, HashApp, TrimApp}
	podRules = rules[Pod]{DecodePod, ValidatePod, NormalisePod, ComparePods, HashPod, TrimPod}
)

func TestAppTransitions(t *testing.T) {
	var cases []transition
	recording(t, "conformance/app-transitions.json", &cases)
	if len(cases) != 403 {
		t.Fatalf("%d cases, want 403", len(cases))
	}
	testTransitions(t, appRules, cases)
}

func TestPodTransitions(t *testing.T) {
	var cases []transition
	recording(t, "conformance/pod-transitions.json", &cases)
	if len(cases) != 40 {
		t.Fatalf("%d cases, want 40", len(cases))
	}
	testTransitions(t, podRules, cases)
}

func testTransitions[T any](t *testing.T, r rules[T], cases []transition) {
	cluster := DefaultCluster()
	for _, tr := range cases {
		t.Run(tr.Name, func(t *testing.T) {
			if isCase(tr.Name, unknownFields) {
				r.wantUnknownField(t, tr)
				return
			}
			definition, violations := r.decode(parseTree(t, tr.After))
			if definition != nil {
				violations = append(violations, r.validate(definition, &cluster)...)
			}
			liveBefore := r.normalise(unmarshal[T](t, tr.LiveBefore), nil, &cluster)
			if tr.Outcome == "rejected" {
				r.wantRejected(t, tr, definition, liveBefore, violations, &cluster)
				return
			}
			if errs := errorsOf(violations); len(errs) > 0 {
				t.Fatalf("refused, but Marathon took it: %+v", errs)
			}
			want := tr.Outcome
			if isCase(tr.Name, lostWithLeader) {
				want = string(EffectNone)
			}
			desired := r.normalise(definition, liveBefore, &cluster)
			got := r.compare(liveBefore, desired)
			if string(got.Effect) != want || len(got.Refused) > 0 {
				t.Errorf("outcome %s (%+v, refused %+v), want %s", got.Effect, got.Fields, got.Refused, want)
			}
			if (len(got.Fields) == 0) != (got.Effect == EffectNone) {
				t.Errorf("effect %s with fields %+v", got.Effect, got.Fields)
			}
			liveAfter := r.normalise(unmarshal[T](t, tr.LiveAfter), nil, &cluster)
			desired = r.normalise(definition, liveAfter, &cluster)
			if c := r.compare(liveAfter, desired); c.Effect != EffectNone {
				t.Errorf("over liveAfter: %s %+v, want none", c.Effect, c.Fields)
			}
			if r.hash(liveAfter) != r.hash(desired) {
				t.Error("equal definitions with different hashes")
			}
			wantRendered(t, tr, desired)
		})
	}
}

func (r rules[T]) wantUnknownField(t *testing.T, tr transition) {
	_, violations := r.decode(parseTree(t, tr.After))
	errs := errorsOf(violations)
	if len(errs) != 1 || errs[0].Status != 0 || !strings.HasPrefix(errs[0].Message, "unknown field") {
		t.Errorf("got %+v, want one unknown field", errs)
	}
}

func (r rules[T]) wantRejected(t *testing.T, tr transition, definition, live *T, violations []Violation, c *Cluster) {
	if definition != nil && len(errorsOf(violations)) == 0 {
		violations = r.compare(live, r.normalise(definition, live, c)).Refused
	}
	if diff := cmp.Diff(tr.Error.complaints(), complaints(violations)); diff != "" {
		t.Errorf("complaints, Marathon's - and ours +:\n%s", diff)
	}
	for _, v := range violations {
		if v.Status != 0 && !v.Warning && v.Status != tr.Status {
			t.Errorf("status %d of %+v, want %d", v.Status, v, tr.Status)
		}
	}
	if !slices.ContainsFunc(violations, func(v Violation) bool { return v.Message != "" }) {
		t.Errorf("no message for a person: %+v", violations)
	}
}

// wantRendered holds the normal form against what Marathon showed afterwards,
// member by member.
func wantRendered(t *testing.T, tr transition, desired any) {
	b, err := json.Marshal(desired)
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(tr.LiveAfter, &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "residency") // computed by Marathon
	if isCase(tr.Name, lostWithLeader) {
		delete(want, "tty")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("normal form, Marathon's - and ours +:\n%s", diff)
	}
}

// TestRecordedErrors holds the bad requests of testdata/conformance/api against
// what would be found offline.
func TestRecordedErrors(t *testing.T) {
	var errorsRecording struct {
		Steps []struct {
			Note    string `json:"note"`
			Status  int    `json:"status"`
			Request struct {
				Method string          `json:"method"`
				Path   string          `json:"path"`
				Body   json.RawMessage `json:"body"`
				Raw    *string         `json:"raw"`
			} `json:"request"`
			Body marathonError `json:"body"`
		} `json:"steps"`
	}
	recording(t, "conformance/api/errors.json", &errorsRecording)
	// What depends on the request or on what else there is, not on the definition.
	elsewhere := []string{"wrong content type", "an app where a group is", "an app below an app", "a pod where an app is"}
	cluster := DefaultCluster()
	checked := 0
	for _, s := range errorsRecording.Steps {
		if s.Request.Raw != nil || slices.Contains(elsewhere, s.Note) || !strings.Contains(" POST PUT ", " "+s.Request.Method+" ") {
			continue
		}
		var violations []Violation
		switch {
		case strings.HasPrefix(s.Request.Path, "/v2/apps"):
			violations = check(appRules, parseTree(t, s.Request.Body), &cluster)
		case strings.HasPrefix(s.Request.Path, "/v2/pods"):
			violations = check(podRules, parseTree(t, s.Request.Body), &cluster)
		case strings.HasPrefix(s.Request.Path, "/v2/groups"):
			_, violations = DecodeGroup(parseTree(t, s.Request.Body))
		default:
			continue
		}
		checked++
		want := map[string][]string{}
		if s.Status >= 300 {
			want = s.Body.complaints()
		}
		if diff := cmp.Diff(want, complaints(violations)); diff != "" {
			t.Errorf("%s: complaints, Marathon's - and ours +:\n%s", s.Note, diff)
		}
	}
	if checked < 24 {
		t.Errorf("%d requests checked: the recording was not read", checked)
	}
}

func check[T any](r rules[T], tree any, c *Cluster) []Violation {
	definition, violations := r.decode(tree)
	if definition != nil {
		violations = append(violations, r.validate(definition, c)...)
	}
	return violations
}

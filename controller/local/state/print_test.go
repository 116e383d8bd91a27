package state

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestDoublesPrintAsMarathonsDo(t *testing.T) {
	for text, want := range map[string]string{
		`{"cpus":1,"mem":128}`:                                          `{"cpus":1.0,"mem":128.0}`,
		`{"cpus":1.5,"instances":1,"gpus":0}`:                           `{"cpus":1.5,"instances":1,"gpus":0}`,
		`{"scheduling":{"backoff":{"backoff":1,"backoffFactor":1.15}}}`: `{"scheduling":{"backoff":{"backoff":1.0,"backoffFactor":1.15}}}`,
		`{"env":{"cpus":"1"},"cmd":"echo '\"cpus\":1,'"}`:               `{"env":{"cpus":"1"},"cmd":"echo '\"cpus\":1,'"}`,
		`{"resourceLimits":{"cpus":"unlimited","mem":64}}`:              `{"resourceLimits":{"cpus":"unlimited","mem":64.0}}`,
		`{"disk":1e21}`: `{"disk":1e21}`,
		``:              ``, `{"cpus":`: `{"cpus":`,
	} {
		if got := string(WithDoubles(json.RawMessage(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestDoublesChangeNoValue: whatever the strings hold, only the look of numbers
// changes, and doing it twice is doing it once.
func TestDoublesChangeNoValue(t *testing.T) {
	rapid.Check(t, func(p *rapid.T) {
		word := rapid.OneOf(rapid.SampledFrom([]string{"cpus", `"cpus":1`, `\"mem\":2,`, `":`, "disk"}), rapid.String())
		tree := map[string]any{
			"cpus": rapid.IntRange(-3, 3).Draw(p, "cpus"), "mem": rapid.Float64().Draw(p, "mem"),
			"env": rapid.MapOf(word, word).Draw(p, "env"), "args": rapid.SliceOf(word).Draw(p, "args"),
		}
		text, err := Encode(tree)
		if err != nil {
			p.Fatal(err)
		}
		got := WithDoubles(text)
		if !bytes.Equal(WithDoubles(got), got) {
			p.Errorf("%s is not stable", got)
		}
		var was, is any
		if err := json.Unmarshal(text, &was); err != nil {
			p.Fatal(err)
		}
		if err := json.Unmarshal(got, &is); err != nil {
			p.Fatalf("%v: %s", err, got)
		}
		a, _ := json.Marshal(was)
		b, _ := json.Marshal(is)
		if !bytes.Equal(a, b) {
			p.Errorf("%s became %s", a, b)
		}
	})
}

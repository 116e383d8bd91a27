package secret

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const canary = "hunter2"

func TestReadTakesTheSecretAsItIsNow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PACER_TEST_SECRET", canary)
	write(" " + canary + "\r\n")
	for name, r := range map[string]Ref{"file": {File: file}, "environment": {Env: "PACER_TEST_SECRET"}, "value": Value(canary)} {
		if got, err := r.Read(); got != canary || err != nil || !r.IsSet() {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	write("rotated")
	if got, err := (Ref{File: file}).Read(); got != "rotated" || err != nil {
		t.Errorf("a rotated secret: %q, %v", got, err)
	}
	write(" \n")
	for want, r := range map[string]Ref{
		"is empty: write":                                 {File: file},
		"secret: open " + file + "x":                      {File: file + "x"},
		"environment variable PACER_TEST_NONE is not set": {Env: "PACER_TEST_NONE"},
		"both as file":                                    {File: file, Env: "PACER_TEST_SECRET"},
	} {
		if got, err := r.Read(); err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v: expected an error with %q", got, err, want)
		}
	}
	if got, err := (Ref{}).Read(); got != "" || err != nil || (Ref{}).IsSet() {
		t.Errorf("no secret: %q, %v", got, err)
	}
}

func TestNoWayOfPrintingShowsTheSecret(t *testing.T) {
	holder := struct {
		Auth struct{ Password Ref }
		kept Ref
	}{kept: Value(canary)}
	holder.Auth.Password = Value(canary)
	text := fmt.Sprintf("%v %+v %#v %s %v", holder, holder, holder, Value(canary), &holder)
	encoded, err := json.Marshal(holder.Auth)
	if strings.Contains(text+string(encoded), canary) || err != nil {
		t.Errorf("%s %s %v", text, encoded, err)
	}
	if got := fmt.Sprint(Ref{File: "/run/a"}, " ", Ref{Env: "A"}); got != "file:/run/a env:A" {
		t.Errorf("a reference prints as %s", got)
	}
}

func TestAReferenceIsReadFromYAML(t *testing.T) {
	for text, want := range map[string]Ref{
		"{file: /run/a}": {File: "/run/a"}, "file:/run/a": {File: "/run/a"}, "{env: A}": {Env: "A"}, "env:A": {Env: "A"},
		canary: {}, "{file: a, env: B}": {}, "{value: a}": {}, "[a]": {}, "'file:'": {}, "{}": {},
	} {
		var got Ref
		err := yaml.Unmarshal([]byte(text), &got)
		switch {
		case want.IsSet() && (err != nil || got != want):
			t.Errorf("%s: %v, %v", text, got, err)
		case !want.IsSet() && (err == nil || strings.Contains(err.Error(), canary)):
			t.Errorf("%s is taken, or shown: %v", text, err)
		}
	}
}

package plan

import "testing"

func TestShortRevision(t *testing.T) {
	for id, want := range map[string]string{
		"3f9c2a71d0e84b6c": "3f9c2a71", "abc": "abc", "": "",
		"sha256:0123456789abcdef": "sha256:01234567", "sha256:": "sha256:",
	} {
		got := ShortRevision(id)
		if got != want {
			t.Errorf("ShortRevision(%q) = %q, want %q", id, got, want)
		}
		if !IsRevision(id, got) {
			t.Errorf("%q is not taken for %q", got, id)
		}
	}
}

func TestIsRevision(t *testing.T) {
	for _, c := range []struct {
		id, given string
		want      bool
	}{
		{"3f9c2a71d0e8", "3f9c", true}, {"3f9c2a71d0e8", "", true}, {"3f9c2a71d0e8", "9c", false}, {"", "3f", false},
		{"sha256:0123456789", "sha256:0123", true}, {"sha256:0123456789", "0123", true}, {"sha256:0123456789", "sha", true},
		{"0123456789", "sha256:0123", false},
	} {
		if got := IsRevision(c.id, c.given); got != c.want {
			t.Errorf("IsRevision(%q, %q) = %v, want %v", c.id, c.given, got, c.want)
		}
	}
}

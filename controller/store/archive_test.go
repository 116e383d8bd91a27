package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func checksum(c string) string { return strings.Repeat(c, 64) }

func TestArchiveKeepsContentOfEachSync(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		f := open()
		// The name of one begins as that of another and a checksum of its do.
		names := []string{"shop", "shop-" + strings.Repeat("a", sumLength), "Shop", "../etc", strings.Repeat("x", longestName)}
		for _, name := range names {
			for _, c := range []string{"a", "b", "c"} {
				for range 2 { // again does no harm
					if err := f.Keep(t.Context(), name, checksum(c), []byte(name+c)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		saved(t, f, "shop", sample(1))
		if err := f.Retain(t.Context(), "shop", []string{checksum("b")}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		f = open()
		for _, name := range names {
			for _, c := range []string{"a", "b", "c"} {
				got, err := f.Recall(t.Context(), name, checksum(c))
				switch gone := name == "shop" && c != "b"; {
				case gone && !errors.Is(err, os.ErrNotExist):
					t.Errorf("%s %s: %q, %v: want it gone", name, c, got, err)
				case !gone && (err != nil || string(got) != name+c):
					t.Errorf("%s %s: %q, %v", name, c, got, err)
				}
			}
		}
		holds(t, f, "shop", sample(1))
	})
}

func TestFilesCannotBeReadByOthers(t *testing.T) {
	folder := t.TempDir()
	f := open(t, folder)
	saved(t, f, "shop", sample(1))
	if err := f.Keep(t.Context(), "shop", checksum("a"), []byte("content")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

// What is damaged is whole again once it is kept anew.
func TestArchiveMendsWhatIsKeptAgain(t *testing.T) {
	folder := t.TempDir()
	f := open(t, folder)
	for range 2 {
		if err := f.Keep(t.Context(), "shop", checksum("a"), []byte("whole")); err != nil {
			t.Fatal(err)
		}
		got, err := f.Recall(t.Context(), "shop", checksum("a"))
		if err != nil || string(got) != "whole" {
			t.Fatalf("%q, %v", got, err)
		}
		kept, err := filepath.Glob(filepath.Join(folder, keptPrefix+"*"))
		if err != nil || len(kept) != 1 {
			t.Fatal(kept, err)
		}
		if err := os.WriteFile(kept[0], []byte("wh"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchiveRefusals(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		f := open()
		for _, sum := range []string{"", "../../x", strings.Repeat("z", 64), "abcd"} {
			if err := f.Keep(t.Context(), "shop", sum, nil); err == nil {
				t.Errorf("%q is taken for a checksum", sum)
			}
		}
		if err := f.Keep(t.Context(), "", checksum("a"), nil); err == nil {
			t.Error("a sync without a name is taken")
		}
		f.Close()
		if err := f.Keep(t.Context(), "shop", checksum("a"), nil); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Keep after Close: %v", err)
		}
		if err := f.Retain(t.Context(), "shop", nil); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Retain after Close: %v", err)
		}
	})
}

func TestAskedInWords(t *testing.T) {
	person := Asked{By: AskedByPerson, Verb: "rollback", User: "ada", Token: "act", Address: "10.0.0.7", Reason: "it hangs"}
	for want, a := range map[string]Asked{
		"person ada (act token) from 10.0.0.7: rollback (it hangs)": person,
		"person from ::1: sync": {By: AskedByPerson, Address: "::1", Verb: "sync"},
		"poll":                  {By: AskedByPoll},
		"":                      {},
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	poll, nobody := Asked{By: AskedByPoll}, Asked{}
	for _, pair := range [][2]Asked{{person, poll}, {poll, person}, {person, nobody}, {nobody, person}} {
		if got := pair[0].Or(pair[1]); got != person {
			t.Errorf("%v or %v is %v: want the person", pair[0], pair[1], got)
		}
	}
}

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, folder string) *File {
	t.Helper()
	f, err := OpenFile(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestDamagedFilesAreSetAsideAndSaid(t *testing.T) {
	whole, err := encode(sample(3), "shop")
	if err != nil {
		t.Fatal(err)
	}
	line, err := encodeAhead(sending(State{}, "/shop/a"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := encode(sample(3), "other")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		content string
		want    error
		mark    string
	}{
		"empty":                {"", ErrCorrupt, ".corrupt-"},
		"cut":                  {string(whole[:len(whole)/2]), ErrCorrupt, ".corrupt-"},
		"zeros":                {strings.Repeat("\x00", 100), ErrCorrupt, ".corrupt-"},
		"null":                 {"null", ErrCorrupt, ".corrupt-"},
		"an empty object":      {"{}", ErrCorrupt, ".corrupt-"},
		"changed":              {strings.Replace(string(whole), "app-2", "app-7", 1), ErrCorrupt, ".corrupt-"},
		"twice":                {string(whole) + string(whole), ErrCorrupt, ".corrupt-"},
		"a wrong line after":   {string(whole) + strings.Replace(string(line), "/shop/a", "/shop/b", 1), ErrCorrupt, ".corrupt-"},
		"more in a line after": {string(whole) + "{\"sum\":\"\",\"more\":1}\n", ErrCorrupt, ".corrupt-"},
		"of another sync":      {string(other), ErrCorrupt, ".corrupt-"},
		"of format 0":          {strings.Replace(string(whole), `"format":1`, `"format":0`, 1), ErrCorrupt, ".corrupt-"},
		"of a newer format":    {`{"format":2,"anything":["else"]}`, ErrNewer, ".newer-"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			f := open(t, folder)
			file := filepath.Join(folder, "sync-shop.json")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if s, err := f.Load(t.Context(), "shop"); !errors.Is(err, c.want) || s.Inventory != nil {
				t.Fatalf("got %+v, %v: want %v and no state", s, err, c.want)
			}
			aside, _ := filepath.Glob(file + c.mark + "*")
			if len(aside) != 1 {
				t.Fatalf("set aside: %v, want one file", aside)
			}
			if kept, _ := os.ReadFile(aside[0]); string(kept) != c.content {
				t.Error("what was set aside is not what was there")
			}
			if s, err := f.Load(t.Context(), "shop"); err != nil || s.Inventory != nil {
				t.Errorf("afterwards: %+v, %v: want an inventory that is not known", s, err)
			}
			if err := f.Save(t.Context(), "shop", sample(1)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASecondProcessIsRefusedByName(t *testing.T) {
	folder := t.TempDir()
	child := startChild(t, place{Folder: folder}, "hold")
	child.wait(t, "ready")
	_, err := OpenFile(folder)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", child.cmd.Process.Pid)) {
		t.Errorf("got %v: want ErrLocked with the process id %d", err, child.cmd.Process.Pid)
	}
	child.kill(t)
	open(t, folder) // the lock of a dead process is no lock
}

// TestReadingAFolderMakesNothing: neither the folder, nor a lock, nor does it
// sweep what a killed write has left.
func TestReadingAFolderMakesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if _, err := OpenExisting(folder); !errors.Is(err, ErrNoFolder) || !strings.Contains(err.Error(), folder) {
		t.Errorf("got %v: want ErrNoFolder with the path", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	f := open(t, folder)
	if !f.IsNew() {
		t.Error("a folder that was made is not new")
	}
	if err := f.Save(t.Context(), "shop", sample(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenExisting(folder); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v: want ErrLocked", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, missing := range []string{"", lockName} {
		if missing != "" {
			if err := os.Remove(filepath.Join(folder, missing)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, temporary+"1"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		before := contents(t, folder)
		r, err := OpenExisting(folder)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := r.Peek(t.Context(), "shop"); err != nil || len(s.Inventory) != 1 {
			t.Errorf("read %+v, %v", s, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, contents(t, folder)); diff != "" {
			t.Errorf("without %q: reading changed the folder:\n%s", missing, diff)
		}
	}
	if f := open(t, folder); f.IsNew() {
		t.Error("a folder with a state is told to be new")
	}
}

// contents is what the files of a folder hold, by name.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

// faulty is a disk that fails at one step.
type faulty struct {
	disk
	step string
}

var errDiskFull = errors.New("no space left on device")

func (d faulty) createTemp(folder, pattern string) (file, error) {
	if d.step == "create" {
		return nil, errDiskFull
	}
	f, err := d.disk.createTemp(folder, pattern)
	return faultyFile{f, d.step}, err
}

func (d faulty) rename(from, to string) error {
	if d.step == "rename" {
		return errDiskFull
	}
	return d.disk.rename(from, to)
}

type faultyFile struct {
	file
	step string
}

func (f faultyFile) Write(b []byte) (int, error) {
	if f.step == "write" {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, errDiskFull
	}
	return f.file.Write(b)
}

func (f faultyFile) Sync() error {
	if f.step == "sync" {
		return errDiskFull
	}
	return f.file.Sync()
}

func (f faultyFile) Close() error {
	err := f.file.Close()
	if f.step == "close" {
		return errDiskFull
	}
	return err
}

// extend writes half of a line, and cannot take it back.
func (d faulty) extend(name string, line []byte) error {
	if d.step != "extend" {
		return d.disk.extend(name, line)
	}
	return errors.Join(d.disk.extend(name, line[:len(line)/2]), errDiskFull)
}

func TestAFullDiskLeavesTheOldState(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "close", "rename"} {
		t.Run(step, func(t *testing.T) {
			folder := t.TempDir()
			f := open(t, folder)
			if err := f.Save(t.Context(), "shop", sample(2)); err != nil {
				t.Fatal(err)
			}
			f.files = faulty{step: step}
			if err := f.Save(t.Context(), "shop", sample(5)); !errors.Is(err, errDiskFull) {
				t.Fatalf("Save: %v, want the disk's error", err)
			}
			got, err := f.Load(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sample(2), got); diff != "" {
				t.Errorf("the old state is gone (-want +got):\n%s", diff)
			}
			if left, _ := filepath.Glob(filepath.Join(folder, temporary+"*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := encode(sample(2), "shop")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"format":1,"sync":"shop","sum":"","state":{}}`))
	f.Add([]byte(`{"format":1e9}`))
	for _, ahead := range []string{`{}`, `null`, `{"sent":{"/shop/a":{"kind":"app"}}}`} {
		f.Add(fmt.Appendf(slices.Clone(whole), `{"sum":%q,"ahead":%s}`+"\n", sum([]byte(ahead)), ahead))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b, "shop")
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Fatalf("an error that says neither corrupt nor newer: %v", err)
			}
			return
		}
		again, err := encode(s, "shop")
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(again, "shop")
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Fatalf("decoded, encoded and decoded: %v\n%s", err, diff)
		}
	})
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	whole, err := encode(sample(2), "shop")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := decode(whole, "shop")
	for i := range whole {
		b := []byte(string(whole))
		b[i] ^= 1
		if got, err := decode(b, "shop"); err == nil && !cmp.Equal(want, got) {
			t.Fatalf("byte %d flipped gives another state: %s", i, cmp.Diff(want, got))
		}
	}
}

// What is written by hand is what the envelope's members say.
func TestEncodeWritesTheEnvelope(t *testing.T) {
	for _, sync := range []string{"shop", "a \"quoted\" <name>\u2028"} {
		got, err := encode(sample(3), sync)
		if err != nil {
			t.Fatal(err)
		}
		state, err := json.Marshal(sample(3))
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(envelope{Format: format, Sync: sync, Sum: sum(state), State: state})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want)+"\n", string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

// What the first version that kept a state has written is read by every later
// one, so that replicas can be upgraded one after the other, and nothing of it is
// lost when it is saved again. The file is never made anew: a format that cannot
// read it is another format, and comes with a file of its own.
func TestStatesOfTheFirstFormatAreRead(t *testing.T) {
	written, err := os.ReadFile("testdata/format-1.json")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, prefix+"shop"+suffix), written, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := open(t, folder).Load(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Inventory) != 2 || !s.Suspended || s.Pin == nil || s.Pin.By.User != "ada" {
		t.Errorf("read %+v", s)
	}
	again, err := encode(s, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), string(again)); diff != "" {
		t.Errorf("saved again it differs: %s", diff)
	}
}

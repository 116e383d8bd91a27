package scheduler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// storage is the folder of volumes, and of the state where it outlives the
// process. Then it is locked while a Marathon has it.
type storage struct {
	path string
	lock *flock.Flock // nil: the folder is temporary, and no state is kept
}

// What lies in a data folder. The deployments that run are apart from the state:
// they are small, and written whenever one begins or ends.
const (
	stateFile       = "state.json"
	deploymentsFile = "deployments.json"
	volumesFolder   = "volumes"
	lockFile        = "lock"
)

// openStorage opens a data folder, made if it is missing; empty: a temporary one.
func openStorage(path string) (*storage, error) {
	if path == "" {
		return &storage{path: filepath.Join(os.TempDir(), "pacer-local-"+uuid.NewString())}, nil
	}
	path, err := filepath.Abs(path) // tasks, which run elsewhere, get paths in it
	if err != nil {
		return nil, fmt.Errorf("local Marathon: naming the data folder: %w", err)
	}
	// Tasks of other users pass through it to their volumes and sandboxes; what
	// is private in it has its own mode.
	if err := os.MkdirAll(path, 0o711); err != nil {
		return nil, fmt.Errorf("local Marathon: making the data folder: %w", err)
	}
	lock := flock.New(filepath.Join(path, lockFile))
	if taken, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("local Marathon: locking the data folder: %w", err)
	} else if !taken {
		return nil, fmt.Errorf("local Marathon: the data folder %s is in use by another one: stop it or name another folder", path)
	}
	return &storage{path, lock}, nil
}

// close gives the folder back, or removes it where it is temporary.
func (s *storage) close() error {
	if s.lock == nil {
		return os.RemoveAll(s.path)
	}
	return s.lock.Close()
}

const storedFormat = 1

// storedState is the state file.
type storedState struct {
	Format  int                     `json:"format"`
	Version state.Timestamp         `json:"version"`
	AgentID string                  `json:"agentId"`
	Groups  map[string]*state.Group `json:"groups"`
	Specs   []storedSpec            `json:"specs"`
}

type storedSpec struct {
	*state.RunSpec
	Residents []storedInstance `json:"residents,omitempty"` // those that have persistent volumes
}

type storedInstance struct {
	ID          string `json:"id"`
	Incarnation int    `json:"incarnation"`
}

// storedDeployments is the file of deployments.
type storedDeployments struct {
	Format      int                `json:"format"`
	Deployments []storedDeployment `json:"deployments"`
}

type storedDeployment struct {
	ID       string          `json:"id"`
	Version  state.Timestamp `json:"version"`
	Steps    []state.Step    `json:"steps"`
	Affected []string        `json:"affected"`
	// What a rollback goes back to: the groups, and what was of the affected ids.
	OriginalVersion state.Timestamp         `json:"originalVersion"`
	OriginalGroups  map[string]*state.Group `json:"originalGroups"`
	OriginalSpecs   []storedSpec            `json:"originalSpecs"`
	TargetGroups    map[string]*state.Group `json:"targetGroups"`
}

// restore is the root group that was stored.
func (st storedState) restore(base manifests.Cluster) (*state.RootGroup, error) {
	r := state.NewRootGroup(st.Version)
	maps.Copy(r.Groups, st.Groups)
	return r, restoreSpecs(r, st.Specs, r.Cluster(base))
}

// restoreSpecs puts stored run specs into a root group. It brings them into normal
// form again: the file may have been edited.
func restoreSpecs(r *state.RootGroup, stored []storedSpec, c *manifests.Cluster) error {
	for _, one := range stored {
		s := one.RunSpec
		switch {
		case s != nil && s.App != nil:
			s.ID = s.App.ID
		case s != nil && s.Pod != nil:
			s.ID = s.Pod.ID
		default:
			return errors.New("local Marathon: the stored state has a run spec that is neither an app nor a pod")
		}
		r.Specs[s.ID] = s.Normalised(s, c)
	}
	return nil
}

// write writes a file of the folder, whole or not at all: by a new one in place of
// the old.
func (s *storage) write(name string, v any) error {
	if s.lock == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.path, name+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.path, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// read reads a file of the folder, and reports whether there is one. One that
// cannot be read is an error: it must not look like a Marathon with nothing in it.
func (s *storage) read(name string, v any, format *int) (bool, error) {
	if s.lock == nil {
		return false, nil
	}
	path := filepath.Join(s.path, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(v)
	}
	if err == nil && *format != storedFormat {
		err = fmt.Errorf("expected format %d, found %d", storedFormat, *format)
	}
	if err != nil {
		return true, fmt.Errorf("local Marathon: cannot read the state in %s: repair or remove the file: %w", path, err)
	}
	return true, nil
}

package scheduler

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/gofrs/flock"

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

func openStorage(path string) (*storage, error) {
	path, err := filepath.Abs(path) // tasks, which run elsewhere, get paths in it
	if err != nil {
		return nil, fmt.Errorf("local Marathon: naming the data folder: %w", err)
	}
	// Tasks of other users pass through it to their volumes and sandboxes; what
	// lies in it for nobody else has its own mode.
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

// temporaryStorage keeps the volumes of one process.
func temporaryStorage(agentID string) *storage {
	return &storage{path: filepath.Join(os.TempDir(), "pacer-local-"+strings.TrimSuffix(agentID, "-S0"))}
}

// close gives the folder back, or removes it where it is temporary.
func (s *storage) close() error {
	if s.lock == nil {
		return os.RemoveAll(s.path)
	}
	return s.lock.Close()
}

// volume is where a volume of an instance lies. Its name is a hash: ids and
// container paths may hold anything.
func (s *storage) volume(i *state.Instance, name string) string {
	sum := sha256.Sum256([]byte(i.ID + "\x00" + name))
	return filepath.Join(s.path, volumesFolder, hex.EncodeToString(sum[:16]))
}

// removeVolumes removes the volumes of an instance that is gone for good.
func (s *storage) removeVolumes(i *state.Instance) error {
	var errs []error
	for _, v := range i.Spec.PersistentVolumes() {
		errs = append(errs, os.RemoveAll(s.volume(i, cmp.Or(v.ContainerPath, v.Name))))
	}
	if i.Spec.Pod != nil {
		for _, v := range i.Spec.Pod.Volumes {
			errs = append(errs, os.RemoveAll(s.volume(i, v.Name)))
		}
	}
	return errors.Join(errs...)
}

const storedFormat = 1

// storedState is the state file.
type storedState struct {
	Format  int                    `json:"format"`
	Version state.Timestamp        `json:"version"`
	AgentID string                 `json:"agentId"`
	Groups  map[string]storedGroup `json:"groups"`
	Specs   []storedSpec           `json:"specs"`
}

type storedGroup struct {
	Dependencies []string `json:"dependencies,omitempty"`
	EnforceRole  *bool    `json:"enforceRole,omitempty"`
}

type storedSpec struct {
	App      *manifests.App  `json:"app,omitempty"`
	Pod      *manifests.Pod  `json:"pod,omitempty"`
	Version  state.Timestamp `json:"version"`
	ScaledAt state.Timestamp `json:"lastScalingAt"`
	ConfigAt state.Timestamp `json:"lastConfigChangeAt"`
	// Residents are the instances that have persistent volumes.
	Residents []storedInstance `json:"residents,omitempty"`
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
	OriginalVersion state.Timestamp        `json:"originalVersion"`
	OriginalGroups  map[string]storedGroup `json:"originalGroups"`
	OriginalSpecs   []storedSpec           `json:"originalSpecs"`
	TargetGroups    map[string]storedGroup `json:"targetGroups"`
}

func storeSpec(s *state.RunSpec) storedSpec {
	return storedSpec{App: s.App, Pod: s.Pod, Version: s.Version, ScaledAt: s.ScaledAt, ConfigAt: s.ConfigAt}
}

// spec brings it into normal form again: somebody may have edited the file.
func (s storedSpec) spec(c *manifests.Cluster) *state.RunSpec {
	spec := &state.RunSpec{ID: s.id(), App: s.App, Pod: s.Pod, Version: s.Version, ScaledAt: s.ScaledAt, ConfigAt: s.ConfigAt}
	return spec.Normalised(spec, c)
}

func (s storedSpec) id() string {
	if s.App != nil {
		return s.App.ID
	}
	return s.Pod.ID
}

func (st storedState) rootGroup(base manifests.Cluster) *state.RootGroup {
	r := state.NewRootGroup(st.Version)
	maps.Copy(r.Groups, restoreGroups(st.Groups, nil))
	cluster := r.Cluster(base)
	for _, stored := range st.Specs {
		s := stored.spec(cluster)
		r.Specs[s.ID] = s
	}
	return r
}

func storeGroups(r *state.RootGroup) map[string]storedGroup {
	all := map[string]storedGroup{}
	for id, g := range r.Groups {
		all[id] = storedGroup{g.Dependencies, g.EnforceRole}
	}
	return all
}

// restoreGroups are stored groups; those that are as in like are the same values,
// by which a rollback knows what a deployment has changed.
func restoreGroups(stored map[string]storedGroup, like map[string]*state.Group) map[string]*state.Group {
	groups := map[string]*state.Group{}
	for id, g := range stored {
		one := &state.Group{Dependencies: g.Dependencies, EnforceRole: g.EnforceRole}
		if same := like[id]; same != nil && reflect.DeepEqual(one, same) {
			one = same
		}
		groups[id] = one
	}
	return groups
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

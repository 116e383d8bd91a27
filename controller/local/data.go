package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"github.com/pacer-gitops/pacer/manifests"
)

// folder is the place where the state outlives a process. It is locked while a
// Marathon has it.
type folder struct {
	path string
	lock *flock.Flock
}

const (
	stateFile  = "state.json"
	lockFile   = "lock"
	volumesDir = "volumes"
)

func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path) // tasks, which run elsewhere, are told of paths in it
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
	return &folder{path, lock}, nil
}

func (f *folder) close() error {
	if f == nil {
		return nil
	}
	return f.lock.Close()
}

// stored is the state file.
type stored struct {
	Format  int                    `json:"format"`
	Version stamp                  `json:"version"`
	AgentID string                 `json:"agentId"`
	Groups  map[string]storedGroup `json:"groups"`
	Specs   []storedSpec           `json:"specs"`
}

type storedGroup struct {
	Dependencies []string `json:"dependencies,omitempty"`
	EnforceRole  *bool    `json:"enforceRole,omitempty"`
}

type storedSpec struct {
	App      *manifests.App `json:"app,omitempty"`
	Pod      *manifests.Pod `json:"pod,omitempty"`
	Version  stamp          `json:"version"`
	ScaledAt stamp          `json:"lastScalingAt"`
	ConfigAt stamp          `json:"lastConfigChangeAt"`
	// Residents are the instances that have persistent volumes.
	Residents []storedInstance `json:"residents,omitempty"`
}

type storedInstance struct {
	ID          string `json:"id"`
	Incarnation int    `json:"incarnation"`
}

const storedFormat = 1

func (s *spec) stored() storedSpec {
	return storedSpec{App: s.app, Pod: s.pod, Version: s.version, ScaledAt: s.scaledAt, ConfigAt: s.configAt}
}

// spec is what was stored, as a configuration of that generation.
func (s storedSpec) spec(generation int) *spec {
	sp := &spec{app: s.App, pod: s.Pod, version: s.Version, scaledAt: s.ScaledAt, configAt: s.ConfigAt, generation: generation}
	if s.App != nil {
		sp.id = s.App.ID
	} else if s.Pod != nil {
		sp.id = s.Pod.ID
	}
	return sp
}

func (r *root) storedGroups() map[string]storedGroup {
	all := map[string]storedGroup{}
	for id, g := range r.groups {
		all[id] = storedGroup{g.dependencies, g.enforceRole}
	}
	return all
}

// save writes a root, whole or not at all: by a new file in place of the old.
func (m *Marathon) save(r *root) error {
	if m.data == nil {
		return nil
	}
	st := stored{Format: storedFormat, Version: r.version, AgentID: m.agentID, Groups: r.storedGroups()}
	for _, id := range r.under("/") {
		one := r.specs[id].stored()
		one.Residents = m.residents(r.specs[id])
		st.Specs = append(st.Specs, one)
	}
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(m.data.path, stateFile), text)
}

func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// load brings back what save wrote. A file that cannot be read is an error: it
// must not look like a Marathon with nothing in it.
func (m *Marathon) load() error {
	var st stored
	if found, err := m.readStored(stateFile, &st, &st.Format); !found || err != nil {
		return err
	}
	m.agentID = st.AgentID
	m.root = newRoot()
	m.root.version = st.Version
	m.lastStamp = st.Version.Time
	for id, g := range st.Groups {
		m.root.groups[id] = &group{g.Dependencies, g.EnforceRole}
	}
	for _, s := range st.Specs {
		sp := s.spec(m.nextGeneration())
		m.root.specs[sp.id] = sp
		m.history[sp.id] = []*spec{sp}
		m.instances[sp.id] = nil // keepCounts launches them
		m.parkStored(sp, s.Residents)
	}
	return m.loadDeployments()
}

// parkStored brings back the instances of a spec that have persistent volumes.
func (m *Marathon) parkStored(s *spec, residents []storedInstance) {
	for _, i := range residents {
		m.parked[s.id] = append(m.parked[s.id], &instance{id: i.ID, incarnation: i.Incarnation, spec: s})
	}
}

// readStored reads a file of the data folder, and says whether there is one. One
// that cannot be read is an error.
func (m *Marathon) readStored(name string, v any, format *int) (bool, error) {
	path := filepath.Join(m.data.path, name)
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
		err = fmt.Errorf("format %d: want %d", *format, storedFormat)
	}
	if err != nil {
		return true, fmt.Errorf("local Marathon: the state in %s cannot be read: mend or remove the file: %w", path, err)
	}
	return true, nil
}

// residents are the instances of a spec that have persistent volumes.
func (m *Marathon) residents(s *spec) []storedInstance {
	if !s.resident() {
		return nil
	}
	var is []storedInstance
	for _, i := range slices.Concat(m.instances[s.id], m.parked[s.id]) {
		is = append(is, storedInstance{i.id, i.incarnation})
	}
	return is
}

// saveResidents stores the state if an instance with volumes came or went: who
// starts on the folder next must find its volumes.
func (m *Marathon) saveResidents() {
	if !m.unsaved || m.data == nil {
		return
	}
	m.unsaved = false
	if err := m.save(m.root); err != nil {
		m.options.Log.Error("storing the state failed", "error", err)
	}
}

// park keeps an instance without a task for its volumes; the next one that is
// scheduled for the same id takes its place.
func (m *Marathon) park(i *instance) {
	i.tasks = nil
	m.parked[i.spec.id] = append(m.parked[i.spec.id], i)
	m.unsaved = true
}

// unpark is a parked instance, made anew for a spec; nil: there is none.
func (m *Marathon) unpark(s *spec) *instance {
	m.unsaved = m.unsaved || s.resident()
	is := m.parked[s.id]
	if len(is) == 0 || !s.resident() {
		return nil
	}
	m.parked[s.id] = is[1:]
	return &instance{id: is[0].id, incarnation: is[0].incarnation, spec: s}
}

// volumeFolders are the folders that an instance has for itself.
func (m *Marathon) volumeFolders(i *instance) []string {
	var paths []string
	for _, v := range i.spec.persistentVolumes() {
		paths = append(paths, m.volumeFolder(i, cmpString(v.ContainerPath, v.Name)))
	}
	if i.spec.pod != nil {
		for _, v := range i.spec.pod.Volumes {
			paths = append(paths, m.volumeFolder(i, v.Name))
		}
	}
	return paths
}

// dropVolumes removes the folders of an instance that is gone for good.
func (m *Marathon) dropVolumes(i *instance) {
	m.unsaved = m.unsaved || i.spec.resident()
	for _, path := range m.volumeFolders(i) {
		if err := os.RemoveAll(path); err != nil {
			m.options.Log.Error("a volume could not be removed", "path", path, "error", err)
		}
	}
}

// removeTemporary removes the volumes of a Marathon without a data folder.
func (m *Marathon) removeTemporary() error {
	if m.data != nil {
		return nil
	}
	return os.RemoveAll(m.volumeBase())
}

func (m *Marathon) volumeBase() string {
	if m.data != nil {
		return m.data.path
	}
	return filepath.Join(os.TempDir(), "pacer-local-"+strings.TrimSuffix(m.agentID, "-S0"))
}

// volumeFolder is where a volume of an instance lies. Its name is a hash: ids
// and container paths may hold anything.
func (m *Marathon) volumeFolder(i *instance, name string) string {
	sum := sha256.Sum256([]byte(i.id + "\x00" + name))
	return filepath.Join(m.volumeBase(), volumesDir, hex.EncodeToString(sum[:16]))
}

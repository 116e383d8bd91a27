package scheduler

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// volume is where a volume of an instance lies. Its name is a hash: ids and
// container paths may hold anything.
func (s *storage) volume(i *state.Instance, name string) string {
	sum := sha256.Sum256([]byte(i.ID + "\x00" + name))
	return filepath.Join(s.path, volumesFolder, hex.EncodeToString(sum[:16]))
}

// volumes keeps the persistent volumes of instances. An instance that has some is
// parked while it has no task; the next one that is scheduled for the same run
// spec takes its place.
type volumes struct {
	storage *storage
	log     *slog.Logger
	parked  map[string][]*state.Instance // by run spec
	unsaved bool                         // an instance with volumes came or went
}

func (v *volumes) park(i *state.Instance) {
	i.Tasks = nil
	v.parked[i.Spec.ID] = append(v.parked[i.Spec.ID], i)
	v.unsaved = true
}

// unpark is a new instance with the volumes of a parked one; nil: there is none.
func (v *volumes) unpark(s *state.RunSpec) *state.Instance {
	if !s.Resident() {
		return nil
	}
	v.unsaved = true
	parked := v.parked[s.ID]
	if len(parked) == 0 {
		return nil
	}
	v.parked[s.ID] = parked[1:]
	return &state.Instance{ID: parked[0].ID, Incarnation: parked[0].Incarnation, Spec: s}
}

// remove removes the volumes of an instance that is gone for good.
func (v *volumes) remove(i *state.Instance) {
	v.unsaved = v.unsaved || i.Spec.Resident()
	var names []string
	for _, p := range i.Spec.PersistentVolumes() {
		names = append(names, cmp.Or(p.ContainerPath, p.Name))
	}
	if i.Spec.Pod != nil {
		for _, p := range i.Spec.Pod.Volumes {
			names = append(names, p.Name)
		}
	}
	for _, name := range names {
		if err := os.RemoveAll(v.storage.volume(i, name)); err != nil {
			v.log.Error("a volume could not be removed", "instance", i.ID, "volume", name, "error", err)
		}
	}
}

// forget removes the volumes of a run spec that is gone.
func (v *volumes) forget(id string) {
	for _, i := range v.parked[id] {
		v.remove(i)
	}
	delete(v.parked, id)
}

// stored are the instances of a run spec that have volumes: those of now and the
// parked ones.
func (v *volumes) stored(s *state.RunSpec, now []*state.Instance) []storedInstance {
	if !s.Resident() {
		return nil
	}
	var all []storedInstance
	for _, i := range slices.Concat(now, v.parked[s.ID]) {
		all = append(all, storedInstance{i.ID, i.Incarnation})
	}
	return all
}

// restore parks the instances that were stored of a run spec.
func (v *volumes) restore(s *state.RunSpec, stored []storedInstance) {
	for _, i := range stored {
		v.parked[s.ID] = append(v.parked[s.ID], &state.Instance{ID: i.ID, Incarnation: i.Incarnation, Spec: s})
	}
}

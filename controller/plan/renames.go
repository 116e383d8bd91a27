package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// A renamed app is, for Marathon, one that goes and one that comes. So that a
// rename does not take down what runs, the old one stays until the new one is up.
// What may be a rename:
//
//	the one that goes       one that git has                                        a rename
//	never came up                                                                   no: nothing would be lost
//	was alone in its file   is alone in that file                                   yes
//	                        in the same group, the same image or command, the       yes
//	                        same ports, the same label keys
//	otherwise                                                                       no
//
// The version of the image does not count, nor do the values of labels: both
// often change with the name.

// setNewForms notes for each delete what may be its new form.
func (w *work) setNewForms(drafts []*draft) {
	var byProgram map[string][]likeness
	var alone map[string]string
	var gone map[string]int
	for _, d := range drafts {
		if d.Action != Delete || d.Kind == manifests.KindGroup || w.in.Unproven[d.ID] {
			continue
		}
		if byProgram == nil {
			byProgram, alone, gone = w.programs(), w.aloneInFile(), w.goneByFile()
		}
		old := w.likeness(d.ID, w.in.Live.Apps[d.ID], w.in.Live.Pods[d.ID])
		var forms []string
		for _, program := range old.programs {
			for _, other := range byProgram[program] {
				if other.rest == old.rest && other.id != d.ID && manifests.ParentID(other.id) == manifests.ParentID(d.ID) {
					forms = append(forms, other.id)
				}
			}
		}
		if id := alone[d.File]; id != "" && d.File != "" && gone[d.File] == 1 {
			forms = append(forms, id)
		}
		slices.Sort(forms)
		d.NewForms = slices.Compact(forms)
	}
}

// programs lists what git has by what it runs: its images and commands.
func (w *work) programs() map[string][]likeness {
	all := map[string][]likeness{}
	for i := range w.in.Desired.Items {
		item := &w.in.Desired.Items[i]
		if item.Kind == manifests.KindGroup || w.wanted[item.ID] != item.Kind {
			continue
		}
		l := w.likeness(item.ID, item.App, item.Pod)
		for _, program := range l.programs {
			all[program] = append(all[program], l)
		}
	}
	return all
}

// aloneInFile names the app or pod of each file that defines just one.
func (w *work) aloneInFile() map[string]string {
	alone := map[string]string{}
	for _, item := range w.in.Desired.Items {
		if item.Kind == manifests.KindGroup {
			continue
		}
		if _, several := alone[item.File]; several {
			alone[item.File] = ""
		} else {
			alone[item.File] = item.ID
		}
	}
	return alone
}

// goneByFile counts, by the file that they were applied last from, the apps and
// pods that git has no longer.
func (w *work) goneByFile() map[string]int {
	gone := map[string]int{}
	for id, o := range w.in.Inventory {
		if o.Kind != manifests.KindGroup && w.wanted[id] == "" {
			gone[o.File]++
		}
	}
	return gone
}

// likeness is what of an app or a pod a rename leaves as it is.
type likeness struct {
	id       string
	programs []string // image repositories and commands
	rest     string   // kind, ports and label keys
}

// likeness takes the normal form, in which defaults are spelled out in both.
func (w *work) likeness(id string, app *manifests.App, pod *manifests.Pod) likeness {
	l := likeness{id: id}
	var ports []string
	port := func(number *int, name string) {
		ports = append(ports, fmt.Sprint(number != nil, *cmp.Or(number, new(0)), name))
	}
	switch {
	case app != nil:
		app = manifests.NormaliseApp(app, nil, &w.cluster)
		l.command(cmp.Or(app.Cmd, new(strings.Join(app.Args, " "))))
		if c := app.Container; c != nil {
			if c.Docker != nil {
				l.image(c.Docker.Image)
			}
			for _, m := range c.PortMappings {
				port(m.ContainerPort, *cmp.Or(m.Name, new("")))
			}
		}
		for _, d := range app.PortDefinitions {
			port(nil, *cmp.Or(d.Name, new("")))
		}
		l.rest = rest(manifests.KindApp, ports, app.Labels)
	case pod != nil:
		pod = manifests.NormalisePod(pod, nil, &w.cluster)
		for _, c := range pod.Containers {
			if c.Image != nil {
				l.image(c.Image.ID)
			}
			if c.Exec != nil && c.Exec.Command != nil {
				l.command(cmp.Or(c.Exec.Command.Shell, new(strings.Join(c.Exec.Command.Argv, " "))))
			}
			for _, e := range c.Endpoints {
				port(e.ContainerPort, e.Name)
			}
		}
		l.rest = rest(manifests.KindPod, ports, pod.Labels)
	}
	slices.Sort(l.programs)
	l.programs = slices.Compact(l.programs)
	return l
}

func rest(kind manifests.Kind, ports []string, labels map[string]string) string {
	slices.Sort(ports)
	return fmt.Sprintf("%s %q %q", kind, ports, slices.Sorted(maps.Keys(labels)))
}

// image adds an image without its version.
func (l *likeness) image(image string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') { // else it is a registry's port
		image = image[:i]
	}
	if image != "" {
		l.programs = append(l.programs, "image "+image)
	}
}

func (l *likeness) command(cmd *string) {
	if c := strings.Join(strings.Fields(*cmd), " "); c != "" {
		l.programs = append(l.programs, "command "+c)
	}
}

// holdReplaced: what may have been renamed goes on running until its new form is
// up: one that has not come up yet, or that this plan holds back.
func holdReplaced(w *work, drafts []*draft) {
	coming := map[string]bool{}
	for id := range w.in.Unproven {
		coming[id] = w.wanted[id] != ""
	}
	for _, d := range drafts {
		if d.Action == Create && d.Kind != manifests.KindGroup && d.Blocked != nil {
			coming[d.ID] = true
		}
	}
	for _, d := range drafts {
		if d.Action != Delete || w.in.Policy.Approved[d.ID] {
			continue
		}
		if i := slices.IndexFunc(d.NewForms, func(id string) bool { return coming[id] }); i >= 0 {
			d.ask(d.NewForms[i] + ", which may replace it, is not healthy yet: kept until then; run pacer approve to delete it now")
		}
	}
}

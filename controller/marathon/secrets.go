package marathon

import (
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// What tasks say (how they ended, what their health checks found) and what
// Marathon repeats of a request is quoted in errors, reasons and pages. It is made
// fit for that here, when it is read: one line, cut, and without the values of the
// environment that belongs to it, whatever their names are.

// envOf lists the plain values in the environment of an app.
func envOf(a *manifests.App) []string { return plainValues(nil, a.Env) }

// envOfPod lists the plain values in the environments of a pod.
func envOfPod(p *manifests.Pod) []string {
	values := plainValues(nil, p.Environment)
	for _, c := range p.Containers {
		values = plainValues(values, c.Environment)
	}
	return values
}

func plainValues(values []string, env map[string]manifests.EnvValue) []string {
	for _, v := range env {
		if v.Value != "" {
			values = append(values, v.Value)
		}
	}
	return values
}

// said is what a task said, without its environment. It is cut before too, for it
// may be long, but so far behind that no half of a value is left at the end.
func said(text string, env []string) string {
	if text == "" {
		return ""
	}
	return oneLine(visible.Hide(visible.Cut(text, 8*maxMessage), env, visible.LeastSecret))
}

// clean makes what is told of a failure fit to be quoted.
func (f *TaskFailure) clean(env []string) {
	if f == nil {
		return
	}
	f.Message = said(f.Message, env)
	for _, name := range []*string{&f.Host, &f.State, &f.TaskID} {
		*name = oneLine(*name)
	}
}

// clean does so for all that the tasks of an app said.
func (w *wireApp) clean() {
	if w.LastTaskFailure == nil && len(w.Tasks) == 0 {
		return
	}
	env := envOf(&w.App)
	w.LastTaskFailure.clean(env)
	for _, t := range w.Tasks {
		for i := range t.Health {
			t.Health[i].LastFailureCause = said(t.Health[i].LastFailureCause, env)
		}
	}
}

// clean does so for all that the instances of a pod said.
func (w *wirePodStatus) clean(p *manifests.Pod) {
	env := envOfPod(p)
	for i := range w.Instances {
		instance := &w.Instances[i]
		instance.Message = said(instance.Message, env)
		for j := range instance.Containers {
			c := &instance.Containers[j]
			c.Message = said(c.Message, env)
			if c.Termination != nil {
				c.Termination.Message = said(c.Termination.Message, env)
			}
		}
	}
}

package marathon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pacer-gitops/pacer/manifests"
)

// State reads all that Marathon holds: whole, or an error.
func (c *Client) State(ctx context.Context) (State, error) {
	r, err := c.List(ctx, nil)
	if err != nil {
		return State{}, err
	}
	return r.State(), nil
}

// Listing is all that Marathon holds, as it is told.
type Listing struct {
	Cluster     manifests.Cluster // without what only groups and apps tell
	GroupTree   GroupTree
	Apps        map[string]Listed
	Pods        map[string]Pod // without their deployments
	Deployments []Deployment
}

// List reads all that Marathon holds, by one request for each kind of thing.
//
// The tree of groups with all that is in it would be one request and one root,
// but is twice as dear as the list of apps (BenchmarkLists), and tells of pods
// only how they fare. The tree without is cheap, and read first: whatever its
// version holds the rest holds too.
func (c *Client) List(ctx context.Context, k *Known) (*Listing, error) {
	var (
		r       Listing
		infoErr error
	)
	whole := ctx
	g, ctx := errgroup.WithContext(ctx)
	// What else fails does not stop this: a Marathon that is too old fails in many
	// ways, and its version says why.
	g.Go(func() error { r.Cluster, infoErr = c.info(whole); return infoErr })
	g.Go(func() (err error) {
		if r.GroupTree, err = c.Groups(ctx); err != nil {
			return err
		}
		g.Go(func() (err error) { r.Apps, err = c.listApps(ctx, k); return err })
		g.Go(func() (err error) { r.Pods, err = c.Pods(ctx); return err })
		return nil
	})
	g.Go(func() (err error) { r.Deployments, err = c.Deployments(ctx); return err })
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("the state of Marathon is unknown: %w", cmp.Or(infoErr, err))
	}
	return &r, nil
}

// State puts together what was read.
func (r *Listing) State() State {
	s := State{
		Cluster: r.Cluster, Groups: r.GroupTree.Groups, Deployments: r.Deployments,
		Apps: make(map[string]App, len(r.Apps)), Pods: maps.Clone(r.Pods),
	}
	s.Cluster.EnforceRole, s.Cluster.KeptRoles = r.GroupTree.Roles, nil
	for id, a := range r.Apps {
		s.Apps[id] = a.App
		s.Cluster.KeepRole(id, a.Definition.Role)
	}
	for id, p := range s.Pods {
		s.Cluster.KeepRole(id, p.Definition.Role)
	}
	for _, d := range s.Deployments { // only apps name theirs themselves
		for _, id := range d.AffectedPods {
			if p, ok := s.Pods[id]; ok {
				p.Status.Deployments = append(slices.Clip(p.Status.Deployments), d.ID)
				s.Pods[id] = p
			}
		}
	}
	return s
}

// Info asks what must be known of Marathon to foretell what it does.
func (c *Client) Info(ctx context.Context) (manifests.Cluster, error) {
	cluster, err := c.info(ctx)
	if err != nil {
		return manifests.Cluster{}, err
	}
	f, err := c.Groups(ctx)
	cluster.EnforceRole = f.Roles
	return cluster, err
}

type wireInfo struct {
	Version string `json:"version"`
	Config  *struct {
		Features            []string `json:"features"`
		MesosRole           *string  `json:"mesos_role"`
		DefaultNetworkName  *string  `json:"default_network_name"`
		BridgeName          *string  `json:"mesos_bridge_name"`
		LocalPortMin        int      `json:"local_port_min"`
		LocalPortMax        int      `json:"local_port_max"`
		NewGroupEnforceRole string   `json:"new_group_enforce_role"`
	} `json:"marathon_config"`
}

func (w *wireInfo) shape() error {
	if w.Version == "" || w.Config == nil {
		return errors.New("it has no version or no marathon_config: is this URL a Marathon?")
	}
	return nil
}

func (c *Client) info(ctx context.Context) (manifests.Cluster, error) {
	var w wireInfo
	if err := c.get(ctx, "/v2/info", &w); err != nil {
		return manifests.Cluster{}, err
	}
	cluster := manifests.DefaultCluster()
	cluster.Version = w.Version
	if err := cluster.Supported(); err != nil {
		return manifests.Cluster{}, err
	}
	cluster.Features = slices.Sorted(slices.Values(w.Config.Features))
	for to, from := range map[*string]*string{
		&cluster.MesosRole:          w.Config.MesosRole,
		&cluster.DefaultNetworkName: w.Config.DefaultNetworkName,
		&cluster.BridgeName:         w.Config.BridgeName,
	} {
		if from != nil {
			*to = *from
		}
	}
	if w.Config.LocalPortMax > 0 {
		cluster.LocalPortMin, cluster.LocalPortMax = w.Config.LocalPortMin, w.Config.LocalPortMax
	}
	cluster.NewGroupEnforceRole = strings.EqualFold(w.Config.NewGroupEnforceRole, "top")
	return cluster, nil
}

// App reads one app with its tasks. If there is none, the error is of
// KindNotFound.
func (c *Client) App(ctx context.Context, id string) (App, error) {
	p, err := idPath("/v2/apps", id)
	if err != nil {
		return App{}, err
	}
	w := wireSingle{want: id}
	if err := c.get(ctx, p, &w); err != nil {
		return App{}, err
	}
	return w.App.app(), nil
}

type wireSingle struct {
	App  *wireApp `json:"app"`
	want string
}

func (w *wireSingle) shape() error {
	switch {
	case w.App == nil:
		return errors.New(`it has no "app"`)
	case w.App.ID != w.want:
		return fmt.Errorf("it is about %q", oneLine(w.App.ID))
	case w.App.Tasks == nil:
		return errors.New("the app has no list of tasks")
	}
	return nil
}

// Deployments reads the deployments that are running.
func (c *Client) Deployments(ctx context.Context) ([]Deployment, error) {
	var w listOf[Deployment]
	err := c.get(ctx, "/v2/deployments", &w)
	return w, err
}

// listOf is a JSON array. null is none.
type listOf[T any] []T

func (l *listOf[T]) UnmarshalJSON(b []byte) error {
	var items []T
	if err := json.Unmarshal(b, &items); err != nil {
		return err
	}
	if items == nil {
		return errors.New("expected a list, found null")
	}
	*l = items
	return nil
}

type wireGroup struct {
	ID           string            `json:"id"`
	Apps         []json.RawMessage `json:"apps"`
	Pods         []json.RawMessage `json:"pods"`
	Groups       []wireGroup       `json:"groups"`
	Dependencies []string          `json:"dependencies"`
	EnforceRole  *bool             `json:"enforceRole"`
	Version      string            `json:"version"`
}

func (w *wireGroup) shape() error {
	if !strings.HasPrefix(w.ID, "/") {
		return fmt.Errorf("a group in it has the id %q", oneLine(w.ID))
	}
	for i := range w.Groups {
		if err := w.Groups[i].shape(); err != nil {
			return err
		}
	}
	return nil
}

// GroupTree is the tree of groups without what is in them. The root is not in it:
// nothing of it is managed.
type GroupTree struct {
	Groups  map[string]*manifests.Group
	Roles   map[string]bool // top-level group → enforceRole
	Version string          // of the root: every write moves it, wherever it goes
}

// Groups reads the tree of groups, without what is in them.
func (c *Client) Groups(ctx context.Context) (GroupTree, error) {
	var root wireGroup
	if err := c.get(ctx, "/v2/groups?embed=group.groups", &root); err != nil {
		return GroupTree{}, err
	}
	f := GroupTree{Groups: map[string]*manifests.Group{}, Roles: map[string]bool{}, Version: root.Version}
	var walk func([]wireGroup)
	walk = func(gs []wireGroup) {
		for _, g := range gs {
			f.Groups[g.ID] = &manifests.Group{ID: g.ID, Dependencies: g.Dependencies, EnforceRole: g.EnforceRole}
			walk(g.Groups)
		}
	}
	walk(root.Groups)
	for _, g := range root.Groups {
		if g.EnforceRole != nil {
			f.Roles[g.ID] = *g.EnforceRole
		}
	}
	return f, nil
}

// group reads one group with what is in it.
func (c *Client) group(ctx context.Context, id string) (*wireGroup, error) {
	p, err := idPath("/v2/groups", id)
	if err != nil {
		return nil, err
	}
	var w wireGroup
	return &w, c.get(ctx, p+"?embed=group.groups&embed=group.apps&embed=group.pods", &w)
}

// wirePodStatus is how Marathon tells how a pod fares.
type wirePodStatus struct {
	ID   string `json:"id"`
	Spec struct {
		Version string `json:"version"`
	} `json:"spec"`
	Instances          []PodInstance     `json:"instances"`
	TerminationHistory []wireTermination `json:"terminationHistory"`
}

func (w *wirePodStatus) shape() error {
	if !strings.HasPrefix(w.ID, "/") {
		return fmt.Errorf("a pod in it has the id %q", oneLine(w.ID))
	}
	return nil
}

// wirePod is a pod definition with its version.
type wirePod struct {
	manifests.Pod
	Version string `json:"version"`
}

func (w *wirePod) shape() error {
	if !strings.HasPrefix(w.ID, "/") {
		return fmt.Errorf("a pod in it has the id %q", oneLine(w.ID))
	}
	return nil
}

// Pods reads every pod with its counts. Status.Deployments is not among what
// Marathon tells here: State fills it in.
func (c *Client) Pods(ctx context.Context) (map[string]Pod, error) {
	var definitions listOf[wirePod]
	if err := c.get(ctx, "/v2/pods", &definitions); err != nil {
		return nil, err
	}
	pods := make(map[string]Pod, len(definitions))
	if len(definitions) == 0 {
		return pods, nil
	}
	var statuses listOf[wirePodStatus]
	if err := c.get(ctx, "/v2/pods/::status", &statuses); err != nil {
		return nil, err
	}
	byID := make(map[string]*wirePodStatus, len(statuses))
	for i := range statuses {
		byID[statuses[i].ID] = &statuses[i]
	}
	for i := range definitions {
		d := &definitions[i]
		if err := d.shape(); err != nil {
			return nil, fmt.Errorf("GET /v2/pods: %w", err)
		}
		status := byID[d.ID]
		if status == nil { // made between the two requests
			status = &wirePodStatus{ID: d.ID}
		}
		pod := status.pod(d)
		if pod.Status.Outdated < 0 {
			if outdated, err := c.outdatedInstances(ctx, d, pod.Instances); err == nil {
				pod.Status.Outdated = outdated // else it stays unknown
			}
		}
		pods[d.ID] = pod
	}
	return pods, nil
}

// Pod reads one pod, and which of its instances are of an older configuration.
// If there is none, the error is of KindNotFound.
func (c *Client) Pod(ctx context.Context, id string) (Pod, error) {
	p, err := idPath("/v2/pods", id)
	if err != nil {
		return Pod{}, err
	}
	var (
		definition wirePod
		status     wirePodStatus
	)
	if err := c.get(ctx, p, &definition); err != nil {
		return Pod{}, err
	}
	if err := c.get(ctx, p+"::status", &status); err != nil {
		return Pod{}, err
	}
	if definition.ID != id || status.ID != id {
		return Pod{}, fmt.Errorf("GET %s: the answer is about %q and %q", p, oneLine(definition.ID), oneLine(status.ID))
	}
	pod := status.pod(&definition)
	pod.Status.Outdated, err = c.outdatedInstances(ctx, &definition, pod.Instances)
	return pod, err
}

// outdatedInstances counts instances whose specification differs from the
// present one in more than the number of instances. A pod's version moves when
// it is scaled too, so versions that differ must be read: once each. One that is
// no longer kept counts as present: it takes fifty writes to lose one, which an
// autoscaler does in an hour, and a rollout that was cut off does not outlive.
func (c *Client) outdatedInstances(ctx context.Context, now *wirePod, instances []PodInstance) (int, error) {
	outdated, present := 0, ""
	for _, i := range instances {
		version := path.Base(i.SpecReference)
		if sameTime(version, now.Version) {
			continue
		}
		if present == "" {
			present = unscaled(&now.Pod)
		}
		then, err := c.podAt(ctx, now.ID, version)
		if err != nil {
			return 0, err
		}
		if then != "" && then != present {
			outdated++
		}
	}
	return outdated, nil
}

// podAt identifies what a pod was in a version, but for its scale; empty: that
// is no longer kept, which is so for all but the last 50.
func (c *Client) podAt(ctx context.Context, id, version string) (string, error) {
	podPath, err := idPath("/v2/pods", id)
	if err != nil {
		return "", err
	}
	return c.versions.get(podPath+"::versions/"+url.PathEscape(version), func(path string) (string, error) {
		var then wirePod
		switch err := c.get(ctx, path, &then); {
		case err == nil:
			return unscaled(&then.Pod), nil
		case KindOf(err) == KindNotFound:
			return "", nil
		default:
			return "", err
		}
	})
}

// unscaled identifies a pod but for its scale.
func unscaled(p *manifests.Pod) string {
	x := *p
	x.Scaling = nil
	return manifests.HashPod(&x)
}

// memo remembers what never changes.
type memo struct {
	mu    sync.Mutex
	known map[string]string
}

const mostRemembered = 10_000

func (m *memo) get(key string, find func(string) (string, error)) (string, error) {
	m.mu.Lock()
	value, known := m.known[key]
	m.mu.Unlock()
	if known {
		return value, nil
	}
	value, err := find(key)
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= mostRemembered {
		m.known = map[string]string{}
	}
	m.known[key] = value
	return value, nil
}

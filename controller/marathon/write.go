package marathon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// Receipt is what Marathon gives for a write that it took.
type Receipt struct {
	Deployment string // id of the deployment; empty where there is none
	// Version is the definition's from now on, if the write changed it and
	// Marathon told it.
	Version string
	Created bool // what was written was not there before
}

const deploymentHeader = "Marathon-Deployment-Id"

// write sends a request and reads the receipt, which comes in the body or, for
// pods and a POST, in a header.
func (c *Client) write(ctx context.Context, method, path string, query url.Values, body any) (r Receipt, err error) {
	if hook := c.wrote.Load(); hook != nil {
		ids := touched(path, body)
		defer func() { hook.f(ids, r.Version) }() // also after an error: it may have arrived
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	a, err := c.do(ctx, request{method: method, path: path, body: body})
	if err != nil {
		return Receipt{}, err
	}
	var w struct {
		DeploymentID string `json:"deploymentId"`
		Version      string `json:"version"`
	}
	if len(a.body) > 0 {
		if err := a.decode(method, &w); err != nil {
			return Receipt{}, err
		}
	}
	r = Receipt{Deployment: w.DeploymentID, Version: w.Version, Created: a.status == http.StatusCreated}
	if r.Deployment == "" {
		r.Deployment = a.header.Get(deploymentHeader)
	}
	return r, nil
}

// touched lists the apps, pods and groups that a write is about.
func touched(path string, body any) []string {
	switch b := body.(type) {
	case *manifests.App:
		return []string{b.ID}
	case *manifests.Pod:
		return []string{b.ID}
	case []*manifests.App:
		ids := make([]string, len(b))
		for i, a := range b {
			ids[i] = a.ID
		}
		return ids
	}
	for _, prefix := range []string{"/v2/apps", "/v2/pods", "/v2/groups"} {
		if id, ok := strings.CutPrefix(path, prefix); ok {
			return []string{strings.TrimSuffix(id, "/restart")}
		}
	}
	return nil // a deployment's: its events say which
}

func forced(force bool, more ...string) url.Values {
	q := url.Values{"force": {strconv.FormatBool(force)}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// onlyForced is for a POST, which is not forced unless it is said.
func onlyForced(force bool) url.Values {
	if !force {
		return nil
	}
	return forced(true)
}

// CreateApp creates an app; if there is one, also with force, the error is of
// KindConflict.
func (c *Client) CreateApp(ctx context.Context, a *manifests.App, force bool) (Receipt, error) {
	if _, err := idPath("", a.ID); err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, http.MethodPost, "/v2/apps", onlyForced(force), a)
}

// PutApp creates or replaces an app by the whole of a. With force, it cancels
// every deployment that holds the app, with all that they do for other apps.
func (c *Client) PutApp(ctx context.Context, a *manifests.App, force bool) (Receipt, error) {
	path, err := idPath("/v2/apps", a.ID)
	if err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, http.MethodPut, path, forced(force, "partialUpdate", "false"), a)
}

// MergeApp changes the fields of an app that a has, and leaves the others as they
// are: it unsets nothing. Of all ways to change an app, this alone keeps
// executorResources. Source: testdata/conformance, apps-crud.
func (c *Client) MergeApp(ctx context.Context, a *manifests.App, force bool) (Receipt, error) {
	path, err := idPath("/v2/apps", a.ID)
	if err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, http.MethodPut, path, forced(force, "partialUpdate", "true"), a)
}

// PutApps creates or replaces many apps in one deployment, all or none.
func (c *Client) PutApps(ctx context.Context, apps []*manifests.App, force bool) (Receipt, error) {
	if len(apps) == 0 {
		return Receipt{}, errors.New("marathon: no apps to write: an empty array would still start a deployment")
	}
	seen := make(map[string]bool, len(apps))
	for _, a := range apps {
		if _, err := idPath("", a.ID); err != nil {
			return Receipt{}, err
		}
		if seen[a.ID] { // Marathon would let the last one win, in silence
			return Receipt{}, fmt.Errorf("marathon: id %s occurs twice among the apps to write", a.ID)
		}
		seen[a.ID] = true
	}
	return c.write(ctx, http.MethodPut, "/v2/apps", forced(force, "partialUpdate", "false"), apps)
}

// DeleteApp deletes an app.
func (c *Client) DeleteApp(ctx context.Context, id string, force bool) (Receipt, error) {
	return c.act(ctx, http.MethodDelete, "/v2/apps", id, "", force)
}

// RestartApp replaces every task of an app.
func (c *Client) RestartApp(ctx context.Context, id string, force bool) (Receipt, error) {
	return c.act(ctx, http.MethodPost, "/v2/apps", id, "/restart", force)
}

// DeletePod deletes a pod.
func (c *Client) DeletePod(ctx context.Context, id string, force bool) (Receipt, error) {
	return c.act(ctx, http.MethodDelete, "/v2/pods", id, "", force)
}

func (c *Client) act(ctx context.Context, method, prefix, id, suffix string, force bool) (Receipt, error) {
	path, err := idPath(prefix, id)
	if err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, method, path+suffix, forced(force), nil)
}

// CreatePod creates a pod; if there is one, also with force, the error is of
// KindConflict.
func (c *Client) CreatePod(ctx context.Context, p *manifests.Pod, force bool) (Receipt, error) {
	if _, err := idPath("", p.ID); err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, http.MethodPost, "/v2/pods", onlyForced(force), p)
}

// PutPod creates or replaces a pod.
func (c *Client) PutPod(ctx context.Context, p *manifests.Pod, force bool) (Receipt, error) {
	path, err := idPath("/v2/pods", p.ID)
	if err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, http.MethodPut, path, forced(force), p)
}

// groupAlone is what only a group has.
type groupAlone struct {
	Dependencies []string `json:"dependencies,omitzero"`
	EnforceRole  *bool    `json:"enforceRole,omitzero"`
}

// CreateGroup creates a group that holds nothing; if there is one, or an app or a
// pod of its id, the error is of KindConflict.
func (c *Client) CreateGroup(ctx context.Context, g *manifests.Group, force bool) (Receipt, error) {
	path, err := idPath("/v2/groups", g.ID)
	if err != nil {
		return Receipt{}, err
	}
	return c.write(ctx, http.MethodPost, path, onlyForced(force), groupAlone{g.Dependencies, g.EnforceRole})
}

// PutGroup writes what only a group has, and creates the group if need be.
//
// Neither apps nor groups are sent, since those that are not in the body would
// be deleted; nor an id, which makes Marathon 1.11 refuse nested groups. A nil
// Dependencies keeps what there is. EnforceRole, of which a top-level group has
// one, is echoed where g has none: Marathon would else reset it, and with it
// the roles of all apps below. Source:
// Marathon's GroupConversion, and testdata/conformance/api/groups.json.
func (c *Client) PutGroup(ctx context.Context, g *manifests.Group, force bool) (Receipt, error) {
	path, err := idPath("/v2/groups", g.ID)
	if err != nil {
		return Receipt{}, err
	}
	body := groupAlone{g.Dependencies, g.EnforceRole}
	if topLevel := strings.Count(g.ID, "/") == 1; topLevel && g.EnforceRole == nil {
		live, err := c.group(ctx, g.ID)
		if err != nil && KindOf(err) != KindNotFound {
			return Receipt{}, err
		}
		if err == nil {
			body.EnforceRole = live.EnforceRole
		}
	}
	return c.write(ctx, http.MethodPut, path, forced(force), body)
}

// DeleteGroup deletes a group that holds nothing; any other is refused, since
// Marathon would delete all that is in it.
func (c *Client) DeleteGroup(ctx context.Context, id string, force bool) (Receipt, error) {
	g, err := c.group(ctx, id)
	if err != nil {
		return Receipt{}, err
	}
	if n := len(g.Apps) + len(g.Pods) + len(g.Groups); n > 0 {
		return Receipt{}, &Error{Method: http.MethodDelete, URL: "/v2/groups" + id, Status: http.StatusConflict, Sent: true,
			Message: fmt.Sprintf("group %s holds %d apps, pods and groups: a group is deleted only when it is empty", id, n)}
	}
	return c.act(ctx, http.MethodDelete, "/v2/groups", id, "", force)
}

// RollbackDeployment undoes a deployment by a new one, which is returned.
func (c *Client) RollbackDeployment(ctx context.Context, id string) (Receipt, error) {
	return c.write(ctx, http.MethodDelete, "/v2/deployments/"+url.PathEscape(id), forced(false), nil)
}

// CancelDeployment stops a deployment where it is: definitions stay new, tasks
// stay mixed.
func (c *Client) CancelDeployment(ctx context.Context, id string) error {
	_, err := c.write(ctx, http.MethodDelete, "/v2/deployments/"+url.PathEscape(id), forced(true), nil)
	return err
}

// WipeTasks ends instances of an app for good, by the ids of their tasks, also of
// ones that have ended: no other task of the same instance comes, as after a kill,
// and their persistent volumes go with them. While a deployment replaces the tasks
// of the app, Marathon starts none in their place before an outdated one has gone.
// It answers when they have ended. Source: Marathon's TasksResource, TaskKiller and
// TaskReplaceActor.
func (c *Client) WipeTasks(ctx context.Context, app string, ids []string) error {
	return c.wipe(ctx, app, request{method: http.MethodPost, path: "/v2/tasks/delete?wipe=true", body: map[string][]string{"ids": ids}})
}

// WipeInstances is WipeTasks for a pod, by the ids of its instances.
func (c *Client) WipeInstances(ctx context.Context, pod string, ids []string) error {
	path, err := idPath("/v2/pods", pod)
	if err != nil {
		return err
	}
	return c.wipe(ctx, pod, request{method: http.MethodDelete, path: path + "::instances?wipe=true", body: ids})
}

func (c *Client) wipe(ctx context.Context, id string, r request) error {
	if hook := c.wrote.Load(); hook != nil {
		defer hook.f([]string{id}, "") // also after an error: it may have arrived
	}
	_, err := c.do(ctx, r)
	return err
}

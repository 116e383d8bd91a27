package marathon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of reading what a task has written: an explanation is not worth more.
const (
	tailBytes   = 4 << 10
	tailTimeout = time.Second
)

// Stderr reads the end of what a task that failed wrote to its standard error:
// at most 4 KiB, within a second. It comes from the Mesos agent on which the
// task ran, or from a local Marathon itself. It is as the task wrote it: any
// secret may be in it. What may be asked of an agent is in agent.go.
func (c *Client) Stderr(ctx context.Context, f TaskFailure) (string, error) {
	if err := taskName(f.TaskID); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	home, err := c.sandboxes(ctx)
	if err != nil {
		return "", err
	}
	if home.local {
		folder := strings.ReplaceAll(strings.Trim(f.AppID, "/"), "/", "_")
		return tail(func(query string, v any) error { return c.get(ctx, "/files/read?"+query, v) }, folder+"/"+f.TaskID+"/stderr")
	}
	if f.Host == "" || c.options.AgentPort < 0 {
		return "", errors.New("marathon: no agent to read from")
	}
	if err := agentHost(f.Host); err != nil {
		return "", err
	}
	base := "http://" + net.JoinHostPort(f.Host, strconv.Itoa(c.options.AgentPort)) + "/files/read?"
	// The agent's name of a sandbox, whatever its work_dir: MESOS-7899.
	path := "/frameworks/" + home.framework + "/executors/" + f.TaskID + "/runs/latest/stderr"
	return tail(func(query string, v any) error { return c.askAgent(ctx, base+query, v) }, path)
}

// sandboxes says where the sandboxes of tasks are served.
type sandboxes struct {
	local     bool
	framework string // Mesos's id of this Marathon
}

// sandboxes asks once and remembers the answer.
func (c *Client) sandboxes(ctx context.Context) (sandboxes, error) {
	if home := c.home.Load(); home != nil {
		return *home, nil
	}
	var w struct {
		BuildRef    string `json:"buildref"`
		FrameworkID string `json:"frameworkId"`
	}
	if err := c.get(ctx, "/v2/info", &w); err != nil {
		return sandboxes{}, err
	}
	home := sandboxes{local: w.BuildRef == "local", framework: w.FrameworkID}
	c.home.Store(&home)
	return home, nil
}

// tail reads the end of a file: first how long it is, then what is before that.
func tail(read func(query string, v any) error, path string) (string, error) {
	var w struct {
		Data   string `json:"data"`
		Offset int64  `json:"offset"`
	}
	query := url.Values{"path": {path}, "offset": {"-1"}}
	if err := read(query.Encode(), &w); err != nil {
		return "", err
	}
	from := max(0, w.Offset-tailBytes)
	query.Set("offset", strconv.FormatInt(from, 10))
	query.Set("length", strconv.Itoa(tailBytes))
	if err := read(query.Encode(), &w); err != nil {
		return "", err
	}
	text := w.Data[:min(len(w.Data), tailBytes)]
	if _, rest, broken := strings.Cut(text, "\n"); from > 0 && broken {
		return rest, nil // half a line may be half a secret, which nobody would know for one
	}
	return text, nil
}

// askAgent reads JSON from an agent.
func (c *Client) askAgent(ctx context.Context, url string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := c.agents.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("agent %s answered %d", r.URL.Host, answer.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(answer.Body, 16*tailBytes)).Decode(v)
}

package marathon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// What every list of apps is read with: one request, however many there are.
const appsQuery = "?embed=apps.counts&embed=apps.deployments&embed=apps.lastTaskFailure&embed=apps.taskStats"

// Sum names the bytes that an app was told by: the same bytes, the same app.
type Sum [16]byte

func sumOf(b []byte) Sum {
	all := sha256.Sum256(b)
	return Sum(all[:len(Sum{})])
}

// Listed is an app of a list.
type Listed struct {
	App
	Sum Sum
}

// Known is what need not be decoded, or kept, once more. Nil: nothing is known.
type Known struct {
	BySum map[Sum]Listed // apps that were told by the same bytes before
	Share func(*App)     // has an app share what it can with those before it; nil: it shares nothing
}

// next reads the next app of a list. Its bytes, for which raw has room, are of
// interest only where some are known; else it is decoded as it comes, which saves
// a third of the time.
func (k *Known) next(dec *json.Decoder, raw *json.RawMessage) (Listed, error) {
	if k != nil {
		if err := dec.Decode(raw); err != nil {
			return Listed{}, half(err)
		}
		return k.app(*raw)
	}
	var w wireApp
	if err := dec.Decode(&w); err != nil {
		return Listed{}, half(err)
	}
	return Listed{App: w.app()}, nil
}

func (k *Known) app(raw json.RawMessage) (Listed, error) {
	s := sumOf(raw)
	if a, ok := k.BySum[s]; ok {
		return a, nil
	}
	var w wireApp
	if err := json.Unmarshal(raw, &w); err != nil {
		return Listed{}, err
	}
	a := Listed{App: w.app(), Sum: s}
	if k.Share != nil {
		k.Share(&a.App)
	}
	return a, nil
}

// Apps reads every app with its counts, without its tasks.
func (c *Client) Apps(ctx context.Context) (map[string]App, error) {
	all, err := c.listApps(ctx, nil)
	if err != nil {
		return nil, err
	}
	apps := make(map[string]App, len(all))
	for id, a := range all {
		apps[id] = a.App
	}
	return apps, nil
}

// listApps reads every app while the answer arrives: neither the answer nor
// what it says of each app is kept longer than that app takes. What is known is
// not decoded again.
func (c *Client) listApps(ctx context.Context, k *Known) (map[string]Listed, error) {
	var apps map[string]Listed
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/apps" + appsQuery, into: func(r io.Reader) error {
		apps = map[string]Listed{} // of this URL alone
		return readApps(r, apps, k)
	}})
	if err != nil {
		return nil, err
	}
	return apps, nil
}

// readApps reads {"apps": […]}, and nothing but that.
func readApps(r io.Reader, apps map[string]Listed, k *Known) error {
	dec := json.NewDecoder(r)
	if err := delimiter(dec, '{'); err != nil {
		return err
	}
	seen := false
	for dec.More() {
		key, err := dec.Token()
		switch {
		case err != nil:
			return half(err)
		case key != "apps":
			var other json.RawMessage
			if err := dec.Decode(&other); err != nil {
				return half(err)
			}
			continue
		case seen:
			return errors.New(`it has "apps" twice`)
		}
		seen = true
		if err := readMembers(dec, apps, k); err != nil {
			return err
		}
	}
	if err := delimiter(dec, '}'); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the document")
	}
	if !seen {
		return errors.New(`it has no "apps"`)
	}
	return nil
}

func readMembers(dec *json.Decoder, apps map[string]Listed, k *Known) error {
	if err := delimiter(dec, '['); err != nil {
		return err
	}
	var raw json.RawMessage
	for n := 0; dec.More(); n++ {
		a, err := k.next(dec, &raw)
		if err == nil {
			err = addApp(a, apps)
		}
		if err != nil {
			return fmt.Errorf("app %d: %w", n, err)
		}
	}
	return delimiter(dec, ']')
}

// addApp takes one app of a list.
func addApp(a Listed, apps map[string]Listed) error {
	id := a.Definition.ID
	if _, twice := apps[id]; twice || !strings.HasPrefix(id, "/") {
		return fmt.Errorf("its id is %q: expected unique absolute ids", oneLine(id))
	}
	apps[id] = a
	return nil
}

func delimiter(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return half(err)
	}
	if t != want {
		return fmt.Errorf("expected %q, found %v", want.String(), t)
	}
	return nil
}

// half is what the end of an answer means in the midst of a document.
func half(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Under reads every app of a group and of the groups in it.
func (c *Client) Under(ctx context.Context, group string, k *Known) (map[string]Listed, error) {
	p, err := idPath("/v2/groups", group)
	if err != nil {
		return nil, err
	}
	const embed = "embed=group.apps."
	var w wireGroup
	err = c.get(ctx, p+"?embed=group.groups&embed=group.apps&"+embed+"counts&"+embed+"deployments&"+embed+"lastTaskFailure&"+embed+"taskStats", &w)
	if err != nil {
		return nil, err
	}
	apps := map[string]Listed{}
	return apps, w.walkApps(func(raw json.RawMessage) error {
		a, err := k.app(raw)
		if err == nil {
			err = addApp(a, apps)
		}
		if err != nil {
			return fmt.Errorf("app %d: %w", len(apps), err)
		}
		return nil
	})
}

func (w *wireGroup) walkApps(f func(json.RawMessage) error) error {
	for _, raw := range w.Apps {
		if err := f(raw); err != nil {
			return err
		}
	}
	for i := range w.Groups {
		if err := w.Groups[i].walkApps(f); err != nil {
			return err
		}
	}
	return nil
}

// AloneOf is how many of so many apps are read one by one at most: a list costs
// Marathon as much as one in a few hundred of its apps. Source:
// testdata/conformance/README.md, costs.
func AloneOf(apps int) int { return apps / 250 }

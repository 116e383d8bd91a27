package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/oneshot"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// slowFS takes a second to open a file.
type slowFS struct{ fstest.MapFS }

func (f slowFS) Open(name string) (fs.File, error) {
	time.Sleep(time.Second)
	return f.MapFS.Open(name)
}

// slowSource is a source of such files.
type slowSource struct{ files fstest.MapFS }

func (s slowSource) Open(sources.Environment) (sources.Source, error) { return s, nil }

func (s slowSource) Snapshot(context.Context) (*sources.Snapshot, error) {
	return &sources.Snapshot{FS: slowFS{s.files}}, nil
}

func (slowSource) Changed() <-chan struct{} { return nil }

func (slowSource) String() string { return "slow" }

func (slowSource) Close() error { return nil }

// TestTimeoutEndsReading: --timeout ends the reading of a snapshot between two of
// its files, with the exit code for that, and not after its ten thousandth.
func TestTimeoutEndsReading(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 10_000 {
		files[fmt.Sprintf("app%d.json", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"id": "/app%d", "cmd": "sleep 1"}`, i)}
	}
	synctest.Test(t, func(t *testing.T) {
		s := oneshot.Sync{Source: slowSource{files}, Policy: plan.Policy{Scope: "/"}}
		began := time.Now()
		var desired manifests.Desired
		err := within(t.Context(), 30*time.Second, func(ctx context.Context) (err error) {
			desired, err = oneshot.Desired(ctx, s, manifests.DefaultCluster())
			return err
		})
		if took := time.Since(began); took > 32*time.Second {
			t.Errorf("reading took %v", took)
		}
		coded, ok := errors.AsType[*codedError](err)
		if !ok || coded.code != exitTimeout {
			t.Errorf("ended with %v, want exit code %d", err, exitTimeout)
		}
		if len(desired.Items) > 0 {
			t.Errorf("%d items of a snapshot that was not read to its end", len(desired.Items))
		}
	})
}

package enginetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/moby/moby/client"
)

// web is the source of the image's web server: /web ADDRESS answers its
// environment as JSON.
//
//go:embed web.go.txt
var web []byte

// programs are this machine's that are in the image.
var programs = []string{"sh", "sleep", "cat", "id"}

// Image makes an image on an engine, of this machine's /bin/sh, sleep, cat and id
// and of a web server /web, and removes it at the end of the test.
func Image(t testing.TB, e Engine, name string) {
	t.Helper()
	c := Client(t, e.Address)
	layer := Layer(t)
	result, err := c.ImageImport(t.Context(), client.ImageImportSource{Source: bytes.NewReader(layer), SourceName: "-"}, name, client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	_, err = answer.ReadFrom(result)
	if closeErr := result.Close(); err != nil || closeErr != nil || strings.Contains(answer.String(), `"error"`) {
		t.Fatalf("the image cannot be imported: %v %v %s", err, closeErr, answer.String())
	}
	Remove(t, e, name)
}

// Remove removes an image at the end of the test.
func Remove(t testing.TB, e Engine, name string) {
	c, err := client.New(client.WithHost(e.Address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer c.Close()
		// The test's own context has ended.
		if _, err := c.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true}); err != nil {
			t.Logf("image %s stays: %v", name, err)
		}
	})
}

var layerOnce = sync.OnceValues(makeLayer)

// Layer is the image's file system as a tar archive.
func Layer(t testing.TB) []byte {
	t.Helper()
	layer, err := layerOnce()
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func makeLayer() ([]byte, error) {
	files, err := withLibraries(programs)
	if err != nil {
		return nil, err
	}
	server, err := buildWeb()
	if err != nil {
		return nil, err
	}
	image := fstest.MapFS{"web": {Data: server, Mode: 0o755}}
	for to, from := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		image[strings.TrimPrefix(to, "/")] = &fstest.MapFile{Data: data, Mode: 0o755}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err = errors.Join(w.AddFS(image), w.Close())
	return b.Bytes(), err
}

// withLibraries are programs and the libraries that they load: path in the image
// to path on this machine.
func withLibraries(programs []string) (map[string]string, error) {
	files := map[string]string{}
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		files["/bin/"+name] = path
		// "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)" or "/lib64/ld-linux-x86-64.so.2 (0x…)"
		out, err := exec.Command("ldd", path).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w: %s", path, err, out)
		}
		for _, word := range strings.Fields(string(out)) {
			if filepath.IsAbs(word) {
				files[word] = word
			}
		}
	}
	return files, nil
}

func buildWeb() ([]byte, error) {
	dir, err := os.MkdirTemp("", "web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, program := filepath.Join(dir, "web.go"), filepath.Join(dir, "web")
	if err := os.WriteFile(source, web, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the web server cannot be built: %w: %s", err, out)
	}
	return os.ReadFile(program)
}

// Registry serves the image from 127.0.0.1, by HTTP, as NAME:latest, and returns
// the reference to pull. It speaks as much of the distribution protocol as a pull
// needs.
func Registry(t testing.TB, name string) string {
	t.Helper()
	layer := Layer(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const docker = "application/vnd.docker."
	config, _ := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Cmd": []string{"/web", ":80"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	blob := func(kind string, data []byte) map[string]any {
		return map[string]any{"mediaType": docker + kind, "size": len(data), "digest": digest(data)}
	}
	manifest, _ := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": docker + "distribution.manifest.v2+json",
		"config": blob("container.image.v1+json", config), "layers": []any{blob("image.rootfs.diff.tar.gzip", packed.Bytes())},
	})
	answers := map[string][]byte{
		"/v2/": []byte("{}"), "/v2/" + name + "/manifests/latest": manifest, "/v2/" + name + "/manifests/" + digest(manifest): manifest,
		"/v2/" + name + "/blobs/" + digest(config): config, "/v2/" + name + "/blobs/" + digest(packed.Bytes()): packed.Bytes(),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", docker+"distribution.manifest.v2+json")
			w.Header().Set("Docker-Content-Digest", digest(manifest))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/" + name + ":latest"
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

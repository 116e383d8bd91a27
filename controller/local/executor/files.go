package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// readMost is how much /files/read gives at once: a Mesos agent's 16 pages.
const readMost = 64 << 10

// fileServer is the folder of the sandboxes, served as Executor.Files says.
type fileServer string

func (f fileServer) handler() http.Handler {
	mux := http.NewServeMux()
	for name, serve := range map[string]func(*os.Root, string, http.ResponseWriter, *http.Request){
		"read": f.serveRead, "browse": f.serveBrowse, "download": f.serveDownload,
	} {
		mux.HandleFunc("GET /files/"+name, func(w http.ResponseWriter, r *http.Request) {
			path, ok := f.localPath(w, r)
			if !ok {
				return
			}
			// A root follows no symlink out of the sandboxes.
			root, err := os.OpenRoot(string(f))
			if err != nil {
				http.Error(w, "The sandboxes cannot be read.", http.StatusInternalServerError)
				return
			}
			defer root.Close()
			serve(root, path, w, r)
		})
	}
	return mux
}

// localPath reads the parameter path: absolute as a task's sandbox is told, or
// relative to the folder of the sandboxes.
func (f fileServer) localPath(w http.ResponseWriter, r *http.Request) (string, bool) {
	path := r.URL.Query().Get("path")
	if path == "" {
		http.Error(w, "Expecting 'path=value' in query.", http.StatusBadRequest)
		return "", false
	}
	if filepath.IsAbs(path) {
		relative, err := filepath.Rel(string(f), path)
		if err != nil {
			relative = ".."
		}
		path = relative
	}
	if path = filepath.Clean(path); !filepath.IsLocal(path) {
		http.NotFound(w, r)
		return "", false
	}
	return path, true
}

// refuse answers an error of the file system without telling paths outside.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, fs.ErrPermission) {
		http.Error(w, "Permission denied.", http.StatusForbidden)
		return
	}
	http.NotFound(w, r)
}

// openServed opens a regular file for an answer, or answers why not.
func openServed(root *os.Root, path, verb string, w http.ResponseWriter, r *http.Request) (*os.File, fs.FileInfo) {
	info, err := root.Stat(path)
	if err != nil {
		refuse(w, r, err)
		return nil, nil
	}
	if info.IsDir() {
		http.Error(w, fmt.Sprintf("Cannot %s a directory.", verb), http.StatusBadRequest)
		return nil, nil
	}
	f, err := openRegular(root, path)
	if err != nil {
		refuse(w, r, err)
		return nil, nil
	}
	return f, info
}

// serveRead answers {"data": …, "offset": …}; without an offset, or with -1, no
// data and the file's size as the offset, which is how a client begins to follow.
func (fileServer) serveRead(root *os.Root, path string, w http.ResponseWriter, r *http.Request) {
	offset, okOffset := number(r, "offset", -1)
	length, okLength := number(r, "length", readMost)
	switch {
	case !okOffset || offset < -1:
		http.Error(w, "Failed to parse offset: it has to be a number from 0, or -1.", http.StatusBadRequest)
		return
	case !okLength || length < -1:
		http.Error(w, "Failed to parse length: it has to be a number from 0, or -1.", http.StatusBadRequest)
		return
	}
	file, info := openServed(root, path, "read", w, r)
	if file == nil {
		return
	}
	defer file.Close()
	if offset == -1 {
		answerJSON(w, map[string]any{"data": "", "offset": info.Size()})
		return
	}
	if length == -1 || length > readMost {
		length = readMost
	}
	data := make([]byte, length)
	n, err := file.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		refuse(w, r, err)
		return
	}
	answerJSON(w, map[string]any{"data": string(wholeRunes(data[:n])), "offset": offset})
}

// wholeRunes cuts off a rune that the end of data has cut: JSON holds text, and a
// client goes on from offset plus what it got.
func wholeRunes(data []byte) []byte {
	for i := 1; i < utf8.UTFMax && i < len(data); i++ {
		if last := data[len(data)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return data[:len(data)-i]
			}
			break
		}
	}
	return data
}

func number(r *http.Request, name string, absent int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// fileInfo is an entry of /files/browse.
type fileInfo struct {
	GID   string  `json:"gid"`
	Mode  string  `json:"mode"`
	MTime float64 `json:"mtime"`
	NLink uint64  `json:"nlink"`
	Path  string  `json:"path"`
	Size  int64   `json:"size"`
	UID   string  `json:"uid"`
}

func (f fileServer) serveBrowse(root *os.Root, path string, w http.ResponseWriter, r *http.Request) {
	entries, err := fs.ReadDir(root.FS(), filepath.ToSlash(path))
	if err != nil {
		if info, statErr := root.Stat(path); statErr == nil && !info.IsDir() {
			http.Error(w, "Cannot browse a file.", http.StatusBadRequest)
			return
		}
		refuse(w, r, err)
		return
	}
	list := []fileInfo{} // [] and not null
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil { // else it was removed meanwhile
			list = append(list, describe(filepath.Join(string(f), path, entry.Name()), info))
		}
	}
	answerJSON(w, list)
}

// modeWords is the mode as ls writes it, which Go does not for links and folders.
func modeWords(mode fs.FileMode) string {
	kind := "-"
	switch {
	case mode.IsDir():
		kind = "d"
	case mode&fs.ModeSymlink != 0:
		kind = "l"
	case mode&fs.ModeNamedPipe != 0:
		kind = "p"
	case mode&fs.ModeSocket != 0:
		kind = "s"
	}
	return kind + strings.TrimPrefix(mode.Perm().String(), "-")
}

func seconds(t time.Time) float64 { return float64(t.Unix()) }

func (fileServer) serveDownload(root *os.Root, path string, w http.ResponseWriter, r *http.Request) {
	file, info := openServed(root, path, "download", w, r)
	if file == nil {
		return
	}
	defer file.Close()
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": info.Name()}))
	// A task writes what it likes: no browser may take it for a page of ours.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", info.ModTime(), file)
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

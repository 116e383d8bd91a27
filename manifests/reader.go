package manifests

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
	"github.com/pacer-gitops/pacer/visible"
)

// Reader reads snapshots and remembers, by content, what the files and folders
// of the last one said, so that only what changed is parsed again. It remembers
// for one set of Options: give each sync its own Reader. The zero value is not
// usable. Only one goroutine at a time may use it.
type Reader struct {
	options Options
	memory  *folderMemory
	enforce map[string]bool // what the groups of the last snapshot said of roles
	refused []Problem       // what of it is not read
	desired Desired         // what followed from all that
}

// NewReader returns a Reader that has seen nothing.
func NewReader() *Reader { return &Reader{} }

// Fork returns a reader that remembers what this one does, and does not change it: for a
// snapshot that is none of those that this one follows. Both may be used at once.
func (r *Reader) Fork() *Reader {
	fork := *r // what it points to is never changed
	return &fork
}

// Read says what a snapshot asks for. Whatever is wrong is in the result: what
// is not known is marked there (Broken, Unreadable) and never just missing. The
// result is shared with later calls: it must not be changed.
//
// The roles of apps and pods go by what their top-level groups will say of them,
// which stands anywhere: if it is not what was thought, all is read once more.
func (r *Reader) Read(fsys fs.FS, o Options) Desired {
	d, _ := r.ReadUntil(func() error { return nil }, fsys, o) // it never ends
	return d
}

// ReadUntil is Read that gives up once ended returns an error, which is asked
// between files, by several goroutines if Options.Each has them. That error is
// then returned, and nothing of the snapshot is known. Any other error is in the
// result.
func (r *Reader) ReadUntil(ended func() error, fsys fs.FS, o Options) (Desired, error) {
	o = o.settled()
	cluster := o.Cluster
	for range 2 {
		o.Cluster = cluster.enforcing(r.enforce)
		d, err := r.read(ended, fsys, o)
		if err != nil {
			return Desired{}, err
		}
		now := d.enforceRoles()
		if maps.Equal(now, r.enforce) {
			return d, nil
		}
		r.enforce = now
	}
	o.Cluster = cluster.enforcing(r.enforce)
	return r.read(ended, fsys, o)
}

func (r *Reader) read(ended func() error, fsys fs.FS, o Options) (Desired, error) {
	if !r.options.same(o) || r.options.Path != o.Path {
		r.memory = nil
	}
	if !fs.ValidPath(o.Path) {
		return refuseAll(o.Path, "leaves the source: the path is one within it"), nil
	}
	w := walker{fsys: fsys, o: &o, ended: ended}
	memory := w.folder(o.Path, "", nil, r.memory)
	if w.overLimits(memory) == "" {
		w.parse()
	}
	message := w.overLimits(memory)
	if err := ended(); err != nil {
		return Desired{}, err // what was read may be a part of it all
	}
	if message != "" {
		return refuseAll(o.Path, message), nil
	}
	o.Substitute, o.Each = maps.Clone(o.Substitute), nil
	refused := refusedOf(fsys, &o, memory)
	if r.memory == nil || !r.memory.same(memory) || !slices.Equal(r.refused, refused) {
		s := newSet(memory)
		s.refuse(refused)
		r.desired = s.desired(o.Path)
	}
	r.options, r.memory, r.refused = o, memory, refused
	return r.desired, nil
}

// refuseAll is the answer where nothing of a source may be trusted.
func refuseAll(file, message string) Desired {
	return Desired{
		Problems:   []Problem{{File: file, Severity: SeverityError, Message: message}},
		Broken:     map[string]bool{},
		Unreadable: []string{file},
	}
}

// folderMemory is what a folder says.
type folderMemory struct {
	contentID string       // empty: not known, or not all of it could be read
	above     []ignoreRule // the rules that hold for it
	rules     []ignoreRule // the rules that hold in it
	folders   memories[*folderMemory]
	files     memories[*fileMemory]
	problems  []Problem // of the folder itself; each makes it unreadable
	count     int       // of manifests, with those of the folders in it
	bytes     int
}

// same reports whether a folder says what it said before, as far as that shows
// without looking into what is in it.
func (m *folderMemory) same(before *folderMemory) bool {
	return m == before || slices.Equal(m.folders.names, before.folders.names) && slices.Equal(m.folders.values, before.folders.values) &&
		slices.Equal(m.files.names, before.files.names) && slices.Equal(m.files.values, before.files.values) &&
		slices.Equal(m.problems, before.problems)
}

// memories are what the entries of a folder say, by name. The order of names is
// kept since ids mostly follow it: what comes in order is quickly sorted.
type memories[M any] struct {
	names  []string
	values []M
}

func (m *memories[M]) add(name string, value M) {
	m.names = append(m.names, name)
	m.values = append(m.values, value)
}

// get is what an entry says, or the zero value.
func (m *memories[M]) get(name string) (value M) {
	if i, found := slices.BinarySearch(m.names, name); found {
		value = m.values[i]
	}
	return value
}

// fileMemory is what a file says.
type fileMemory struct {
	contentID string
	bytes     int
	result    fileResult
}

// hasContentID is what directory entries of a snapshot can do.
type hasContentID interface{ ContentID() string }

func contentID(e fs.DirEntry) string {
	if c, ok := e.(hasContentID); ok {
		return c.ContentID()
	}
	return ""
}

// Bounds of where a file may stand.
const (
	maxFolders = 100  // how deep folders nest
	maxPath    = 1000 // bytes of its path: messages quote it
)

// walker reads one snapshot. Folders and files are read one after the other, so
// that it is always the same file that a limit stops at; what is read is parsed
// some megabytes at a time, in whatever order the caller has it done.
type walker struct {
	fsys        fs.FS
	o           *Options
	ended       func() error
	count       int // manifests seen so far
	bytes       int
	definitions int // of the files that are understood
	values      int // keys and values of those
	problems    int // held of those
	unparsed    []unparsed
	waiting     int // bytes of what is not parsed
	marks       int // of those: see marks
}

// unparsed is a file that is read and not yet understood.
type unparsed struct {
	name string
	data []byte
	into *fileResult
}

// Bounds of what is held at a time, and not understood.
const (
	mostUnparsed      = 8 << 20 // bytes
	mostUnparsedFiles = 256
	mostUnparsedMarks = 200_000 // what is parsed together is held together
)

// marks is about as many as a text has keys and values, or more: it counts what
// can stand before one.
func marks(data []byte) (n int) {
	for _, mark := range [...]string{",", ":", "[", "{", "\n"} {
		n += bytes.Count(data, []byte(mark))
	}
	return n
}

func (w *walker) parse() {
	files := w.unparsed
	w.unparsed, w.waiting, w.marks = nil, 0, 0
	w.o.Each(len(files), func(i int) {
		if w.ended() == nil {
			readFile(files[i].into, files[i].name, files[i].data, w.o)
		}
	})
	for _, f := range files {
		w.hold(f.name, f.into)
	}
}

// hold counts what is remembered of a file. Once all files have their share of
// problems, the first is remembered of each that has any.
func (w *walker) hold(name string, r *fileResult) {
	w.definitions += len(r.definitions)
	w.values += r.values
	if w.problems+len(r.problems.kept) > maxHeldProblems {
		r.shorten(1, name)
	}
	w.problems += len(r.problems.kept)
}

// recall counts what is remembered of a folder.
func (w *walker) recall(m *folderMemory) {
	for _, f := range m.files.values {
		w.definitions += len(f.result.definitions)
		w.values += f.result.values
		w.problems += len(f.result.problems.kept)
	}
	for _, f := range m.folders.values {
		w.recall(f)
	}
}

// full reports whether the source is beyond a limit.
func (w *walker) full() bool {
	l := w.o.Limits
	return w.count > l.Files || w.bytes > l.TotalBytes || w.definitions > l.TotalDefinitions || w.values > l.TotalValues
}

func (w *walker) overLimits(m *folderMemory) string {
	switch l := w.o.Limits; {
	case m.count > l.Files || w.count > l.Files:
		return fmt.Sprintf("has more than %d manifests: nothing of it is used; split it into several syncs, or leave out files by %s", l.Files, IgnoreFile)
	case m.bytes > l.TotalBytes || w.bytes > l.TotalBytes:
		return fmt.Sprintf("has manifests of more than %d bytes: nothing of it is used; split it into several syncs, or leave out files by %s", l.TotalBytes, IgnoreFile)
	case w.definitions > l.TotalDefinitions:
		return fmt.Sprintf("has more than %d apps, pods and groups: nothing of it is used; split it into several syncs, or leave out files by %s", l.TotalDefinitions, IgnoreFile)
	case w.values > l.TotalValues:
		return fmt.Sprintf("has more than %d keys and values: nothing of it is used; split it into several syncs, or leave out files by %s", l.TotalValues, IgnoreFile)
	}
	return ""
}

// folder reads a folder, or takes it from memory where its content and the
// rules from above it are the same.
func (w *walker) folder(name, id string, rules []ignoreRule, before *folderMemory) *folderMemory {
	if before != nil && id != "" && before.contentID == id && sameRules(rules, before) {
		w.count += before.count
		w.bytes += before.bytes
		w.recall(before)
		return before
	}
	if before == nil {
		before = &folderMemory{}
	}
	m := &folderMemory{contentID: id, above: rules}
	if strings.Count(name, "/") >= maxFolders {
		m.problem(name, syntax.Place{}, fmt.Sprintf("folders are nested deeper than %d: it is not read", maxFolders))
		return m
	}
	entries, err := fs.ReadDir(w.fsys, name)
	if err != nil {
		m.contentID = ""
		m.problem(name, syntax.Place{}, folderError(err))
		return m
	}
	if rules, err = w.ignoreFile(m, name, entries, rules); err != nil {
		m.contentID = ""
		return m
	}
	m.rules = rules
	for _, e := range entries {
		if w.ended() != nil {
			break
		}
		w.entry(m, name, e, rules, before)
		if w.full() {
			break
		}
	}
	return m
}

// keep forgets the folder's content if that of an entry is not known: what
// could not be read may be readable the next time.
func (m *folderMemory) keep(contentID string) {
	if contentID == "" {
		m.contentID = ""
	}
}

func (m *folderMemory) problem(file string, at syntax.Place, message string) {
	m.problems = append(m.problems, Problem{
		File: visible.Line(file), Line: at.Line, Column: at.Column, Severity: SeverityError, Message: message,
	})
}

// sameRules reports whether the rules from above a folder are those that it was
// read with.
func sameRules(rules []ignoreRule, before *folderMemory) bool {
	return slices.EqualFunc(rules, before.above, func(a, b ignoreRule) bool {
		return a.folder == b.folder && a.include == b.include && a.folders == b.folders && a.pattern.String() == b.pattern.String()
	})
}

func folderError(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such folder: check the path; until it exists nothing is changed or deleted"
	}
	return "the folder cannot be read: " + cause(err)
}

// cause is an error without the path that the problem names anyway.
func cause(err error) string {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// ignoreFile adds the rules of the folder's own ignore file. If that cannot be
// understood the folder is not read: more might be applied than was meant.
func (w *walker) ignoreFile(m *folderMemory, name string, entries []fs.DirEntry, rules []ignoreRule) ([]ignoreRule, error) {
	i, found := slices.BinarySearchFunc(entries, IgnoreFile, func(e fs.DirEntry, name string) int { return cmp.Compare(e.Name(), name) })
	if !found || entries[i].IsDir() {
		return rules, nil
	}
	file := path.Join(name, IgnoreFile)
	data, err := w.content(file)
	if err != nil {
		m.problem(file, syntax.Place{}, err.Error())
		return nil, err
	}
	if f := syntax.WrongEncoding(data); f != nil {
		m.problem(file, f.Place, f.Message)
		return nil, errors.New(f.Message)
	}
	own, faults := readIgnore(data, name)
	for _, f := range faults {
		m.problem(file, f.Place, f.Message+"; until then the folder is not read")
	}
	if len(faults) > 0 {
		return nil, errors.New("wrong rules")
	}
	if len(rules)+len(own) > maxIgnoreRules {
		err := fmt.Errorf("has more than %d lines with those of the folders above: use patterns that match more files each", maxIgnoreRules)
		m.problem(file, syntax.Place{}, err.Error())
		return nil, err
	}
	return append(slices.Clip(rules), own...), nil
}

// entry takes one entry of a folder.
func (w *walker) entry(m *folderMemory, folder string, e fs.DirEntry, rules []ignoreRule, before *folderMemory) {
	name := path.Join(folder, e.Name())
	hidden := strings.HasPrefix(e.Name(), ".")
	if hidden || !e.IsDir() && !manifestName(e.Name()) || ignored(rules, name, e.IsDir()) {
		return
	}
	switch {
	case len(name) > maxPath:
		m.problem(cutText(name), syntax.Place{}, fmt.Sprintf("its path is longer than %d bytes: it is not read; shorten it", maxPath))
		return
	case e.IsDir():
		f := w.folder(name, contentID(e), rules, before.folders.get(e.Name()))
		m.folders.add(e.Name(), f)
		m.keep(f.contentID)
		m.count += f.count
		m.bytes += f.bytes
		return
	case !e.Type().IsRegular():
		m.problem(name, syntax.Place{}, "is not a regular file: links and devices are not read")
		return
	}
	w.count++
	f := w.file(name, contentID(e), before.files.get(e.Name()))
	m.files.add(e.Name(), f)
	m.keep(f.contentID)
	m.count++
	m.bytes += f.bytes
	w.bytes += f.bytes
}

// manifestName reports whether a name is that of a manifest.
func manifestName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".json", ".yaml", ".yml":
		return true
	}
	return false
}

// file reads a manifest, or takes it from memory where its content is the same.
func (w *walker) file(name, id string, before *fileMemory) *fileMemory {
	if before != nil && id != "" && before.contentID == id {
		w.hold(name, &before.result)
		return before
	}
	m := &fileMemory{contentID: id}
	data, err := w.content(name)
	if err != nil {
		m.contentID = "" // it may succeed the next time
		m.result.fault(visible.Line(name), syntax.Fault{Message: err.Error()}, "")
		return m
	}
	m.bytes = len(data)
	if id == "" {
		sum := sha256.Sum256(data)
		m.contentID = "sha256:" + hex.EncodeToString(sum[:])
		if before != nil && before.contentID == m.contentID {
			w.hold(name, &before.result)
			return before
		}
	}
	w.unparsed = append(w.unparsed, unparsed{name, data, &m.result})
	w.waiting += len(data)
	w.marks += marks(data)
	if w.waiting > mostUnparsed || w.marks > mostUnparsedMarks || len(w.unparsed) >= mostUnparsedFiles {
		w.parse()
	}
	return m
}

// content reads a file within the limit.
func (w *walker) content(name string) ([]byte, error) {
	f, err := w.fsys.Open(name)
	if err != nil {
		return nil, errors.New("cannot be read: " + cause(err))
	}
	defer f.Close()
	limit := int64(w.o.Limits.FileBytes)
	var content bytes.Buffer
	if info, err := f.Stat(); err == nil { // to grow step by step costs five times as much
		content.Grow(int(min(max(info.Size(), 0), limit)) + bytes.MinRead)
	}
	if _, err := content.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, errors.New("cannot be read: " + cause(err))
	}
	if int64(content.Len()) > limit {
		return nil, fmt.Errorf("is larger than %d bytes: split it, or list it in %s if it is no manifest", limit, IgnoreFile)
	}
	return content.Bytes(), nil
}

// fault notes what is wrong with a file as a whole.
func (r *fileResult) fault(file string, f syntax.Fault, id string) {
	r.unreadable = true
	r.problems.add(maxFileProblems, Problem{
		File: file, Line: f.Place.Line, Column: f.Place.Column, ID: id, Severity: SeverityError, Message: f.Message,
	})
}

// bytesOfValue is how many bytes that a file stands for and does not have count as
// one value of the source: those of ids, dependencies and ${…}.
const bytesOfValue = 64

// readFile reads the content of one manifest.
func readFile(out *fileResult, name string, data []byte, o *Options) {
	isJSON := strings.EqualFold(path.Ext(name), ".json")
	name = visible.Line(name)
	if f := syntax.WrongEncoding(data); f != nil {
		out.fault(name, *f, "")
		return
	}
	if len(bytes.TrimSpace(data)) == 0 {
		out.fault(name, syntax.Fault{Place: syntax.Place{Line: 1, Column: 1}, Message: "the file is empty: delete it, or write a definition"}, "")
		return
	}
	var values []*syntax.Node
	var faults []syntax.Fault
	var id string
	if isJSON {
		value, count, f, written := syntax.JSON(data, o.Limits.ofFile())
		faults, out.values = f, count
		if value != nil {
			values = []*syntax.Node{value}
		}
		if resolved, err := resolveID(written, o.Scope, false); err == nil {
			id = resolved
		}
	} else {
		values, out.values, faults = syntax.YAML(data, o.Limits.ofFile())
	}
	if len(faults) > 0 {
		if f := conflict(data); f != nil {
			faults = []syntax.Fault{*f} // the others only follow from it
		}
	}
	for _, f := range faults {
		out.fault(name, f, id)
	}
	if len(values) == 0 && len(faults) == 0 {
		out.fault(name, syntax.Fault{Place: syntax.Place{Line: 1, Column: 1}, Message: "the file has only comments: delete it, or write a definition"}, "")
	}
	p := interpreter{o: o, file: name, out: out, known: syntax.Index{}, put: newSubstitution(o.Substitute, o.Limits.FileBytes)}
	if len(values) > 1 && !slices.ContainsFunc(values, mayBeManifest) {
		values = values[:1] // told once
	}
	for _, v := range values {
		p.document(v)
	}
	out.values += (p.resolved + o.Limits.FileBytes - p.put.room) / bytesOfValue
	if p.beyond != nil { // of a part of it nothing is known, so all of it is not
		*out = fileResult{}
		out.fault(name, *p.beyond, "")
	}
	out.shorten(maxFileProblems, name)
}

// shorten leaves so many problems of a file, and says how many more there are.
func (r *fileResult) shorten(most int, name string) {
	if rest := r.problems.shorten(most, name, "in this file"); rest != nil {
		r.problems.keep(*rest)
	}
}

// conflict finds the marks that git leaves in a file that it could not merge. In
// a file that can be read they may be text.
func conflict(data []byte) *syntax.Fault {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if bytes.HasPrefix(text, []byte("<<<<<<< ")) {
			return &syntax.Fault{Place: syntax.Place{Line: line, Column: 1}, Message: "an unresolved merge conflict: keep one side, and remove the lines with <<<<<<<, ======= and >>>>>>>"}
		}
	}
	return nil
}

func itoa(i int) string { return strconv.Itoa(i) }

package sources

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"weak"

	"github.com/gofrs/flock"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// clone is the folder that holds the local clone of one repository:
//
//	lock              held by the process that uses the folder
//	generation-7      a bare repository; the highest number counts
//	generation-6      the one before, for snapshots that are still read
//	history           what is behind the newest commit, fetched when it is asked for
//	unfinished-8      being fetched; one that a killed process left is removed
//
// A fetch adds a pack to the newest generation. When that has grown too much
// by packs or bytes, or adding failed twice (see generation.full), or it is
// damaged, or what the server adds does not fit it, or it holds what other options
// left out, a new one is fetched whole and the last but one removed.
// So the folder holds at most two generations, and those that snapshots still read,
// each bounded by three times what
// the repository took when that was fetched and 64 MiB, whatever its history does.
type clone struct {
	dir       string
	temporary bool // made by us: removed at close
	lock      *flock.Flock
	current   *generation // nil: none that can be used
	number    int         // of the newest generation there ever was
	// used are the generations of this process that snapshots may still read. One
	// that is nil is removed with its last snapshot.
	used map[int]weak.Pointer[generation]
}

const (
	generationPrefix = "generation-"
	unfinishedPrefix = "unfinished-"
)

// cloneKey is what a generation was fetched for. With another URL or another
// limit its content would be something else.
type cloneKey struct {
	URL       string `json:"url"`
	FileBytes int64  `json:"fileBytes"`
}

func openClone(dir string, key cloneKey) (_ *clone, damage error, err error) {
	c := &clone{dir: dir}
	if dir == "" {
		if c.dir, err = os.MkdirTemp("", "pacer-git-"); err != nil {
			return nil, nil, fmt.Errorf("create a temporary folder for the clone: %w", err)
		}
		c.temporary = true
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("create the folder of the clone: %w", err)
	}
	if c.lock, err = lockFolder(c.dir); err != nil {
		return nil, nil, err
	}
	damage, err = c.load(key)
	if err != nil {
		return nil, nil, errors.Join(err, c.close())
	}
	return c, damage, nil
}

// lockFolder takes the folder for this process. The system releases the lock
// when the process ends, however it ends.
func lockFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, "lock"))
	taken, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock the folder of the clone %s: %w", dir, err)
	case !taken:
		holder, _ := os.ReadFile(lock.Path()) // for the message only
		return nil, fmt.Errorf("the clone in %s is %w by process %s: use another folder, or stop that process",
			dir, ErrInUse, cmp.Or(strings.TrimSpace(string(holder)), "unknown"))
	}
	if err := os.WriteFile(lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the folder of the clone: %w", err), lock.Close())
	}
	return lock, nil
}

// load finds the newest generation and checks it. What is wrong with it is
// returned as damage: it will be fetched anew.
func (c *clone) load(key cloneKey) (damage, err error) {
	if err := removeFolder(filepath.Join(c.dir, historyFolder)); err != nil {
		return nil, fmt.Errorf("remove history of the process before: %w", err)
	}
	numbers, err := c.generations()
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	c.number = numbers[len(numbers)-1]
	g, damage := openGeneration(c.path(c.number), key)
	if damage == nil {
		c.use(g)
	}
	return damage, nil
}

func (c *clone) path(number int) string {
	return filepath.Join(c.dir, generationPrefix+strconv.Itoa(number))
}

// generations lists the numbers, lowest first, and removes what was not finished.
func (c *clone) generations() ([]int, error) {
	listed, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the clone: %w", err)
	}
	var numbers []int
	for _, e := range listed {
		if strings.HasPrefix(e.Name(), unfinishedPrefix) {
			if err := os.RemoveAll(filepath.Join(c.dir, e.Name())); err != nil {
				return nil, fmt.Errorf("remove an unfinished clone: %w", err)
			}
		}
		text, found := strings.CutPrefix(e.Name(), generationPrefix)
		if n, err := strconv.Atoi(text); found && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// begin makes an empty generation. It counts only after finish.
func (c *clone) begin(key cloneKey) (*generation, error) {
	return newGeneration(filepath.Join(c.dir, unfinishedPrefix+strconv.Itoa(c.number+1)), key)
}

// finish makes a generation the current one and removes those nobody reads any more.
func (c *clone) finish(g *generation) error {
	path := c.path(c.number + 1)
	if err := g.moveTo(path); err != nil {
		return fmt.Errorf("move the new clone into place: %w", err)
	}
	c.number++
	c.use(g)
	numbers, err := c.generations()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n < c.number-1 {
			if err := c.remove(n); err != nil {
				return fmt.Errorf("remove an old clone: %w", err)
			}
		}
	}
	return nil
}

func (c *clone) use(g *generation) {
	c.current = g
	if c.used == nil {
		c.used = map[int]weak.Pointer[generation]{}
	}
	c.used[c.number] = weak.Make(g)
}

// remove removes a generation once no snapshot of it is left. Until then its files
// are what these read: to keep one open for each pack would take as many descriptors
// as there were pushes.
func (c *clone) remove(number int) error {
	g, ofOurs := c.used[number]
	last := g.Value()
	switch {
	case last != nil:
		runtime.AddCleanup(last, func(path string) { _ = removeFolder(path) }, c.path(number))
		c.used[number] = weak.Pointer[generation]{} // it goes by itself
		return nil
	case ofOurs && g == weak.Pointer[generation]{}:
		return nil
	}
	delete(c.used, number)
	return removeFolder(c.path(number))
}

func removeFolder(path string) error {
	gitpack.Forget(path)
	return os.RemoveAll(path)
}

func (c *clone) close() error {
	err := c.lock.Close()
	if c.temporary {
		for _, used := range c.used {
			if g := used.Value(); g != nil {
				err = errors.Join(err, g.hold())
			}
		}
		err = errors.Join(err, removeFolder(c.dir))
	}
	return err
}

// writeState replaces a small file at once, so that a kill leaves the old or the new one.
func writeState(path string, state any) error {
	content, err := json.Marshal(state)
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func readState(path string, state any) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", filepath.Base(path))
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(content, state)
}

// RemoveClones removes what is in a folder of clones, but the ones that are used.
func RemoveClones(folder string, used []string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clones of repositories: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !slices.Contains(used, e.Name()) {
			errs = append(errs, os.RemoveAll(filepath.Join(folder, e.Name())))
		}
	}
	return errors.Join(errs...)
}

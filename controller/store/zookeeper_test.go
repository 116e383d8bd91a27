package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
)

func openZooKeeper(t *testing.T, o *ZooKeeperOptions) *ZooKeeper {
	t.Helper()
	z, err := OpenZooKeeper(t.Context(), *o)
	if err != nil {
		t.Fatal(err)
	}
	z.chunkSize = 4 << 10 // servers keep what was written in memory for long
	t.Cleanup(func() {
		if err := z.Close(); err != nil {
			t.Error(err)
		}
	})
	return z
}

// dial connects a test itself, past the proxies.
func dial(t *testing.T, e *zktest.Ensemble, o *ZooKeeperOptions) *zookeeper.Conn {
	t.Helper()
	c := o.Connection
	c.Servers = nil
	for _, s := range e.Servers() {
		c.Servers = append(c.Servers, s.Direct())
	}
	conn, err := zookeeper.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// lasting does something with a connection of a test itself, and again where that was
// lost: on a busy machine a server may answer too late.
func lasting(t *testing.T, do func() error) {
	t.Helper()
	err := do()
	for end := time.Now().Add(testenv.Patience); isLost(err) && time.Now().Before(end); err = do() {
		time.Sleep(retryPause)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tree is all nodes below one: path → content, and its version in ZooKeeper.
func tree(t *testing.T, c *zookeeper.Conn, node string) map[string]string {
	t.Helper()
	all := map[string]string{}
	lasting(t, func() error {
		_, err := c.Sync(node)
		return err
	})
	var walk func(string)
	walk = func(node string) {
		var names []string
		lasting(t, func() error {
			data, stat, err := c.Get(node)
			if errors.Is(err, zk.ErrNoNode) {
				return nil
			}
			if err != nil {
				return err
			}
			all[node] = fmt.Sprintf("%d %d %s", stat.Version, stat.Czxid, data)
			names, err = children(c, node)
			return err
		})
		for _, n := range names {
			walk(path.Join(node, n))
		}
	}
	walk(node)
	return all
}

func TestASaveOverWhatAnotherSavedIsRefused(t *testing.T) {
	o := inZooKeeper(t, zktest.Shared(t))
	a, b := openZooKeeper(t, o), openZooKeeper(t, o)
	saved(t, a, "shop", sample(1))
	if err := b.Save(t.Context(), "shop", sample(9)); !errors.Is(err, ErrStale) {
		t.Errorf("without having looked: %v, want ErrStale", err)
	}
	holds(t, b, "shop", sample(1))
	saved(t, a, "shop", sample(2))
	for range 2 { // it stays refused
		if err := b.Save(t.Context(), "shop", sample(9)); !errors.Is(err, ErrStale) {
			t.Errorf("after another saved: %v, want ErrStale", err)
		}
	}
	holds(t, a, "shop", sample(2))
	holds(t, b, "shop", sample(2))
	saved(t, b, "shop", sample(3))
	if err := a.Save(t.Context(), "shop", sample(9)); !errors.Is(err, ErrStale) {
		t.Errorf("the first one, later: %v, want ErrStale", err)
	}
	holds(t, a, "shop", sample(3))
}

func TestOneOfManyWritersWinsEachTime(t *testing.T) {
	o := inZooKeeper(t, zktest.Shared(t))
	const writers, rounds = 4, 8
	stores := make([]*ZooKeeper, writers)
	for i := range stores {
		stores[i] = openZooKeeper(t, o)
	}
	var mu sync.Mutex
	taken := 0
	for range rounds {
		var all sync.WaitGroup
		for _, s := range stores {
			if _, err := s.Load(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range stores {
			all.Go(func() {
				err := s.Save(t.Context(), "shop", sample(i+1))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
				} else if !errors.Is(err, ErrStale) {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if taken != rounds {
		t.Errorf("%d saves were taken in %d rounds, want one each", taken, rounds)
	}
}

func TestAGuardWhoseNodeIsGoneRefuses(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	c := dial(t, e, o)
	for name, lose := range map[string]func(node string) error{
		"gone":    func(node string) error { return c.Delete(node, -1) },
		"changed": func(node string) error { _, err := c.Set(node, nil, -1); return err },
	} {
		node := path.Join(o.Connection.Root, "leads-until-"+name)
		if err := c.Make(node); err != nil {
			t.Fatal(err)
		}
		o.Guard = func() (string, int32, error) { return node, 0, nil }
		z := openZooKeeper(t, o)
		if _, err := z.Load(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		saved(t, z, name, sample(1))
		if err := lose(node); err != nil {
			t.Fatal(err)
		}
		before := tree(t, c, o.Connection.Root)
		for _, s := range []State{sample(2), wide()} {
			if err := z.Save(t.Context(), name, s); !errors.Is(err, ErrNotLeader) || errors.Is(err, ErrStale) {
				t.Errorf("%s: %v, want ErrNotLeader", name, err)
			}
		}
		for n, content := range before {
			if now := tree(t, c, o.Connection.Root)[n]; now != content {
				t.Errorf("%s: node %s is changed", name, n)
			}
		}
		holds(t, z, name, sample(1))
	}
	o.Guard = func() (string, int32, error) { return "", 0, errors.New("the lease has ended") }
	if err := openZooKeeper(t, o).Save(t.Context(), "new", sample(1)); !errors.Is(err, ErrNotLeader) || !strings.Contains(err.Error(), "the lease has ended") {
		t.Errorf("%v, want ErrNotLeader", err)
	}
}

func TestFollowersReadAndWriteNothing(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	saved(t, openZooKeeper(t, o), "shop", sample(3))
	c := dial(t, e, o)
	for _, damaged := range []bool{false, true} {
		if damaged {
			if _, err := c.Set(path.Join(o.Connection.Root, recordsNode, "shop"), []byte("{}"), -1); err != nil {
				t.Fatal(err)
			}
		}
		before := tree(t, c, path.Join(o.Connection.Root, recordsNode))
		o.Guard = func() (string, int32, error) { return "", 0, errors.New("it follows") }
		follower := openZooKeeper(t, o)
		if !damaged {
			holds(t, follower, "shop", sample(3))
		} else if s, err := follower.Load(t.Context(), "shop"); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "left unchanged") || s.Inventory != nil {
			t.Errorf("damaged: %+v, %v", s, err)
		}
		if diff := cmp.Diff(before, tree(t, c, path.Join(o.Connection.Root, recordsNode))); diff != "" {
			t.Errorf("damaged is %v: a follower wrote:\n%s", damaged, diff)
		}
		if there, _, err := c.Exists(path.Join(o.Connection.Root, asideNode)); there || err != nil {
			t.Errorf("damaged is %v: a follower set aside: %v", damaged, err)
		}
	}
}

// packed is a text as the one chunk of a generation.
func packed(t *testing.T, text string) string {
	t.Helper()
	return string(zipped(t, text, " ", 0, "")) // pack refuses what cannot be read again
}

func TestDamagedNodesAreSetAsideAndSaid(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	other, err := encode(sample(3), "other")
	if err != nil {
		t.Fatal(err)
	}
	const goodHead = `{"format":1,"generation":"0123456789abcdef","chunks":1}`
	for name, c := range map[string]struct {
		head, chunk string // an empty chunk: none
		want        error
		mark        string
	}{
		"no JSON":                  {"\x00\x00", "", ErrCorrupt, ".corrupt-"},
		"an empty object":          {"{}", "", ErrCorrupt, ".corrupt-"},
		"a part is missing":        {goodHead, "", ErrCorrupt, ".corrupt-"},
		"a part is not compressed": {goodHead, "plain", ErrCorrupt, ".corrupt-"},
		"a part is no state":       {goodHead, packed(t, "{}"), ErrCorrupt, ".corrupt-"},
		"of another sync":          {goodHead, packed(t, string(other)), ErrCorrupt, ".corrupt-"},
		"a lot of nothing":         {goodHead, packed(t, strings.Repeat("\x00", 8<<20)), ErrCorrupt, ".corrupt-"},
		"many parts":               {`{"format":1,"generation":"0123456789abcdef","chunks":2000000000}`, "", ErrCorrupt, ".corrupt-"},
		"a path for a generation":  {`{"format":1,"generation":"../../../../zoo","chunks":1}`, "", ErrCorrupt, ".corrupt-"},
		"a newer layout":           {`{"format":2,"anything":["else"]}`, "", ErrNewer, ".newer-"},
		"a newer state":            {goodHead, packed(t, `{"format":2,"anything":["else"]}`), ErrNewer, ".newer-"},
	} {
		t.Run(name, func(t *testing.T) {
			o := inZooKeeper(t, e)
			z := openZooKeeper(t, o)
			conn := dial(t, e, o)
			node := path.Join(o.Connection.Root, recordsNode, "shop")
			if err := conn.Make(node); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Set(node, []byte(c.head), -1); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"": c.head}
			if c.chunk != "" {
				want["0123456789abcdef-0000"] = c.chunk
				if _, err := conn.Create(path.Join(node, "0123456789abcdef-0000"), []byte(c.chunk), 0, conn.ACL()); err != nil {
					t.Fatal(err)
				}
			}
			s, err := z.Load(t.Context(), "shop")
			if !errors.Is(err, c.want) || s.Inventory != nil {
				t.Fatalf("got %+v, %v: want %v and no state", s, err, c.want)
			}
			if diff := cmp.Diff(want, onlyAside(t, conn, o, c.mark, err)); diff != "" {
				t.Errorf("what is set aside is not what was there:\n%s", diff)
			}
			if s, err := z.Load(t.Context(), "shop"); err != nil || s.Inventory != nil {
				t.Errorf("afterwards: %+v, %v: want an inventory that is not known", s, err)
			}
			saved(t, z, "shop", sample(1))
			holds(t, openZooKeeper(t, o), "shop", sample(1))
			if names, err := newest(conn, node); err != nil || len(names) != 1 {
				t.Errorf("children %v, %v: want those of one state", names, err)
			}
		})
	}
}

// onlyAside is the content of the one thing that is set aside, by the names of
// its children, which an error names.
func onlyAside(t *testing.T, c *zookeeper.Conn, o *ZooKeeperOptions, mark string, told error) map[string]string {
	t.Helper()
	folder := path.Join(o.Connection.Root, asideNode)
	names, err := newest(c, folder)
	if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], "shop"+mark) {
		t.Fatalf("set aside: %v, %v", names, err)
	}
	aside := path.Join(folder, names[0])
	if !strings.Contains(told.Error(), aside) {
		t.Errorf("%v: want the node %s in it", told, aside)
	}
	content := map[string]string{}
	for node := range tree(t, c, aside) {
		data, _, err := c.Get(node)
		if err != nil {
			t.Fatal(err)
		}
		content[strings.TrimPrefix(strings.TrimPrefix(node, aside), "/")] = string(data)
	}
	return content
}

func TestBigStatesAreCutAndOnlyOneGenerationStays(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	c := dial(t, e, o)
	node := path.Join(o.Connection.Root, recordsNode, "shop")
	for _, s := range []State{wide(), sample(1), wide(), wide()} {
		saved(t, z, "shop", s)
		names, err := newest(c, node)
		if err != nil {
			t.Fatal(err)
		}
		if big := len(s.Inventory) > 1; big != (len(names) > 1) {
			t.Errorf("%d children for %d apps", len(names), len(s.Inventory))
		}
		for _, n := range names {
			data, _, err := c.Get(path.Join(node, n))
			if err != nil || len(data) > z.chunkSize {
				t.Errorf("node %s holds %d bytes, %v", n, len(data), err)
			}
			if n[:16] != names[0][:16] {
				t.Errorf("children of several generations: %v", names)
			}
		}
	}
}

func TestTheArchiveMendsWhatIsKeptAgainAndIsGuarded(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	c := dial(t, e, o)
	content := []byte(strings.Repeat("content of three nodes ", 500))
	node := path.Join(o.Connection.Root, archiveNode, "shop", checksum("a")[:32])
	for name, damage := range map[string]func(){
		"nothing was there": func() {},
		"a damaged head": func() {
			lasting(t, func() error {
				_, err := c.Set(node, []byte("{}"), -1)
				return err
			})
		},
		"a missing part": func() {
			var names []string
			lasting(t, func() (err error) {
				names, err = newest(c, node)
				return err
			})
			if len(names) != 3 {
				t.Fatalf("expected the three parts, found %q", names)
			}
			lasting(t, func() error {
				if err := c.Delete(path.Join(node, names[1]), -1); !errors.Is(err, zk.ErrNoNode) {
					return err
				}
				return nil // by the attempt before
			})
		},
	} {
		if err := z.Keep(t.Context(), "shop", checksum("a"), content); err != nil {
			t.Fatal(err)
		}
		damage()
		if name != "nothing was there" {
			if _, err := z.Recall(t.Context(), "shop", checksum("a")); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v, want ErrCorrupt", name, err)
			}
		}
		if err := z.Keep(t.Context(), "shop", checksum("a"), content); err != nil {
			t.Fatal(err)
		}
		if got, err := z.Recall(t.Context(), "shop", checksum("a")); err != nil || string(got) != string(content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	follower := *o
	follower.Guard = func() (string, int32, error) { return "", 0, errors.New("it follows") }
	f := openZooKeeper(t, &follower)
	before := tree(t, c, o.Connection.Root)
	if err := f.Keep(t.Context(), "shop", checksum("b"), content); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Keep: %v, want ErrNotLeader", err)
	}
	if err := f.Retain(t.Context(), "shop", nil); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Retain: %v, want ErrNotLeader", err)
	}
	delete(before, o.Connection.Root) // proved by a write
	after := tree(t, c, o.Connection.Root)
	delete(after, o.Connection.Root)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a follower wrote:\n%s", diff)
	}
}

func TestForeignNodesAreLeftAlone(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	c := dial(t, e, o)
	saved(t, z, "shop", sample(1))
	root := o.Connection.Root
	foreign := []string{root + "/theirs", root + "/store/Their Node", root + "/store/shop/theirs", root + "/store/shop/0123-4", root + "/store/theirs"}
	orphan := root + "/store/shop/0123456789abcdef-0001" // of a save that was killed
	for _, n := range append(foreign, orphan) {
		if err := c.Make(n); err != nil {
			t.Fatal(err)
		}
	}
	z = openZooKeeper(t, o)
	holds(t, z, "shop", sample(1))
	saved(t, z, "shop", sample(2))
	holds(t, z, "shop", sample(2))
	if syncs, err := z.Syncs(t.Context()); err != nil || !slices.Equal(syncs, []string{"shop"}) {
		t.Errorf("syncs %q, %v", syncs, err)
	}
	left := tree(t, c, root)
	for _, n := range foreign {
		if _, there := left[n]; !there {
			t.Errorf("%s is gone", n)
		}
	}
	if _, there := left[orphan]; there {
		t.Errorf("%s is still there", orphan)
	}
}

func TestUsersAreThoseWithASession(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	c := dial(t, e, o)
	saved(t, z, "shop", sample(1))
	if users, err := z.Users(t.Context()); err != nil || len(users) != 0 {
		t.Errorf("users %v, %v, want none", users, err)
	}
	if err := c.Make(o.Connection.Root + "/election"); err != nil {
		t.Fatal(err)
	}
	node, err := c.CreateProtectedEphemeralSequential(o.Connection.Root+"/election/n-", nil, c.ACL())
	if err != nil {
		t.Fatal(err)
	}
	if users, err := z.Users(t.Context()); err != nil || !slices.Equal(users, []string{node}) {
		t.Errorf("users %v, %v, want %s", users, err, node)
	}
}

func TestNodesBelongToTheCredentialAndARotatedOneIsTakenUp(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Connection.Auth = zookeeper.Auth{User: "pacer", Password: secret.Ref{File: password}}
	z := openZooKeeper(t, o)
	saved(t, z, "shop", wide())
	c := dial(t, e, o)
	nodes := tree(t, c, o.Connection.Root)
	for node := range nodes {
		acl, _, err := c.GetACL(node)
		if err != nil || len(acl) != 1 || acl[0].Scheme != "digest" {
			t.Errorf("node %s: %+v, %v", node, acl, err)
		}
	}
	deepestFirst := slices.SortedFunc(maps.Keys(nodes), func(a, b string) int { return strings.Compare(b, a) })
	for _, node := range deepestFirst { // as setAcl -R does
		if _, err := c.SetACL(node, zk.DigestACL(zk.PermAll, "pacer", "new"), -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Save(t.Context(), "shop", sample(1)); !errors.Is(err, zookeeper.ErrNotAllowed) {
		t.Errorf("with the old password: %v", err)
	}
	if err := os.WriteFile(password, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	saved(t, z, "shop", sample(2))
	holds(t, z, "shop", sample(2))
}

func TestAWrongCredentialIsToldAtOnce(t *testing.T) {
	o := inZooKeeper(t, zktest.Shared(t))
	o.Connection.Auth = zookeeper.Auth{User: "pacer", Password: secret.Value("right")}
	openZooKeeper(t, o)
	o.Connection.Auth.Password = secret.Value("hunter2")
	_, err := OpenZooKeeper(t.Context(), *o)
	if !errors.Is(err, zookeeper.ErrNotAllowed) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestReadersFindWholeStatesWhileOneWrites(t *testing.T) {
	o := inZooKeeper(t, zktest.Shared(t))
	writer := openZooKeeper(t, o)
	saved(t, writer, "shop", sample(1))
	big := wide()
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var loads [2]int
	for i := range loads {
		reader := openZooKeeper(t, o)
		readers.Go(func() {
			for ctx.Err() == nil {
				s, err := reader.Load(t.Context(), "shop")
				if err != nil {
					t.Error(err)
					return
				}
				if n := len(s.Inventory); n < len(big.Inventory) && s.History[0].Summary.Create != n {
					t.Errorf("%d in the inventory, %d saved with it: the state is mixed", n, s.History[0].Summary.Create)
				}
				loads[i]++
			}
		})
	}
	for n := range 12 {
		saved(t, writer, "shop", sample(n))
		if n%4 == 0 {
			saved(t, writer, "shop", big)
		}
	}
	cancel()
	readers.Wait()
	if loads[0] == 0 || loads[1] == 0 {
		t.Errorf("loads: %v", loads)
	}
}

func FuzzDecodeHead(f *testing.F) {
	f.Add([]byte(`{"format":1,"generation":"0123456789abcdef","chunks":1}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"generation":"../x","chunks":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHead(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Fatalf("an error that says neither corrupt nor newer: %v", err)
			}
			return
		}
		if h.Chunks < 1 || h.Chunks > maxChunks || strings.Contains(h.Generation, "/") {
			t.Fatalf("%+v", h)
		}
		again, err := encodeHead(h)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeHead(again); err != nil || got != h {
			t.Fatalf("decoded, encoded and decoded: %+v, %v, want %+v", got, err, h)
		}
	})
}

func FuzzDecodePacked(f *testing.F) {
	for _, text := range []string{"", "{}", `{"format":1,"sync":"shop","sum":"","state":{}}`} {
		chunks, err := pack([]byte(text), maxChunk)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(slices.Concat(chunks...))
	}
	whole, err := encode(sample(2), "shop")
	if err != nil {
		f.Fatal(err)
	}
	chunks, err := pack(whole, maxChunk)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Concat(chunks...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodePacked(b, "shop"); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Fatalf("an error that says neither corrupt nor newer: %v", err)
		}
	})
}

// soon is a context that ends before a load or save gives up by itself.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

package store

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// childEnv makes this test binary play a process that uses the store.
const childEnv = "PACER_TEST_STORE_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		if err := playChild(role, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(zktest.Main(m))
}

// playChild opens a place, says so, and holds it or saves bigger and smaller
// states until it is killed.
func playChild(role, spec string) error {
	var p place
	if err := json.Unmarshal([]byte(spec), &p); err != nil {
		return err
	}
	s, err := p.open(context.Background())
	if err != nil {
		return err
	}
	if _, err := s.Load(context.Background(), "shop"); err != nil {
		return err
	}
	fmt.Println("ready")
	for n := 0; ; n++ {
		if role == "hold" {
			_, err := os.Stdin.Read(make([]byte, 1)) // until the parent is gone
			return err
		}
		state := sample(100 + n%200)
		if err := s.Save(context.Background(), "shop", state); err != nil {
			return err
		}
		if f, ok := s.(*File); ok {
			if err := f.SaveAhead(context.Background(), "shop", sending(state, "/shop/a")); err != nil {
				return err
			}
		}
		if n == 0 {
			fmt.Println("saved")
		}
	}
}

// child is this test binary, run as another process.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startChild(t *testing.T, p place, role string) *child {
	t.Helper()
	spec, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], string(spec))
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &child{cmd, bufio.NewScanner(stdout)}
}

// wait waits for a line of the child.
func (c *child) wait(t *testing.T, line string) {
	t.Helper()
	if !c.lines.Scan() || c.lines.Text() != line {
		t.Fatalf("the child says %q, want %q", c.lines.Text(), line)
	}
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // says that it was killed
}

func TestKilledAtAnyMomentTheStateIsWhole(t *testing.T) {
	testenv.Long(t)
	for kind, make := range kinds {
		t.Run(kind, func(t *testing.T) {
			p := make(t)
			for range 20 {
				c := startChild(t, p, "save")
				c.wait(t, "ready")
				c.wait(t, "saved")
				// Any moment will do: the time is not waited for something, it is the
				// moment that is tried.
				time.Sleep(rand.N(20 * time.Millisecond))
				c.kill(t)
				s, err := p.open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				state, err := s.Load(t.Context(), "shop")
				if err != nil {
					t.Fatal(err)
				}
				if n := state.History[0].Summary.Create; len(state.Inventory) != n {
					t.Fatalf("%d in the inventory, %d saved with it: the state is mixed", len(state.Inventory), n)
				}
				s.Close()
			}
		})
	}
}

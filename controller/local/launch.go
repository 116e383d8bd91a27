package local

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/manifests"
)

// resources are what the agent has, or a task asks for.
type resources struct {
	CPUs float64 `json:"cpus"`
	Mem  float64 `json:"mem"`
	Disk float64 `json:"disk"`
	GPUs int     `json:"gpus"`
}

func (r resources) plus(o resources) resources {
	return resources{r.CPUs + o.CPUs, r.Mem + o.Mem, r.Disk + o.Disk, r.GPUs + o.GPUs}
}

func (r resources) minus(o resources) resources {
	return resources{r.CPUs - o.CPUs, r.Mem - o.Mem, r.Disk - o.Disk, r.GPUs - o.GPUs}
}

// The stages that an offer passes, in Marathon's order.
const (
	unfulfilledRole       = "UnfulfilledRole"
	unfulfilledConstraint = "UnfulfilledConstraint"
	noReservation         = "NoCorrespondingReservationFound"
	agentMaintenance      = "AgentMaintenance"
	insufficientCPUs      = "InsufficientCpus"
	insufficientMemory    = "InsufficientMemory"
	insufficientDisk      = "InsufficientDisk"
	insufficientGPUs      = "InsufficientGpus"
	insufficientPorts     = "InsufficientPorts"
	scarceResources       = "DeclinedScarceResources"
)

var stages = []string{unfulfilledRole, unfulfilledConstraint, noReservation, agentMaintenance,
	insufficientCPUs, insufficientMemory, insufficientDisk, insufficientGPUs, insufficientPorts, scarceResources}

// offerStats are how the offers to a waiting spec fared.
type offerStats struct {
	since     stamp
	processed int
	unused    int
	lastUsed  stamp
	lastLost  stamp
	last      string         // the stage that refused the last offer; "": none did
	declined  map[string]int // by stage
	waitsFor  string         // why the executor cannot run it now, for people
	tried     int            // the offer that was last looked at
}

// delay holds launches back after a failure.
type delay struct {
	generation int
	length     time.Duration
	since      time.Time // of the failure, or of what a task has reached since
	most       time.Duration
}

func (d *delay) until() time.Time { return d.since.Add(d.length) }

// forgotten says whether nothing has happened for so long that the next failure
// is the first one again.
func (d *delay) forgotten() bool { return time.Since(d.since) > d.most }

// reoffer is how often the same offer is made again to what waits for
// something that nobody reports, such as a container engine or a free port.
const reoffer = 2 * time.Second

// expect notes that a spec waits for offers.
func (m *Marathon) expect(s *spec) {
	o := m.offers[s.id]
	if o == nil {
		o = &offerStats{declined: map[string]int{}}
		m.offers[s.id] = o
	}
	if o.since.IsZero() {
		o.since = m.stampNow()
	}
	o.tried = 0
}

// offersChanged says that what was refused may fit now.
func (m *Marathon) offersChanged() { m.offer++ }

// delayOf is the delay of a spec's launches; nil: there is none.
func (m *Marathon) delayOf(s *spec) *delay {
	d := m.delays[s.id]
	if d == nil || d.generation != s.generation || d.forgotten() {
		return nil
	}
	return d
}

// backOff delays the next launch of a spec one of whose tasks ended by itself.
// Source: Marathon's RateLimiter.
func (m *Marathon) backOff(s *spec) {
	first, factor, most := s.backoff()
	length := min(first, most)
	if d := m.delayOf(s); d != nil {
		length = min(time.Duration(float64(d.length)*factor), most)
	}
	m.delays[s.id] = &delay{generation: s.generation, length: length, since: time.Now(), most: most}
}

// delayAgain begins a delay anew, as Marathon does whenever a task of the spec
// comes further: so a task must run for maxLaunchDelay until its failures are
// forgotten.
func (m *Marathon) delayAgain(s *spec) {
	if d := m.delayOf(s); d != nil {
		d.since = time.Now()
	}
}

// launch gives offers to all that wait, and says when to offer again.
func (m *Marathon) launch() time.Duration {
	again := time.Hour
	for _, id := range slices.Sorted(maps.Keys(m.offers)) {
		s := m.root.specs[id]
		if s == nil {
			continue
		}
		if waiting := m.waiting(id); len(waiting) > 0 {
			again = min(again, m.launchSpec(s, waiting))
		}
	}
	return max(again, time.Millisecond)
}

// waiting are the instances of an id that want a launch.
func (m *Marathon) waiting(id string) []*instance {
	var is []*instance
	for _, i := range m.instances[id] {
		if i.current() == nil && i.wanted() {
			is = append(is, i)
		}
	}
	return is
}

func (m *Marathon) launchSpec(s *spec, waiting []*instance) time.Duration {
	if d := m.delayOf(s); d != nil {
		if left := time.Until(d.until()); left > 0 {
			return left
		}
	}
	o := m.offers[s.id]
	if o.tried == m.offer+1 && o.waitsFor == "" && o.last != insufficientPorts {
		return time.Hour // nothing has changed since this was refused
	}
	for _, i := range waiting {
		i.spec = s
		if !m.match(i, o) {
			o.tried = m.offer + 1
			return reoffer
		}
	}
	o.since = stamp{}
	return time.Hour
}

// match offers the agent to an instance and launches it if that fits.
func (m *Marathon) match(i *instance, o *offerStats) bool {
	ask := m.prepare(i)
	waitsFor, known := m.waitsFor(ask)
	if !known {
		return false // nothing was offered yet
	}
	o.processed++
	o.waitsFor = ""
	if ask.refused = m.refuses(i.spec, ask); ask.refused == "" {
		if waitsFor == "" {
			m.begins(i, ask)
			o.last, o.lastUsed = "", m.stampNow()
			return true
		}
		o.waitsFor, ask.refused = waitsFor, unfulfilledConstraint
	}
	o.unused++
	o.last, o.lastLost = ask.refused, m.stampNow()
	o.declined[o.last]++
	return false
}

// refuses is the first stage at which the agent does not do; "": it does.
func (m *Marathon) refuses(s *spec, ask *ask) string {
	free := m.agentResources().minus(m.used)
	const rounding = 1e-9
	switch {
	case len(s.acceptedRoles()) > 0 && !slices.Contains(s.acceptedRoles(), "*"):
		return unfulfilledRole // all of the agent is unreserved
	case !m.fits(s):
		return unfulfilledConstraint
	case ask.total.CPUs > free.CPUs+rounding:
		return insufficientCPUs
	case ask.total.Mem > free.Mem+rounding:
		return insufficientMemory
	case ask.total.Disk > free.Disk+rounding:
		return insufficientDisk
	case ask.total.GPUs > free.GPUs:
		return insufficientGPUs
	case !m.takePorts(ask):
		return insufficientPorts
	}
	return ""
}

func (m *Marathon) agentResources() resources {
	a := m.options.Agent
	return resources{a.CPUs, a.Mem, a.Disk, a.GPUs}
}

// meetsConstraints answers constraints as Marathon would with one agent.
func (m *Marathon) meetsConstraints(s *spec) bool {
	for _, c := range s.constraints() {
		value, known := m.options.Agent.Attributes[c.Field]
		if c.Field == "hostname" || c.Field == "@hostname" {
			value, known = m.options.Agent.Hostname, true
		}
		here := 0 // launched beside it
		for _, i := range m.instances[s.id] {
			if i.current() != nil && i.wanted() {
				here++
			}
		}
		if !meets(c, value, known, here) {
			return false
		}
	}
	return true
}

// meets says whether a constraint lets one more task onto the only agent, whose
// attribute has a value or is not known, and on which there are here already.
func meets(c manifests.Constraint, value string, known bool, here int) bool {
	want := or(c.Value, "")
	if !known {
		return c.Operator == "UNLIKE"
	}
	switch c.Operator {
	case "UNIQUE":
		return here == 0
	case "MAX_PER":
		most, err := strconv.Atoi(want)
		return err == nil && here < most
	case "CLUSTER", "IS":
		return want == "" || want == value
	case "GROUP_BY": // groups that no agent has count as empty
		groups, err := strconv.Atoi(want)
		return err != nil || groups <= 1 || here == 0
	case "LIKE", "UNLIKE":
		re, err := regexp.Compile("^(?:" + want + ")$")
		return err == nil && re.MatchString(value) == (c.Operator == "LIKE")
	}
	return false
}

// ask is what the launch of an instance needs.
type ask struct {
	tasks   []askedTask
	total   resources
	refused string
}

type askedTask struct {
	name      string
	task      executor.Task
	resources resources
	wanted    []portRequest // in the order of the env
	ports     []int         // host ports, as wanted that has one
}

// portRequest is a port as an app asks for it.
type portRequest struct {
	name      string
	number    int  // of the env variable: container or service port; 0: none
	host      int  // 0: any
	noHost    bool // the container's network alone has it
	container int
	protocol  string
}

// takePorts finds a free host port for each request. Nothing is reserved yet.
func (m *Marathon) takePorts(a *ask) bool {
	taken := map[int]bool{}
	for i := range a.tasks {
		t := &a.tasks[i]
		t.ports = nil
		for _, w := range t.wanted {
			if w.noHost {
				continue
			}
			port := w.host
			if port == 0 {
				port = m.freePort(taken)
			}
			if port == 0 || m.ports[port] || taken[port] {
				return false
			}
			taken[port] = true
			t.ports = append(t.ports, port)
		}
	}
	return true
}

// freePort is the next free port of the range; 0: there is none. It goes round,
// so that a port which has just been given back rests a while: its last
// connections may still be closing, and its old clients still asking.
func (m *Marathon) freePort(taken map[int]bool) int {
	a := m.options.Agent
	size := a.PortMax - a.PortMin + 1
	for range size {
		port := a.PortMin + m.nextPort%size
		m.nextPort++
		if !m.ports[port] && !taken[port] && portFree(port) {
			return port
		}
	}
	return 0
}

// portFree asks the machine, since Marathon's agent shares it with others.
func portFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// engine is what was last heard of whether containers can be run.
type engine struct {
	asking bool
	heard  time.Time
	err    error
}

// engineHeard is how long an answer of the engine counts.
const engineHeard = time.Second

// waitsFor says what the machine lacks for the tasks of an instance; "": nothing.
// It is not known while the engine, which may take seconds, is being asked: that
// is done beside the lock, and run is woken by the answer.
func (m *Marathon) waitsFor(a *ask) (why string, known bool) {
	e := &m.engine
	n := slices.IndexFunc(a.tasks, func(t askedTask) bool { return t.task.Container != nil })
	switch {
	case n < 0:
		return "", true
	case !e.heard.IsZero() && time.Since(e.heard) < engineHeard:
		if e.err != nil {
			return e.err.Error(), true
		}
		return "", true
	case e.asking:
		return "", false
	}
	e.asking = true
	task := a.tasks[n].task
	m.work.Go(func() {
		err := m.executor.Ready(task)
		m.reports.push(func(m *Marathon) {
			*e = engine{heard: time.Now(), err: err}
			m.offersChanged()
		})
	})
	return "", false
}

// begins launches the tasks of an instance.
func (m *Marathon) begins(i *instance, a *ask) {
	i.incarnation++
	m.used = m.used.plus(a.total)
	i.tasks, i.past = nil, nil
	for n := range a.tasks {
		m.addTask(i, &a.tasks[n])
	}
	for n, t := range i.tasks { // each may be told the ports of all
		m.complete(t, &a.tasks[n])
	}
	m.become(i, provisioned)
	for n, t := range i.tasks {
		m.launchTask(t, a.tasks[n].task)
	}
}

func (m *Marathon) addTask(i *instance, a *askedTask) {
	t := &task{
		id: fmt.Sprintf("%s.%s.%d", i.id, a.name, i.incarnation), name: a.name, instance: i,
		state: executor.Staging, stagedAt: m.stampNow(), ports: a.ports, resources: a.resources, cancel: func() {},
	}
	t.stateAt = t.stagedAt
	if t.ports == nil {
		t.ports = []int{}
	}
	for _, p := range t.ports {
		m.ports[p] = true
	}
	i.tasks = append(i.tasks, t)
	m.tasks[t.id] = t
}

// launchTask hands a task to the executor, or simulates what a label asks for.
func (m *Marathon) launchTask(t *task, what executor.Task) {
	if m.simulate(t) {
		return
	}
	if err := m.executor.Launch(what); err != nil {
		m.reports.add(executor.Update{TaskID: t.id, State: executor.Failed, Message: err.Error(), Timestamp: time.Now()})
	}
}

// delayLeft is how long launches of an id are held back, in whole seconds, and
// whether they are no more. Source: Marathon's LaunchStats.
func (m *Marathon) delayLeft(s *spec) (seconds int, overdue bool) {
	d := m.delayOf(s)
	if d == nil {
		return 0, true
	}
	seconds = int(time.Until(d.until()) / time.Second)
	return max(0, seconds), seconds < 0
}

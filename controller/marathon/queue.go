package marathon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// QueueItem is an app or a pod of which instances are waiting to be launched.
// Source: Marathon's queue.raml, and testdata/conformance/api/locks.json.
type QueueItem struct {
	ID    string         `json:"-"`
	Kind  manifests.Kind `json:"-"`
	Count int            `json:"count"` // instances left to launch
	Role  string         `json:"role"`
	Delay struct {
		TimeLeftSeconds int64 `json:"timeLeftSeconds"` // of the back-off after failures
		Overdue         bool  `json:"overdue"`
	} `json:"delay"`
	Since   time.Time `json:"since"`
	Summary struct {
		Processed     int           `json:"processedOffersCount"`
		Unused        int           `json:"unusedOffersCount"`
		LastOffers    []RejectStage `json:"rejectSummaryLastOffers"` // the last offer of each agent
		LaunchAttempt []RejectStage `json:"rejectSummaryLaunchAttempt"`
	} `json:"processedOffersSummary"`
	LastUnusedOffers []UnusedOffer  `json:"lastUnusedOffers"`
	App              *manifests.App `json:"app"`
	Pod              *manifests.Pod `json:"pod"`
	// WaitsFor is what the local Marathon lacks to run it, in words; Marathon
	// itself says nothing of the kind.
	WaitsFor string `json:"waitsFor"`
}

// RejectStage is one stage of the funnel that an offer must pass.
type RejectStage struct {
	Reason    string `json:"reason"`
	Declined  int    `json:"declined"`
	Processed int    `json:"processed"`
}

// UnusedOffer is an offer that was of no use.
type UnusedOffer struct {
	Offer struct {
		Hostname  string `json:"hostname"`
		Resources []struct {
			Name   string  `json:"name"`
			Role   string  `json:"role"`
			Scalar float64 `json:"scalar"`
		} `json:"resources"`
	} `json:"offer"`
	Reason []string `json:"reason"`
}

type wireQueue struct {
	Queue *[]QueueItem `json:"queue"`
}

func (w *wireQueue) shape() error {
	if w.Queue == nil {
		return errors.New(`it has no "queue"`)
	}
	for i := range *w.Queue {
		switch q := &(*w.Queue)[i]; {
		case q.App != nil:
			q.ID, q.Kind = q.App.ID, manifests.KindApp
		case q.Pod != nil:
			q.ID, q.Kind = q.Pod.ID, manifests.KindPod
		default:
			return fmt.Errorf("item %d of the queue is neither an app nor a pod", i)
		}
	}
	return nil
}

// Queue reads what waits to be launched, and why.
func (c *Client) Queue(ctx context.Context) ([]QueueItem, error) {
	var w wireQueue
	if err := c.get(ctx, "/v2/queue?embed=lastUnusedOffers", &w); err != nil {
		return nil, err
	}
	return *w.Queue, nil
}

// The stages that a definition can say more of.
const (
	unfulfilledConstraint = "UnfulfilledConstraint"
	insufficientPorts     = "InsufficientPorts"
)

// stages say in people's words what an offer lacked, and under which name
// Marathon and Mesos count it.
var stages = map[string]struct{ words, resource string }{
	"UnfulfilledRole":                 {words: "the role"},
	unfulfilledConstraint:             {words: "a constraint"},
	"NoCorrespondingReservationFound": {words: "a reservation"},
	"AgentMaintenance":                {words: "maintenance of the agent"},
	"InsufficientCpus":                {"cpus", "cpus"},
	"InsufficientMemory":              {"mem", "mem"},
	"InsufficientDisk":                {"disk", "disk"},
	"InsufficientGpus":                {"gpus", "gpus"},
	insufficientPorts:                 {words: "ports"},
	"DeclinedScarceResources":         {words: "scarce resources (gpus kept for others)"},
}

// OffersTaken is what Why says where nothing keeps the instances from being
// launched: what they are at is said by their tasks.
const OffersTaken = "offers are being accepted"

// Why says in one sentence why the instances wait, with times of day: it was read at
// some time, and is shown later.
func (q QueueItem) Why(read time.Time) string {
	if !q.Delay.Overdue && q.Delay.TimeLeftSeconds > 0 {
		until := read.Add(time.Duration(q.Delay.TimeLeftSeconds) * time.Second)
		return "launching is delayed until " + until.UTC().Format("15:04:05 UTC") + " after failures"
	}
	if q.WaitsFor != "" {
		return q.WaitsFor
	}
	if q.Summary.Processed == 0 {
		return fmt.Sprintf("no offers for role %q: Mesos has no agent for it, or its quota is exhausted", q.Role)
	}
	if q.Summary.Unused == 0 {
		return OffersTaken
	}
	funnel := q.Summary.LastOffers
	if declined(funnel) == 0 {
		funnel = q.Summary.LaunchAttempt
	}
	total, top := declined(funnel), topStage(funnel)
	constraint := q.constraint(top)
	if top.Reason == unfulfilledConstraint && constraint != "" {
		return constraint
	}
	why := fmt.Sprintf("%d of %d offers refused", q.Summary.Unused, q.Summary.Processed)
	if total == 0 {
		return why
	}
	name := stages[top.Reason].words
	if name == "" {
		name = top.Reason
	}
	share := "all"
	if top.Declined < total {
		share = fmt.Sprintf("%d of the last %d", top.Declined, total)
	}
	why += fmt.Sprintf(", %s for %s", share, name)
	if wants, ok := q.wants(stages[top.Reason].resource); ok {
		why += ": requires " + number(wants)
		if largest, ok := q.largestOffer(stages[top.Reason].resource); ok {
			why += ", largest offer " + number(largest)
		}
	}
	if ports := q.hostPorts(); top.Reason == insufficientPorts && ports != "" {
		why += ": requires " + ports
	}
	if constraint != "" {
		why += "; " + constraint
	}
	return why
}

// constraint says which constraints refuse how many offers; empty: none is known
// to refuse any. Marathon tells only that one of them did. Of an offer that passed
// them and failed later it says nothing, so this counts the launch attempt, where
// it can.
func (q QueueItem) constraint(top RejectStage) string {
	all := q.constraints()
	at := slices.IndexFunc(q.Summary.LaunchAttempt, func(s RejectStage) bool { return s.Reason == unfulfilledConstraint && s.Declined > 0 })
	switch {
	case len(all) == 0:
		return ""
	case at >= 0:
		top = q.Summary.LaunchAttempt[at]
	case top.Reason != unfulfilledConstraint:
		return ""
	}
	which := "constraint " + all[0]
	if len(all) > 1 {
		which = "one of the constraints " + strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s refuses %d of %d offers", which, top.Declined, max(top.Processed, top.Declined))
}

// constraints are those of the definition, as people write them: rack GROUP_BY 3.
func (q QueueItem) constraints() []string {
	var all []manifests.Constraint
	switch {
	case q.App != nil:
		all = q.App.Constraints
	case q.Pod != nil && q.Pod.Scheduling != nil && q.Pod.Scheduling.Placement != nil:
		for _, c := range q.Pod.Scheduling.Placement.Constraints {
			all = append(all, manifests.Constraint(c))
		}
	}
	var words []string
	for _, c := range all {
		text := c.Field + " " + c.Operator
		if c.Value != nil && *c.Value != "" {
			text += " " + *c.Value
		}
		words = append(words, text)
	}
	return words
}

// hostPorts are the ports of an agent that one instance asks for by number.
func (q QueueItem) hostPorts() string {
	var ports []string
	add := func(p *int) {
		if p != nil && *p > 0 {
			ports = append(ports, strconv.Itoa(*p))
		}
	}
	switch {
	case q.App != nil && q.App.Container != nil && len(q.App.Container.PortMappings) > 0:
		for _, p := range q.App.Container.PortMappings {
			add(p.HostPort)
		}
	case q.App != nil && q.App.RequirePorts != nil && *q.App.RequirePorts:
		for _, p := range q.App.PortDefinitions {
			add(p.Port)
		}
	case q.Pod != nil:
		for _, c := range q.Pod.Containers {
			for _, e := range c.Endpoints {
				add(e.HostPort)
			}
		}
	}
	return strings.Join(ports, ", ")
}

func declined(funnel []RejectStage) int {
	n := 0
	for _, s := range funnel {
		n += s.Declined
	}
	return n
}

// topStage is the stage that declined most; of equals the last, which nothing
// passed.
func topStage(funnel []RejectStage) RejectStage {
	var top RejectStage
	for _, s := range funnel {
		if s.Declined > 0 && s.Declined >= top.Declined {
			top = s
		}
	}
	return top
}

// wants is how much of a resource one instance asks for.
func (q QueueItem) wants(resource string) (float64, bool) {
	if resource == "" {
		return 0, false
	}
	if q.App != nil {
		return amount(resource, q.App.CPUs, q.App.Mem, q.App.Disk, q.App.GPUs)
	}
	if q.Pod == nil {
		return 0, false
	}
	sum, known := 0.0, false
	for _, c := range q.Pod.Containers {
		if r := c.Resources; r != nil {
			if n, ok := amount(resource, r.CPUs, r.Mem, r.Disk, r.GPUs); ok {
				sum, known = sum+n, true
			}
		}
	}
	return sum, known
}

func amount(resource string, cpus, mem, disk *float64, gpus *int) (float64, bool) {
	v := map[string]*float64{"cpus": cpus, "mem": mem, "disk": disk}[resource]
	if resource == "gpus" && gpus != nil {
		return float64(*gpus), true
	}
	if v == nil {
		return 0, false
	}
	return *v, true
}

func (q QueueItem) largestOffer(resource string) (float64, bool) {
	largest, known := 0.0, false
	for _, u := range q.LastUnusedOffers {
		sum := 0.0
		for _, r := range u.Offer.Resources {
			if r.Name == resource && (r.Role == "*" || r.Role == q.Role) {
				sum, known = sum+r.Scalar, true
			}
		}
		largest = max(largest, sum)
	}
	return largest, known
}

func number(f float64) string { return strings.TrimSuffix(strconv.FormatFloat(f, 'f', -1, 64), ".0") }

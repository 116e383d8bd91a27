package main

import (
	"context"
	"errors"
	"sync"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/controller/web"
)

// replicas is this replica's part among several. A nil one is the only replica.
type replicas struct {
	candidate *leader.Candidate
	address   string
}

// joinReplicas opens the store in ZooKeeper and makes the candidate, which does
// not stand for election yet.
func (p *program) joinReplicas(ctx context.Context, c *config.Config, ledger *store.Ledger) error {
	if c.ZooKeeper.IsShort() {
		p.log.Warn("zookeeper.sessionTimeout is short: a pause of a busy machine can cause an election", "sessionTimeout", c.ZooKeeper.SessionTimeout.String())
	}
	r := &replicas{address: c.Advertised()}
	if c.Advertise == "" && c.Listen != "" && !c.ListensElsewhere() && c.ZooKeeper.IsElsewhere() {
		// It would be another one's own address there.
		p.log.Warn("other replicas cannot reach this replica's page, so none forwards actions to it: set listen and web.tokens, or advertise", "listen", c.Listen)
		r.address = ""
	}
	connection := zookeeperConfig(c.ZooKeeper, p.log)
	var err error
	r.candidate, err = leader.New(leader.Options{
		Ensemble: leader.NewEnsemble(connection), Timeout: connection.SessionTimeout, Address: r.address, Log: p.log, Metrics: p.metrics,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, zookeeperPatience)
	defer cancel()
	z, err := store.OpenZooKeeper(ctx, store.ZooKeeperOptions{Connection: connection, Guard: r.guard, Log: p.log})
	if err != nil {
		return err
	}
	p.OnStop("the state in ZooKeeper", func(context.Context) error { return z.Close() })
	p.store, p.replicas = store.Remember(z, ledger, p.log), r
	return nil
}

// guard lets the store write while this replica leads: ZooKeeper takes a write
// only together with the proof that its node is there.
func (r *replicas) guard() (node string, version int32, err error) {
	node, err = r.candidate.Node()
	return node, 0, err // nobody writes the node after it was made
}

// lease is what writes to Marathon need; nil: nothing.
func (r *replicas) lease() func() (marathon.Lease, error) {
	if r == nil {
		return nil
	}
	return func() (marathon.Lease, error) {
		lease, err := r.candidate.Lease()
		if err != nil {
			return nil, err
		}
		return lease, nil
	}
}

// addTo tells the page who leads.
func (r *replicas) addTo(o *web.Options) {
	if r == nil {
		return
	}
	o.Address, o.Abdicate = r.address, r.candidate.Abdicate
	o.Leader = func(ctx context.Context) (leader.Replica, error) {
		who, err := r.candidate.Leader(ctx)
		if err == nil && who.Address == "" {
			err = errors.New("the leader serves no page")
		}
		return who, err
	}
}

// lead reports to forges while this replica leads: always, if there is one; else it
// stands for election until the program stops, which hands over before anything else
// stops.
func (p *program) lead(ctx context.Context, fail func(error)) {
	if p.replicas == nil {
		p.Background(ctx, "reporting to forges", p.reporter.Run)
		return
	}
	p.Background(ctx, "leadership", func(ctx context.Context) {
		err := p.replicas.candidate.Lead(ctx, func(ctx context.Context, _ leader.Term) {
			var reporting sync.WaitGroup
			reporting.Go(func() { p.reporter.Run(ctx) })
			p.controller.Lead(ctx)
			reporting.Wait()
		})
		if err != nil {
			fail(err)
		}
	})
}

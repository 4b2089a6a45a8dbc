package executor

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/stackctl/stackctl/pkg/runner/event"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// execCreateNetwork makes a network. One that cannot be made gives its place back
// to the one that was removed for it.
func (r *run) execCreateNetwork(ctx context.Context, op plan.CreateNetwork) error {
	err := r.Engine.CreateNetwork(ctx, op.Network)
	if err == nil || op.Before == nil {
		return err
	}
	if again := r.Engine.CreateNetwork(ctx, op.Before.Spec()); again != nil {
		return fmt.Errorf("%w; the one before it is gone: %w", err, again)
	}
	for _, m := range op.Members {
		if again := r.rejoin(ctx, m); again != nil {
			err = fmt.Errorf("%w; %w", err, again)
		}
	}
	return err
}

// rejoin connects a container once more that was taken off a network. One that has
// gone meanwhile is no error.
func (r *run) rejoin(ctx context.Context, m plan.ConnectContainer) error {
	err := r.Engine.Connect(ctx, m.Container.ID, m.Attachment)
	if err != nil { // an address may be one of the network that was not made
		err = r.Engine.Connect(ctx, m.Container.ID, state.Attachment{Network: m.Attachment.Network, Aliases: m.Attachment.Aliases})
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// putBack gives a run that was cut its networks back: containers that were taken
// off one, for it to be made anew, are connected again, to the new one if it was
// made and otherwise to the one before. The next run would not do that for those
// that it is not about, such as orphans.
func (r *run) putBack(ctx context.Context, p *plan.Plan) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mutationTimeout)
	defer cancel()
	left := map[string]Status{} // by network and container
	joined := map[string]bool{}
	removed := map[string]Status{} // by network
	for _, out := range r.outcomes {
		switch op := out.Node.Op.(type) {
		case plan.DisconnectContainer:
			left[op.Network.Name+" "+op.Container.ID] = out.Status
		case plan.ConnectContainer:
			joined[op.Attachment.Network+" "+op.Container.ID] = out.Status == Done
		case plan.RemoveNetwork:
			removed[op.Network.Name] = out.Status
		}
	}
	for i, n := range p.Nodes {
		op, create := n.Op.(plan.CreateNetwork)
		if !create || op.Before == nil || r.outcomes[i].Status == Failed { // which has done it by itself
			continue
		}
		if r.outcomes[i].Status == Skipped && removed[op.Before.Name] != Skipped {
			// A removal that failed may have happened all the same.
			err := r.Engine.CreateNetwork(ctx, op.Before.Spec())
			if err != nil && !errdefs.IsConflict(err) {
				r.Sink.Emit(event.Event{Time: r.Now(), Kind: event.Warning, Message: fmt.Sprintf("network %s was removed to be made anew, and does not come back: %v", op.Before.Name, err)})
				continue
			}
		}
		for _, m := range op.Members {
			key := op.Before.Name + " " + m.Container.ID
			if left[key] == Skipped || joined[key] {
				continue
			}
			// Where taking it off has failed, it may be on it still, which is an error.
			if err := r.rejoin(ctx, m); err != nil && left[key] == Done {
				r.Sink.Emit(event.Event{Time: r.Now(), Kind: event.Warning, Message: fmt.Sprintf("container %s is off network %s: %v", m.Container.Name, op.Before.Name, err)})
			}
		}
	}
}

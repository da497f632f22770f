//! Puts what an event or a resource was beside each transition of it. Pure.

use crate::model::{EventFacts, ResourceFacts, Snapshot, Transition};

/// Fills in what history needs: from the new snapshot, and for what is gone from the old one.
pub(super) fn attach(transitions: &mut [Transition], before: &Snapshot, after: &Snapshot) {
    for transition in transitions {
        if let Some(id) = transition.kind.tracking_id() {
            let seen = [after, before].into_iter().find_map(|snapshot| {
                let by_subscriptions = snapshot.events.get(id).and_then(EventFacts::of);
                by_subscriptions.or_else(|| snapshot.tenant_events.get(id).map(EventFacts::of_tenant))
            });
            transition.event = seen;
        } else if let Some(id) = transition.kind.resource_id() {
            let known = after.resources.get(id).or_else(|| before.resources.get(id));
            transition.resource = known.map(ResourceFacts::from);
        }
    }
}

//! Which transitions a route takes. Pure.

use crate::model::{Audience, Customer, Matches, Phase, Route, TransitionKind};

use super::story::Matter;

/// True when a route takes a transition.
pub(crate) fn takes(route: &Route, matter: &Matter<'_>) -> bool {
    let wanted = match route.matches.transitions.is_empty() {
        true => is_usual(route.audience, matter),
        false => {
            let word = matter.transition.kind.word();
            route.matches.transitions.iter().any(|wanted| same(wanted, &word))
        }
    };
    wanted && concerns(route, matter)
}

/// True when a route takes what a transition is about, whatever kind of change it is.
pub(crate) fn concerns(route: &Route, matter: &Matter<'_>) -> bool {
    let matches = &route.matches;
    let customer = match matter.customer {
        Some(customer) => takes_customer(matches, customer),
        None => route.audience == Audience::Partner && matches.customers.is_empty() && matches.labels.is_empty(),
    };
    // What ends is told to whoever was told of the start, though it may have lost the severity or regions that it had then.
    let lasting = only_after_start(route, matter) || passes(matches, matter);
    customer && lasting && takes_type(matches, matter) && takes_subscription(matches, matter)
}

/// True when a route speaks of a customer at all.
pub(crate) fn takes_customer(matches: &Matches, customer: &Customer) -> bool {
    let label = |(name, wanted): (&String, &String)| {
        customer.labels.iter().any(|(label, value)| same(label, name) && same(value, wanted))
    };
    (matches.customers.is_empty() || matches.customers.contains(&customer.tenant_id))
        && matches.labels.iter().all(label)
}

/// True when a notice is for those only who were told of the start: the route tells of starts, and this is no start.
pub(crate) fn only_after_start(route: &Route, matter: &Matter<'_>) -> bool {
    let Some(starts) = starts(matter) else { return false };
    let wanted = &route.matches.transitions;
    wanted.is_empty() || wanted.iter().any(|word| starts.iter().any(|start| start.eq_ignore_ascii_case(word)))
}

/// What may have been told before the end of something. None: this is no end.
fn starts(matter: &Matter<'_>) -> Option<&'static [&'static str]> {
    use TransitionKind as Kind;
    match (matter.phase(), &matter.transition.kind) {
        (_, Kind::ResourceNoLongerListed { .. } | Kind::ResourceRecovered { .. }) => {
            Some(&["resourceUnavailable", "resourceDegraded", "resourceUnknown"])
        }
        (_, Kind::CoverageRestored { .. }) => Some(&["coverageLost"]),
        (_, Kind::AccessRestored { .. }) => Some(&["accessLost"]),
        (_, Kind::CustomerHeard { .. }) => Some(&["customerSilent"]),
        (Phase::Ended | Phase::Retracted, _) => Some(&[
            "eventOpened",
            "eventReopened",
            "eventUpdated",
            "maintenanceAnnounced",
            "maintenanceRescheduled",
            "maintenanceStarted",
            "actionRequired",
        ]),
        _ => None,
    }
}

/// What a route takes that names no kinds. Customers hear of Azure, the partner also of what keeps us from reading.
fn is_usual(audience: Audience, matter: &Matter<'_>) -> bool {
    use TransitionKind as Kind;
    match &matter.transition.kind {
        kind if kind.tracking_id().is_some() => true,
        Kind::ResourceUnavailable { .. } | Kind::ResourceDegraded { .. } => !is_user_initiated(matter),
        Kind::ResourceRecovered { .. } | Kind::ResourceNoLongerListed { .. } => true,
        // No signal for ten minutes is mostly a machine that somebody stopped.
        Kind::ResourceUnknown { .. } => false,
        _ => audience == Audience::Partner,
    }
}

/// Somebody stopped it. Spacing and hyphens differ between Azure's answers: letters only are compared.
fn is_user_initiated(matter: &Matter<'_>) -> bool {
    let reason = matter.resource.and_then(|resource| resource.reason.as_deref()).unwrap_or_default();
    let letters: String = reason.chars().filter(char::is_ascii_alphabetic).collect();
    letters.eq_ignore_ascii_case("UserInitiated") || letters.eq_ignore_ascii_case("CustomerInitiated")
}

/// Severity, services, regions and tags: what may change while something lasts.
fn passes(matches: &Matches, matter: &Matter<'_>) -> bool {
    let content = matter.event.as_ref().map(|event| &event.content);
    let impact = content.map(|content| content.impact.as_slice()).unwrap_or_default();
    let severity = matches.severity.is_none_or(|least| matter.severity() >= least);
    let service =
        matches.services.is_empty() || impact.iter().any(|one| any(&matches.services, |name| same(name, &one.service)));
    let of_event = impact.iter().flat_map(|one| &one.regions).map(|region| region.region.as_str());
    let of_resource = matter.resource.and_then(|resource| resource.location.as_deref());
    let mut regions = of_event.chain(of_resource);
    let region =
        matches.regions.is_empty() || regions.any(|region| any(&matches.regions, |name| same_region(name, region)));
    let tag = matches.tags.is_empty()
        || content.is_some_and(|content| content.tags.iter().any(|tag| any(&matches.tags, |name| same(name, tag))));
    severity && service && region && tag
}

/// Event type and resource type, which never change.
fn takes_type(matches: &Matches, matter: &Matter<'_>) -> bool {
    let of_event = matter.event.as_ref().map(|event| event.content.event_type.as_str());
    let of_resource = matter.transition.kind.resource_id().and_then(|id| {
        let known = matter.resource.and_then(|resource| resource.resource_type.clone());
        known.or_else(|| type_of(id.as_str()))
    });
    let event = matches.event_types.is_empty()
        || of_event.is_some_and(|of_event| any(&matches.event_types, |name| same(name, of_event)));
    let resource = matches.resource_types.is_empty()
        || of_resource.is_some_and(|of_resource| any(&matches.resource_types, |name| same(name, &of_resource)));
    event && resource
}

/// One of the named subscriptions sees it.
fn takes_subscription(matches: &Matches, matter: &Matter<'_>) -> bool {
    let named = |id| matches.subscriptions.contains(id);
    match (&matter.event, matter.transition.kind.subscription_id()) {
        _ if matches.subscriptions.is_empty() => true,
        (Some(event), _) => event.subscriptions.iter().any(named),
        (None, Some(id)) => named(&id),
        (None, None) => false,
    }
}

/// The type in a resource's id: `/subscriptions/{id}/resourcegroups/{g}/providers/{namespace}/{type}/{name}[/{type}/{name}]`.
fn type_of(id: &str) -> Option<String> {
    let mut segments = id.rsplit_once("/providers/")?.1.split('/');
    let namespace = segments.next()?;
    let types: Vec<_> = segments.step_by(2).collect();
    (!types.is_empty()).then(|| format!("{namespace}/{}", types.join("/")))
}

fn any(names: &[String], is: impl Fn(&str) -> bool) -> bool {
    names.iter().any(|name| is(name))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// `West Europe` is `westeurope`.
fn same_region(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    letters(a) == letters(b)
}

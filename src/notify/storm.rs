//! Storms: when many notices reach one channel at once, they are told in one message. Pure.

use std::collections::BTreeMap;

use crate::model::{Notice, NoticeId, NoticeScope, Routes};

use super::plan;

/// Which of the notices that wait belong to a storm, each with the bundle that it is told in. The same notices give the same
/// bundles, whoever asks and in whatever order they are.
pub fn storms<'a>(routes: &Routes, pending: impl IntoIterator<Item = &'a Notice>) -> BTreeMap<NoticeId, String> {
    let mut groups: BTreeMap<String, (u32, Vec<NoticeId>)> = BTreeMap::new();
    for notice in pending {
        // What was tried alone goes on alone: the destination may have it.
        if notice.bundle.is_some() || notice.delivery.attempts > 0 {
            continue;
        }
        let Some(route) = routes.routes.iter().find(|route| route.id == notice.route) else { continue };
        let Some(above) = route.timing.storm_above else { continue };
        let whom = match notice.scope {
            // What is one customer's is never told to another, though the channel be the same.
            NoticeScope::Customer { tenant_id } => tenant_id.to_string(),
            NoticeScope::Partner => "partner".to_owned(),
        };
        let seconds = i64::from(plan::group_seconds(route, &notice.subject).max(1));
        let window = notice.created_at.timestamp().div_euclid(seconds);
        let bundle = format!("storm|{}|{}|{whom}|{seconds}|{window}", route.id, notice.channel);
        groups.entry(bundle).or_insert((above, Vec::new())).1.push(notice.id);
    }
    let storms = groups.into_iter().filter(|(_, (above, ids))| ids.len() > *above as usize);
    storms.flat_map(|(bundle, (_, ids))| ids.into_iter().map(move |id| (id, bundle.clone()))).collect()
}

//! Emerging issues: the status page of the whole cloud.

use serde_json::{Value, json};

use super::exchange::Reply;
use super::resource::iso;
use super::world::World;
use crate::model::Timestamp;

/// One issue of the status page.
#[derive(Debug, Clone)]
pub struct Emerging {
    /// The key.
    pub tracking_id: String,
    /// One line.
    pub title: String,
    /// HTML.
    pub description: String,
    /// `Information`, `Warning`, `Error`.
    pub severity: String,
    /// `Active`, `Resolve`, `Archived`.
    pub stage: String,
    /// Shown.
    pub published: bool,
    /// When it began.
    pub start: Timestamp,
    /// When it was last changed.
    pub last_modified: Timestamp,
    /// A service and its regions.
    pub service: (String, Vec<String>),
}

impl Emerging {
    /// An active issue of a service in a region.
    pub fn new(tracking_id: &str, title: &str, service: &str, region: &str, at: Timestamp) -> Self {
        Self {
            tracking_id: tracking_id.to_owned(),
            title: title.to_owned(),
            description: format!("<p>{title}</p>"),
            severity: "Error".to_owned(),
            stage: "Active".to_owned(),
            published: true,
            start: at,
            last_modified: at,
            service: (service.to_owned(), vec![region.to_owned()]),
        }
    }

    fn to_json(&self) -> Value {
        let slug = |text: &String| text.to_ascii_lowercase().replace(' ', "-");
        let region = |region: &String| json!({"id": slug(region), "name": region});
        let (service, regions) = &self.service;
        json!({
            "title": self.title, "description": self.description, "trackingId": self.tracking_id,
            "startTime": iso(self.start), "cloud": "Public", "severity": self.severity, "stage": self.stage,
            "published": self.published, "lastModifiedTime": iso(self.last_modified),
            "impacts": [{"id": slug(service), "name": service,
                "regions": regions.iter().map(region).collect::<Vec<_>>()}],
        })
    }
}

/// The one document, or the list with nothing else in it.
pub(super) fn answer(world: &World, name: &[&str]) -> Option<Reply> {
    // With a blank instead of the `T`, as observed.
    let refreshed = world.now().format("%Y-%m-%d %H:%M:%SZ").to_string();
    let banner = |(title, at): &(String, Timestamp)| json!({"title": title, "message": title, "cloud": "Public", "lastModifiedTime": iso(*at)});
    let document = json!({
        "id": "/providers/Microsoft.ResourceHealth/emergingissues/default",
        "name": "default",
        "type": "/providers/Microsoft.ResourceHealth/emergingissues",
        "properties": {
            "refreshTimestamp": refreshed,
            "statusBanners": world.banners.iter().map(banner).collect::<Vec<_>>(),
            "statusActiveEvents": world.emerging.iter().map(Emerging::to_json).collect::<Vec<_>>(),
        },
    });
    match name {
        [] => Some(Reply::json(200, &json!({"value": [document]}))),
        ["default"] => Some(Reply::json(200, &document)),
        _ => None,
    }
}

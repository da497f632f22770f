//! What an event says about where it stands, in tags, titles and times ("Azure health data APIs", 6.3 and 6.4). Titles are
//! hints that may be localised: none of them opens or closes what the status says otherwise, but for the few that Azure uses
//! instead of a status.

use chrono::TimeDelta;

use super::{EventContent, EventStatus, EventType, ReviewStage, Timestamp};

/// Two times of one publication may be seconds apart.
const SECONDS_APART: TimeDelta = TimeDelta::minutes(1);
/// Azure's tags that are told as transitions of their own.
const TAGS_TOLD: [&str; 4] = ["Action Recommended", "False Positive", "Preliminary PIR", "Final PIR"];

impl EventContent {
    /// True while Azure does not say that it is over, called off or a false alarm: an unknown status counts as going on. A
    /// root cause analysis is about something that is over.
    pub fn is_active(&self) -> bool {
        self.status != EventStatus::Resolved
            && self.event_type != EventType::Rca
            && !self.is_retracted()
            && !self.is_cancelled()
            && !self.says_completed()
    }

    /// True for maintenance that Azure plans.
    pub fn is_maintenance(&self) -> bool {
        self.event_type == EventType::PlannedMaintenance
    }

    /// True when Azure says that there was no such problem. Of maintenance "no impact" is a forecast.
    pub fn is_retracted(&self) -> bool {
        self.has_tag("False Positive") || (!self.is_maintenance() && is_headed(&self.title, "no impact"))
    }

    /// True when Azure called it off.
    pub fn is_cancelled(&self) -> bool {
        self.stage_is(&["canceled", "cancelled"])
            || (self.is_maintenance() && words(&self.title).any(|word| word == "canceled" || word == "cancelled"))
    }

    /// True for maintenance that Azure says is done, whatever its planned end.
    pub fn says_completed(&self) -> bool {
        self.is_maintenance()
            && (self.stage_is(&["complete", "completed", "resolved"])
                || self.title.trim_start().to_lowercase().starts_with("end of "))
    }

    /// True for maintenance that Azure says is going on, whatever its planned start.
    pub fn says_started(&self) -> bool {
        self.is_maintenance()
            && (self.stage_is(&["inprogress"]) || self.title.to_lowercase().contains("maintenance in progress"))
    }

    /// The review that is published: the last word, where there are two. What is called a review without saying which counts
    /// as the preliminary one; a root cause analysis is final.
    pub fn review(&self) -> Option<ReviewStage> {
        let title = self.title.to_lowercase();
        let named = title.trim_start().starts_with("post incident review") || title.contains("(pir)");
        let by_tag = self.tags.iter().any(|tag| tag.to_ascii_lowercase().contains("pir"));
        let is_final = self.has_tag("Final PIR")
            || self.event_type == EventType::Rca
            || (named && words(&title).any(|word| word == "final"));
        if is_final {
            return Some(ReviewStage::Final);
        }
        (named || by_tag || self.stage_is(&["rca"])).then_some(ReviewStage::Preliminary)
    }

    /// When it ends, as far as that can be believed. Of what goes on Azure gives any time at all, but for maintenance and
    /// advisories, where it is a plan or a deadline. No end is before its start.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let is_plan =
            self.is_maintenance() || matches!(self.event_type, EventType::HealthAdvisory | EventType::Billing);
        let end = self.impact_mitigation.filter(|_| is_plan || !self.is_active())?;
        self.impact_start.is_none_or(|start| start <= end + SECONDS_APART).then_some(end)
    }

    /// Whether somebody has to do something about it, and until when where there is a deadline: Azure recommends it, or an
    /// advisory has one.
    pub fn action(&self) -> Option<Option<Timestamp>> {
        let has_deadline = self.event_type == EventType::HealthAdvisory && self.ends_at().is_some();
        let wanted = self.is_active() && (has_deadline || self.has_tag("Action Recommended"));
        wanted.then(|| self.ends_at())
    }

    /// The tags that are not told as something else.
    pub fn other_tags(&self) -> impl Iterator<Item = &str> {
        let told = |tag: &str| TAGS_TOLD.iter().any(|known| known.eq_ignore_ascii_case(tag.trim()));
        self.tags.iter().map(String::as_str).filter(move |tag| !told(tag))
    }

    fn has_tag(&self, wanted: &str) -> bool {
        self.tags.iter().any(|tag| tag.trim().eq_ignore_ascii_case(wanted))
    }

    fn stage_is(&self, wanted: &[&str]) -> bool {
        let letters = |stage: &str| stage.chars().filter(char::is_ascii_alphabetic).collect::<String>();
        self.stage.as_deref().is_some_and(|stage| wanted.iter().any(|one| letters(stage).eq_ignore_ascii_case(one)))
    }
}

/// True when a title is these words (in lower case) alone, or they stand before a dash, colon or bar.
fn is_headed(title: &str, words: &str) -> bool {
    let title = title.trim().to_lowercase();
    let rest = title.strip_prefix(words).map(str::trim_start);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '\u{2013}', '\u{2014}', ':', '|']))
}

fn words(title: &str) -> impl Iterator<Item = String> {
    title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(event_type: &str, title: &str, tags: &[&str]) -> EventContent {
        serde_json::from_value(serde_json::json!({
            "eventType": event_type, "status": "Active", "title": title, "tags": tags,
            "impactStart": "2026-01-15T12:00:00Z",
        }))
        .expect("a content as an older version wrote it")
    }

    #[test]
    fn a_false_alarm_is_known_by_its_tag_or_its_title() {
        assert!(content("ServiceIssue", "VMs", &["false positive"]).is_retracted());
        for title in ["No Impact - VMs", "no impact – VMs", "No Impact", "No impact: VMs"] {
            assert!(content("ServiceIssue", title, &[]).is_retracted(), "{title}");
        }
        for (kind, title) in [
            ("ServiceIssue", "No Impacted resources were found yet"),
            ("ServiceIssue", "Storage: no impact - yet"),
            ("PlannedMaintenance", "No Impact - Routine maintenance"),
        ] {
            assert!(!content(kind, title, &[]).is_retracted(), "{title}");
        }
    }

    #[test]
    fn maintenance_says_by_its_title_where_it_stands() {
        let says = |title: &str| {
            let content = content("PlannedMaintenance", title, &[]);
            (content.says_started(), content.says_completed(), content.is_cancelled(), content.is_active())
        };
        assert_eq!(says("Routine Planned Maintenance in Progress, West Europe"), (true, false, false, true));
        assert_eq!(says("End of Routine Planned Maintenance, West Europe"), (false, true, false, false));
        assert_eq!(says("Cancelled: Planned Maintenance Notification"), (false, false, true, false));
        assert_eq!(says("Planned Maintenance Notification (canceled)"), (false, false, true, false));
        assert_eq!(says("Planned Maintenance Notification"), (false, false, false, true));
        assert!(!content("HealthAdvisory", "Cancelled orders are kept", &[]).is_cancelled());
    }

    #[test]
    fn every_sign_of_a_review_is_one() {
        use ReviewStage::{Final, Preliminary};
        let review = |kind: &str, title: &str, tags: &[&str]| content(kind, title, tags).review();
        assert_eq!(review("ServiceIssue", "VMs", &[]), None);
        assert_eq!(review("ServiceIssue", "VMs", &["Preliminary PIR"]), Some(Preliminary));
        assert_eq!(review("ServiceIssue", "VMs", &["Final PIR", "Preliminary PIR"]), Some(Final));
        assert_eq!(review("ServiceIssue", "Post Incident Review (PIR) – VMs", &[]), Some(Preliminary));
        assert_eq!(review("ServiceIssue", "VMs (PIR)", &[]), Some(Preliminary));
        assert_eq!(review("ServiceIssue", "Final Post Incident Review (PIR) – VMs", &[]), Some(Final));
        assert_eq!(review("RCA", "VMs", &[]), Some(Final));
        let by_log = EventContent { stage: Some("RCA".into()), ..content("ServiceIssue", "VMs", &[]) };
        assert_eq!(by_log.review(), Some(Preliminary));
    }

    #[test]
    fn an_end_that_lies_is_none() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        let with = |kind: &str, status: &str, end: &str| {
            let status = EventStatus::from(status.to_owned());
            EventContent { status, impact_mitigation: at(end), ..content(kind, "T", &[]) }.ends_at()
        };
        let later = "2026-01-20T12:00:00Z";
        assert_eq!(with("ServiceIssue", "Active", later), None, "what goes on has no end yet");
        assert_eq!(with("ServiceIssue", "Resolved", later), at(later));
        assert_eq!(with("ServiceIssue", "Resolved", "2026-01-01T00:00:00Z"), None, "before its start");
        assert_eq!(with("PlannedMaintenance", "Active", later), at(later));
        assert_eq!(with("HealthAdvisory", "Active", later), at(later));
    }

    #[test]
    fn a_deadline_or_a_recommendation_asks_for_action_while_it_goes_on() {
        let retirement = EventContent {
            impact_mitigation: "2027-01-15T12:00:00Z".parse().ok(),
            ..content("HealthAdvisory", "TLS 1.0 ends", &[])
        };
        assert_eq!(retirement.action(), Some(retirement.impact_mitigation));
        assert_eq!(content("SecurityAdvisory", "Rotate keys", &["Action Recommended"]).action(), Some(None));
        assert_eq!(content("HealthAdvisory", "Good to know", &[]).action(), None);
        assert_eq!(EventContent { status: EventStatus::Resolved, ..retirement }.action(), None);
    }
}

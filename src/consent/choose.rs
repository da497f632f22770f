//! The page of the choice: what of it is shown, what is ticked, and moving about in it without losing a tick.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::SecretString;

use super::callback::CHOOSE;
use super::form::{Action, GrantForm};
use super::session::{Choosing, Elsewhere, Entry, Group, Offer, Phase, Standing};
use super::{Error, Failure, sealed};
use crate::app::App;
use crate::model::{AccessTier, ClientId, ManagementGroupId, ObjectId, SubscriptionId, TenantId, Timestamp};

/// Subscriptions on one page: a form with as many ticks is small, and people search before they scroll further.
pub(crate) const PER_PAGE: usize = 100;

/// What of the list is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Only subscriptions with this in their name or id. Empty: all.
    pub search: String,
    /// The page, from 0.
    pub page: usize,
}

impl Shown {
    /// Reads it from a query or form; the page is counted from 1 there.
    pub(crate) fn of(search: Option<&str>, page: Option<&str>) -> Self {
        let search = search.unwrap_or_default().trim().chars().take(100).collect();
        let page: usize = page.and_then(|page| page.parse().ok()).unwrap_or(1);
        Self { search, page: page.clamp(1, 10_000) - 1 }
    }

    /// The path that shows it.
    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.search.is_empty() {
            query.append_pair("q", &self.search);
        }
        if self.page > 0 {
            query.append_pair("page", &(self.page + 1).to_string());
        }
        let query = query.finish();
        if query.is_empty() { CHOOSE.to_owned() } else { format!("{CHOOSE}&{query}") }
    }

    /// What matches the search. Pure.
    fn matching<'a>(&self, offers: &'a [Offer]) -> Vec<&'a Offer> {
        let wanted = self.search.to_lowercase();
        let fits = |offer: &&Offer| {
            wanted.is_empty() || offer.name.to_lowercase().contains(&wanted) || offer.id.to_string().contains(&wanted)
        };
        offers.iter().filter(fits).collect()
    }

    /// What is on the page. Pure.
    fn rows<'a>(&self, offers: &'a [Offer]) -> Vec<&'a Offer> {
        self.matching(offers).into_iter().skip(self.page.saturating_mul(PER_PAGE)).take(PER_PAGE).collect()
    }
}

/// What the page shows.
#[derive(Debug)]
pub struct Choices {
    /// The tenant that grants.
    pub tenant: TenantId,
    /// What it calls itself; foreign text.
    pub tenant_name: Option<String>,
    /// Who grants; foreign text.
    pub person: String,
    /// Our application.
    pub client_id: ClientId,
    /// Our service principal in the tenant, where it is known yet.
    pub principal: Option<ObjectId>,
    /// The subscriptions on this page.
    pub choices: Vec<Choice>,
    /// What of the list is shown.
    pub shown: Shown,
    /// How many pages what matches has.
    pub pages: usize,
    /// How many subscriptions there are, match or not.
    pub total: usize,
    /// How many match and can be chosen.
    pub matching: usize,
    /// How many are ticked, on this page or not.
    pub ticked: usize,
    /// The management groups that can be chosen instead. None: the invite is for single subscriptions.
    pub groups: Option<Vec<Group>>,
    /// The one that was chosen before.
    pub group: Option<ManagementGroupId>,
    /// The other tenants of the same person.
    pub elsewhere: Vec<Elsewhere>,
    /// True when this is the page after a second sign-in.
    pub stepped_up: bool,
    /// A subscription that the link named and that the person does not see.
    pub not_seen: Option<SubscriptionId>,
    /// True when Azure's list broke off.
    pub incomplete: bool,
    /// What the form must send back.
    pub csrf: SecretString,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// How the person came.
    pub entry: Entry,
    /// What is ticked beyond the base: what the partner asks for, until the person decides.
    pub tiers: BTreeSet<AccessTier>,
}

/// One subscription on the page.
#[derive(Debug)]
pub struct Choice {
    /// The subscription.
    pub offer: Offer,
    /// Whether it is ticked.
    pub ticked: bool,
}

/// What the person of this browser may choose from.
///
/// # Errors
/// Any of a session that cannot go on.
pub async fn choices(app: &Arc<App>, cookie: Option<&str>, shown: Shown) -> Result<Choices, Failure> {
    let opened = sealed::resume(app, cookie).await?;
    let expires_at = opened.ticket.expires_at().ok_or(Error::Tampered)?;
    let choosing = opened.phase.choosing().map_err(|failure| *failure)?;
    let ticked = |offer: &Offer| choosing.chosen.subscriptions.contains(&offer.id);
    let matching = shown.matching(&choosing.offers);
    let rows = shown.rows(&choosing.offers);
    let wanted = choosing.entry.subscription;
    Ok(Choices {
        choices: rows.iter().map(|offer| Choice { ticked: ticked(offer), offer: (*offer).clone() }).collect(),
        pages: matching.len().div_ceil(PER_PAGE),
        total: choosing.offers.len(),
        matching: matching.iter().filter(|offer| offer.standing == Standing::Offered).count(),
        ticked: choosing.offers.iter().filter(|offer| ticked(offer)).count(),
        not_seen: wanted.filter(|wanted| !choosing.offers.iter().any(|offer| offer.id == *wanted)),
        tenant: choosing.tenant,
        person: choosing.person_shown(),
        tenant_name: choosing.tenant_name,
        client_id: app.settings.identity.client_id,
        principal: choosing.principal,
        groups: choosing.groups_allowed.then_some(choosing.groups),
        group: choosing.chosen.group,
        elsewhere: choosing.elsewhere,
        stepped_up: choosing.stepped_up,
        incomplete: choosing.incomplete,
        csrf: choosing.csrf.0.into(),
        expires_at,
        tiers: choosing.chosen.tiers,
        entry: choosing.entry,
        shown,
    })
}

/// Moves about in the page: keeps what is ticked so far in the session, and gives the path of what to show next.
///
/// # Errors
/// Any of a session that cannot go on; [`Error::Csrf`], [`Error::NotOffered`].
pub async fn browse(app: &Arc<App>, form: &GrantForm, cookie: Option<&str>) -> Result<String, Failure> {
    let mut opened = sealed::resume(app, cookie).await?;
    let phase = std::mem::replace(&mut opened.phase, Phase::Granting);
    let mut choosing = phase.choosing().map_err(|failure| *failure)?;
    form.common.is_from(&choosing.csrf)?;
    let mut ticked = ticked(&choosing, form).map_err(|error| error.of(&choosing.entry))?;
    let mut next = Shown { search: form.search.clone(), page: 0 };
    let matching = next.matching(&choosing.offers);
    match &form.action {
        Action::TickAll => {
            ticked.extend(matching.iter().filter(|one| one.standing == Standing::Offered).map(|one| one.id));
            next.page = form.shown.page;
        }
        Action::TickNone => {
            for one in matching {
                ticked.remove(&one.id);
            }
            next.page = form.shown.page;
        }
        Action::Page(page) => next.page = *page,
        // Searching begins on the first page.
        Action::Search | Action::Grant | Action::Verify => {}
    }
    choosing.chosen.subscriptions = ticked;
    choosing.chosen.group.clone_from(&form.group);
    choosing.chosen.tiers.clone_from(&form.tiers);
    sealed::advance(app, &opened, &Phase::Choosing(choosing)).await?;
    Ok(next.path())
}

/// What is ticked with this form: on the page that it shows as the form says, elsewhere as it was. Pure.
pub(super) fn ticked(choosing: &Choosing, form: &GrantForm) -> Result<BTreeSet<SubscriptionId>, Error> {
    let offered = |id: &SubscriptionId| {
        choosing.offers.iter().any(|offer| offer.id == *id && offer.standing == Standing::Offered)
    };
    if !form.common.subscriptions.iter().all(offered) {
        return Err(Error::NotOffered);
    }
    let mut ticked = choosing.chosen.subscriptions.clone();
    for offer in form.shown.rows(&choosing.offers) {
        ticked.remove(&offer.id);
    }
    ticked.extend(&form.common.subscriptions);
    // What was chosen before a second sign-in may have gone meanwhile.
    ticked.retain(offered);
    Ok(ticked)
}

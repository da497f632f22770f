//! The form of the pages on which somebody chooses: read strictly, since anybody can send one.

use std::collections::BTreeSet;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};

use super::Error;
use super::choose::Shown;
use super::session::Sealed;
use crate::model::{AccessTier, ManagementGroupId, SubscriptionId};

/// The most fields of a form that are read.
pub(super) const MOST_FIELDS: usize = 2_000;

/// The form of a page.
#[derive(Debug)]
pub struct GrantForm {
    /// What the person wants.
    pub action: Action,
    pub(super) common: Common,
    /// What of the list the form shows.
    pub(super) shown: Shown,
    /// What to search for next.
    pub(super) search: String,
    /// The management group to grant on instead.
    pub(super) group: Option<ManagementGroupId>,
    pub(super) tiers: BTreeSet<AccessTier>,
}

/// What a form is sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// To grant what is chosen.
    Grant,
    /// To search.
    Search,
    /// To tick everything that matches the search.
    TickAll,
    /// To untick everything that matches the search.
    TickNone,
    /// To show this page, from 0.
    Page(usize),
    /// To verify what was granted without us.
    Verify,
}

impl Action {
    fn of_word(word: &str) -> Option<Self> {
        match word {
            "grant" => Some(Self::Grant),
            "search" => Some(Self::Search),
            "all" => Some(Self::TickAll),
            "none" => Some(Self::TickNone),
            "verify" => Some(Self::Verify),
            other => Some(Self::Page(other.strip_prefix("page:")?.parse::<usize>().ok()?.clamp(1, 10_000) - 1)),
        }
    }
}

/// What both forms hold.
#[derive(Debug)]
pub(super) struct Common {
    csrf: SecretString,
    pub subscriptions: BTreeSet<SubscriptionId>,
}

impl Common {
    /// Reads the body of a form; `other` takes the fields that only one of them has.
    pub fn parse(body: &[u8], mut other: impl FnMut(&str, &str) -> Result<(), Error>) -> Result<Self, Error> {
        let (mut csrf, mut subscriptions) = (None, BTreeSet::new());
        for (index, (name, value)) in url::form_urlencoded::parse(body).enumerate() {
            if index >= MOST_FIELDS {
                return Err(Error::BadForm);
            }
            match name.as_ref() {
                "csrf" if csrf.is_some() => return Err(Error::BadForm),
                "csrf" => csrf = Some(SecretString::from(value.as_ref())),
                "subscription" => {
                    subscriptions.insert(value.parse().map_err(|_| Error::NotOffered)?);
                }
                name => other(name, &value)?,
            }
        }
        Ok(Self { csrf: csrf.ok_or(Error::Csrf)?, subscriptions })
    }

    /// That the form was sent by the session's own page.
    pub fn is_from(&self, csrf: &Sealed) -> Result<(), Error> {
        let sent = self.csrf.expose_secret().as_bytes();
        verify_slices_are_equal(csrf.0.as_bytes(), sent).map_err(|_| Error::Csrf)
    }
}

impl GrantForm {
    /// Reads the body of the form.
    ///
    /// # Errors
    /// [`Error::Csrf`] without its token, [`Error::NotOffered`] for what is no subscription or management group id,
    /// [`Error::BadForm`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut tiers = BTreeSet::new();
        let (mut action, mut search, mut group) = (None, String::new(), None);
        let (mut shown_search, mut shown_page) = (String::new(), None);
        let common = Common::parse(body, |name, value| {
            match name {
                "tier" => {
                    tiers.insert(AccessTier::of_word(value).ok_or(Error::BadForm)?);
                }
                "action" if action.is_some() => return Err(Error::BadForm),
                "action" => action = Some(Action::of_word(value).ok_or(Error::BadForm)?),
                // The list of groups and the field for another one; the field wins.
                "group" | "otherGroup" if !value.trim().is_empty() => {
                    group = Some(value.trim().parse().map_err(|_| Error::NotOffered)?);
                }
                "q" => search = value.trim().chars().take(100).collect(),
                "shownSearch" => value.clone_into(&mut shown_search),
                "shownPage" => shown_page = Some(value.to_owned()),
                _ => {}
            }
            Ok(())
        })?;
        tiers.remove(&AccessTier::Base);
        let shown = Shown::of(Some(&shown_search), shown_page.as_deref());
        let action = action.unwrap_or(Action::Grant);
        Ok(Self { action, common, shown, search, group, tiers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_strictly() {
        assert!(matches!(GrantForm::parse(b"subscription=x&csrf=y"), Err(Error::NotOffered)));
        assert!(matches!(GrantForm::parse(b""), Err(Error::Csrf)));
        assert!(matches!(GrantForm::parse(b"csrf=a&csrf=b"), Err(Error::BadForm)));
        assert!(matches!(GrantForm::parse(b"csrf=a&action=x"), Err(Error::BadForm)));
        assert!(matches!(GrantForm::parse(b"csrf=a&group=a%2Fb"), Err(Error::NotOffered)));
        let form = GrantForm::parse(b"csrf=a&action=page%3A3&group=&otherGroup=root").expect("a form");
        assert_eq!((form.action, form.group.map(String::from).as_deref()), (Action::Page(2), Some("root")));
    }
}

//! Settings of telling people: the secrets of destinations, and which addresses may be told.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use super::read::Reader;
use super::{Door, Settings};

/// What the names of settings begin with that hold secrets of destinations.
pub const SECRET_PREFIX: &str = "NOTIFY_";

/// Which addresses notices may be sent to. Whatever is set, never those of the platform itself, such as 169.254.169.254.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// The public internet, over TLS.
    #[default]
    Public,
    /// This machine too, without TLS if need be: for tests.
    Loopback,
    /// The private networks that this machine is in as well; they over TLS.
    Private,
}

/// The secrets of destinations, by the name of their setting (`NOTIFY_*`).
#[derive(Clone, Default)]
pub struct NotifySecrets(BTreeMap<String, SecretString>);

impl NotifySecrets {
    /// The secret of a setting. None: it is not set, or does not begin with [`SECRET_PREFIX`].
    pub fn find(&self, setting: &str) -> Option<&SecretString> {
        self.0.get(setting)
    }
}

impl fmt::Debug for NotifySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Settings {
    /// The same settings with the secrets of destinations among these names and values; the first of a name counts.
    pub fn with_secrets(mut self, values: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in values {
            if name.starts_with(SECRET_PREFIX) && !value.trim().is_empty() {
                self.notify_secrets.0.entry(name).or_insert_with(|| value.trim().to_owned().into());
            }
        }
        self
    }
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// Where a machine of one's own stands in a network of one's own, that may be reached too; in a cloud never.
    pub(super) fn reach(&mut self, door: Door) -> Reach {
        const NAME: &str = "PRIVATE_DESTINATIONS";
        let reach = match self.text(NAME).as_deref() {
            None | Some("none") => return Reach::Public,
            Some("loopback") => Reach::Loopback,
            Some("private") => Reach::Private,
            Some(_) => {
                self.fault(NAME, "something else", "none, loopback or private");
                return Reach::Public;
            }
        };
        if door != Door::Standalone {
            self.fault(NAME, "a value", "nothing: in a cloud notices go to the public internet only");
            return Reach::Public;
        }
        reach
    }
}

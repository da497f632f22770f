//! The sealed session of one sign-in: a document that only the browser it belongs to can open.
//!
//! The document is encrypted (AES-256-GCM) under a key that lives in the browser's cookie and nowhere else; the cookie is
//! authenticated under our own keys. Whoever reads the store learns nothing, and a cookie alone opens nothing that has ended.
//! Each step moves the document on with if-match, so that no step happens twice.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::Error;
use super::session::Phase;
use crate::app::App;
use crate::model::Timestamp;
use crate::outside::Random;
use crate::settings::SessionKey;
use crate::store::{ETag, Folder, Key};

/// How long a session lives, and with it a user's token at most (DESIGN, section 4).
pub(crate) const LIFE: TimeDelta = TimeDelta::minutes(10);

/// What the cookie's authentication covers first: the cookie of another use never passes for this one.
const PURPOSE: &[u8] = b"health-monitor consent session 1\0";

/// The most sessions that one pruning removes; the next one goes on.
const PRUNED_AT_ONCE: usize = 2_000;

/// Removals in flight at once.
const REMOVALS: usize = 16;

/// What the browser holds: which session, and the key that opens it.
#[derive(Clone)]
pub(crate) struct Ticket {
    id: String,
    key: [u8; 32],
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A session that was opened, at the version it had.
#[derive(Debug)]
pub(crate) struct Opened {
    pub ticket: Ticket,
    pub phase: Phase,
    etag: ETag,
}

impl Ticket {
    /// A new ticket. Its id starts with the end of its life, so that pruning need not open anything.
    fn new(random: &dyn Random, expires_at: Timestamp) -> Self {
        let mut key = [0; 32];
        random.fill(&mut key);
        Self { id: format!("{}-{}", expires_at.timestamp(), random_text::<16>(random)), key }
    }

    /// The cookie's value. None: there is no key to sign with.
    pub(crate) fn cookie(&self, keys: &[SessionKey]) -> Option<String> {
        let key = URL_SAFE_NO_PAD.encode(self.key);
        let signed = format!("{}.{key}", self.id);
        let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&mac_key(keys.first()?), &with_purpose(&signed)));
        Some(format!("{signed}.{mac}"))
    }

    /// Reads a cookie's value. None: it is none of ours, or it was altered.
    fn read(cookie: &str, keys: &[SessionKey]) -> Option<Self> {
        let (signed, mac) = cookie.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        let message = with_purpose(signed);
        keys.iter().find(|key| hmac::verify(&mac_key(key), &message, &mac).is_ok())?;
        let (id, key) = signed.split_once('.')?;
        let key = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
        Some(Self { id: id.to_owned(), key })
    }

    /// When the session ends.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        expiry(&self.id)
    }

    fn document(&self) -> Key {
        Key::Session(self.id.clone())
    }
}

/// The end of life that a session's id starts with.
fn expiry(id: &str) -> Option<Timestamp> {
    Timestamp::from_timestamp(id.split_once('-')?.0.parse().ok()?, 0)
}

fn with_purpose(text: &str) -> Vec<u8> {
    [PURPOSE, text.as_bytes()].concat()
}

fn mac_key(key: &SessionKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.bytes())
}

/// Random bytes as base64url text: 22 characters from 16 bytes, 43 from 32.
pub(crate) fn random_text<const BYTES: usize>(random: &dyn Random) -> String {
    let mut bytes = [0; BYTES];
    random.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encrypts a phase for its ticket. None: it is larger than the cipher takes, which no phase is.
fn seal(ticket: &Ticket, phase: &Phase, random: &dyn Random) -> Option<Bytes> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &ticket.key).ok()?);
    let mut sealed = serde_json::to_vec(phase).ok()?;
    let aad = Aad::from(ticket.id.as_bytes());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
    Some([nonce.as_slice(), &sealed].concat().into())
}

/// Decrypts a phase. None: another key, another session, or altered bytes.
fn open(ticket: &Ticket, sealed: &[u8]) -> Option<Phase> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &ticket.key).ok()?);
    let mut buffer = sealed.to_vec();
    let aad = Aad::from(ticket.id.as_bytes());
    let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut buffer).ok()?;
    serde_json::from_slice(plain).ok()
}

/// Begins a session in its first phase and gives the browser's ticket.
pub(crate) async fn begin(app: &App, phase: &Phase) -> Result<Ticket, Error> {
    let ticket = Ticket::new(app.random.as_ref(), app.clock.now() + LIFE);
    let sealed = seal(&ticket, phase, app.random.as_ref()).ok_or(Error::Internal("the session could not be sealed"))?;
    app.store.create_bytes(&ticket.document(), sealed).await?;
    Ok(ticket)
}

/// Opens the session of a cookie.
///
/// # Errors
/// [`Error::NoSession`] without a cookie, [`Error::Tampered`], [`Error::Expired`], [`Error::Used`] when the session has ended.
pub(crate) async fn resume(app: &App, cookie: Option<&str>) -> Result<Opened, Error> {
    let cookie = cookie.ok_or(Error::NoSession)?;
    let ticket = Ticket::read(cookie, &app.settings.session_keys).ok_or(Error::Tampered)?;
    if ticket.expires_at().ok_or(Error::Tampered)? <= app.clock.now() {
        return Err(Error::Expired);
    }
    let blob = app.store.read_bytes(&ticket.document()).await?.ok_or(Error::Used)?;
    let phase = open(&ticket, &blob.body).ok_or(Error::Tampered)?;
    Ok(Opened { ticket, phase, etag: blob.etag })
}

/// Moves a session on. Whoever comes second fails.
///
/// # Errors
/// [`Error::Used`] when somebody else moved it since it was opened.
pub(crate) async fn advance(app: &App, opened: &Opened, phase: &Phase) -> Result<(), Error> {
    let sealed =
        seal(&opened.ticket, phase, app.random.as_ref()).ok_or(Error::Internal("the session could not be sealed"))?;
    match app.store.replace_bytes(&opened.ticket.document(), sealed, &opened.etag).await {
        Ok(_) => Ok(()),
        Err(crate::store::Error::Conflict { .. }) => Err(Error::Used),
        Err(error) => Err(error.into()),
    }
}

/// Ends a session. One that cannot be removed now is closed already by its phase, and pruned later.
pub(crate) async fn end(app: &App, ticket: &Ticket) {
    if let Err(error) = app.store.delete(&ticket.document()).await {
        tracing::warn!(%error, "an ended sign-in session stays until it is pruned");
    }
}

/// Removes sessions whose life is over, up to a bounded number, and tells how many. Opens none.
///
/// # Errors
/// The store's.
pub async fn prune_sessions(app: &Arc<App>) -> Result<usize, crate::store::Error> {
    let now = app.clock.now();
    let listed = app.store.list(Folder::Sessions).await?;
    let ids =
        listed.iter().filter_map(|one| one.path.strip_prefix(Folder::Sessions.prefix().as_ref())?.strip_suffix(".bin"));
    let over = ids.filter(|id| expiry(id).is_some_and(|end| end <= now)).take(PRUNED_AT_ONCE).map(str::to_owned);
    let remove = |id: String| {
        let app = Arc::clone(app);
        async move { app.store.delete(&Key::Session(id)).await }
    };
    let over: Vec<_> = over.collect();
    let removed = futures_util::stream::iter(over).map(remove).buffer_unordered(REMOVALS);
    removed.try_fold(0, |pruned, ()| async move { Ok(pruned + 1) }).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outside::SystemRandom;

    fn ticket() -> Ticket {
        Ticket::new(&SystemRandom, Timestamp::from_timestamp(1_768_478_400, 0).expect("in range"))
    }

    fn keys() -> Vec<SessionKey> {
        vec![SessionKey::new([1; 32]), SessionKey::new([2; 32])]
    }

    #[test]
    fn a_cookie_survives_the_rotation_of_its_key_and_not_its_removal() {
        let (ticket, keys) = (ticket(), keys());
        let cookie = ticket.cookie(&keys[1..]).expect("a key");
        let read = Ticket::read(&cookie, &keys).expect("the second key verifies");
        assert_eq!((&read.id, read.key), (&ticket.id, ticket.key));
        assert_eq!(read.expires_at(), Timestamp::from_timestamp(1_768_478_400, 0));
        assert!(Ticket::read(&cookie, &keys[..1]).is_none());
        assert!(ticket.cookie(&[]).is_none());
        assert!(!format!("{ticket:?}").contains(&URL_SAFE_NO_PAD.encode(ticket.key)));
    }

    fn app() -> Arc<App> {
        let id = "00000000-0000-4000-8000-000000000001";
        let settings = crate::settings::Settings::from_lookup(crate::settings::Door::Standalone, |name| {
            Some(match name {
                "AZURE_TENANT_ID" | "AZURE_CLIENT_ID" => id.to_owned(),
                "AZURE_CLIENT_SECRET" => "secret".to_owned(),
                "SESSION_KEYS" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(),
                _ => return None,
            })
        });
        let outside = crate::outside::Outside::real(Arc::new(crate::store::Memory::default())).expect("a client");
        App::new(settings.expect("good settings"), outside)
    }

    #[tokio::test]
    async fn of_two_who_opened_the_same_session_one_moves_it_on() {
        let app = app();
        let ticket = begin(&app, &Phase::Redeeming).await.expect("begun");
        let cookie = ticket.cookie(&app.settings.session_keys).expect("a key");
        let one = resume(&app, Some(&cookie)).await.expect("opened");
        let two = resume(&app, Some(&cookie)).await.expect("opened");
        assert!(advance(&app, &one, &Phase::Granting).await.is_ok());
        assert!(matches!(advance(&app, &two, &Phase::Granting).await, Err(Error::Used)));
        end(&app, &ticket).await;
        assert!(matches!(resume(&app, Some(&cookie)).await, Err(Error::Used)));
    }

    #[test]
    fn a_sealed_phase_opens_for_its_own_ticket_only() {
        let ticket = ticket();
        let sealed = seal(&ticket, &Phase::Redeeming, &SystemRandom).expect("sealing works");
        assert!(matches!(open(&ticket, &sealed), Some(Phase::Redeeming)));
        assert!(open(&Ticket { id: "other".to_owned(), ..ticket.clone() }, &sealed).is_none());
        assert!(open(&Ticket { key: [0; 32], ..ticket }, &sealed).is_none());
    }

    proptest! {
        #[test]
        fn no_altered_cookie_and_no_altered_document_is_accepted(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
            let ticket = ticket();
            let mut sealed = seal(&ticket, &Phase::Granting, &SystemRandom).expect("sealing works").to_vec();
            let index = at.index(sealed.len());
            sealed[index] ^= flip;
            prop_assert!(open(&ticket, &sealed).is_none());

            let cookie = ticket.cookie(&keys()).expect("a key");
            let mut altered = cookie.clone().into_bytes();
            let index = at.index(altered.len());
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            // Base64 has unused bits at its end: an altered text may stand for the same bytes, and is then the same cookie.
            if let Some(read) = Ticket::read(&altered, &keys()) {
                prop_assert_eq!((read.id, read.key), (ticket.id, ticket.key));
            }
        }
    }
}

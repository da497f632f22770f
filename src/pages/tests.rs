//! Each page that turns somebody away, in each language; and the colours.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::layout::{Page, Tone, answer};
use super::messages::{SignInAdvice, Told};
use super::*;
use crate::azure::{self, EntraRefusal, IdTokenFault, PrincipalFault, SubscriptionState};
use crate::consent::{Entry, InviteFault, NoRight, Offer, Standing};
use crate::outside::{Outside, SystemClock, SystemRandom, http_client};
use crate::sandbox::visitor::faults;
use crate::settings::{Door, Settings};
use crate::store::{self, Memory};

fn app() -> Arc<App> {
    let values = BTreeMap::from([
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
        ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
        ("AZURE_CLIENT_SECRET", "secret"),
        ("PARTNER_NAME", "Fabrikam"),
        ("STATE_STORE_URL", "memory:"),
    ]);
    let settings = Settings::from_lookup(Door::Standalone, |name| values.get(name).map(|value| (*value).to_owned()));
    App::new(
        settings.unwrap(),
        Outside {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            http: http_client().unwrap(),
            backend: Arc::new(Memory::default()),
        },
    )
}

/// One error of each kind that has a page of its own.
fn errors() -> Vec<Error> {
    let offer = |state| {
        let name = "Production <b>".to_owned();
        Offer { id: Uuid::from_u128(1).into(), name, standing: state, overdue: false }
    };
    let refused = |codes: &[u32]| {
        let refusal = EntraRefusal { error: "x".to_owned(), codes: codes.to_vec(), ..EntraRefusal::default() };
        Error::SignInRefused(Box::new(refusal))
    };
    let no_right = NoRight {
        tenant: Uuid::from_u128(2).into(),
        person: "Rita <Reader>".to_owned(),
        principal: Some(Uuid::from_u128(3).into()),
        offers: vec![offer(Standing::NoRight)],
        entry: Entry::default(),
    };
    let unusable = vec![offer(Standing::NotUsable(SubscriptionState::Disabled))];
    let mut errors = vec![
        Error::RepeatedParameter,
        Error::BadParameter("tenant"),
        Error::UnknownDomain,
        Error::LinkOfTwoTenants,
        Error::NoSession,
        Error::Tampered,
        Error::Expired,
        Error::Used,
        Error::StateMismatch,
        Error::Cancelled,
        Error::ApprovalNeeded,
        Error::IdToken(IdTokenFault::PersonalAccount),
        Error::IdToken(IdTokenFault::Tenant),
        Error::IdToken(IdTokenFault::Malformed),
        Error::InviteOfOtherTenant,
        Error::NoSubscriptions { unusable: Vec::new(), foreign: 1, elsewhere: Vec::new() },
        Error::NoSubscriptions { unusable, foreign: 2, elsewhere: Vec::new() },
        Error::NoRight(Box::new(no_right)),
        Error::GroupNotInvited,
        Error::NoPartnerPrincipal,
        Error::Csrf,
        Error::BadForm,
        Error::NothingChosen,
        Error::NotOffered,
        Error::PrincipalSpreading,
        Error::Principal(PrincipalFault::Tenant),
        Error::Azure(azure::Error::Throttled { retry_after: None }),
        Error::Azure(azure::Error::Unavailable { what: "x".to_owned() }),
        Error::Store(store::Error::Conflict { path: "x".to_owned() }),
        Error::NoSessionKey,
        Error::Internal("x"),
    ];
    errors.extend(
        [
            InviteFault::Missing,
            InviteFault::Unknown,
            InviteFault::Expired,
            InviteFault::Used,
            InviteFault::Withdrawn,
            InviteFault::InUse,
        ]
        .map(Error::Invite),
    );
    let codes = [50_105, 7_000_112, 50_020, 53_003, 50_076, 500_021, 1];
    errors.extend(codes.map(|code| refused(&[code])));
    errors.push(refused(&[]));
    errors
}

async fn body(response: Response) -> String {
    use http_body_util::BodyExt as _;
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The words between two tags, without what both languages share.
fn heading(page: &str) -> String {
    page.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0.to_owned()
}

#[tokio::test]
async fn every_refusal_is_a_sound_page_in_every_language_with_a_reference() {
    let app = app();
    for error in errors() {
        let what = error.to_string();
        let failure: Failure = error.into();
        let mut headings = BTreeSet::new();
        for language in Language::ALL {
            let view = View::new(&app, language).at("/api/consent/start?invite=x");
            let response = refuse(&view, &failure);
            assert!(response.status().is_client_error() || response.status().is_server_error(), "{what}");
            assert_eq!(response.headers()["content-language"], language.tag());
            let page = body(response).await;
            assert_eq!(faults(&page), Vec::<String>::new(), "{what} in {language:?}");
            assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())), "{what}");
            let text = &language.messages().refused;
            assert!(page.contains(text.what_now) && page.contains("Fabrikam"), "{what} says what to do: {page}");
            let (_, reference) = page.split_once("class=\"reference\"").unwrap();
            let (reference, _) = reference.split_once("</code>").unwrap();
            let (_, reference) = reference.split_once("<code>").unwrap();
            assert!(reference.len() == 12 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()), "{reference}");
            assert!(!page.contains("Production <b>") && !page.contains("<Reader>"), "foreign text is escaped");
            headings.insert(heading(&page));
            // The way to the other language keeps the rest of the address.
            for other in Language::ALL.into_iter().filter(|other| *other != language) {
                let href = format!("href=\"/api/consent/start?invite=x&amp;lang={}\"", other.tag());
                assert!(page.contains(&href), "{href} in {page}");
            }
        }
        assert_eq!(headings.len(), Language::ALL.len(), "{what} is said in each language: {headings:?}");
    }
}

#[test]
fn each_advice_and_each_plural_reads_on_its_own() {
    for language in Language::ALL {
        let (refused, granted) = (&language.messages().refused, &language.messages().granted);
        use SignInAdvice::*;
        let advices = [Assignment, Disabled, UnknownAccount, Policy, SecondFactor, TenantRestriction, Again];
        let told: BTreeSet<_> =
            advices.map(|advice| (refused.sign_in_refused)("F", "", advice).next.into_string()).into_iter().collect();
        assert_eq!(told.len(), advices.len(), "{language:?}");
        let titles: BTreeSet<_> =
            [(0, 1), (1, 0), (2, 0), (2, 1)].map(|(made, missing)| (granted.title)("F", made, missing)).into();
        assert_eq!(titles.len(), 4, "{language:?}");
        let waits = [1, 2].map(|seconds| (refused.too_many)(seconds).next.into_string());
        assert!(!waits[1].contains(&waits[0].replace('1', "2")), "{waits:?}");
    }
}

#[tokio::test]
async fn the_logo_is_in_the_page_and_nothing_may_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logo.svg");
    std::fs::write(&file, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    let read = |path: &std::path::Path| {
        let values = [
            ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
            ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
            ("AZURE_CLIENT_SECRET", "secret"),
            ("PARTNER_LOGO", path.to_str().unwrap()),
        ];
        let find = |name: &str| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::from_lookup(Door::Standalone, find)
    };
    let settings = read(&file).unwrap();
    let plain = app();
    let outside = Outside {
        clock: plain.clock.clone(),
        random: plain.random.clone(),
        http: http_client().unwrap(),
        backend: Arc::new(Memory::default()),
    };
    let app = App::new(settings, outside);
    let view = View::new(&app, Language::English);
    let page = Page { status: StatusCode::OK, title: "T", tone: Tone::Neutral, body: maud::html! {} };
    let response = answer(&view, page);
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("img-src data:;") && !policy.contains("http") && !policy.contains("unsafe"), "{policy}");
    let page = body(response).await;
    assert!(page.contains("<img class=\"logo\" src=\"data:image/svg+xml;base64,PHN2Zy") && faults(&page).is_empty());

    // What is no picture, too large or not there stops the start.
    std::fs::write(&file, "<html>").unwrap();
    assert!(read(&file).unwrap_err().to_string().contains("PARTNER_LOGO: found a file of another kind"));
    std::fs::write(&file, [b"\x89PNG\r\n\x1a\n".as_slice(), &[0; 65_536]].concat()).unwrap();
    assert!(read(&file).unwrap_err().to_string().contains("PARTNER_LOGO: found a file of 65544 bytes"));
    assert!(read(&folder.path().join("none.png")).unwrap_err().to_string().contains("cannot be read"));
}

#[tokio::test]
async fn a_problem_of_the_host_is_a_page_too() {
    let app = app();
    let mut german = HeaderMap::new();
    german.insert("accept-language", "de".parse().unwrap());
    for status in [400, 404, 405, 411, 413, 415, 429, 500, 504] {
        let mut problem = Response::new("{}".into());
        *problem.status_mut() = StatusCode::from_u16(status).unwrap();
        problem.headers_mut().insert("retry-after", "7".parse().unwrap());
        let (one, other) = (of_problem(&app, "", &HeaderMap::new(), &problem), of_problem(&app, "", &german, &problem));
        assert_eq!((one.status().as_u16(), one.headers()["retry-after"].to_str().unwrap()), (status, "7"));
        let (one, other) = (body(one).await, body(other).await);
        assert_eq!((faults(&one), faults(&other)), (Vec::new(), Vec::new()), "{status}");
        assert_ne!(heading(&one), heading(&other), "{status}");
        let may_have_granted = !one.contains("Nothing was granted");
        assert_eq!(may_have_granted, status >= 500, "{status}");
    }
}

#[test]
fn a_told_refusal_has_all_its_parts() {
    for language in Language::ALL {
        let text = &language.messages().refused;
        let told: [Told; 4] =
            [(text.not_found)("F"), (text.too_many)(9), (text.wrong_method)(), (text.form_too_large)()];
        for told in told {
            assert!(
                !told.title.is_empty() && !told.what.into_string().is_empty() && !told.next.into_string().is_empty()
            );
        }
    }
}

/// The colours of a scheme, by name.
fn colours(css: &str, scheme: usize) -> BTreeMap<&str, [f64; 3]> {
    let root = css.split(":root{").nth(scheme + 1).unwrap().split('}').next().unwrap();
    let colour = |hex: &str| {
        let hex: String = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
    };
    let pairs = root.split(';').filter_map(|part| part.trim().strip_prefix("--")?.split_once(":#"));
    pairs.map(|(name, hex)| (name, colour(hex))).collect()
}

/// The contrast of two colours (WCAG 2.2, "contrast ratio").
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [r, g, b] = colour.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_text_has_contrast_enough_in_light_and_in_dark() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9, "as the definition says");
    let css = include_str!("style.css");
    for (scheme, name) in ["light", "dark"].into_iter().enumerate() {
        let colours = colours(css, scheme);
        for text in ["ink", "soft", "accent", "good", "warning", "bad"] {
            for ground in ["bg", "card", "tint"] {
                let found = contrast(colours[text], colours[ground]);
                assert!(found >= 4.5, "{text} on {ground} has {found:.2} in {name}");
            }
        }
        let found = contrast(colours["accent-ink"], colours["accent"]);
        assert!(found >= 4.5, "a button has {found:.2} in {name}");
    }
    // No colour is outside of the two lists, where this test would not see it.
    let rest: String = css.lines().filter(|line| !line.contains(":root{")).collect();
    let named = rest.split(['{', '}', ';']).filter(|part| part.contains("color") || part.contains("background"));
    for part in named.filter(|part| part.contains(':') && !part.contains("prefers-color-scheme")) {
        let value = part.rsplit(':').next().unwrap();
        assert!(value.contains("var(--") || value == "none", "{part}");
    }
}

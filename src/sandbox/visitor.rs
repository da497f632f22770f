//! A scripted browser: cookies of its own, forms read from the pages as they are, no redirect followed unless asked.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use url::Url;

use crate::model::SubscriptionId;

mod html;
mod semantics;

pub use html::{Field, Form};
pub use semantics::faults;

/// The most redirects that are followed in a row.
const MAX_REDIRECTS: usize = 20;

/// A browser with its cookies.
#[derive(Debug)]
pub struct Visitor {
    http: reqwest::Client,
    cookies: BTreeMap<(String, String), Cookie>,
    /// Every address that was visited, in order.
    pub history: Vec<Url>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    value: String,
    path: String,
    secure: bool,
}

/// A page, or any other answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it is.
    pub url: Url,
    /// HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
    /// The forms in it.
    pub forms: Vec<Form>,
}

/// Why a visit failed.
#[derive(Debug)]
pub enum Error {
    /// No answer.
    Transport(reqwest::Error),
    /// The page is not what the script expected.
    Unexpected(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(_) => f.write_str("no answer"),
            Self::Unexpected(what) => write!(f, "unexpected page: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport(source) => Some(source),
            Self::Unexpected(_) => None,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

impl Page {
    /// Where the page sends the browser next, if it is a redirect.
    pub fn location(&self) -> Option<Url> {
        if !(300..400).contains(&self.status) {
            return None;
        }
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        self.url.join(location).ok()
    }

    /// The form that posts to a path with this end.
    pub fn form(&self, action_ends_with: &str) -> Option<&Form> {
        self.forms
            .iter()
            .find(|form| self.url.join(&form.action).is_ok_and(|action| action.path().ends_with(action_ends_with)))
    }

    /// A parameter of the address.
    pub fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The words of the page: without tags, blanks drawn together.
    pub fn text(&self) -> String {
        html::text(&self.body)
    }

    /// What is wrong with the page for people who do not see it, or use no mouse, and for a strict policy of content.
    pub fn faults(&self) -> Vec<String> {
        semantics::faults(&self.body)
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let text: String = self.text().chars().take(400).collect();
        Error::Unexpected(format!("wanted {wanted}, got status {} at {}: {text}", self.status, self.url.path()))
    }
}

impl Visitor {
    /// A browser that knows nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new() -> Result<Self, Error> {
        let http = crate::outside::http_client().map_err(|error| Error::Transport(error.0))?;
        Ok(Self { http, cookies: BTreeMap::new(), history: Vec::new() })
    }

    /// Opens an address. A redirect is given back, not followed.
    ///
    /// # Errors
    /// [`Error::Transport`].
    pub async fn get(&mut self, url: impl AsRef<str>) -> Result<Page, Error> {
        let url = parse(url.as_ref())?;
        let request = self.http.get(url.clone());
        self.send(url, request).await
    }

    /// Opens an address and follows redirects to the page at their end.
    ///
    /// # Errors
    /// [`Error::Transport`], or [`Error::Unexpected`] when the redirects do not end.
    pub async fn open(&mut self, url: impl AsRef<str>) -> Result<Page, Error> {
        let page = self.get(url).await?;
        self.follow(page).await
    }

    /// Follows redirects to the page at their end.
    ///
    /// # Errors
    /// [`Error::Transport`], or [`Error::Unexpected`] when they do not end.
    pub async fn follow(&mut self, mut page: Page) -> Result<Page, Error> {
        for _ in 0..MAX_REDIRECTS {
            match page.location() {
                Some(next) => page = self.get(next.as_str()).await?,
                None => return Ok(page),
            }
        }
        Err(Error::Unexpected(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Sends a form as the page has it, with some fields set to other values: an override replaces all values of its name, and
    /// several overrides of one name are sent one after another. A redirect is given back, not followed.
    ///
    /// # Errors
    /// [`Error::Transport`], or [`Error::Unexpected`] for an action that is no address.
    pub async fn submit(&mut self, page: &Page, form: &Form, overrides: &[(&str, &str)]) -> Result<Page, Error> {
        let target = page.url.join(&form.action).map_err(|_| page.unexpected("a form with an address"))?;
        let overridden = |name: &str| overrides.iter().any(|(key, _)| *key == name);
        let mut fields: Vec<(String, String)> =
            form.values().into_iter().filter(|(name, _)| !overridden(name)).collect();
        fields.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.send_fields(target, &form.method, &fields).await
    }

    /// Posts fields to an address, without any form: what an attacker's page would do.
    ///
    /// # Errors
    /// [`Error::Transport`].
    pub async fn post(&mut self, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Result<Page, Error> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.send_fields(parse(url.as_ref())?, "post", &fields).await
    }

    async fn send_fields(&mut self, mut url: Url, method: &str, fields: &[(String, String)]) -> Result<Page, Error> {
        if method == "get" {
            url.query_pairs_mut().clear().extend_pairs(fields);
            return self.get(url.as_str()).await;
        }
        let request = self.http.post(url.clone()).form(fields);
        self.send(url, request).await
    }

    async fn send(&mut self, url: Url, request: reqwest::RequestBuilder) -> Result<Page, Error> {
        self.history.push(url.clone());
        let request = match self.cookie_header(&url) {
            Some(cookies) => request.header("cookie", cookies),
            None => request,
        };
        let response = request.header("accept", "text/html").send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        for cookie in headers.get_all(SET_COOKIE) {
            if let Ok(text) = cookie.to_str() {
                self.set_cookie(&url, text);
            }
        }
        let body = response.text().await?;
        let forms = html::forms(&body);
        Ok(Page { url, status, headers, body, forms })
    }

    /// The value of a cookie for a host.
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(host.to_owned(), name.to_owned())).map(|cookie| cookie.value.as_str())
    }

    /// The names of all cookies of a host.
    pub fn cookie_names(&self, host: &str) -> Vec<&str> {
        self.cookies.keys().filter(|(of, _)| of == host).map(|(_, name)| name.as_str()).collect()
    }

    /// Changes a cookie, or sets one: what a tamperer would do.
    pub fn force_cookie(&mut self, host: &str, name: &str, value: &str) {
        let cookie = self.cookies.entry((host.to_owned(), name.to_owned())).or_insert_with(|| Cookie {
            value: String::new(),
            path: "/".to_owned(),
            secure: false,
        });
        cookie.value = value.to_owned();
    }

    /// Forgets all cookies: another browser.
    pub fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    fn cookie_header(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let sent = |((of, _), cookie): &(&(String, String), &Cookie)| {
            of == host && path_matches(url.path(), &cookie.path) && (!cookie.secure || trustworthy(url))
        };
        let pairs: Vec<String> =
            self.cookies.iter().filter(sent).map(|((_, name), cookie)| format!("{name}={}", cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes a `Set-Cookie` as a browser would: ports do not separate hosts, `Max-Age=0` removes, `__Host-` has its conditions.
    fn set_cookie(&mut self, url: &Url, text: &str) {
        let mut parts = text.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let default_path =
            url.path().rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        let mut cookie = Cookie { value: value.to_owned(), path: default_path.to_owned(), secure: false };
        let mut gone = false;
        let mut domain = false;
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "domain" => domain = true,
                "max-age" => gone = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                _ => {}
            }
        }
        let refused = (cookie.secure && !trustworthy(url))
            || (name.starts_with("__Host-") && (!cookie.secure || domain || cookie.path != "/"))
            || (name.starts_with("__Secure-") && !cookie.secure);
        if refused {
            return;
        }
        let key = (url.host_str().unwrap_or_default().to_owned(), name.to_owned());
        if gone {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, cookie);
        }
    }
}

fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|_| Error::Unexpected(format!("{url:?} is no address")))
}

/// Browsers treat this machine as safe, without TLS too.
fn trustworthy(url: &Url) -> bool {
    url.scheme() == "https"
        || matches!(url.host(), Some(url::Host::Ipv4(address)) if address.is_loopback())
        || url.host_str() == Some("localhost")
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path == cookie_path
        || path.strip_prefix(cookie_path).is_some_and(|rest| cookie_path.ends_with('/') || rest.starts_with('/'))
}

/// Which subscriptions the visitor ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// Every one that the page offers.
    All,
    /// These; what the page does not offer is sent all the same.
    Only(&'a [SubscriptionId]),
}

impl Visitor {
    /// Signs in on the sandbox's page with a sign-in name and accepts, then follows to the application's page.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the page is not the sign-in page.
    pub async fn sign_in(&mut self, page: &Page, upn: &str) -> Result<Page, Error> {
        self.answer_sign_in(page, &[("user", upn), ("action", "accept")]).await
    }

    /// Presses Cancel on the sandbox's page, then follows to the application's page.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the page is none of the sandbox's.
    pub async fn cancel_sign_in(&mut self, page: &Page) -> Result<Page, Error> {
        self.answer_sign_in(page, &[("action", "cancel")]).await
    }

    async fn answer_sign_in(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page, Error> {
        let form = page.form("/authorize").or_else(|| page.form("/adminconsent"));
        let form = form.ok_or_else(|| page.unexpected("the sign-in page"))?.clone();
        let answered = self.submit(page, &form, fields).await?;
        self.follow(answered).await
    }

    /// Ticks subscriptions on our consent page and sends its form, then follows to the result.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the page has no such form.
    pub async fn grant(&mut self, page: &Page, choice: Choice<'_>) -> Result<Page, Error> {
        let form = page.form("/api/consent/grant").ok_or_else(|| page.unexpected("the form of grants"))?.clone();
        let ticked: Vec<String> = match choice {
            Choice::All => {
                form.named("subscription").filter(|one| !one.disabled).map(|one| one.value.clone()).collect()
            }
            Choice::Only(ids) => ids.iter().map(ToString::to_string).collect(),
        };
        let mut fields: Vec<(&str, &str)> = ticked.iter().map(|id| ("subscription", id.as_str())).collect();
        // A browser sends the button that was pressed.
        let buttons = form.fields.iter().filter(|field| field.kind == "submit" && !field.name.is_empty());
        if let Some(button) = buttons.into_iter().find(|button| button.value == "grant") {
            fields.push((&button.name, &button.value));
        }
        let mut form = form.clone();
        form.fields.retain(|field| field.name != "subscription");
        let answered = self.submit(page, &form, &fields).await?;
        self.follow(answered).await
    }

    /// The whole way of a customer: opens the address of `ConsentStart`, signs in, ticks, grants. Gives the last page.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where the way ends before its end, with the page's words.
    pub async fn onboard(&mut self, start: &str, upn: &str, choice: Choice<'_>) -> Result<Page, Error> {
        let sign_in = self.open(start).await?;
        let chooser = self.sign_in(&sign_in, upn).await?;
        self.grant(&chooser, choice).await
    }
}

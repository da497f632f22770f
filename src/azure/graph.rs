//! Users of a tenant, from Microsoft Graph with our application's own identity ("Graph, Azure Monitor, notification and
//! portal-API contract", section 2).

use std::collections::HashSet;

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::request::{Answer, any_case, header};
use super::service::{Ask, Told};
use super::{AccessToken, Client, Cloud, Error, Service, backoff};
use crate::model::TenantId;

/// The most users on one page; Graph gives 100 when nothing is said.
pub const LARGEST_PAGE: u16 = 999;

/// The most pages of one listing that we follow.
const MOST_PAGES: usize = 20_000;

/// What is asked of a user when nothing is chosen: what Graph gives by default, whether he may sign in, and whether he is a guest.
const FIELDS: &str = "id,displayName,mail,userPrincipalName,accountEnabled,userType,givenName,surname,jobTitle,\
     businessPhones,mobilePhone,officeLocation,preferredLanguage";

/// Which users are wanted, and what of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// Properties (`$select`). None: what Graph gives by default, and more. Empty: the default alone.
    pub select: Option<Vec<String>>,
    /// `$filter`.
    pub filter: Option<String>,
    /// `$search`, such as `"displayName:olivia"`.
    pub search: Option<String>,
    /// Users on a page, 1 to 999.
    pub page_size: Option<u16>,
    /// Ends the listing after this many users.
    pub limit: Option<usize>,
}

/// What a listing of users gave.
#[derive(Debug)]
pub struct Users {
    /// `@odata.context` of the first page.
    pub context: Option<String>,
    /// The users of all pages that were read, as Graph has them.
    pub rows: Vec<Value>,
    /// How many pages were read.
    pub pages: usize,
    /// Why the listing ended early. None: it is complete, or as long as it should be.
    pub broken_off: Option<Error>,
    /// True when there are more than the limit.
    pub more: bool,
}

impl Cloud {
    /// An address of Graph's stable version. `path` starts with a slash.
    pub(super) fn graph_url(&self, path: &str) -> String {
        format!("{}/v1.0{path}", self.graph.as_str().trim_end_matches('/'))
    }
}

/// A text as one segment of a path: sign-in names of guests have `#` in them.
pub(super) fn segment(text: &str) -> String {
    let mut url = Url::parse("http://localhost/").expect("a constant address");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop().push(text.trim());
    }
    // `.` and `..` are no segments; nobody has such a name.
    url.path().trim_start_matches('/').replace('@', "%40")
}

impl UserQuery {
    /// The address of the first page.
    fn url(&self, cloud: &Cloud) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        match &self.select {
            None => _ = query.append_pair("$select", FIELDS),
            Some(fields) if fields.is_empty() => {}
            Some(fields) => _ = query.append_pair("$select", &fields.join(",")),
        }
        query.append_pair("$top", &self.page_size.unwrap_or(LARGEST_PAGE).to_string());
        if let Some(filter) = &self.filter {
            query.append_pair("$filter", filter);
        }
        if let Some(search) = &self.search {
            query.append_pair("$search", search);
        }
        if self.is_advanced() {
            query.append_pair("$count", "true");
        }
        // Blanks as `+` are read as plus signs by some of Graph.
        let query = query.finish().replace('+', "%20").replace("%24", "$").replace("%2C", ",");
        format!("{}?{query}", cloud.graph_url("/users"))
    }

    /// Filters and searches may need the index of advanced queries, which all of them may use.
    fn is_advanced(&self) -> bool {
        self.filter.is_some() || self.search.is_some()
    }
}

impl Client {
    /// The users of a tenant: all pages. A later page's failure keeps what was read. `on_page` hears how many there are so far.
    ///
    /// # Errors
    /// Any [`Error`], from the first page.
    pub async fn users(
        &self,
        tenant: TenantId,
        query: &UserQuery,
        mut on_page: impl FnMut(usize) + Send,
    ) -> Result<Users, Error> {
        let advanced = [("consistencylevel", "eventual".to_owned())];
        let headers: &[_] = if query.is_advanced() { &advanced } else { &[] };
        let limit = query.limit.unwrap_or(usize::MAX);
        let (mut next, mut seen) = (Some(query.url(&self.cloud)), HashSet::new());
        let mut users = Users { context: None, rows: Vec::new(), pages: 0, broken_off: None, more: false };
        while let Some(url) = next.take() {
            let page = match self.next_allowed(&url, &mut seen) {
                Ok(()) => self.graph_get(tenant, &url, headers).await.and_then(page_of),
                Err(error) => Err(error),
            };
            match page {
                Ok((context, rows, following)) => {
                    users.context = users.context.or(context);
                    users.rows.extend(rows);
                    users.pages += 1;
                    on_page(users.rows.len());
                    next = following;
                }
                Err(error) if users.pages == 0 => return Err(error),
                Err(error) => users.broken_off = Some(error),
            }
            if users.rows.len() >= limit {
                users.more = users.rows.len() > limit || next.is_some();
                users.rows.truncate(limit);
                break;
            }
        }
        Ok(users)
    }

    /// One user by object id or sign-in name, as Graph shows him.
    ///
    /// # Errors
    /// Any [`Error`]; a user that does not exist is a refusal with status 404.
    pub async fn user(&self, tenant: TenantId, id: &str, select: Option<&[String]>) -> Result<Value, Error> {
        let select = select.filter(|fields| !fields.is_empty()).map(|fields| format!("?$select={}", fields.join(",")));
        let url = self.cloud.graph_url(&format!("/users/{}{}", segment(id), select.unwrap_or_default()));
        Ok(self.graph_get(tenant, &url, &[]).await?.body)
    }

    /// A next page must be on Graph itself, since the token goes there; nor is a page read twice.
    fn next_allowed(&self, next: &str, seen: &mut HashSet<String>) -> Result<(), Error> {
        let unreadable = |what: &str| Err(Error::Unreadable { what: what.to_owned() });
        if !Url::parse(next).is_ok_and(|url| url.origin() == self.cloud.graph.origin()) {
            return unreadable("@odata.nextLink on the host of Microsoft Graph");
        }
        if seen.len() >= MOST_PAGES || !seen.insert(next.to_owned()) {
            return unreadable("@odata.nextLink to a page not read before");
        }
        Ok(())
    }

    /// Reads from Graph, again after 429, 5xx and transport failures.
    async fn graph_get(
        &self,
        tenant: TenantId,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, Error> {
        let mut attempt = 1;
        loop {
            let token: AccessToken = self.app_token_for(tenant, Service::Graph).await?;
            let asked = self.ask(Ask { headers, ..Ask::new(Method::GET, url, &token) }).await;
            let failure = match asked.and_then(graph_answer) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(retry_after) = failure.passes() else { return Err(failure) };
            attempt += 1;
            match backoff::wait_before(attempt, retry_after, self.jitter()) {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Err(failure),
            }
        }
    }
}

/// Graph's answer; its refusals carry the id of the request in a header of its own.
pub(super) fn graph_answer(told: Told) -> Result<Answer, Error> {
    let id = header(&told.headers, "request-id");
    told.answer().map_err(|error| match error {
        Error::Refused(mut refusal) => {
            refusal.request_id = refusal.request_id.or(id);
            Error::Refused(refusal)
        }
        other => other,
    })
}

type Page = (Option<String>, Vec<Value>, Option<String>);

fn page_of(mut answer: Answer) -> Result<Page, Error> {
    let text = |name: &str| any_case(&answer.body, name).and_then(Value::as_str).map(str::to_owned);
    let (context, next) = (text("@odata.context"), text("@odata.nextLink").filter(|link| !link.is_empty()));
    match answer.body.get_mut("value").map(Value::take) {
        Some(Value::Array(rows)) => Ok((context, rows, next)),
        _ => Err(Error::Unreadable { what: "a page with a value array".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        assert_eq!(segment("olivia@contoso.example"), "olivia%40contoso.example");
        assert_eq!(segment("a_b.example#EXT#@c.example"), "a_b.example%23EXT%23%40c.example");
        assert_eq!(segment("../groups?x=/y"), "..%2Fgroups%3Fx=%2Fy");
        for nobody in [".", ".."] {
            assert_eq!(segment(nobody), "");
        }
    }

    #[test]
    fn an_address_has_what_was_asked_for() {
        let cloud = Cloud::named("AzurePublic").expect("known");
        let query = UserQuery {
            select: Some(vec!["id".into(), "mail".into()]),
            filter: Some("startswith(displayName,'A B')".into()),
            page_size: Some(10),
            ..UserQuery::default()
        };
        assert_eq!(
            query.url(&cloud),
            "https://graph.microsoft.com/v1.0/users?$select=id,mail&$top=10&$filter=startswith%28displayName,%27A%20B%27%29&$count=true"
        );
        assert!(UserQuery::default().url(&cloud).ends_with(&format!("$select={FIELDS}&$top=999")));
    }
}

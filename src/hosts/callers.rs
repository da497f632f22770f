//! Who asks, where nobody needs a key, and whether he has asked too often.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method, StatusCode};
use warp::path::FullPath;
use warp::reject;
use warp::reply::Response;

use crate::api::problem::Problem;
use crate::app::App;
use crate::functions::{AuthLevel, Functions, Lookup, Trigger};
use crate::limits::Class;
use crate::pages;
use crate::settings::Caller;

/// The other end of the connection, where the host knows better than the socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// The routes, without those of anonymous callers who ask too often.
pub(super) fn limited(app: &Arc<App>, routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    let functions = Arc::new(Functions::embedded());
    let app = Arc::clone(app);
    let over = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::addr::remote())
        .and_then(
            move |method, path: FullPath, query: String, headers, peer: Option<Peer>, socket: Option<SocketAddr>| {
                let peer = peer.map(|peer| peer.0).or(socket.map(|socket| socket.ip()));
                let refused = class(&functions, &method, path.as_str(), &query).and_then(|class| {
                    let caller = caller(&app.settings.caller, &headers, peer);
                    let wait = app.limits.take(class, caller, app.clock.now()).err()?;
                    tracing::warn!(?class, caller.known = caller.is_some(), "an anonymous caller asks too often");
                    let secs = wait.as_secs();
                    let mut problem = Problem::new(
                        StatusCode::TOO_MANY_REQUESTS,
                        "too-many-requests",
                        "Too many requests",
                        format!("Ask again in {secs} seconds."),
                    );
                    problem.more.insert("retryAfterSeconds".to_owned(), secs.into());
                    Some(problem.into_response())
                });
                async move { refused.ok_or_else(reject::not_found) }
            },
        );
    over.or(routes).unify().boxed()
}

/// What a request counts as. None: it is not counted, since it needs a key, is nothing of ours, or costs nothing.
fn class(functions: &Functions, method: &Method, path: &str, query: &str) -> Option<Class> {
    let Lookup::Found(function) = functions.find(method.as_str(), path) else { return None };
    match &function.trigger {
        Trigger::Http { auth: AuthLevel::Anonymous, .. } => match path {
            "/api/probe/live" => None,
            path if path.starts_with("/api/probe") => Some(Class::Probe),
            path if pages::looks_up(path, query) => Some(Class::Lookup),
            _ => Some(Class::Page),
        },
        _ => None,
    }
}

/// The caller's address. None: what is known is only a proxy, which stands for everybody.
fn caller(by: &Caller, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
    let address = match by {
        Caller::Connection => peer,
        Caller::Header(name) => headers.get_all(name).iter().next_back().and_then(|value| last(value.to_str().ok()?)),
    };
    address.filter(|address| is_public(address.to_canonical()))
}

/// The last entry of a list of addresses, with or without a port.
pub(super) fn last(list: &str) -> Option<IpAddr> {
    let entry = list.rsplit(',').next()?.trim();
    let bare = || entry.trim_start_matches('[').trim_end_matches(']').parse().ok();
    entry.parse::<SocketAddr>().map(|address| address.ip()).ok().or_else(bare)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // 100.64.0.0/10 is what carriers and clouds use inside.
            let shared = first == 100 && (64..128).contains(&second);
            !(shared
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified())
        }
        IpAddr::V6(address) => {
            let local = address.is_unique_local() || address.is_unicast_link_local();
            !(local || address.is_loopback() || address.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for entry in entries {
            headers.append("x-forwarded-for", entry.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_what_the_nearest_proxy_wrote_is_believed() {
        let by = Caller::Header("x-forwarded-for".to_owned());
        let peer = Some("198.51.100.1".parse().unwrap());
        for (entries, expected) in [
            (&["203.0.113.9, 192.0.2.1"][..], Some("192.0.2.1")),
            (&["203.0.113.9", "192.0.2.1:50123"], Some("192.0.2.1")),
            (&["[2001:db8::1]:443"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["192.0.2.1, 10.0.0.7"], None),
            (&["192.0.2.1, 127.0.0.1"], None),
            (&["192.0.2.1, ::ffff:169.254.1.1"], None),
            (&["192.0.2.1, unknown"], None),
            (&[], None),
        ] {
            let found = caller(&by, &headers(entries), peer);
            assert_eq!(found.map(|address| address.to_string()).as_deref(), expected, "{entries:?}");
        }
        assert_eq!(caller(&Caller::Connection, &headers(&["192.0.2.1"]), peer), peer, "nobody's header is believed");
    }

    #[test]
    fn what_anybody_may_ask_is_counted_by_what_it_costs() {
        let functions = Functions::embedded();
        let class = |method: &str, target: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            class(&functions, &method.parse().unwrap(), path, query)
        };
        assert_eq!(class("GET", "/api/probe/live"), None);
        assert_eq!(class("GET", "/api/probe/ready"), Some(Class::Probe));
        assert_eq!(class("GET", "/api/v1/customers"), None, "that needs a key");
        assert_eq!(class("GET", "/api/nothing"), None);
        assert_eq!(class("POST", "/api/consent/grant"), Some(Class::Page));
        assert_eq!(class("GET", "/api/consent/start?invite=x"), Some(Class::Page));
        let tenant = "00000000-0000-4000-8000-000000000001";
        assert_eq!(class("GET", &format!("/api/consent/start?tenant={tenant}")), Some(Class::Page));
        assert_eq!(class("GET", "/api/consent/start?tenant=contoso.com"), Some(Class::Lookup));
        assert_eq!(class("GET", &format!("/api/consent/start?subscription%49d={tenant}")), Some(Class::Lookup));
    }
}

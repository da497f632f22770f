//! The scripted browser keeps cookies as a browser does.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use warp::Filter as _;
use warp::http::Response as HttpResponse;

use super::*;

/// A site that sets the cookies named in the query and says which it got.
async fn site() -> String {
    let routes = warp::any()
        .and(warp::query::<Vec<(String, String)>>())
        .and(warp::header::optional::<String>("cookie"))
        .and_then(|fields: Vec<(String, String)>, cookies: Option<String>| async move {
            let mut response = HttpResponse::builder();
            for (name, value) in fields {
                response = response.header(if name == "to" { "location" } else { "set-cookie" }, value.clone());
                if name == "to" {
                    response = response.status(303);
                }
            }
            Ok::<_, Infallible>(response.body(cookies.unwrap_or_default()).expect("readable headers"))
        });
    let listener =
        tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    base
}

fn address(base: &str, path: &str, fields: &[(&str, &str)]) -> String {
    url::Url::parse_with_params(&format!("{base}{path}"), fields).expect("an address").into()
}

#[tokio::test]
async fn cookies_go_back_to_their_host_and_path_until_they_end() {
    let base = site().await;
    let mut visitor = Visitor::new().expect("a client");
    let set = [
        ("c", "wide=1; Path=/; HttpOnly; SameSite=Lax"),
        ("c", "narrow=2; Path=/api"),
        ("c", "__Host-safe=3; Path=/; Secure"),
        ("c", "__Host-unsafe=4; Path=/"),
        ("c", "__Host-domain=5; Path=/; Secure; Domain=localhost"),
    ];
    visitor.get(address(&base, "/start", &set)).await.expect("an answer");
    let got =
        async |visitor: &mut Visitor, path: &str| visitor.get(format!("{base}{path}?")).await.expect("answer").body;
    assert_eq!(got(&mut visitor, "/").await, "__Host-safe=3; wide=1");
    assert_eq!(got(&mut visitor, "/api/x").await, "__Host-safe=3; narrow=2; wide=1");
    assert_eq!(got(&mut visitor, "/apish").await, "__Host-safe=3; wide=1");
    visitor.get(address(&base, "/", &[("c", "wide=; Path=/; Max-Age=0")])).await.expect("an answer");
    assert_eq!(got(&mut visitor, "/").await, "__Host-safe=3");
    visitor.forget_cookies();
    assert_eq!(got(&mut visitor, "/").await, "");
}

#[tokio::test]
async fn a_redirect_is_shown_first_and_followed_when_asked() {
    let base = site().await;
    let mut visitor = Visitor::new().expect("a client");
    let page = visitor.get(address(&base, "/a", &[("to", "/b?"), ("c", "seen=1; Path=/")])).await.expect("an answer");
    assert_eq!((page.status, page.location().expect("a redirect").path()), (303, "/b"));
    let page = visitor.follow(page).await.expect("its end");
    assert_eq!((page.url.path(), page.body.as_str()), ("/b", "seen=1"));
    // An empty location is the page itself: without end.
    assert!(visitor.open(address(&base, "/c", &[("to", "")])).await.is_err());
    assert_eq!(visitor.history.first().map(|url| url.path()), Some("/a"));
}

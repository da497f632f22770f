//! What every backend does. Each behaviour writes through one door and looks through the other.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use health_monitor::model::{TenantId, TextHash};
use health_monitor::store::{Backend, ETag, Error, Key, Month};

use super::Place;

async fn body(backend: &Arc<dyn Backend>, path: &str) -> Bytes {
    backend.get(path).await.unwrap().expect("the document is there").body
}

async fn version(backend: &Arc<dyn Backend>, path: &str) -> ETag {
    backend.get(path).await.unwrap().expect("the document is there").etag
}

pub async fn a_document_reads_as_it_was_written(place: &Place) {
    let etag = place.one.create("customers/a.json", "{\"a\":1}".into()).await.unwrap();
    let blob = place.other.get("customers/a.json").await.unwrap().unwrap();
    assert_eq!(blob.body, "{\"a\":1}");
    assert_eq!(blob.etag, etag, "the version of the write is the version of the read");

    let next = place.other.update("customers/a.json", "{\"a\":2}".into(), &etag).await.unwrap();
    let blob = place.one.get("customers/a.json").await.unwrap().unwrap();
    assert_eq!(blob.body, "{\"a\":2}");
    assert_eq!(blob.etag, next);
    assert_ne!(next, etag);
}

pub async fn what_is_not_there_reads_as_none(place: &Place) {
    assert_eq!(place.one.get("customers/none.json").await.unwrap(), None);
    place.one.create("customers/a.json", "1".into()).await.unwrap();
    assert_eq!(place.other.get("customers/none.json").await.unwrap(), None);
    assert_eq!(place.other.get("customers/a.json/below").await.unwrap(), None);
    assert_eq!(place.other.get("other/deep/down.json").await.unwrap(), None);
}

pub async fn a_document_is_created_once(place: &Place) {
    place.one.create("customers/a.json", "first".into()).await.unwrap();
    for backend in [&place.one, &place.other] {
        let error = backend.create("customers/a.json", "second".into()).await.unwrap_err();
        assert!(matches!(&error, Error::AlreadyExists { path } if path == "customers/a.json"), "{error:?}");
        // The same bytes are no exception: who creates must know whether he was the one.
        let error = backend.create("customers/a.json", "first".into()).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    }
    assert_eq!(body(&place.other, "customers/a.json").await, "first");
}

pub async fn an_update_needs_the_version_that_was_read(place: &Place) {
    let first = place.one.create("health/a.json", "1".into()).await.unwrap();
    let second = place.other.update("health/a.json", "2".into(), &first).await.unwrap();
    for stale in [first, ETag("made-up".to_owned())] {
        let error = place.one.update("health/a.json", "3".into(), &stale).await.unwrap_err();
        assert!(matches!(&error, Error::Conflict { path } if path == "health/a.json"), "{error:?}");
    }
    assert_eq!(body(&place.one, "health/a.json").await, "2");
    place.one.update("health/a.json", "3".into(), &second).await.unwrap();
    assert_eq!(body(&place.other, "health/a.json").await, "3");
}

pub async fn a_removed_document_cannot_be_updated_but_created_again(place: &Place) {
    let etag = place.one.create("invites/a.json", "1".into()).await.unwrap();
    place.other.delete("invites/a.json").await.unwrap();
    let error = place.one.update("invites/a.json", "2".into(), &etag).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert_eq!(place.one.get("invites/a.json").await.unwrap(), None, "a refused update leaves nothing");
    place.one.create("invites/a.json", "3".into()).await.unwrap();
    assert_eq!(body(&place.other, "invites/a.json").await, "3");
}

pub async fn removing_twice_is_removing(place: &Place) {
    place.one.delete("invites/never.json").await.unwrap();
    place.one.create("invites/a.json", "1".into()).await.unwrap();
    place.one.delete("invites/a.json").await.unwrap();
    place.other.delete("invites/a.json").await.unwrap();
    assert_eq!(place.one.get("invites/a.json").await.unwrap(), None);
    assert!(place.one.list("invites/").await.unwrap().is_empty());
}

pub async fn a_listing_is_in_order_and_has_the_versions(place: &Place) {
    // Names that a walk of directories and an order by path would sort differently.
    let paths =
        ["timeline/b/2026-01.json", "timeline/a/2026-02.json", "timeline/a-b/1.json", "timeline/a/2025-12.json"];
    for path in paths {
        place.one.create(path, path.into()).await.unwrap();
    }
    let listed = place.other.list("timeline/").await.unwrap();
    let mut sorted = paths;
    sorted.sort_unstable();
    assert_eq!(listed.iter().map(|line| line.path.as_str()).collect::<Vec<_>>(), sorted);
    for line in &listed {
        assert_eq!(line.etag, version(&place.one, &line.path).await, "of {}", line.path);
        // A version from a listing is as good as one from a read.
        place.one.update(&line.path, "new".into(), &line.etag).await.unwrap();
    }
    let again = place.other.list("timeline/").await.unwrap();
    assert!(listed.iter().zip(&again).all(|(before, after)| before.etag != after.etag), "a write changes the version");
}

pub async fn a_listing_stays_in_its_folder(place: &Place) {
    for path in ["customers/a.json", "customers-old/b.json", "customer/c.json", "health/customers/d.json"] {
        place.one.create(path, "1".into()).await.unwrap();
    }
    let listed = place.other.list("customers/").await.unwrap();
    assert_eq!(listed.iter().map(|line| line.path.as_str()).collect::<Vec<_>>(), ["customers/a.json"]);
}

pub async fn an_empty_folder_lists_as_empty(place: &Place) {
    assert!(place.one.list("sessions/").await.unwrap().is_empty());
    assert!(place.other.list("sessions/").await.unwrap().is_empty());
}

pub async fn of_many_who_create_exactly_one_wins(place: &Place) {
    for round in 0..8 {
        let path = format!("sessions/{round}.bin");
        let tries = (0..8).map(|n| {
            let (backend, path) = (if n % 2 == 0 { &place.one } else { &place.other }, path.clone());
            async move { (n, backend.create(&path, format!("writer {n}").into()).await) }
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().partition(|(_, result)| result.is_ok());
        assert_eq!(won.len(), 1, "exactly one creates {path}");
        assert!(lost.iter().all(|(_, result)| matches!(result, Err(Error::AlreadyExists { .. }))), "{lost:?}");
        assert_eq!(body(&place.other, &path).await, format!("writer {}", won[0].0), "the document is the winner's");
    }
}

pub async fn no_update_of_racing_writers_is_lost(place: &Place) {
    const WRITERS: usize = 4;
    const EACH: usize = 10;
    let path = "health/counter.json";
    place.one.create(path, "0".into()).await.unwrap();
    let writers = (0..WRITERS).map(|n| {
        let backend = Arc::clone(if n % 2 == 0 { &place.one } else { &place.other });
        tokio::spawn(async move {
            let mut done = 0;
            // Far more tries than a fair race needs: a backend that never lets anybody win ends the test.
            for _ in 0..2_000 {
                if done == EACH {
                    break;
                }
                let blob = backend.get(path).await.unwrap().unwrap();
                let count: usize = std::str::from_utf8(&blob.body).unwrap().parse().unwrap();
                match backend.update(path, (count + 1).to_string().into(), &blob.etag).await {
                    Ok(_) => done += 1,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(body(&place.other, path).await, (WRITERS * EACH).to_string());
}

pub async fn large_and_empty_and_unicode_bodies_survive(place: &Place) {
    let large = Bytes::from((0..3_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let bodies = [large, Bytes::new(), "{\"name\":\"Größe – 東京 🚑\"}".into(), Bytes::from_static(&[0, 255, 10, 13])];
    for (n, sent) in bodies.iter().enumerate() {
        let path = format!("texts/{n}.html");
        let etag = place.one.create(&path, sent.clone()).await.unwrap();
        assert_eq!(body(&place.other, &path).await, sent);
        place.other.update(&path, "small".into(), &etag).await.unwrap();
        assert_eq!(body(&place.one, &path).await, "small", "nothing of a longer body stays");
    }
}

pub async fn a_path_that_leaves_the_store_is_refused(place: &Place) {
    let etag = ETag("x".to_owned());
    for path in ["../a.json", "customers/../../a.json", "/etc/passwd", "customers//a.json", "", ".", ".store/lock-00"]
        .into_iter()
        .chain(["customers/a\0.json", "customers\\a.json", "C:/a.json", "customers/%2e%2e/a.json", "customers/é.json"])
    {
        for backend in [&place.one, &place.other] {
            let refusals = [
                backend.get(path).await.map(drop),
                backend.create(path, "1".into()).await.map(drop),
                backend.update(path, "1".into(), &etag).await.map(drop),
                backend.delete(path).await,
                backend.list(&format!("{path}/")).await.map(drop),
            ];
            for refusal in refusals {
                assert!(matches!(refusal, Err(Error::Unavailable { .. })), "{path:?}: {refusal:?}");
            }
        }
    }
}

pub async fn every_kind_of_document_has_a_path_that_is_taken(place: &Place) {
    let tenant: TenantId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    let keys = [
        Key::Customer(tenant),
        Key::Invite("../../Abc_-1".to_owned()),
        Key::Session("x".repeat(300)),
        Key::Health(tenant),
        Key::Text(TextHash::of("a text")),
        Key::Timeline(tenant, Month::of("2026-01-15T12:00:00Z".parse().unwrap())),
    ];
    for key in keys {
        place.one.create(&key.path(), "1".into()).await.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        assert_eq!(body(&place.other, &key.path()).await, "1");
    }
}

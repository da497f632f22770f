//! A writer killed at any moment leaves whole documents, and everything it was told is safe.

use std::collections::BTreeMap;
use std::time::Duration;

use health_monitor::store::{Backend, Error, Local};
use serde_json::{Value, json};

use super::process::{Answer, Ask, Process};

/// A document that shows by itself whether it is whole.
fn document(count: u64) -> String {
    let filling = format!("{count},").repeat(20_000 + (count as usize % 7) * 3_000);
    json!({ "count": count, "filling": filling, "end": count }).to_string()
}

fn count_of(body: &[u8], path: &str) -> u64 {
    let value: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{path} is not whole: {error}"));
    let count = value["count"].as_u64().unwrap();
    assert_eq!(body, document(count).as_bytes(), "{path} is a mixture");
    count
}

/// Counts a few documents up until killed.
pub async fn hammer(store: &Local, writer: &str, told: impl Fn(&str, u64)) -> ! {
    let mut count = 0;
    loop {
        for n in 0..4 {
            let path = format!("health/{writer}-{n}.json");
            let blob = store.get(&path).await.unwrap();
            count = count.max(blob.as_ref().map_or(0, |blob| count_of(&blob.body, &path))) + 1;
            match blob {
                Some(blob) => store.update(&path, document(count).into(), &blob.etag).await.unwrap(),
                None => store.create(&path, document(count).into()).await.unwrap(),
            };
            told(&path, count);
        }
    }
}

#[tokio::test]
async fn documents_are_whole_whenever_their_writer_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..12_u64 {
        let mut writers = [Process::start(directory.path()), Process::start(directory.path())];
        for (n, writer) in writers.iter_mut().enumerate() {
            writer.send(&Ask::Hammer { writer: format!("w{n}") });
        }
        for (n, writer) in writers.iter_mut().enumerate() {
            // The moment of the kill moves through the writing, in steps that fit no step of the writer.
            for _ in 0..2 + (round + n as u64) % 5 {
                let Some(Answer::Wrote { path, count }) = writer.answer() else { panic!("the writer stopped") };
                told.insert(path, count);
            }
            std::thread::sleep(Duration::from_micros(round * 377 % 2_900));
            writer.kill();
            while let Some(Answer::Wrote { path, count }) = writer.answer() {
                told.insert(path, count);
            }
        }

        let store = Local::open(directory.path()).unwrap();
        for (path, count) in &told {
            let blob = store.get(path).await.unwrap().unwrap_or_else(|| panic!("{path} was told safe and is gone"));
            assert!(count_of(&blob.body, path) >= *count, "{path} was told safe at {count} and went back");
        }
        let listed = store.list("health/").await.unwrap();
        assert!(listed.len() >= told.len());
        for line in listed {
            count_of(&store.get(&line.path).await.unwrap().unwrap().body, &line.path);
        }
    }
    assert!(told.len() >= 8, "the writers came round: {told:?}");
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(directory.path()).unwrap();
    store.create("health/a.json", "1".into()).await.unwrap();
    for n in 0..16 {
        std::fs::write(directory.path().join(format!(".store/new-{n:02}")), "{\"half\":").unwrap();
    }
    std::fs::write(directory.path().join("health/.a.json.swp"), "an editor's").unwrap();
    std::fs::write(directory.path().join("health/a.json~"), "an editor's").unwrap();
    assert_eq!(store.list("health/").await.unwrap().len(), 1);
    store.create("health/b.json", "2".into()).await.unwrap();
    assert_eq!(store.get("health/b.json").await.unwrap().unwrap().body, "2");

    let store = Local::open(directory.path()).unwrap();
    let left: Vec<_> = std::fs::read_dir(directory.path().join(".store"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("new-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(store.list("health/").await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_never_takes_the_file_of_a_writer_at_work() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Process::start(directory.path());
    writer.send(&Ask::Hammer { writer: "w".to_owned() });
    for _ in 0..40 {
        Local::open(directory.path()).unwrap();
        // The writer panics, and then says nothing more, when its new file is taken away.
        assert!(matches!(writer.answer(), Some(Answer::Wrote { .. })), "the writer stopped");
    }
}

#[tokio::test]
async fn a_process_that_holds_a_lock_makes_an_error_not_a_wait_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(directory.path()).unwrap();
    store.create("health/a.json", "1".into()).await.unwrap();
    let held: Vec<_> = (0..16)
        .map(|n| {
            let file = std::fs::File::options().write(true).open(directory.path().join(format!(".store/lock-{n:02}")));
            let file = file.unwrap();
            file.lock().unwrap();
            file
        })
        .collect();
    assert_eq!(store.get("health/a.json").await.unwrap().unwrap().body, "1", "reading needs no lock");
    let error = store.create("health/b.json", "2".into()).await.unwrap_err();
    let Error::Unavailable { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "another process does not release its lock");
    drop(held);
    store.create("health/b.json", "2".into()).await.unwrap();
}

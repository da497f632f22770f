//! What the program logs on one test's thread.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Once;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    static HEARD: RefCell<Option<Rc<RefCell<Vec<u8>>>>> = const { RefCell::new(None) };
}

/// Everything that was logged on this thread since [`listen`], at the finest level of our own code.
pub struct Log(Rc<RefCell<Vec<u8>>>);

impl Log {
    /// The lines so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

/// Listens from now on. One subscriber serves all tests: with one per test, `tracing` remembers for all threads what the
/// first one did not want to hear.
pub fn listen() -> Log {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let only_ours = Targets::new().with_target("health_monitor", LevelFilter::TRACE);
        let lines = tracing_subscriber::fmt::layer().with_writer(|| Ear).with_ansi(false);
        tracing_subscriber::registry().with(lines.with_filter(only_ours)).init();
    });
    let heard = Rc::new(RefCell::new(Vec::new()));
    HEARD.set(Some(heard.clone()));
    Log(heard)
}

struct Ear;

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow(|heard| {
            if let Some(heard) = heard {
                heard.borrow_mut().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! What the program logs on one test's thread.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Once;

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
        let only_ours = tracing_subscriber::EnvFilter::new("health_monitor=trace");
        tracing_subscriber::fmt().with_env_filter(only_ours).with_writer(|| Ear).with_ansi(false).init();
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

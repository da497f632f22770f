//! A queue inside the process, with the Functions host's rules: bounded concurrency, redelivery after a wait, and an end
//! for messages that never succeed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use crate::functions::HostJson;
use crate::outside::Clock;
use crate::telemetry::trace;

/// How messages are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Messages in work at once.
    pub concurrency: usize,
    /// How often one is tried.
    pub max_dequeue_count: u32,
    /// How long a failed one waits.
    pub visibility_timeout: Duration,
}

impl From<&HostJson> for Rules {
    fn from(host: &HostJson) -> Self {
        Self {
            concurrency: host.queue_concurrency,
            max_dequeue_count: host.max_dequeue_count,
            visibility_timeout: host.visibility_timeout,
        }
    }
}

/// Takes messages and hands them to `handle` until `stop` ends; then lets what is in work finish. What still waits is dropped:
/// the queue carries work, the store carries truth.
pub(super) async fn run<F, Done>(
    name: &str,
    rules: Rules,
    clock: Arc<dyn Clock>,
    mut messages: mpsc::UnboundedReceiver<String>,
    stop: impl Future<Output = ()>,
    handle: F,
) where
    F: Fn(String) -> Done,
    Done: Future<Output = bool> + Send + 'static,
{
    let mut stop = pin!(stop);
    let mut waiting = Waiting::default();
    let mut running = JoinSet::new();
    let mut in_work: HashMap<Id, Delivery> = HashMap::new();
    let mut resting = FuturesUnordered::new();
    loop {
        while running.len() < rules.concurrency
            && let Some(delivery) = waiting.pop()
        {
            let task = running.spawn(handle(delivery.text.clone()));
            in_work.insert(task.id(), delivery);
        }
        tokio::select! {
            () = &mut stop => break,
            Some(text) = messages.recv() => waiting.push(Delivery { text, count: 0 }),
            Some(delivery) = resting.next(), if !resting.is_empty() => waiting.push(delivery),
            Some(ended) = running.join_next_with_id() => {
                let (id, succeeded) = match ended {
                    Ok((id, succeeded)) => (id, succeeded),
                    // A panic: the message failed, the queue goes on.
                    Err(error) => (error.id(), false),
                };
                let Some(mut delivery) = in_work.remove(&id) else { continue };
                if succeeded {
                    continue;
                }
                delivery.count += 1;
                if delivery.count >= rules.max_dequeue_count {
                    tracing::error!(
                        queue = name,
                        message = delivery.text,
                        dequeue_count = delivery.count,
                        "poison: given up"
                    );
                } else {
                    let rest = clock.sleep(rules.visibility_timeout);
                    resting.push(async move {
                        rest.await;
                        delivery
                    });
                }
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// A message and how often it was tried.
struct Delivery {
    text: String,
    count: u32,
}

/// Messages that wait. One that is waiting already is not added again: work is planned each minute however far behind we are,
/// and doing it once is enough.
#[derive(Default)]
struct Waiting {
    order: VecDeque<Delivery>,
    texts: HashSet<String>,
}

impl Waiting {
    fn push(&mut self, delivery: Delivery) {
        if self.texts.insert(trace::bare(&delivery.text)) {
            self.order.push_back(delivery);
        }
    }

    fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.order.pop_front()?;
        self.texts.remove(&trace::bare(&delivery.text));
        Some(delivery)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::outside::SystemClock;

    const RULES: Rules = Rules { concurrency: 3, max_dequeue_count: 3, visibility_timeout: Duration::from_secs(30) };

    /// Runs the queue over these messages, with virtual time, until nothing happens any more.
    async fn drive<F, Done>(texts: &[&str], handle: F)
    where
        F: Fn(String) -> Done,
        Done: Future<Output = bool> + Send + 'static,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        for text in texts {
            sender.send((*text).to_owned()).unwrap();
        }
        let enough = tokio::time::sleep(Duration::from_secs(3600));
        run("test", RULES, Arc::new(SystemClock), receiver, enough, handle).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_message_comes_again_until_it_is_poison() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let start = tokio::time::Instant::now();
        drive(&["good", "bad", "panics"], |text| {
            let seen = Arc::clone(&seen);
            async move {
                seen.lock().unwrap().push((text.clone(), start.elapsed().as_secs()));
                assert_ne!(text, "panics", "this is what the test is about");
                text == "good"
            }
        })
        .await;
        let mut seen = seen.lock().unwrap().clone();
        seen.sort();
        let times = |text: &str| seen.iter().filter(|(seen, _)| seen == text).map(|(_, at)| *at).collect::<Vec<_>>();
        assert_eq!(times("good"), [0]);
        assert_eq!(times("bad"), [0, 30, 60]);
        assert_eq!(times("panics"), [0, 30, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_so_many_are_in_work_at_once_and_a_message_waits_only_once() {
        let (now, most, all) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let texts = ["1", "2", "3", "4", "5", "6", "4", "5", "6"];
        drive(&texts, |_| {
            let (now, most, all) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                all.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                true
            }
        })
        .await;
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert_eq!(all.load(Ordering::SeqCst), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_work_when_it_stops_is_finished() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (started, is_started) = oneshot::channel();
        let started = Arc::new(Mutex::new(Some(started)));
        let finished = Arc::new(AtomicUsize::new(0));
        sender.send("slow".to_owned()).unwrap();
        let stop = async {
            is_started.await.unwrap();
        };
        run("test", RULES, Arc::new(SystemClock), receiver, stop, |_| {
            let (started, finished) = (Arc::clone(&started), Arc::clone(&finished));
            async move {
                started.lock().unwrap().take().unwrap().send(()).unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
                finished.fetch_add(1, Ordering::SeqCst);
                true
            }
        })
        .await;
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    }
}

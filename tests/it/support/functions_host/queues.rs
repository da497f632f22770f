//! Queues as Storage and the queue trigger have them: leases, dequeue counts, poison (3.6). Time is virtual.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use health_monitor::functions::HostJson;
use serde_json::Value;

use super::invoke::InvocationError;

/// How long a message is invisible while it is in work and nobody answers for it.
const LEASE: Duration = Duration::from_secs(600);
/// Storage's limit of a message, as stored.
const MOST_BYTES: usize = 64 * 1024;

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub text: String,
    pub dequeue_count: u32,
    /// It was tried too often and went to the poison queue instead of a function.
    pub is_worn_out: bool,
    visible_at: Duration,
}

/// One delivery and how it went.
#[derive(Debug)]
pub struct Delivery {
    pub message: Message,
    pub result: Result<Value, InvocationError>,
}

pub(super) struct Queues {
    now: Duration,
    next_id: u32,
    max_dequeue_count: u32,
    visibility_timeout: Duration,
    queues: BTreeMap<String, Vec<Message>>,
}

impl Queues {
    pub(super) fn new(host: &HostJson) -> Self {
        Self {
            now: Duration::ZERO,
            next_id: 0,
            max_dequeue_count: host.max_dequeue_count,
            visibility_timeout: host.visibility_timeout,
            queues: BTreeMap::new(),
        }
    }

    pub(super) fn put(&mut self, queue: &str, text: &str) {
        assert!(STANDARD.encode(text).len() <= MOST_BYTES, "the message is too long for Storage");
        self.next_id += 1;
        let id = format!("00000000-0000-4000-a000-{:012}", self.next_id);
        let message = Message { id, text: text.to_owned(), dequeue_count: 0, is_worn_out: false, visible_at: self.now };
        self.queues.entry(queue.to_owned()).or_default().push(message);
    }

    /// The first visible message, leased.
    pub(super) fn take(&mut self, queue: &str) -> Option<Message> {
        let now = self.now;
        let messages = self.queues.get_mut(queue)?;
        let index = messages.iter().position(|message| message.visible_at <= now)?;
        let message = &mut messages[index];
        message.dequeue_count += 1;
        message.visible_at = now + LEASE;
        let mut taken = message.clone();
        if taken.dequeue_count > self.max_dequeue_count {
            taken.is_worn_out = true;
            self.poison(queue, &taken);
        }
        Some(taken)
    }

    pub(super) fn settle(&mut self, queue: &str, message: &Message, succeeded: bool) {
        if succeeded {
            self.remove(queue, &message.id);
        } else if message.dequeue_count >= self.max_dequeue_count {
            self.poison(queue, message);
        } else {
            let again = self.now + self.visibility_timeout;
            if let Some(known) =
                self.queues.get_mut(queue).and_then(|list| list.iter_mut().find(|known| known.id == message.id))
            {
                known.visible_at = again;
            }
        }
    }

    pub(super) fn advance(&mut self, duration: Duration) {
        self.now += duration;
    }

    pub(super) fn messages(&self, queue: &str) -> Vec<Message> {
        self.queues.get(queue).cloned().unwrap_or_default()
    }

    fn poison(&mut self, queue: &str, message: &Message) {
        self.remove(queue, &message.id);
        self.put(&format!("{queue}-poison"), &message.text);
    }

    fn remove(&mut self, queue: &str, id: &str) {
        if let Some(messages) = self.queues.get_mut(queue) {
            messages.retain(|message| message.id != id);
        }
    }
}

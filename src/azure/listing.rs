//! Listings whose rows are read while they arrive: a page of megabytes is never held, only what its rows say.

use reqwest::Method;
use serde_json::Value;

use super::request::{MAX_PAGES, RowSink, next_page_allowed, page_of};
use super::{AccessToken, Client, Error};

/// What a listing gave.
#[derive(Debug)]
pub(super) struct Rows<T> {
    /// What was read of the rows of all pages.
    pub rows: Vec<T>,
    /// Rows that could not be read.
    pub unreadable: u32,
    /// Why the listing ended early. None: it is complete.
    pub broken_off: Option<Error>,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub rows: Vec<T>,
    pub unreadable: u32,
    /// The answer without its rows.
    pub envelope: Value,
}

/// Reads one row from its bytes.
pub(super) trait ReadRow<T>: Fn(&[u8]) -> Option<T> + Send + Sync {}

impl<T, F: Fn(&[u8]) -> Option<T> + Send + Sync> ReadRow<T> for F {}

struct Sink<'a, T> {
    read: &'a dyn ReadRow<T>,
    rows: Vec<T>,
    unreadable: u32,
}

impl<T: Send> RowSink for Sink<'_, T> {
    fn begin(&mut self) {
        self.rows.clear();
        self.unreadable = 0;
    }

    fn row(&mut self, bytes: &[u8]) {
        match (self.read)(bytes) {
            Some(row) => self.rows.push(row),
            None => self.unreadable += 1,
        }
    }
}

impl Client {
    /// Reads a listing as [`arm_list`](Self::arm_list) does, each row as soon as it is there.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`, from the first page.
    pub(super) async fn arm_rows<T: Send>(
        &self,
        path_and_query: &str,
        token: &AccessToken,
        read: &dyn ReadRow<T>,
    ) -> Result<Rows<T>, Error> {
        let mut url = self.cloud.manager(path_and_query);
        let mut seen = Vec::new();
        let mut listing = Rows { rows: Vec::new(), unreadable: 0, broken_off: None };
        loop {
            let page = match self.page(Method::GET, &url, token, None, read).await {
                Ok(page) => page_of(page.envelope).map(|(_, next)| (page.rows, page.unreadable, next)),
                Err(error) => Err(error),
            };
            seen.push(url);
            let (rows, unreadable, next) = match page {
                Ok(page) => page,
                Err(error) if seen.len() == 1 => return Err(error),
                Err(error) => {
                    listing.broken_off = Some(error);
                    return Ok(listing);
                }
            };
            listing.rows.extend(rows);
            listing.unreadable += unreadable;
            let Some(next) = next else { return Ok(listing) };
            if let Err(error) = next_page_allowed(&self.cloud.resource_manager, &next, &seen, MAX_PAGES) {
                listing.broken_off = Some(error);
                return Ok(listing);
            }
            url = next;
        }
    }

    /// One page, with the tries of every call.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub(super) async fn page<T: Send>(
        &self,
        method: Method,
        url: &str,
        token: &AccessToken,
        body: Option<&Value>,
        read: &dyn ReadRow<T>,
    ) -> Result<Page<T>, Error> {
        let mut sink = Sink { read, rows: Vec::new(), unreadable: 0 };
        let answer = self.arm_url(method, url, token, body, Some(&mut sink)).await?;
        Ok(Page { rows: sink.rows, unreadable: sink.unreadable, envelope: answer.body })
    }
}

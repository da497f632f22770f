//! The public HTTP routes under `/api/v1` and `/api/probe`, the same on every host.

mod history;
mod manage;
mod notices;
mod openapi;
mod parameters;
mod probe;
pub mod problem;
mod telling;
mod v1;

use std::sync::Arc;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::app::App;

/// The routes of `HealthApi` and `Probe`. A request that is none of them is rejected, for the next filter.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    v1::routes(Arc::clone(&app)).or(probe::routes(app)).unify().boxed()
}

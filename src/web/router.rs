//! The routes, what they share, and what stands on every answer: security headers, time limit, problems instead of bare
//! errors.

use super::accounts::Accounts;
use super::problem::Problem;
use super::{House, api, console, export, openapi};
use crate::limits::BODIES_AT_ONCE;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Seconds an answer may take to begin: a body of the greatest size over a slow line.
const ANSWER_SECONDS: u64 = 60;
/// Bytes of a form or a command: a reason of some pages.
const FORM_BYTES: usize = 64 << 10;
/// Passwords checked at once: each takes 19 MiB and a tenth of a second of a core.
const LOGINS_AT_ONCE: usize = 2;

/// What the example console was checked with.
const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How the door behaves.
#[derive(Clone)]
pub struct WebOptions {
    /// Mentions come in without a token; only for loopback listeners.
    pub open_intake: bool,
    /// Behind TLS: cookies are `Secure`.
    pub tls: bool,
    /// Address under which people reach the console.
    pub public_url: Option<String>,
    /// Key of the signed links.
    pub link_key: [u8; 32],
}

/// What every handler has.
#[derive(Clone)]
pub(super) struct Door {
    pub house: Arc<dyn House>,
    pub accounts: Arc<Accounts>,
    pub options: Arc<WebOptions>,
    pub logins: Arc<Semaphore>,
    pub bodies: Arc<Semaphore>,
    pub exports: Arc<Semaphore>,
}

/// The whole door: console, API, health and metrics.
pub fn router(house: Arc<dyn House>, accounts: Arc<Accounts>, options: WebOptions) -> Router {
    let door = Door {
        house,
        accounts,
        options: Arc::new(options),
        logins: Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
        bodies: Arc::new(Semaphore::new(BODIES_AT_ONCE)),
        exports: Arc::new(Semaphore::new(1)),
    };
    Router::new()
        .route("/", get(console::board))
        .route("/incidents/{id}", get(console::incident))
        .route("/incidents/{id}/{action}", post(console::act))
        .route("/search", get(console::search))
        .route("/login", get(console::login_page).post(console::login))
        .route("/logout", post(console::logout))
        .route("/ack/{token}", get(console::ack_page).post(console::ack))
        .route("/assets/style.css", get(style))
        .route("/assets/app.js", get(script))
        .route("/api/v1/mentions", post(api::mentions))
        .route("/api/v1/search", get(api::search))
        .route("/api/v1/search/export", get(export::export))
        .route("/api/v1/incidents", get(api::incidents))
        .route("/api/v1/incidents/{id}", get(api::incident))
        .route("/api/v1/incidents/{id}/{action}", post(api::act))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/openapi.json", get(openapi::answer))
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(from_fn(finish))
        .with_state(door)
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing under this path")
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/app.js"))
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

async fn metrics(State(door): State<Door>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], door.house.metrics()).into_response()
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(door): State<Door>) -> Result<&'static str, Problem> {
    match door.house.ready() {
        Ok(()) => Ok("ready\n"),
        Err(what) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what)),
    }
}

/// Bounds the time and puts on every answer what every answer has.
async fn finish(request: Request, next: Next) -> Response {
    let limit = Duration::from_secs(ANSWER_SECONDS);
    let mut answer = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    };
    let status = answer.status();
    let told = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/problem+json") || kind.starts_with("text/html"));
    if (status.is_client_error() || status.is_server_error()) && !told {
        // The frame's own refusals (wrong method, malformed path) come without a body that programs can read.
        let allow = answer.headers().get(header::ALLOW).cloned();
        answer = Problem::new(status, status.canonical_reason().unwrap_or("refused")).into_response();
        if let Some(allow) = allow {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    let policy = HeaderName::from_static("permissions-policy");
    headers.insert(policy, HeaderValue::from_static("camera=(), microphone=(), geolocation=()"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

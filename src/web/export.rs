//! `GET /api/v1/search/export`: what a search finds, as a file. In: query, purpose, form; out: CSV or JSON lines, at most
//! [`EXPORT_ROWS`](crate::limits::EXPORT_ROWS) hits; who, why and how many are in the audit before a byte leaves.

use super::accounts::Action;
use super::api::{asked, parameters, query_problem};
use super::gate::caller;
use super::problem::Problem;
use super::router::Door;
use crate::index::Format;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Header that says how many hits are in the file.
const ROWS: HeaderName = HeaderName::from_static("x-rows");
/// Header that says how many match; more than the rows where the file was cut.
const TOTAL: HeaderName = HeaderName::from_static("x-total");
/// Seconds after which somebody who came while another export was made may ask again.
const BUSY_SECONDS: u64 = 2;

/// The handler.
pub(super) async fn export(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let who = caller(&door, &headers, Action::Export)?;
    let mut given = parameters(raw)?;
    let format = given.remove("format").unwrap_or_default();
    let format = Format::parse(&format).ok_or_else(|| Problem::bad_request("format is csv or jsonl"))?;
    let (query, purpose) = asked(&mut given, door.house.now())?;
    if query.cursor.is_some() {
        return Err(Problem::bad_request("an export has no cursor: it begins with the first hit"));
    }
    let busy = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "another export is being made").after(BUSY_SECONDS);
    let _place = door.exports.try_acquire().map_err(|_| busy())?;
    let file = door.house.export(&who.name, &purpose, query, format).await.map_err(query_problem)?;
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8",
        Format::Jsonl => "application/jsonl; charset=utf-8",
    };
    let name = format!("attachment; filename=\"search.{}\"", format.name());
    let mut answer = file.body.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    headers.insert(ROWS, HeaderValue::from(file.rows));
    headers.insert(TOTAL, HeaderValue::from(file.total));
    Ok(answer)
}

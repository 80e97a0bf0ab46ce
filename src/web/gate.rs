//! Who asks, and whether they may: bearer tokens for programs, a session cookie and its CSRF token for the console.

use super::accounts::{Action, Who};
use super::problem::Problem;
use super::router::Door;
use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

/// Name of the session's cookie.
pub(super) const COOKIE: &str = "yuqing_session";
/// Header in which scripts of our own pages send the CSRF token.
const CSRF_HEADER: &str = "x-csrf-token";

/// The secret in the session cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let line = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = line.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn failed(error: &super::AccountError) -> Problem {
    tracing::error!(%error, "accounts do not answer");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "accounts do not answer").after(1)
}

/// Whose session the browser has.
pub(super) fn visitor(door: &Door, headers: &HeaderMap) -> Result<Option<Who>, Problem> {
    let Some(secret) = cookie(headers) else { return Ok(None) };
    door.accounts.session(secret, door.house.now()).map_err(|error| failed(&error))
}

/// Lets a program, or a page of ours, do something; a page that changes something sends its CSRF token.
pub(super) fn caller(door: &Door, headers: &HeaderMap, action: Action) -> Result<Who, Problem> {
    let who = match bearer(headers) {
        Some(secret) => door.accounts.token(secret).map_err(|error| failed(&error))?,
        None => visitor(door, headers)?,
    };
    let Some(who) = who else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "a valid bearer token is needed"));
    };
    if !who.role.may(action) {
        return Err(Problem::new(StatusCode::FORBIDDEN, format!("the role {} may not do this", who.role.name())));
    }
    if who.csrf.is_some() && matches!(action, Action::Act | Action::Intake) {
        let sent = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !csrf_fits(&who, sent) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "the CSRF token is missing or wrong"));
        }
    }
    Ok(who)
}

/// Whether a form's CSRF token is the session's.
pub(super) fn csrf_fits(who: &Who, sent: &str) -> bool {
    who.csrf.as_deref().is_some_and(|own| own.as_bytes().ct_eq(sent.as_bytes()).into())
}

/// Whether a form comes from a page of another site; browsers say so on trustworthy addresses.
pub(super) fn from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    !matches!(site, None | Some("same-origin" | "none"))
}

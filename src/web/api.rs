//! The JSON API of programs: mentions in, search, incidents, commands, changes as server-sent events.

use super::accounts::Action;
use super::gate::caller;
use super::problem::Problem;
use super::router::Door;
use super::{CommandRefused, View};
use crate::duty::Command;
use crate::duty::view::IncidentView;
use crate::index::{Query, QueryError};
use crate::intake::Answer;
use crate::limits::{BODY_BYTES, INCIDENT_MENTIONS, PAGE};
use crate::time::Instant;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

/// How long a body waits for a free place before it is sent away.
const BODY_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a body over the bound that are read and thrown away, so that its sender hears the answer.
const DRAIN_BYTES: usize = 4 * BODY_BYTES;
/// Seconds after which a busy door is asked again.
const BUSY_SECONDS: u64 = 1;
/// Characters of a stated purpose.
pub(super) const PURPOSE_CHARS: usize = 200;
/// Characters of a query.
pub(super) const QUERY_CHARS: usize = 1_000;

/// `POST /api/v1/mentions`.
pub(super) async fn mentions(State(door): State<Door>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    if !door.options.open_intake || headers.contains_key(header::AUTHORIZATION) {
        caller(&door, &headers, Action::Intake)?;
    }
    let busy = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many bodies at once").after(BUSY_SECONDS);
    let place = tokio::time::timeout(BODY_WAIT, door.bodies.acquire()).await;
    let _place = place.map_err(|_| busy())?.map_err(|_| busy())?;
    let taken = read(body).await?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let coding = headers.get(header::CONTENT_ENCODING).map(|coding| coding.to_str().unwrap_or("?").to_owned());
    match door.house.mentions(json, coding, taken).await {
        Answer::Taken(taken) => Ok(Json(json!({
            "accepted": taken.accepted,
            "duplicates": taken.duplicates,
            "refused": taken.refused,
            "refused_total": taken.refused_total,
        }))
        .into_response()),
        Answer::TooLarge(why) => Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why)),
        Answer::Undecodable(why) => Err(Problem::bad_request(why)),
        Answer::UnknownCoding(why) => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)),
        Answer::Busy(seconds) => Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "the queue is full").after(seconds)),
        Answer::NoRoom(seconds) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage: the disk is nearly full").after(seconds))
        }
        Answer::Failed(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)),
    }
}

/// The body as sent, at most [`BODY_BYTES`].
async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut stream = body.into_data_stream();
    let (mut taken, mut seen) = (Vec::new(), 0_usize);
    while let Some(part) = stream.next().await {
        let part: Bytes = part.map_err(|_| Problem::bad_request("the body was cut"))?;
        seen += part.len();
        if seen > DRAIN_BYTES {
            break;
        } else if seen > BODY_BYTES {
            taken = Vec::new();
        } else {
            taken.extend_from_slice(&part);
        }
    }
    if seen > BODY_BYTES {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {BODY_BYTES} bytes")));
    }
    Ok(taken)
}

/// The parameters of an address; one given twice is refused.
pub(super) fn parameters(raw: Option<String>) -> Result<BTreeMap<String, String>, Problem> {
    let uri: axum::http::Uri = format!("/?{}", raw.unwrap_or_default())
        .parse()
        .map_err(|_| Problem::bad_request("the parameters cannot be read"))?;
    let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
        .map_err(|_| Problem::bad_request("the parameters cannot be read"))?;
    let mut found = BTreeMap::new();
    for (name, value) in pairs {
        if found.insert(name.clone(), value).is_some() {
            return Err(Problem::bad_request(format!("{} is given twice", name.chars().take(32).collect::<String>())));
        }
    }
    Ok(found)
}

/// `GET /api/v1/search`.
pub(super) async fn search(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let who = caller(&door, &headers, Action::Search)?;
    let mut given = parameters(raw)?;
    let (query, purpose) = asked(&mut given, door.house.now())?;
    let page = door.house.search(&who.name, &purpose, query).await.map_err(query_problem)?;
    Ok(Json(page).into_response())
}

/// The query and the purpose in the parameters of a search or an export.
pub(super) fn asked(given: &mut BTreeMap<String, String>, now: Instant) -> Result<(Query, String), Problem> {
    let purpose = given.remove("purpose").unwrap_or_default();
    check_purpose(&purpose)?;
    let query = Query {
        q: given.remove("q").ok_or_else(|| Problem::bad_request("q is missing; q=* finds all"))?,
        limit: limit(given)?.unwrap_or(0),
        cursor: given.remove("cursor").filter(|cursor| !cursor.is_empty()),
        sort: given.remove("sort").filter(|sort| !sort.is_empty()),
        now,
    };
    if query.q.chars().count() > QUERY_CHARS {
        return Err(Problem::bad_request(format!("a query has at most {QUERY_CHARS} characters")));
    }
    Ok((query, purpose.trim().to_owned()))
}

/// How many are wanted on a page, between 1 and [`PAGE`]; `None` where it is not said.
fn limit(given: &mut BTreeMap<String, String>) -> Result<Option<usize>, Problem> {
    let Some(text) = given.remove("limit") else { return Ok(None) };
    let limit = text.parse::<usize>().map_err(|_| Problem::bad_request("limit is no number"))?;
    Ok(Some(limit.clamp(1, PAGE)))
}

pub(super) fn check_purpose(purpose: &str) -> Result<(), Problem> {
    if purpose.trim().is_empty() {
        return Err(Problem::bad_request("purpose is missing: every search says why"));
    }
    if purpose.chars().count() > PURPOSE_CHARS {
        return Err(Problem::bad_request(format!("a purpose has at most {PURPOSE_CHARS} characters")));
    }
    Ok(())
}

pub(super) fn query_problem(error: QueryError) -> Problem {
    match error {
        QueryError::Syntax(_) => Problem::bad_request(error.to_string()),
        QueryError::Failed(why) => {
            tracing::error!(why, "search failed");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the index does not answer")
        }
    }
}

/// `GET /api/v1/incidents`: newest first, in pages.
pub(super) async fn incidents(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    caller(&door, &headers, Action::Read)?;
    let mut given = parameters(raw)?;
    let wanted: fn(&IncidentView) -> bool = match given.get("state").map(String::as_str) {
        Some("open") => |incident| incident.state.is_open(),
        Some("closed") => |incident| !incident.state.is_open(),
        None | Some("all") => |_| true,
        Some(_) => return Err(Problem::bad_request("state is open, closed or all")),
    };
    let limit = limit(&mut given)?.unwrap_or(PAGE);
    let below =
        given.get("cursor").filter(|cursor| !cursor.is_empty()).map(|cursor| read_cursor(cursor)).transpose()?;
    let view = door.house.view();
    let mut list: Vec<(Place, &IncidentView)> = view
        .incidents
        .iter()
        .filter(|incident| !incident.restricted && wanted(incident))
        .map(|incident| (place(incident), incident))
        .filter(|(place, _)| below.as_ref().is_none_or(|below| place < below))
        .collect();
    list.sort_by(|(one, _), (other, _)| other.cmp(one));
    let more = list.len() > limit;
    list.truncate(limit);
    let next = list.last().filter(|_| more).map(|((seq, id), _)| format!("{seq:016x}{id}"));
    let list: Vec<&IncidentView> = list.into_iter().map(|(_, incident)| incident).collect();
    Ok(Json(json!({ "incidents": list, "next": next })).into_response())
}

/// Where an incident stands among all, for good: the ledger entry that raised it, and its id.
type Place = (u64, String);

fn place(incident: &IncidentView) -> Place {
    let raised = incident.history.iter().map(|line| line.seq).min().unwrap_or(0);
    (raised, incident.id.clone())
}

fn read_cursor(text: &str) -> Result<Place, Problem> {
    let read = || Some((u64::from_str_radix(text.get(..16)?, 16).ok()?, text.get(16..)?.to_owned()));
    read()
        .ok_or_else(|| Problem::bad_request("this cursor is not of a page of incidents; begin again without a cursor"))
}

/// The incident of an id; one about a person in danger is only there for those who may act.
pub(super) fn find<'a>(view: &'a View, id: &str, may_act: bool) -> Option<&'a IncidentView> {
    let found = view.incidents.iter().chain(&view.restricted).find(|incident| incident.id == id)?;
    (!found.restricted || may_act).then_some(found)
}

fn no_incident() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such incident")
}

/// What the API says of a person in danger: that there is something, where it stands, and nothing more.
fn restricted(incident: &IncidentView) -> Value {
    json!({
        "id": incident.id, "topic": null, "state": incident.state, "level": incident.level, "restricted": true,
        "times": incident.times, "clocks": incident.clocks, "classes": [], "place": null, "causes": [], "carried": [],
        "mentions": [], "mentions_total": 0, "related": [], "history": [], "owner": incident.owner,
        "dial": ["110", "119", "120", "12356"],
    })
}

async fn whole(door: &Door, incident: &IncidentView) -> Result<Response, Problem> {
    if incident.restricted {
        return Ok(Json(restricted(incident)).into_response());
    }
    let topic = door.house.topic(&incident.id).await;
    let mut value = serde_json::to_value(incident)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let first: Vec<&String> = topic.mentions.iter().take(INCIDENT_MENTIONS).collect();
    value["mentions"] = json!(first);
    value["mentions_total"] = json!(topic.mentions_total);
    Ok(Json(value).into_response())
}

/// `GET /api/v1/incidents/{id}`.
pub(super) async fn incident(
    State(door): State<Door>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let who = caller(&door, &headers, Action::Read)?;
    let view = door.house.view();
    let found = find(&view, &id, who.role.may(Action::Act)).ok_or_else(no_incident)?;
    whole(&door, found).await
}

/// What may stand in the body of a command.
#[derive(Deserialize, Default, schemars::JsonSchema)]
#[serde(default)]
pub(super) struct Wish {
    /// Why; required for `dismiss`.
    reason: Option<String>,
    /// When it happened, for `confirm`.
    occurred: Option<Instant>,
}

/// The command a verb of the address stands for; `None` for an unknown one.
pub(super) fn command(
    verb: &str,
    incident: String,
    by: String,
    via: &str,
    reason: String,
    occurred: Option<Instant>,
) -> Option<Command> {
    match verb {
        "acknowledge" => Some(Command::Acknowledge { incident, by, via: via.to_owned() }),
        "confirm" => Some(Command::Confirm { incident, by, occurred, reason }),
        "dismiss" => Some(Command::Dismiss { incident, by, reason }),
        _ => None,
    }
}

pub(super) fn refused(refused: CommandRefused) -> Problem {
    let status = match refused {
        CommandRefused::NotFound => StatusCode::NOT_FOUND,
        CommandRefused::Conflict(_) => StatusCode::CONFLICT,
        CommandRefused::Invalid(_) => StatusCode::BAD_REQUEST,
        CommandRefused::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, refused.to_string())
}

/// `POST /api/v1/incidents/{id}/{acknowledge|confirm|dismiss}`.
pub(super) async fn act(
    State(door): State<Door>,
    headers: HeaderMap,
    Path((id, verb)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let who = caller(&door, &headers, Action::Act)?;
    let wish: Wish = if body.iter().all(u8::is_ascii_whitespace) {
        Wish::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(format!("body: {error}")))?
    };
    let reason = wish.reason.unwrap_or_default().trim().to_owned();
    let command = command(&verb, id, who.name, "api", reason, wish.occurred)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is nothing under this path"))?;
    if matches!(&command, Command::Dismiss { reason, .. } if reason.is_empty()) {
        return Err(Problem::bad_request("reason is missing: a dismissal says why"));
    }
    let after = door.house.command(command).await.map_err(refused)?;
    whole(&door, &after).await
}

/// `GET /api/v1/events`: `event: change` with a number each time the view changed. Ends when the house closes its side.
pub(super) async fn events(
    State(door): State<Door>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    caller(&door, &headers, Action::Read)?;
    let stream = WatchStream::new(door.house.changes())
        .map(|number| Ok(Event::default().event("change").data(number.to_string())));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

//! The console: pages for people, rendered here, working without script; forms with the session's CSRF token.

use super::accounts::{AccountError, Action, Who};
use super::api::{check_purpose, command, find, parameters, query_problem};
use super::dossier::IncidentPage;
use super::gate::{COOKIE, cookie, csrf_fits, from_elsewhere, visitor};
use super::link::{Link, LinkRefused};
use super::pages::{AckPage, BoardPage, DangerPage, LoginPage, SayPage, SearchPage, Top};
use super::router::Door;
use super::{CommandRefused, words};
use crate::duty::Command;
use crate::duty::view::IncidentState;
use crate::index::Query;
use crate::time::Instant;
use askama::Template;
use axum::extract::{Form, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

/// Hits on a page of the console.
const HITS: usize = 20;

/// What a page answers instead, where it cannot be shown: boxed, for it is large.
pub(super) struct Instead(Box<Response>);

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Response> for Instead {
    fn from(answer: Response) -> Instead {
        Instead(Box::new(answer))
    }
}

fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(body) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be drawn");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn say(status: StatusCode, title: &str, text: impl Into<String>, back: &str, back_words: &str) -> Response {
    let shown = SayPage {
        title: title.to_owned(),
        text: text.into(),
        good: status.is_success(),
        back: back.to_owned(),
        back_words: back_words.to_owned(),
    };
    page(status, &shown)
}

/// Who looks at a page; a stranger is sent to the login, somebody without the right is told so.
fn person(door: &Door, headers: &HeaderMap, action: Action) -> Result<Who, Instead> {
    match visitor(door, headers) {
        Ok(Some(who)) if who.role.may(action) => Ok(who),
        Ok(Some(_)) => {
            let text = "你的账号不能看这一页，要看请找运维。";
            Err(say(StatusCode::FORBIDDEN, "没有权限。", text, "/login", "换个账号").into())
        }
        Ok(None) => Err(Redirect::to("/login").into_response().into()),
        Err(_) => Err(unavailable().into()),
    }
}

fn unavailable() -> Response {
    say(StatusCode::SERVICE_UNAVAILABLE, "没有取到账号。", "账号库暂时不应答。告警照常发出。过一会再试。", "/", "再试")
}

fn no_incident() -> Response {
    say(StatusCode::NOT_FOUND, "没有这个事件。", "可能编号不对，或已并入别的事件。", "/", "回值班台")
}

/// `GET /`.
pub(super) async fn board(State(door): State<Door>, headers: HeaderMap) -> Result<Response, Instead> {
    let who = person(&door, &headers, Action::Read)?;
    Ok(page(StatusCode::OK, &BoardPage::new(&door.house.view(), &who, door.house.now())))
}

/// `GET /incidents/{id}`.
pub(super) async fn incident(
    State(door): State<Door>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Instead> {
    let who = person(&door, &headers, Action::Read)?;
    let (view, now) = (door.house.view(), door.house.now());
    let Some(found) = find(&view, &id, who.role.may(Action::Act)) else { return Ok(no_incident()) };
    if found.restricted {
        let shown = DangerPage {
            top: Top::new(&who, now, "incident"),
            id,
            can_take: found.state == IncidentState::Raised,
            owner: found.owner.as_ref().map(|owner| words::name(&view, owner).to_owned()),
        };
        return Ok(page(StatusCode::OK, &shown));
    }
    let done = match raw.as_deref() {
        Some("done=acknowledge") => Some("你已接手。不再叫人，时限不停；到时没有动作会再叫。"),
        Some("done=confirm") => Some("已确认。时限照走，理由已记入台账。"),
        Some("done=dismiss") => Some("已判为不成立。时限终止，理由已记入台账。"),
        _ => None,
    };
    let topic = door.house.topic(&id).await;
    let texts = door.house.evidence(&id).await;
    Ok(page(StatusCode::OK, &IncidentPage::new(&view, found, &topic, &texts, &who, now, done)))
}

/// Fields of the forms of an incident.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    occurred: String,
}

/// Reads `2026-10-01T01:58` as Shanghai time; nothing where nothing was filled in.
fn occurred(text: &str) -> Result<Option<Instant>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = if text.len() == "2026-10-01T01:58".len() { ":00" } else { "" };
    Instant::parse(&format!("{text}{seconds}+08:00")).map(Some).ok_or(())
}

/// `POST /incidents/{id}/{action}`.
pub(super) async fn act(
    State(door): State<Door>,
    headers: HeaderMap,
    Path((id, verb)): Path<(String, String)>,
    Form(wish): Form<Wish>,
) -> Result<Response, Instead> {
    let who = person(&door, &headers, Action::Act)?;
    let view = door.house.view();
    // The address back is built from a known incident only.
    let Some(found) = find(&view, &id, true) else { return Ok(no_incident()) };
    let back = format!("/incidents/{}", found.id);
    if from_elsewhere(&headers) || !csrf_fits(&who, &wish.csrf) {
        return Ok(say(
            StatusCode::FORBIDDEN,
            "没有生效。",
            "这张表单过期了，或不是从本站打开的。回到事件再按一次。",
            &back,
            "回事件",
        ));
    }
    let Ok(occurred) = occurred(wish.occurred.trim()) else {
        return Ok(say(
            StatusCode::BAD_REQUEST,
            "没有生效。",
            "事发时间读不懂，请写成 2026-10-01T01:58。",
            &back,
            "回事件",
        ));
    };
    let reason = wish.reason.trim().to_owned();
    let Some(wanted) = command(&verb, id, who.name, "console", reason, occurred) else { return Ok(no_incident()) };
    let name = match &wanted {
        Command::Acknowledge { .. } => "接手",
        Command::Confirm { .. } => "确认",
        Command::Dismiss { reason, .. } if reason.is_empty() => {
            return Ok(say(StatusCode::BAD_REQUEST, "没有判为不成立。", "要写理由，理由记入台账。", &back, "回事件"));
        }
        Command::Dismiss { .. } => "判为不成立",
    };
    match door.house.command(wanted).await {
        Ok(_) => Ok(Redirect::to(&format!("{back}?done={verb}")).into_response()),
        Err(refused) => Ok(refusal(name, refused, &back)),
    }
}

fn refusal(what: &str, refused: CommandRefused, back: &str) -> Response {
    let title = format!("{what}没有生效。");
    match refused {
        CommandRefused::NotFound => no_incident(),
        CommandRefused::Conflict(why) => {
            say(StatusCode::CONFLICT, &title, format!("事件的状态已经变了：{why}。"), back, "看现在的状态")
        }
        CommandRefused::Invalid(why) => say(StatusCode::BAD_REQUEST, &title, format!("{why}。"), back, "回事件"),
        CommandRefused::Unavailable => {
            say(StatusCode::SERVICE_UNAVAILABLE, &title, "值班台正在停止或出了故障。", back, "再试")
        }
    }
}

/// `GET /search`.
pub(super) async fn search(
    State(door): State<Door>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Instead> {
    let who = person(&door, &headers, Action::Search)?;
    let (view, now) = (door.house.view(), door.house.now());
    let mut given = parameters(raw).map_err(|problem| problem.into_response())?;
    let asked = given.contains_key("q");
    let mut take = |name: &str| given.remove(name).unwrap_or_default();
    let (q, purpose, cursor) = (take("q"), take("purpose"), take("cursor"));
    let mut shown = SearchPage::new(&view, &who, now, q.clone(), purpose.clone());
    if !asked {
        return Ok(page(StatusCode::OK, &shown));
    }
    if check_purpose(&purpose).is_err() {
        shown.said = Some("没有检索。先选为什么查：每次检索都写明理由，记入台账。".to_owned());
        return Ok(page(StatusCode::BAD_REQUEST, &shown));
    }
    let q = if q.trim().is_empty() { "*".to_owned() } else { q };
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    let query = Query { q, limit: HITS, cursor, sort: None, now };
    match door.house.search(&who.name, purpose.trim(), query).await {
        Ok(found) => shown.fill(&view, &found, now),
        Err(error) => {
            shown.said = Some(format!("没有检索到结果。{error}"));
            return Ok(page(query_problem(error).status, &shown));
        }
    }
    Ok(page(StatusCode::OK, &shown))
}

/// `GET /login`.
pub(super) async fn login_page() -> Response {
    page(StatusCode::OK, &LoginPage { said: None, user: String::new() })
}

/// Fields of the login.
#[derive(Deserialize)]
pub(super) struct Login {
    user: String,
    password: String,
}

/// `POST /login`.
pub(super) async fn login(State(door): State<Door>, headers: HeaderMap, Form(given): Form<Login>) -> Response {
    if from_elsewhere(&headers) {
        return say(StatusCode::FORBIDDEN, "没有登录。", "登录要从本站的登录页开始。", "/login", "去登录");
    }
    let Ok(_place) = door.logins.acquire().await else { return unavailable() };
    let (accounts, now, user) = (door.accounts.clone(), door.house.now(), given.user.clone());
    let tried = tokio::task::spawn_blocking(move || accounts.login(&given.user, &given.password, now)).await;
    let refused = |status, said: String| page(status, &LoginPage { said: Some(said), user });
    match tried {
        Ok(Ok(session)) => {
            if let Some(old) = cookie(&headers) {
                let _ = door.accounts.logout(old);
            }
            tracing::info!(role = session.who.role.name(), "somebody logged in");
            let mut answer = Redirect::to("/").into_response();
            set_cookie(&door, &mut answer, &session.secret, None);
            answer
        }
        Ok(Err(AccountError::Wrong)) => {
            refused(StatusCode::UNAUTHORIZED, "没有登录。账号或口令不对，连错 5 次停 15 分钟。".to_owned())
        }
        Ok(Err(AccountError::Paused(until))) => {
            let until = until.hour_minute();
            refused(
                StatusCode::TOO_MANY_REQUESTS,
                format!("没有登录。连错 5 次，停到 {until}。告警消息里的链接照常能用。"),
            )
        }
        Ok(Err(_)) | Err(_) => unavailable(),
    }
}

fn set_cookie(door: &Door, answer: &mut Response, secret: &str, age: Option<u32>) {
    let secure = if door.options.tls { "; Secure" } else { "" };
    let age = age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let line = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    if let Ok(value) = HeaderValue::from_str(&line) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// `POST /logout`.
pub(super) async fn logout(State(door): State<Door>, headers: HeaderMap, Form(wish): Form<Wish>) -> Response {
    let mut answer = Redirect::to("/login").into_response();
    match visitor(&door, &headers) {
        Ok(Some(who)) if !csrf_fits(&who, &wish.csrf) => {
            return say(StatusCode::FORBIDDEN, "没有退出。", "这张表单过期了，回值班台再按一次。", "/", "回值班台");
        }
        Ok(_) => {}
        Err(_) => return unavailable(),
    }
    if let Some(secret) = cookie(&headers)
        && door.accounts.logout(secret).is_err()
    {
        return unavailable();
    }
    set_cookie(&door, &mut answer, "", Some(0));
    answer
}

fn link_refused(refused: LinkRefused) -> Response {
    let text = match refused {
        LinkRefused::Forged => "链接不完整，或不是本站发的。请从消息里重新打开。",
        LinkRefused::Expired => "链接已过期。请登录后在值班台接手。",
    };
    say(StatusCode::FORBIDDEN, "链接不能用。", text, "/login", "去登录")
}

/// `GET /ack/{token}`: shows, and does nothing.
pub(super) async fn ack_page(State(door): State<Door>, Path(token): Path<String>) -> Response {
    let now = door.house.now();
    let link = match Link::open(&token, &door.options.link_key, now) {
        Ok(link) => link,
        Err(refused) => return link_refused(refused),
    };
    let view = door.house.view();
    let Some(found) = find(&view, &link.incident, true) else { return no_incident() };
    let Ok(used) = door.accounts.link_used(&link.notice) else { return unavailable() };
    page(StatusCode::OK, &AckPage::new(&view, found, &link, &token, used, now))
}

/// `POST /ack/{token}`: takes the incident, once a notice.
pub(super) async fn ack(State(door): State<Door>, headers: HeaderMap, Path(token): Path<String>) -> Response {
    let now = door.house.now();
    let link = match Link::open(&token, &door.options.link_key, now) {
        Ok(link) if !from_elsewhere(&headers) => link,
        Ok(_) => return link_refused(LinkRefused::Forged),
        Err(refused) => return link_refused(refused),
    };
    match door.accounts.use_link(&link.notice, now) {
        Ok(true) => {}
        Ok(false) => {
            return say(
                StatusCode::CONFLICT,
                "这个链接用过了。",
                "只能用一次。要做别的，请登录值班台。",
                "/login",
                "去登录",
            );
        }
        Err(_) => return unavailable(),
    }
    let wanted = Command::Acknowledge { incident: link.incident.clone(), by: link.officer, via: "link".to_owned() };
    match door.house.command(wanted).await {
        Ok(after) => {
            let until = after.acknowledged_until.map(|at| format!("，{} 前没动作会再叫", words::when(at, now)));
            let text = format!("{} 起不再叫人，时限不停{}。", now.hour_minute(), until.unwrap_or_default());
            say(StatusCode::OK, "你已接手。", text, "/", "去值班台")
        }
        Err(refused) => {
            if refused == CommandRefused::Unavailable {
                let _ = door.accounts.unuse_link(&link.notice);
            }
            refusal("接手", refused, "/login")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_forms_are_shanghai_times() {
        assert_eq!(occurred(""), Ok(None));
        assert_eq!(occurred("2026-10-01T01:58").unwrap().unwrap().to_string(), "2026-09-30T17:58:00Z");
        assert_eq!(occurred("2026-10-01T01:58:30").unwrap().unwrap().to_string(), "2026-09-30T17:58:30Z");
        assert_eq!(occurred("gestern"), Err(()));
    }
}

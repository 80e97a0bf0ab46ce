//! The door against a made-up house: who may what, what is refused how, what stands on every answer.

mod listing;

use super::*;
use crate::assess::{Cause, Class, Level, Place, Verdict};
use crate::duty::view::{ClockState, ClockView, HistoryLine, IncidentState, Times};
use crate::index::{Exported, Format, Hit, Page, Query, QueryError};
use crate::intake::Taken;
use crate::time::Span;
use crate::topic::{Heat, TopicId};
use reqwest::{Client, Method, Response, StatusCode};
use std::sync::Mutex;
use tokio::sync::watch;

const NOW: Instant = Instant::from_millis(1_790_000_000_000);
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x>";
const KEY: [u8; 32] = [3; 32];

pub(super) fn made_up(id: &str, title: &str) -> IncidentView {
    IncidentView {
        id: id.into(),
        topic: Some(TopicId(1)),
        state: IncidentState::Raised,
        level: Level::L4,
        classes: vec![Class::Nd],
        place: Place { verdict: Verdict::Yes, district: Some("360102".into()), ..Place::default() },
        title: title.into(),
        unverified: true,
        restricted: false,
        reason: title.into(),
        times: Times {
            first_mention: Some(NOW - Span::minutes(94)),
            detected: Some(NOW - Span::minutes(88)),
            ..Times::default()
        },
        clocks: vec![ClockView {
            kind: "first_notice".into(),
            owner: "U08".into(),
            start: NOW - Span::minutes(94),
            basis: "首条提及起算".into(),
            due: NOW + Span::minutes(26),
            state: ClockState::Running,
            overdue_at_birth_s: 0,
        }],
        heat: Heat::default(),
        causes: vec![Cause {
            part: "level".into(),
            rule: "seep".into(),
            words: "冒水".into(),
            start: 0,
            end: 6,
            weight: 0.3,
            within: None,
        }],
        claims: Vec::new(),
        carried: vec!["weibo:1".into()],
        sources: 3,
        owner: None,
        acknowledged_until: None,
        next_call: Some((NOW + Span::minutes(5), vec!["何清".into()])),
        responsible: Vec::new(),
        related: Vec::new(),
        notices: Vec::new(),
        history: vec![HistoryLine {
            seq: 7,
            at: NOW,
            actor: "machine".into(),
            event: "incident_raised".into(),
            words: title.into(),
            hash: "91ee0000000c".into(),
        }],
    }
}

struct MadeUp {
    view: Mutex<Arc<View>>,
    changed: watch::Sender<u64>,
    commands: Mutex<Vec<Command>>,
    answer: Mutex<Answer>,
    searches: Mutex<Vec<(String, String)>>,
}

impl House for MadeUp {
    fn now(&self) -> Instant {
        NOW
    }
    fn view(&self) -> Arc<View> {
        self.view.lock().unwrap().clone()
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
    fn topic<'a>(&'a self, _: &'a str) -> Answering<'a, TopicView> {
        let mentions = (0..300).map(|n| format!("weibo:{n}")).collect();
        Box::pin(async {
            TopicView { growth: vec![(NOW - Span::minutes(90), 1), (NOW, 3)], mentions, mentions_total: 300 }
        })
    }
    fn evidence<'a>(&'a self, incident: &'a str) -> Answering<'a, Vec<Evidence>> {
        let body = serde_json::json!({"id": "weibo:1", "platform": "weibo", "text": format!("堤脚冒水 {HOSTILE}"),
            "created_at": NOW, "collected_at": NOW});
        let one = Evidence {
            incident: incident.into(),
            mention: "weibo:1".into(),
            hash: "aa".repeat(32),
            body: body.to_string(),
            joined: "首条".into(),
        };
        Box::pin(async { vec![one] })
    }
    fn command<'a>(&'a self, command: Command) -> Answering<'a, Result<IncidentView, CommandRefused>> {
        Box::pin(async move {
            let (Command::Acknowledge { incident: id, by, .. }
            | Command::Confirm { incident: id, by, .. }
            | Command::Dismiss { incident: id, by, .. }) = command.clone();
            let mut view = self.view.lock().unwrap();
            let mut fresh = View::clone(&view);
            let found = fresh.incidents.iter_mut().chain(&mut fresh.restricted).find(|one| one.id == id);
            let found = found.ok_or(CommandRefused::NotFound)?;
            if matches!(command, Command::Acknowledge { .. }) {
                if found.state != IncidentState::Raised {
                    return Err(CommandRefused::Conflict("already acknowledged".into()));
                }
                found.state = IncidentState::Acknowledged;
                found.owner = Some(by);
            }
            let after = found.clone();
            *view = Arc::new(fresh);
            self.commands.lock().unwrap().push(command);
            self.changed.send_modify(|number| *number += 1);
            Ok(after)
        })
    }
    fn mentions<'a>(&'a self, _: bool, _: Option<String>, _: Vec<u8>) -> Answering<'a, Answer> {
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async { answer })
    }
    fn search<'a>(&'a self, by: &'a str, purpose: &'a str, query: Query) -> Answering<'a, Result<Page, QueryError>> {
        self.searches.lock().unwrap().push((by.into(), purpose.into()));
        let hit = Hit {
            id: "weibo:1".into(),
            created_at: NOW,
            platform: "weibo".into(),
            kind: "post".into(),
            text: format!("冒水{HOSTILE}"),
            highlights: vec![(0, 6)],
            level: "L4".into(),
            classes: vec![],
            district: None,
            township: None,
            topic: None,
            score: 0.0,
        };
        let page =
            Page { hits: vec![hit; query.limit.clamp(1, 3)], total: query.limit as u64, took_us: 5, ..Page::default() };
        Box::pin(async move { if query.q == "(" { Err(QueryError::Syntax("at 1".into())) } else { Ok(page) } })
    }
    fn export<'a>(
        &'a self,
        by: &'a str,
        purpose: &'a str,
        query: Query,
        format: Format,
    ) -> Answering<'a, Result<Exported, QueryError>> {
        self.searches.lock().unwrap().push((by.into(), format!("{} {purpose}", format.name())));
        let file = Exported { body: query.q.clone().into_bytes(), rows: 1, total: 7 };
        Box::pin(async move { if query.q == "(" { Err(QueryError::Syntax("at 1".into())) } else { Ok(file) } })
    }
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
    fn metrics(&self) -> String {
        "up 1\n".into()
    }
}

struct Bench {
    base: String,
    client: Client,
    house: Arc<MadeUp>,
    accounts: Arc<Accounts>,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn open(open_intake: bool) -> Bench {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let accounts = Arc::new(Accounts::open(dir.path()).unwrap());
        let mut danger = made_up("I-9", "绝不能出现的标题");
        danger.restricted = true;
        let view = View {
            incidents: vec![made_up("I-1", HOSTILE), danger.clone()],
            restricted: vec![danger],
            names: [("360102".to_owned(), HOSTILE.to_owned())].into(),
            withheld: vec![(HOSTILE.into(), 2)],
            ..View::default()
        };
        let house = Arc::new(MadeUp {
            view: Mutex::new(Arc::new(view)),
            changed: watch::channel(0).0,
            commands: Mutex::default(),
            answer: Mutex::new(Answer::Taken(Taken { accepted: 2, duplicates: 1, refused: vec![], refused_total: 0 })),
            searches: Mutex::default(),
        });
        let options = WebOptions { open_intake, tls: false, public_url: None, link_key: KEY };
        let routes = router(house.clone(), accounts.clone(), options);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Bench { base, client, house, accounts, _dir: dir }
    }

    fn token(&self, role: Role) -> String {
        self.accounts.new_token("program", role, NOW).unwrap()
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn get(&self, path: &str, cookie: &str) -> (StatusCode, String) {
        let answer = self.ask(Method::GET, path).header("cookie", cookie).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, cookie: &str, form: &str) -> Response {
        let request = self.ask(Method::POST, path).header("cookie", cookie);
        request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned()).send().await.unwrap()
    }

    /// Logs in through the form: cookie and CSRF token.
    async fn login(&self, role: Role) -> (String, String) {
        self.accounts.set_user("lin", role, "long enough", NOW).unwrap();
        let answer = self.post("/login", "", "user=lin&password=long+enough").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let line = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(line.contains("HttpOnly") && line.contains("SameSite=Strict"));
        let cookie = line.split(';').next().unwrap().to_owned();
        let who = self.accounts.session(cookie.split_once('=').unwrap().1, NOW).unwrap().unwrap();
        (cookie, who.csrf.unwrap())
    }
}

async fn problem(answer: Response, status: u16) -> serde_json::Value {
    assert_eq!(answer.status().as_u16(), status);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let text = answer.text().await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["status"], status);
    assert!(value["title"].is_string() && value["detail"].is_string() && value["type"] == "about:blank");
    value
}

#[tokio::test]
async fn every_route_lets_in_exactly_its_roles() {
    let bench = Bench::open(false).await;
    let routes = [
        (Method::POST, "/api/v1/mentions", Action::Intake),
        (Method::GET, "/api/v1/search?q=*&purpose=test", Action::Search),
        (Method::GET, "/api/v1/search/export?q=*&purpose=test&format=csv", Action::Export),
        (Method::GET, "/api/v1/incidents?state=open", Action::Read),
        (Method::GET, "/api/v1/incidents/I-1", Action::Read),
        (Method::GET, "/api/v1/events", Action::Read),
        (Method::POST, "/api/v1/incidents/I-1/confirm", Action::Act),
    ];
    for (method, path, action) in routes {
        problem(bench.ask(method.clone(), path).send().await.unwrap(), 401).await;
        let guess = bench.ask(method.clone(), path).bearer_auth("guess").send().await.unwrap();
        problem(guess, 401).await;
        for role in Role::ALL {
            let answer = bench.ask(method.clone(), path).bearer_auth(bench.token(role)).send().await.unwrap();
            let wanted = if role.may(action) { 200 } else { 403 };
            assert_eq!(answer.status().as_u16(), wanted, "{method} {path} as {}", role.name());
        }
    }
    for path in ["/metrics", "/health/live", "/health/ready", "/assets/style.css", "/assets/app.js", "/login"] {
        assert_eq!(bench.get(path, "").await.0, StatusCode::OK, "{path}");
    }
    for path in ["/", "/incidents/I-1", "/search"] {
        assert_eq!(bench.get(path, "").await.0, StatusCode::SEE_OTHER, "{path} sends strangers to the login");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let bench = Bench::open(false).await;
    for path in ["/", "/login", "/nothing", "/assets/app.js", "/api/v1/incidents", "/ack/x", "/metrics", "/login?%ff"] {
        let answer = bench.ask(Method::GET, path).send().await.unwrap();
        let headers = answer.headers();
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert!(headers.contains_key("cache-control"));
    }
}

#[tokio::test]
async fn refusals_are_problems() {
    let bench = Bench::open(false).await;
    let desk = bench.token(Role::Desk);
    let get = async |path: &str| bench.ask(Method::GET, path).bearer_auth(&desk).send().await.unwrap();
    problem(get("/api/v1/nothing").await, 404).await;
    problem(get("/api/v1/incidents/I-404").await, 404).await;
    problem(get("/api/v1/mentions").await, 405).await;
    problem(get("/api/v1/incidents?state=odd").await, 400).await;
    problem(get("/api/v1/search?q=*").await, 400).await;
    problem(get("/api/v1/search?q=*&purpose=+").await, 400).await;
    problem(get("/api/v1/search?purpose=test").await, 400).await;
    problem(get("/api/v1/search?q=(&purpose=test").await, 400).await;
    problem(get("/api/v1/search?q=*&q=*&purpose=test").await, 400).await;
    let said = [
        ("/api/v1/incidents/I-1/explode", "", 404),
        ("/api/v1/incidents/I-1/dismiss", "{}", 400),
        ("/api/v1/incidents/I-1/confirm", "{\"occurred\":\"gestern\"}", 400),
        ("/api/v1/incidents/I-404/acknowledge", "", 404),
    ];
    for (path, body, status) in said {
        problem(bench.ask(Method::POST, path).bearer_auth(&desk).body(body).send().await.unwrap(), status).await;
    }
    assert!(bench.house.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn mentions_get_the_answer_of_the_house() {
    let bench = Bench::open(true).await;
    let send = async |body: Vec<u8>| bench.ask(Method::POST, "/api/v1/mentions").body(body).send().await.unwrap();
    let taken: serde_json::Value = serde_json::from_str(&send(vec![b'x']).await.text().await.unwrap()).unwrap();
    assert_eq!(taken, serde_json::json!({"accepted": 2, "duplicates": 1, "refused": [], "refused_total": 0}));
    let answers = [
        (Answer::TooLarge("t".into()), 413),
        (Answer::Undecodable("u".into()), 400),
        (Answer::UnknownCoding("c".into()), 415),
        (Answer::Busy(7), 429),
        (Answer::Failed("f".into()), 503),
    ];
    for (given, status) in answers {
        *bench.house.answer.lock().unwrap() = given;
        let answer = send(vec![b'x']).await;
        if status == 429 {
            assert_eq!(answer.headers()["retry-after"], "7");
        }
        problem(answer, status).await;
    }
    problem(send(vec![b'x'; crate::limits::BODY_BYTES + 1]).await, 413).await;
    let intruder = bench.ask(Method::POST, "/api/v1/mentions").bearer_auth("guess").send().await.unwrap();
    problem(intruder, 401).await;
}

#[tokio::test]
async fn an_incident_is_acknowledged_once_and_shown_whole() {
    let bench = Bench::open(false).await;
    let desk = bench.token(Role::Desk);
    let path = "/api/v1/incidents/I-1/acknowledge";
    let answer = bench.ask(Method::POST, path).bearer_auth(&desk).send().await.unwrap();
    let after: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(after["state"], "acknowledged");
    assert_eq!(after["mentions"].as_array().unwrap().len(), 200);
    assert_eq!(after["mentions_total"], 300);
    assert_eq!(after["clocks"][0]["kind"], "first_notice");
    assert_eq!(after["topic"], "T-1");
    problem(bench.ask(Method::POST, path).bearer_auth(&desk).send().await.unwrap(), 409).await;
    let list = bench.ask(Method::GET, "/api/v1/incidents?state=open").bearer_auth(&desk).send().await.unwrap();
    let list: serde_json::Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
    assert_eq!(list["incidents"].as_array().unwrap().len(), 1, "the restricted one stands in no list");
    assert!(list["next"].is_null());
}

#[tokio::test]
async fn the_console_needs_login_right_and_csrf() {
    let bench = Bench::open(false).await;
    let (cookie, csrf) = bench.login(Role::Officer).await;
    assert_eq!(bench.get("/", &cookie).await.0, StatusCode::OK);
    let act = "/incidents/I-1/acknowledge";
    for form in ["", "csrf=", "csrf=guess"] {
        assert_eq!(bench.post(act, &cookie, form).await.status(), StatusCode::FORBIDDEN);
    }
    let api = bench.ask(Method::POST, "/api/v1/incidents/I-1/acknowledge").header("cookie", &cookie);
    problem(api.send().await.unwrap(), 403).await;
    let form = format!("csrf={csrf}");
    let foreign = bench.ask(Method::POST, act).header("cookie", &cookie).header("sec-fetch-site", "cross-site");
    let foreign = foreign.header("content-type", "application/x-www-form-urlencoded").body(form.clone());
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(bench.house.commands.lock().unwrap().is_empty());
    let done = bench.post(act, &cookie, &form).await;
    assert_eq!(done.headers()["location"], "/incidents/I-1?done=acknowledge");
    let wanted = Command::Acknowledge { incident: "I-1".into(), by: "lin".into(), via: "console".into() };
    assert_eq!(*bench.house.commands.lock().unwrap(), [wanted]);
    assert!(bench.get("/incidents/I-1", &cookie).await.1.contains("已接"));
    assert_eq!(bench.post(act, &cookie, &form).await.status(), StatusCode::CONFLICT);
    assert_eq!(bench.post("/logout", &cookie, "csrf=guess").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(bench.post("/logout", &cookie, &form).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(bench.get("/", &cookie).await.0, StatusCode::SEE_OTHER, "the session is over");
}

#[tokio::test]
async fn wrong_passwords_are_refused_and_pause() {
    let bench = Bench::open(false).await;
    bench.accounts.set_user("lin", Role::Officer, "long enough", NOW).unwrap();
    for _ in 0..5 {
        let answer = bench.post("/login", "", "user=lin&password=guess").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    let answer = bench.post("/login", "", "user=lin&password=long+enough").await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn pages_escape_hostile_texts() {
    let bench = Bench::open(false).await;
    let (cookie, _) = bench.login(Role::Officer).await;
    let q = "/search?q=%3Cscript%3Ealert(1)%3C/script%3E&purpose=%3Cscript%3Ealert(1)%3C/script%3E";
    for path in ["/", "/incidents/I-1", q] {
        let (status, body) = bench.get(path, &cookie).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!body.contains("<script>alert") && !body.contains("<img"), "{path}");
        assert!(body.contains("alert(1)"), "{path} shows the text");
    }
    let (_, incident) = bench.get("/incidents/I-1", &cookie).await;
    assert!(incident.contains("<mark>冒水</mark>"));
    let login = bench.post("/login", "", "user=%22%3E%3Cscript%3Ealert(1)&password=x").await.text().await.unwrap();
    assert!(!login.contains("<script>"));
    assert!(!bench.get("/", &cookie).await.1.contains("style="), "no inline style");
}

#[tokio::test]
async fn the_board_tells_time_people_and_few_sources() {
    let bench = Bench::open(false).await;
    let (cookie, _) = bench.login(Role::Officer).await;
    let (_, board) = bench.get("/", &cookie).await;
    for words in
        ["1 起在办", "L4 危及生命", "紧迫 1", "无人接手", "来源 &#60;5", "<b>26</b> 分", "叫何清", "hero tight"]
    {
        assert!(board.contains(words), "{words} in {board}");
    }
    *bench.house.view.lock().unwrap() = Arc::new(View::default());
    assert!(bench.get("/", &cookie).await.1.contains("现在没有在办事件"));
}

#[tokio::test]
async fn a_person_in_danger_stands_in_no_list_and_shows_numbers_only() {
    let bench = Bench::open(false).await;
    let (cookie, _) = bench.login(Role::Officer).await;
    assert!(!bench.get("/", &cookie).await.1.contains("I-9"));
    assert!(!bench.get("/search", &cookie).await.1.contains("I-9"));
    let (status, page) = bench.get("/incidents/I-9", &cookie).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("tel:110") && !page.contains("绝不能出现"));
    let path = "/api/v1/incidents/I-9";
    let desk = bench.ask(Method::GET, path).bearer_auth(bench.token(Role::Desk)).send().await.unwrap();
    assert!(!desk.text().await.unwrap().contains("绝不能出现"));
    problem(bench.ask(Method::GET, path).bearer_auth(bench.token(Role::Analyst)).send().await.unwrap(), 404).await;
}

#[tokio::test]
async fn a_link_shows_on_get_and_acts_once_on_post() {
    let bench = Bench::open(false).await;
    let link =
        Link {
            notice: "N-1".into(), incident: "I-1".into(), officer: "何清".into(), expires: NOW + Span::minutes(30)
        };
    let path = format!("/ack/{}", link.token(&KEY));
    for _ in 0..2 {
        assert!(bench.get(&path, "").await.1.contains("我来接手"));
    }
    assert!(bench.house.commands.lock().unwrap().is_empty(), "opening is not taking");
    let mut forged = path.clone();
    forged.pop();
    let late = format!("/ack/{}", Link { expires: NOW, ..link.clone() }.token(&KEY));
    let other = format!("/ack/{}", link.token(&[4; 32]));
    for path in [&forged, &late, &other] {
        assert_eq!(bench.get(path, "").await.0, StatusCode::FORBIDDEN);
        assert_eq!(bench.post(path, "", "").await.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(bench.post(&path, "", "").await.status(), StatusCode::OK);
    assert_eq!(bench.post(&path, "", "").await.status(), StatusCode::CONFLICT);
    let wanted = Command::Acknowledge { incident: "I-1".into(), by: "何清".into(), via: "link".into() };
    assert_eq!(*bench.house.commands.lock().unwrap(), [wanted]);
}

#[tokio::test]
async fn events_tell_each_change() {
    let bench = Bench::open(false).await;
    let token = bench.token(Role::Officer);
    let mut answer = bench.ask(Method::GET, "/api/v1/events").bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut heard = String::from_utf8(answer.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    bench.house.changed.send_modify(|number| *number = 5);
    while !heard.contains("data: 5") {
        heard.push_str(&String::from_utf8_lossy(&answer.chunk().await.unwrap().unwrap()));
    }
    assert!(heard.contains("event: change"));
}

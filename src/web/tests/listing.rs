//! Pages of incidents, searches and exports through the door.

use super::*;

impl Bench {
    async fn json(&self, path: &str, token: &str) -> serde_json::Value {
        let answer = self.ask(Method::GET, path).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    fn show(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.house.view.lock().unwrap();
        let mut fresh = View::clone(&view);
        change(&mut fresh);
        *view = Arc::new(fresh);
    }
}

fn numbered(seq: u64, state: IncidentState) -> IncidentView {
    let mut one = made_up(&format!("I-1001-{seq:02}"), "一件");
    one.history[0].seq = seq;
    one.history.push(HistoryLine { seq: seq + 1_000, ..one.history[0].clone() });
    one.state = state;
    one
}

fn ids(list: &serde_json::Value) -> Vec<String> {
    list["incidents"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn incidents_are_paged_newest_first_while_they_change() {
    let bench = Bench::open(false).await;
    let token = bench.token(Role::Analyst);
    bench.show(|view| view.incidents = (1..=7).rev().map(|seq| numbered(seq, IncidentState::Raised)).collect());
    let first = bench.json("/api/v1/incidents?state=open&limit=3", &token).await;
    assert_eq!(ids(&first), ["I-1001-07", "I-1001-06", "I-1001-05"]);
    let next = first["next"].as_str().unwrap().to_owned();
    // A new one comes, one that was seen and one that was not are closed, and the list comes in another order.
    bench.show(|view| {
        view.incidents.push(numbered(8, IncidentState::Raised));
        for one in &mut view.incidents {
            if ["I-1001-05", "I-1001-03"].contains(&one.id.as_str()) {
                one.state = IncidentState::Closed;
            }
        }
    });
    let second = bench.json(&format!("/api/v1/incidents?state=open&limit=3&cursor={next}"), &token).await;
    assert_eq!(ids(&second), ["I-1001-04", "I-1001-02", "I-1001-01"]);
    assert!(second["next"].is_null());
    let all = bench.json("/api/v1/incidents", &token).await;
    assert_eq!((ids(&all).len(), all["next"].is_null()), (8, true));
    assert_eq!(ids(&bench.json("/api/v1/incidents?state=closed", &token).await), ["I-1001-05", "I-1001-03"]);
}

#[tokio::test]
async fn a_page_of_incidents_is_bounded_and_a_wrong_cursor_is_refused() {
    let bench = Bench::open(false).await;
    let token = bench.token(Role::Desk);
    bench.show(|view| view.incidents = (1..=450).rev().map(|seq| numbered(seq, IncidentState::Raised)).collect());
    let mut seen = Vec::new();
    let mut path = "/api/v1/incidents?limit=100000".to_owned();
    loop {
        let page = bench.json(&path, &token).await;
        assert!(ids(&page).len() <= 200);
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/incidents?limit=100000&cursor={next}");
    }
    let wanted: Vec<String> = (1..=450).rev().map(|seq| format!("I-1001-{seq:02}")).collect();
    assert_eq!(seen, wanted);
    for path in ["/api/v1/incidents?cursor=%E7%81%AB", "/api/v1/incidents?cursor=zz", "/api/v1/incidents?limit=many"] {
        problem(bench.ask(Method::GET, path).bearer_auth(&token).send().await.unwrap(), 400).await;
    }
}

#[tokio::test]
async fn searches_name_who_and_why_and_are_bounded() {
    let bench = Bench::open(false).await;
    let page = bench.json("/api/v1/search?q=*&purpose=review&limit=5000", &bench.token(Role::Analyst)).await;
    assert_eq!(page["total"], 200, "the made-up house tells the limit it was given");
    assert!(page["facets"]["platform"].is_array() && page["histogram"]["buckets"].is_array());
    assert_eq!(*bench.house.searches.lock().unwrap(), [("program".to_owned(), "review".to_owned())]);
}

#[tokio::test]
async fn an_export_is_a_file_for_the_desk_and_says_if_it_was_cut() {
    let bench = Bench::open(false).await;
    let token = bench.token(Role::Desk);
    let get = async |path: &str, token: &str| bench.ask(Method::GET, path).bearer_auth(token).send().await.unwrap();
    let path = "/api/v1/search/export?q=%E5%81%9C%E6%B0%B4&purpose=review&format=";
    for (format, kind) in [("csv", "text/csv; charset=utf-8"), ("jsonl", "application/jsonl; charset=utf-8")] {
        let answer = get(&format!("{path}{format}"), &token).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers();
        assert_eq!(headers["content-type"], kind);
        assert_eq!(headers["content-disposition"], format!("attachment; filename=\"search.{format}\"").as_str());
        assert_eq!((&headers["x-rows"], &headers["x-total"]), (&"1".parse().unwrap(), &"7".parse().unwrap()));
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(answer.text().await.unwrap(), "停水");
    }
    problem(get(&format!("{path}csv"), &bench.token(Role::Analyst)).await, 403).await;
    for wrong in [
        "/api/v1/search/export?q=*&purpose=review",
        "/api/v1/search/export?q=*&purpose=review&format=xls",
        "/api/v1/search/export?q=*&format=csv",
        "/api/v1/search/export?q=*&purpose=review&format=csv&cursor=t1",
        "/api/v1/search/export?q=(&purpose=review&format=csv",
    ] {
        problem(get(wrong, &token).await, 400).await;
    }
    let told: Vec<String> = bench.house.searches.lock().unwrap().iter().map(|(_, why)| why.clone()).collect();
    assert_eq!(told[..2], ["csv review", "jsonl review"], "who and why go to the house, which audits");
}

//! The console in a real Chromium: in go an address, an account and the port of a chromedriver; out comes the picture of
//! an incident that was seen on the board, opened, taken, confirmed, and found by a search. Speaks W3C WebDriver, which is JSON over HTTP.

use base64::Engine;
use serde_json::{Value, json};
use std::time::Duration;

/// How often, and how long apart, the page is looked at for something to appear: a minute in all.
const LOOKS: u32 = 240;
/// Time between two looks.
const APART: Duration = Duration::from_millis(250);
/// The key Enter in WebDriver.
const ENTER: &str = "\u{E007}";
/// Name of an element's id in WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What Chromium is started with; as root it has no sandbox of its own.
const ARGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,900",
];

/// Anything that went wrong.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A session of a browser.
struct Browser {
    client: reqwest::Client,
    session: String,
}

impl Browser {
    async fn open(port: u16) -> Result<Browser, Failed> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": ARGS } } } });
        let drivers = format!("http://127.0.0.1:{port}/session");
        let made: Value = client.post(&drivers).json(&wanted).send().await?.json().await?;
        let id = made["value"]["sessionId"].as_str().ok_or_else(|| format!("no browser: {made}"))?;
        Ok(Browser { session: format!("{drivers}/{id}"), client })
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Failed> {
        let answer = self.client.post(format!("{}{path}", self.session)).json(&body).send().await?;
        told(answer).await
    }

    async fn get(&self, path: &str) -> Result<Value, Failed> {
        told(self.client.get(format!("{}{path}", self.session)).send().await?).await
    }

    async fn goto(&self, address: &str) -> Result<(), Failed> {
        self.post("/url", json!({ "url": address })).await.map(drop)
    }

    /// The first element of an XPath, if it is there now.
    async fn find(&self, path: &str) -> Result<String, Failed> {
        let found = self.post("/element", json!({ "using": "xpath", "value": path })).await?;
        Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    /// The first element of an XPath, as soon as it is there.
    async fn wait(&self, path: &str) -> Result<String, Failed> {
        let mut last: Failed = "never looked".into();
        for _ in 0..LOOKS {
            match self.find(path).await {
                Ok(found) => return Ok(found),
                Err(error) => last = error,
            }
            tokio::time::sleep(APART).await;
        }
        Err(format!("{path} did not appear: {last}").into())
    }

    async fn click(&self, path: &str) -> Result<(), Failed> {
        self.does(path, "click", json!({})).await
    }

    async fn write(&self, path: &str, text: &str) -> Result<(), Failed> {
        self.does(path, "value", json!({ "text": text })).await
    }

    /// Does something with an element; once more where the page was drawn anew between the look and the deed.
    async fn does(&self, path: &str, what: &str, with: Value) -> Result<(), Failed> {
        let element = self.wait(path).await?;
        match self.post(&format!("/element/{element}/{what}"), with.clone()).await {
            Err(error) if error.to_string().starts_with("stale element reference") => {
                let element = self.wait(path).await?;
                self.post(&format!("/element/{element}/{what}"), with).await.map(drop)
            }
            done => done.map(drop),
        }
    }
}

async fn told(answer: reqwest::Response) -> Result<Value, Failed> {
    let mut body: Value = answer.json().await?;
    let value = body["value"].take();
    match value["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", value["message"]).into()),
        None => Ok(value),
    }
}

/// Logs in, waits until an incident row comes onto the board without a reload by hand, opens it, takes it, confirms it,
/// finds its mention by `words`, and gives back a PNG of the incident's page.
pub async fn board_shows_an_incident_and_takes_it(
    base: &str,
    user: &str,
    password: &str,
    chromedriver_port: u16,
    words: &str,
    logged_in: tokio::sync::oneshot::Sender<()>,
) -> Result<Vec<u8>, Failed> {
    let browser = Browser::open(chromedriver_port).await?;
    let seen = walk(&browser, base, user, password, logged_in).await;
    let found = if seen.is_ok() { search(&browser, base, words).await } else { Ok(()) };
    browser.client.delete(&browser.session).send().await?;
    found.and(seen)
}

/// Fills in the form of the search and sends it by the keyboard until the mention is found: it is indexed a moment
/// after it stands on the board.
async fn search(browser: &Browser, base: &str, words: &str) -> Result<(), Failed> {
    browser.goto(&format!("{base}/search")).await?;
    browser.write("//input[@name='q']", words).await?;
    browser.click("//select[@name='purpose']/option[.='核实事件']").await?;
    for _ in 0..LOOKS {
        browser.write("//input[@name='q']", ENTER).await?;
        browser.wait("//h2[@id='res']").await?;
        if browser.find(&format!("//ol[@class='ev']/li//mark[contains('{words}', .)]")).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(APART).await;
    }
    Err(format!("a search for {words} does not find the mention").into())
}

async fn walk(
    browser: &Browser,
    base: &str,
    user: &str,
    password: &str,
    logged_in: tokio::sync::oneshot::Sender<()>,
) -> Result<Vec<u8>, Failed> {
    browser.goto(&format!("{base}/login")).await?;
    browser.write("//input[@name='user']", user).await?;
    browser.write("//input[@name='password']", password).await?;
    browser.click("//main//form//button").await?;
    browser.wait("//p[contains(@class,'live') and contains(., '已连接')]").await?;
    logged_in.send(()).map_err(|()| "nobody waits for the login")?;
    let row = browser.wait("//main//*[@data-incident]//a[starts-with(@href,'/incidents/')]").await?;
    let href = browser.get(&format!("/element/{row}/attribute/href")).await?;
    let path = href.as_str().ok_or("the row has no address")?;
    // The board may be drawn anew between the look and a click: the address is what counts.
    browser.goto(&format!("{base}{path}")).await?;
    browser.click("//form[contains(@action,'/acknowledge')]//button").await?;
    browser.wait("//*[@id='state' and contains(., '已接')]").await?;
    browser.write("//form[contains(@action,'/confirm')]//textarea", "街道办电话核实").await?;
    browser.click("//form[contains(@action,'/confirm')]//button").await?;
    browser.wait("//*[@id='state' and contains(., '已确认')]").await?;
    // The ledger keeps what was said then; what is said now is that it is true.
    for part in ["//section[@aria-labelledby='what']", "//aside", "//section[@aria-labelledby='why']"] {
        browser.wait(part).await?;
        if browser.find(&format!("{part}[contains(., '未核实')]")).await.is_ok() {
            return Err(format!("{part} still says that it is unverified").into());
        }
    }
    let picture = browser.get("/screenshot").await?;
    let text = picture.as_str().ok_or("no picture")?;
    Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
}

/// A chromedriver on a free port, ended with the test.
struct Driver(std::process::Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_sees_an_incident_arrive_takes_and_confirms_it_and_finds_it() {
    use crate::house::{Running, folder, mention, wait};
    if std::env::var_os("YUQING_SKIP_BROWSER").is_some() {
        let name = "browser::an_officer_sees_an_incident_arrive_takes_and_confirms_it_and_finds_it";
        crate::house::skip(name, "YUQING_SKIP_BROWSER is set");
        return;
    }
    let driver = std::process::Command::new("chromedriver").arg("--version").output();
    driver.expect("chromedriver is there: scripts/install-test-parts installs it, YUQING_SKIP_BROWSER=1 does without");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("addr").port();
    let silent = std::process::Stdio::null;
    let child = std::process::Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(silent())
        .stderr(silent())
        .spawn();
    let _driver = Driver(child.expect("chromedriver starts"));
    let status = format!("http://127.0.0.1:{port}/status");
    let client = crate::house::client();
    wait("chromedriver", || async { client.get(&status).send().await.is_ok() }).await;
    let data = folder();
    let house = Running::first(data.path(), &[]);
    let (user, password) = house.password.clone().expect("said once");
    let base = house.url("");
    let (logged_in, seen) = tokio::sync::oneshot::channel();
    let walk = tokio::spawn(async move {
        board_shows_an_incident_and_takes_it(&base, &user, &password, port, "居民楼着火", logged_in).await
    });
    // The officer is logged in and looks at a quiet board when the incident arrives.
    seen.await.expect("the officer logs in");
    let text = "红谷滩区凤凰洲街道一栋居民楼着火了，有3个人被困在楼上，快来救人";
    assert_eq!(house.post(mention("weibo:browser", text, "a", 30)).await.1["accepted"], 1);
    let picture = walk.await.expect("the walk ends").expect("the officer has it");
    assert!(picture.starts_with(b"\x89PNG"), "a picture was taken");
    if let Ok(path) = std::env::var("YUQING_PICTURE") {
        std::fs::write(path, picture).expect("written");
    }
}

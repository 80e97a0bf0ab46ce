//! The console in a real Chromium: in go an address, an account and the port of a chromedriver; out comes the picture of
//! an incident that was seen on the board, opened and taken.

use fantoccini::{Client, ClientBuilder, Locator};
use std::time::Duration;

/// How long the board may take to show an incident by itself.
const SHOWS: Duration = Duration::from_secs(60);

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

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn chromium(chromedriver_port: u16) -> Result<Client, Failed> {
    let mut wanted = serde_json::Map::new();
    wanted.insert("goog:chromeOptions".to_owned(), serde_json::json!({ "args": ARGS }));
    let driver = format!("http://127.0.0.1:{chromedriver_port}");
    Ok(ClientBuilder::new(hyper_connector()).capabilities(wanted).connect(&driver).await?)
}

/// Logs in, waits until an incident row comes onto the board without a reload by hand, opens it, takes it, and gives
/// back a PNG of the incident's page.
pub async fn board_shows_an_incident_and_takes_it(
    base: &str, user: &str, password: &str, chromedriver_port: u16,
) -> Result<Vec<u8>, Failed> {
    let client = chromium(chromedriver_port).await?;
    let seen = walk(&client, base, user, password).await;
    client.close().await?;
    seen
}

async fn walk(client: &Client, base: &str, user: &str, password: &str) -> Result<Vec<u8>, Failed> {
    client.goto(&format!("{base}/login")).await?;
    let form = client.form(Locator::Css("form")).await?;
    form.set_by_name("user", user).await?;
    form.set_by_name("password", password).await?;
    client.find(Locator::Css("main form button")).await?.click().await?;
    client.wait().at_most(SHOWS).for_element(Locator::Css(".live")).await?;

    let row = Locator::Css("main [data-incident] a[href^='/incidents/']");
    let found = client.wait().at_most(SHOWS).for_element(row).await?;
    let href = found.attr("href").await?.ok_or("the row has no address")?;
    // The board may be drawn anew between the look and the click: the address is what counts.
    client.goto(&format!("{base}{href}")).await?;
    let take = Locator::Css("form[action$='/acknowledge'] button");
    client.wait().at_most(SHOWS).for_element(take).await?.click().await?;
    let done = Locator::XPath("//*[@id='state'][contains(., '已接')]");
    client.wait().at_most(SHOWS).for_element(done).await?;
    Ok(client.screenshot().await?)
}

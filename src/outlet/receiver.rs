//! A receiver for tests that says whatever it is told to, on a port of its own.

use super::guard::{self, Network};
use crate::duty::Verdict;
use reqwest::{Client, Url};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

pub(super) struct Receiver {
    address: SocketAddr,
    heard: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Receiver {
    /// Answers every request with this status, these header lines (each with its line end) and this body. Status 0 hangs
    /// up after reading.
    pub(super) async fn start(status: u16, headers: &str, body: &str) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{}",
            if status == 204 { 0 } else { body.len() },
            if status == 204 { "" } else { body }
        );
        let (say, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                if say.send(request).is_err() {
                    break;
                }
                if status > 0 {
                    // The client may have left before the end of a long answer.
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                let _ = stream.shutdown().await;
            }
        });
        Receiver { address, heard: Mutex::new(heard) }
    }

    pub(super) fn url(&self) -> Url {
        Url::parse(&format!("http://{}/hook?key=1", self.address)).expect("a URL")
    }

    pub(super) async fn client(&self) -> Client {
        let listed: Network = "127.0.0.0/8".parse().expect("a network");
        guard::client(&self.url(), &[listed]).await.expect("a client")
    }

    /// The next request, whole.
    pub(super) async fn heard(&self) -> String {
        self.heard.lock().await.recv().await.expect("a request")
    }

    /// Requests that came and were not asked for yet.
    pub(super) async fn waiting(&self) -> usize {
        self.heard.lock().await.len()
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let got = stream.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..got]);
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if got == 0 || whole {
            return text.into_owned();
        }
    }
}

/// A verdict's name, and the wait where it names one.
pub(super) fn kind_of(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "accepted".into(),
        Verdict::Retry { after_ms: Some(ms), .. } => format!("retry {ms}"),
        Verdict::Retry { .. } => "retry".into(),
        Verdict::Refused { .. } => "refused".into(),
        Verdict::Misconfigured { .. } => "misconfigured".into(),
        Verdict::Unknown { .. } => "unknown".into(),
    }
}

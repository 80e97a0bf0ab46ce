//! A TCP proxy before PostgreSQL that cuts a connection at a chosen moment of a transaction, and counts its cuts.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The moment of the next cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The entries were sent, `COMMIT` never.
    MidStep,
    /// `COMMIT` came here and never reached the server.
    BeforeCommit,
    /// `COMMIT` was passed on, and the line cut at once: who knows.
    WithCommit,
    /// The server said that it was done; nobody heard it.
    AfterCommit,
}

#[derive(Default)]
struct State {
    armed: Mutex<Option<Cut>>,
    hits: AtomicU64,
}

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

impl Proxy {
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let port = listener.local_addr().expect("addr").port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Refused while the server is down, as the server itself would.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    pass(client, server, shared.clone());
                }
            }
        });
        Proxy { port, state }
    }

    /// Cuts once, at the next such moment.
    pub fn arm(&self, cut: Cut) {
        *self.state.armed.lock().expect("lock") = Some(cut);
    }

    /// Cuts made.
    pub fn hits(&self) -> u64 {
        self.state.hits.load(Ordering::SeqCst)
    }
}

impl State {
    fn hit(&self, client: &TcpStream, server: &TcpStream) {
        self.hits.fetch_add(1, Ordering::SeqCst);
        // Already closed by the other side, perhaps.
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    }

    /// The cut to make at a message of the client, disarmed.
    fn due(&self, message: &[u8]) -> Option<Cut> {
        let mut armed = self.armed.lock().expect("lock");
        let commit = message.starts_with(b"Q") && message.ends_with(b"COMMIT\0");
        let sync_of_entries = message.starts_with(b"B") && message.windows(8).any(|at| at == b"\"started");
        let now = match *armed {
            Some(Cut::MidStep) => sync_of_entries,
            Some(_) => commit,
            None => false,
        };
        if now { armed.take() } else { None }
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let unheard = Arc::new(AtomicBool::new(false));
    let (mut to_client, mut from_server) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
    let (shared, swallow) = (state.clone(), unheard.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(read @ 1..) = from_server.read(&mut bytes) {
            if swallow.load(Ordering::SeqCst) {
                assert!(bytes[..read].windows(7).any(|at| at == b"COMMIT\0"), "the server committed");
                return shared.hit(&to_client, &from_server);
            }
            if to_client.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = (to_client.shutdown(Shutdown::Both), from_server.shutdown(Shutdown::Both));
    });
    std::thread::spawn(move || {
        let mut first = true;
        while let Some(message) = message(&mut client, first) {
            first = false;
            let cut = state.due(&message);
            if matches!(cut, Some(Cut::BeforeCommit | Cut::MidStep)) {
                return state.hit(&client, &server);
            }
            unheard.store(cut == Some(Cut::AfterCommit), Ordering::SeqCst);
            if server.write_all(&message).is_err() {
                break;
            }
            if cut == Some(Cut::WithCommit) {
                return state.hit(&client, &server);
            }
        }
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
}

/// One message of the client; the first of a connection has no tag.
fn message(client: &mut TcpStream, first: bool) -> Option<Vec<u8>> {
    let mut head = vec![0; if first { 4 } else { 5 }];
    client.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes(head[head.len() - 4..].try_into().ok()?) as usize;
    let mut rest = vec![0; length.checked_sub(4)?];
    client.read_exact(&mut rest).ok()?;
    head.extend(rest);
    Some(head)
}

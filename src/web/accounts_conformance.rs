//! What accounts must hold to, wherever they are kept: run on a file and on a database. Two doors to the same empty accounts
//! in, as two processes have them; panics where they do not.

use super::accounts::{AccountError, Accounts, PAUSE, Role};
use crate::time::{Instant, Span};

const NOW: Instant = Instant::from_millis(1_790_000_000_000);
const PASSWORD: &str = "long enough";

/// The whole suite, on accounts nobody used; gives the secrets it made, none of which may be kept as it is.
pub fn run(first: &Accounts, second: &Accounts) -> Vec<String> {
    let secrets = bootstrap_speaks_once_and_its_secrets_work(first, second);
    a_token_made_beside_a_running_process_works_in_it(first, second);
    five_wrong_passwords_pause_an_account(first, second);
    sessions_end_by_idleness_age_and_logout(first, second);
    a_link_is_used_once(first, second);
    secrets
}

fn bootstrap_speaks_once_and_its_secrets_work(first: &Accounts, second: &Accounts) -> Vec<String> {
    let made = first.bootstrap(NOW).expect("makes").expect("the first start speaks");
    assert_eq!(second.bootstrap(NOW).expect("looks"), None, "another process hears nothing");
    let who = second.token(&made.token).expect("looks").expect("it works");
    assert_eq!((who.role, who.csrf), (Role::Desk, None));
    assert_eq!(second.token("guess").expect("looks"), None);
    let session = second.login(&made.user, &made.password, NOW).expect("comes in");
    assert_eq!(session.who.role, Role::Operator);
    assert_eq!(first.session(&session.secret, NOW).expect("looks"), Some(session.who), "also in another process");
    vec![made.token, made.password, session.secret]
}

fn a_token_made_beside_a_running_process_works_in_it(running: &Accounts, beside: &Accounts) {
    let made = beside.new_token("collector", Role::Intake, NOW).expect("makes");
    assert_eq!(running.token(&made).expect("looks").expect("it works").name, "collector");
    assert_eq!(running.revoke_tokens("collector").expect("revokes"), 1);
    assert_eq!(beside.token(&made).expect("looks"), None);
}

fn five_wrong_passwords_pause_an_account(first: &Accounts, second: &Accounts) {
    first.set_user("lin", Role::Officer, PASSWORD, NOW).expect("makes");
    let wrong = |name, at| {
        for one in 0..5 {
            let door = if one % 2 == 0 { first } else { second };
            assert!(matches!(door.login(name, "wrong", at), Err(AccountError::Wrong)));
        }
    };
    wrong("lin", NOW);
    match second.login("lin", PASSWORD, NOW) {
        Err(AccountError::Paused(until)) => assert_eq!(until, NOW + PAUSE),
        _ => panic!("five wrong passwords pause an account, whichever door they came to"),
    }
    let later = NOW + PAUSE + Span::millis(1);
    assert!(first.login("lin", PASSWORD, later).is_ok());
    wrong("nobody", later);
    assert!(matches!(first.login("nobody", "wrong", later), Err(AccountError::Paused(_))), "as a known one");
}

fn sessions_end_by_idleness_age_and_logout(first: &Accounts, second: &Accounts) {
    first.set_user("chen", Role::Officer, PASSWORD, NOW).expect("makes");
    let login = || first.login("chen", PASSWORD, NOW).expect("comes in").secret;
    let stands = |secret: &str, at| second.session(secret, at).expect("looks").is_some();
    let (idle, used) = (login(), login());
    assert_ne!(idle, used);
    assert!(stands(&used, NOW + Span::hours(11)));
    assert!(!stands(&idle, NOW + Span::hours(12)), "idle");
    assert!(stands(&used, NOW + Span::hours(22)));
    assert!(!stands(&used, NOW + Span::hours(24)), "age");
    let ended = login();
    first.logout(&ended).expect("ends");
    assert!(!stands(&ended, NOW));
    let changed = login();
    second.set_user("chen", Role::Analyst, "another password", NOW).expect("changes");
    assert!(!stands(&changed, NOW), "a new password ends what the old one opened");
    assert!(matches!(first.login("chen", PASSWORD, NOW), Err(AccountError::Wrong)));
}

fn a_link_is_used_once(first: &Accounts, second: &Accounts) {
    assert!(!first.link_used("N-1").expect("looks"));
    assert!(first.use_link("N-1", NOW).expect("takes"));
    assert!(!second.use_link("N-1", NOW).expect("takes"));
    second.unuse_link("N-1").expect("gives back");
    assert!(first.use_link("N-1", NOW).expect("takes"));
    assert!(second.link_used("N-1").expect("looks"));
}

/// After [`run`]: everything that lets somebody in works in accounts nobody used, and they take nothing a second time.
pub fn moves(from: &Accounts, into: &Accounts) {
    let token = from.new_token("mover", Role::Desk, NOW).expect("makes");
    let session = from.login("chen", "another password", NOW).expect("comes in");
    let (users, tokens) = from.copy_into(into).expect("moves");
    assert!(users >= 3 && tokens >= 2, "{users} users, {tokens} tokens");
    assert_eq!(into.token(&token).expect("looks").expect("moved").name, "mover");
    assert_eq!(into.session(&session.secret, NOW).expect("looks"), Some(session.who));
    assert!(into.login("chen", "another password", NOW).is_ok());
    assert!(into.link_used("N-1").expect("looks"));
    assert_eq!(into.bootstrap(NOW).expect("looks"), None, "the first start has been");
    assert!(matches!(from.copy_into(into), Err(AccountError::Invalid(_))));
}

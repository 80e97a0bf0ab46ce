//! How a connection is made: the address with its TLS, the settings of a session, and the format of the database. In: the
//! url of the settings. Out: a connection that commits durably, on a database of the format this program knows.

use super::lane::{Fault, in_words};
use crate::ledger::StoreError;
use postgres::config::{SslMode, TargetSessionAttrs};
use postgres::{Client, Config, NoTls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Forward only: one that was released is never edited.
const MIGRATIONS: &[&str] =
    &[include_str!("../migrations/0001_ledger.sql"), include_str!("../migrations/0002_accounts.sql")];
/// Advisory lock under which the format changes: "yuqi".
const MIGRATING: i64 = 0x7975_7169;
/// Where systems keep the root certificates they trust.
const ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// A server that does not take a connection in this time is tried again.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that hears nothing in this time is broken.
const SILENCE: Duration = Duration::from_secs(10);
/// Oldest server: PostgreSQL 12.
const OLDEST: i32 = 120_000;

/// What a session needs, whatever the server's own settings are. No `statement_timeout`: it would end the wait for a
/// replica and call the commit done. A transaction whose client fell silent gives its locks back in 5 s.
const SESSION: &str = "
SELECT set_config('synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false);
SET statement_timeout = 0;
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '5s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET client_min_messages = warning;
";

/// State in which a database must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expect {
    /// A ledger in use.
    Whole,
    /// One into which another is being moved.
    Moving,
}

/// An address with all that is needed to connect to it.
#[derive(Clone)]
pub(crate) struct Door {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    read_only: bool,
    expects: Expect,
}

impl Door {
    /// Reads a url (`postgres://user:password@host/database?sslmode=require`) or a list `host=… dbname=…`.
    pub(crate) fn parse(url: &str) -> Result<Door, StoreError> {
        let (url, roots) = take_roots(url);
        let url = url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = url.parse().map_err(|error| failed(&in_words(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(failed("the url names no host"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("yuqing");
        }
        config.keepalives_idle(Duration::from_secs(5)).keepalives_interval(Duration::from_secs(2));
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(tls(roots.as_deref())?),
            // Without verified certificates an attempt at TLS protects nobody: it is asked for, or not made.
            _ => None,
        };
        Ok(Door { config, tls, read_only: false, expects: Expect::Whole })
    }

    /// The same, to read only.
    pub(crate) fn read_only(mut self) -> Door {
        self.config.target_session_attrs(TargetSessionAttrs::Any);
        Door { read_only: true, ..self }
    }

    /// The same, for a database into which another is moved.
    pub(crate) fn moving_into(self) -> Door {
        Door { expects: Expect::Moving, ..self }
    }

    pub(crate) fn expects(&self) -> Expect {
        self.expects
    }

    /// Whether what goes over it can be read on the way: no TLS, and not this machine.
    pub(super) fn is_open_to_see(&self) -> bool {
        let local = |host: &postgres::config::Host| match host {
            postgres::config::Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
            postgres::config::Host::Unix(_) => true,
        };
        self.tls.is_none() && !self.config.get_hosts().iter().all(local)
    }

    /// A connection with its session set.
    pub(crate) fn connect(&self) -> Result<Client, Fault> {
        let mut client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        }?;
        client.batch_execute(SESSION)?;
        if self.read_only {
            client.batch_execute("SET default_transaction_read_only = on")?;
        }
        let sql = "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')";
        let row = client.query_one(sql, &[])?;
        let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
        if version < OLDEST {
            return Err(failed(&format!("PostgreSQL {version} is too old; 12 or newer is needed")).into());
        }
        if encoding != "UTF8" {
            return Err(failed(&format!("the database is in {encoding}; make one with encoding UTF8")).into());
        }
        Ok(client)
    }

    /// Brings the database to the newest format in one transaction, or refuses it.
    pub(super) fn prepare(&self, client: &mut Client) -> Result<(), Fault> {
        if !self.read_only {
            migrate(client)?;
        }
        self.expects.check(client)
    }
}

impl Expect {
    /// Whether the database is of our format and in this state.
    pub(crate) fn check(self, client: &mut Client) -> Result<(), Fault> {
        let (version, moving) = stored_format(client)?;
        refuse_other(version)?;
        match self {
            Expect::Whole if moving => {
                Err(failed("a move into this database was not finished; `yuqing ledger migrate` again").into())
            }
            Expect::Whole | Expect::Moving => Ok(()),
        }
    }
}

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn refuse_other(version: i32) -> Result<(), StoreError> {
    let newest = newest();
    if version == newest {
        return Ok(());
    }
    Err(failed(&format!("ledger has format {version}, this program reads {newest}")))
}

fn stored_format(on: &mut impl postgres::GenericClient) -> Result<(i32, bool), Fault> {
    let there: bool = on.query_one("SELECT to_regclass('format') IS NOT NULL", &[])?.try_get(0)?;
    if !there {
        return Ok((0, false));
    }
    let row = on.query_one("SELECT version, moving FROM format", &[])?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn migrate(client: &mut Client) -> Result<(), Fault> {
    let mut step = client.transaction()?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATING])?;
    let (version, _) = stored_format(&mut step)?;
    if version > newest() {
        refuse_other(version)?;
    }
    if version == 0 {
        step.batch_execute(
            "CREATE TABLE format (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, moving BOOLEAN NOT NULL);
             INSERT INTO format (one, version, moving) VALUES (1, 0, false);",
        )?;
    }
    let done = usize::try_from(version).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        step.batch_execute(migration)?;
    }
    step.execute("UPDATE format SET version = $1", &[&newest()])?;
    Ok(step.commit()?)
}

/// The url without `sslrootcert`, which the client does not know, and the file it names.
fn take_roots(url: &str) -> (String, Option<String>) {
    let mut roots = None;
    let mut keep = |pair: &&str| match pair.strip_prefix("sslrootcert=") {
        Some(path) => {
            roots = Some(path.trim_matches('\'').to_owned());
            false
        }
        None => true,
    };
    let kept = match url.split_once('?') {
        Some((head, query)) => {
            let query: Vec<&str> = query.split('&').filter(|pair| keep(pair)).collect();
            format!("{head}?{}", query.join("&"))
        }
        None if url.contains("://") => url.to_owned(),
        None => url.split_whitespace().filter(|pair| keep(pair)).collect::<Vec<_>>().join(" "),
    };
    (kept, roots)
}

fn tls(roots: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let file = match roots {
        Some(given) => given,
        None => {
            let there = ROOTS.iter().find(|path| Path::new(path).exists());
            there.ok_or_else(|| failed("no root certificates on this system: give sslrootcert in the url"))?
        }
    };
    let unreadable = |error: &dyn std::fmt::Display| failed(&format!("root certificates in {file}: {error}"));
    let mut trusted = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
        // A system's bundle may hold old ones that cannot be read; one of ours is missed at the first connection.
        let _ = trusted.add(certificate.map_err(|error| unreadable(&error))?);
    }
    if trusted.is_empty() {
        return Err(unreadable(&"none can be used"));
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error.to_string()))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn failed(detail: &str) -> StoreError {
    StoreError::Failed(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_certificates_are_taken_out_of_the_url() {
        let (url, roots) = take_roots("postgres://a@h/d?sslmode=require&sslrootcert=/r.pem&port=5");
        assert_eq!((url.as_str(), roots.as_deref()), ("postgres://a@h/d?sslmode=require&port=5", Some("/r.pem")));
        let (url, roots) = take_roots("host=h sslrootcert='/r.pem' dbname=d");
        assert_eq!((url.as_str(), roots.as_deref()), ("host=h dbname=d", Some("/r.pem")));
        assert_eq!(take_roots("postgres://a@h/d"), ("postgres://a@h/d".to_owned(), None));
    }

    #[test]
    fn plain_connections_to_another_machine_are_told() {
        let seen = |url: &str| Door::parse(url).unwrap().is_open_to_see();
        assert!(seen("postgres://a@db.example/d"));
        assert!(!seen("postgres://a@127.0.0.1/d"));
        assert!(!seen("host=/run/postgresql dbname=d"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for url in [
            "",
            "postgres://a@h/d?sslmode=perhaps",
            "mysql://a@h/d",
            "postgres://h/d?sslmode=require&sslrootcert=/none",
        ] {
            assert!(matches!(Door::parse(url), Err(StoreError::Failed(_))), "{url}");
        }
    }
}

//! The address of a database on a PostgreSQL server, and the password for it.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

use crate::address::is_loopback_host;
use crate::error::{Error, Result};
use crate::text::Detail;
use crate::text::sentences::input;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// After this time without a sign of life from the server's machine, a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(8);
/// An idle connection is asked for a sign of life after this time, and then so often.
const ASK_AFTER: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The address of a database: `postgres://USER@HOST:PORT/DATABASE`, as other programs write it.
///
/// What may follow behind a `?`: `sslmode` (`disable` or `verify-full`; `require` and `verify-ca` count as `verify-full`),
/// `sslrootcert` (a file with the certificates to trust; without it, those of the machine), `passfile`, and what the crate
/// `postgres` reads, such as `target_session_attrs` or `host` with the folder of a socket. Without `sslmode`, connections to
/// another machine are encrypted and the server's certificate is verified.
///
/// Neither [`Display`](fmt::Display) nor [`Debug`] shows a password.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: Config,
    pub(super) is_encrypted: bool,
    pub(super) root_certificates: Option<PathBuf>,
    password_file: Option<PathBuf>,
    shown: String,
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({})", self.shown)
    }
}

fn refused(why: impl Into<Detail>) -> Error {
    Error::bad_input(input::postgres_address(why))
}

impl PostgresAddress {
    /// True if a text is meant as the address of a database on a server.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Reads an address. Nothing is asked or opened.
    ///
    /// # Errors
    /// `bad_input`.
    pub fn parse(text: &str) -> Result<Self> {
        let (base, options) = text.split_once('?').unwrap_or((text, ""));
        if !Self::is_one(base) {
            return Err(refused(input::postgres_scheme()));
        }
        let (mut mode, mut root_certificates, mut password_file) = (None, None, None);
        let mut others = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value =
                || url::form_urlencoded::parse(format!("v={value}").as_bytes()).next().map(|(_, v)| v.into_owned());
            match key {
                "sslmode" => mode = value(),
                "sslrootcert" => root_certificates = value().map(PathBuf::from),
                "passfile" => password_file = value().map(PathBuf::from),
                _ => others.push(option),
            }
        }
        let plain = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        // Its error names an option, never a value.
        let mut config = Config::from_str(&plain).map_err(|error| refused(causes(&error)))?;
        let hosts = config.get_hosts();
        if hosts.is_empty() || hosts.iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err(refused(input::postgres_host()));
        }
        let is_encrypted = match mode.as_deref() {
            None => !hosts.iter().all(is_here),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(other) => return Err(refused(input::postgres_sslmode(other))),
        };
        let shown = shown(&config);
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        config.application_name("oms-sync");
        config.connect_timeout(CONNECT);
        config
            .keepalives_idle(ASK_AFTER)
            .keepalives_interval(ASK_AGAIN)
            .keepalives_retries(2)
            .tcp_user_timeout(SILENCE);
        Ok(Self { config, is_encrypted, root_certificates, password_file, shown })
    }

    /// True if the address itself holds a password. On a command line others can read it.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Adds the password from `PGPASSWORD`, or from the file of passwords: that of the option `passfile`, of `PGPASSFILE`, or
    /// `~/.pgpass`. A password in the address itself stays.
    ///
    /// # Errors
    /// `bad_input`: a file that was named cannot be read, or others can read it.
    pub fn with_password_of_environment(mut self) -> Result<Self> {
        if self.has_password() {
            return Ok(self);
        }
        if let Some(password) = env::var_os("PGPASSWORD").filter(|password| !password.is_empty()) {
            self.config.password(password.as_encoded_bytes());
            return Ok(self);
        }
        let named = self.password_file.clone().or_else(|| env::var_os("PGPASSFILE").map(PathBuf::from));
        let usual = || Some(Path::new(&env::var_os("HOME")?).join(".pgpass")).filter(|path| path.is_file());
        if let Some(path) = named.or_else(usual)
            && let Some(password) = self.password_in(&path)?
        {
            self.config.password(password);
        }
        Ok(self)
    }

    /// The password of the first line that fits, as other programs read it: `host:port:database:user:password`.
    fn password_in(&self, path: &Path) -> Result<Option<String>> {
        let file = path.display().to_string();
        let unreadable = |error: std::io::Error| Error::bad_input(input::file_unreadable(&file, error.to_string()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            if std::fs::metadata(path).map_err(unreadable)?.mode() & 0o077 != 0 {
                return Err(Error::bad_input(input::password_file_open(&file)));
            }
        }
        // Opening a pipe would wait for whoever writes into it.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(Error::bad_input(input::not_a_file(&file)));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let user = self.config.get_user().unwrap_or_default();
        let database = self.config.get_dbname().unwrap_or(user);
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432).to_string();
            let host = match host {
                Host::Tcp(name) => name.as_str(),
                #[cfg(unix)]
                Host::Unix(_) => "localhost",
            };
            let wanted = [host, &port, database, user];
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let fields = fields(line);
                let fits = |(field, wanted): (&String, &&str)| field == "*" || field == wanted;
                if fields.len() == 5 && fields.iter().zip(&wanted).all(fits) {
                    return Ok(fields.into_iter().nth(4));
                }
            }
        }
        Ok(None)
    }
}

/// The fields of a line of a file of passwords. A backslash stands before a colon or a backslash that is part of a field.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        let character = match character {
            ':' if fields.len() < 5 => {
                fields.push(String::new());
                continue;
            }
            '\\' => rest.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(last) = fields.last_mut() {
            last.push(character);
        }
    }
    fields
}

fn causes(error: &postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

/// True if a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => is_loopback_host(name),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// The address without secrets and options.
fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let name = match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        };
        match ports.get(at).or(ports.first()) {
            Some(port) if *port != 5432 => format!("{name}:{port}"),
            _ => name,
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{hosts}/{}", config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PostgresAddress {
        PostgresAddress::parse(text).unwrap()
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let shown = |text: &str| {
            let address = parse(text);
            assert_eq!(format!("{address:?}"), format!("PostgresAddress({address})"));
            address.to_string()
        };
        assert_eq!(shown("postgres://oms:hush@db.example/central"), "postgres://oms@db.example/central");
        assert_eq!(shown("postgresql://oms@a:5433,b:5434/c?sslmode=verify-full"), "postgres://oms@a:5433,b:5434/c");
        assert_eq!(shown("postgres:///central?host=/run/pg&user=oms"), "postgres://oms@/run/pg/central");
    }

    #[test]
    fn another_machine_is_asked_over_a_verified_connection_unless_it_is_switched_off() {
        let is_encrypted = |text: &str| parse(text).is_encrypted;
        for local in
            ["postgres://localhost/c", "postgres://127.0.0.1/c", "postgres://[::1]/c", "postgres:///c?host=/run"]
        {
            assert!(!is_encrypted(local), "{local}");
        }
        assert!(is_encrypted("postgres://db.example/c") && is_encrypted("postgres://localhost,db.example/c"));
        assert!(is_encrypted("postgres://localhost/c?sslmode=require"));
        assert!(!is_encrypted("postgres://db.example/c?sslmode=disable"));
        let roots = parse("postgres://db.example/c?sslmode=verify-full&sslrootcert=/etc/a%20b.pem").root_certificates;
        assert_eq!(roots, Some("/etc/a b.pem".into()));
    }

    #[test]
    fn what_is_no_address_is_refused_without_a_word_of_the_password() {
        for text in [
            "postgres://oms:hush@db.example/c?sslmode=prefer",
            "postgres://oms:hush@db.example/c?colour=red",
            "postgres://oms:hu@sh@db.example/c",
            "postgres://oms:hush@db.example:port/c",
            "postgres://",
            "mysql://oms:hush@db.example/c",
        ] {
            let error = PostgresAddress::parse(text).unwrap_err();
            assert_eq!(error.code(), "bad_input", "{text}");
            assert!(!error.to_string().contains("sh"), "{error}");
        }
    }

    #[test]
    fn the_password_comes_from_a_file_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        let lines = "# ours\nother:*:*:*:no\ndb.example:5432:central:oms:h\\:u\\\\sh:\nlocalhost:*:*:oms:here\n";
        std::fs::write(&file, lines).unwrap();
        let password = |address: &str| {
            let address = parse(&format!("{address}?passfile={}", file.display()));
            address.password_in(&file).map_err(|error| error.to_string())
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(password("postgres://oms@db.example/central").unwrap_err().contains("passwords"));
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(password("postgres://oms@db.example/central").unwrap().as_deref(), Some("h:u\\sh:"));
        assert_eq!(password("postgres://oms@localhost:1/x").unwrap().as_deref(), Some("here"));
        assert_eq!(password("postgres://oms@db.example/another").unwrap(), None);
    }
}

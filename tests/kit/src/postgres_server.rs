//! A private PostgreSQL server for tests: in a temporary folder, on a socket there, and gone with the process that started it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where its server fails")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a cluster, starts it, prints its folder, and waits for the end of its input: the test's process has ended then, in
/// whatever way. Whether data reach the disk matters to no test, since the machine does not lose its power.
const SCRIPT: &str = r#"
set -e
folder=$(mktemp -d /tmp/oms-sync-postgres.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap '' INT HUP TERM
cd "$folder"
"$1/initdb" -D data -U oms -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log >&2; exit 1; }
"$1/pg_ctl" -D data -w -s -l log -o "-k $folder -c listen_addresses='' -c fsync=off -c full_page_writes=off \
    -c max_connections=200 -c shared_buffers=64MB -c autovacuum_naptime=10s" start >/dev/null || { cat log >&2; exit 1; }
echo "$folder"
cat >/dev/null
"$1/pg_ctl" -D data -s -m immediate stop >/dev/null 2>&1 || true
"#;

/// A PostgreSQL server with its own data.
pub struct PostgresServer {
    folder: PathBuf,
    bin: PathBuf,
    databases: AtomicU32,
    /// Its input ends with this process.
    _watcher: Child,
}

impl std::fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresServer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// The server of this process, started by the first call. `None` where the machine has no PostgreSQL, after saying that tests
    /// are skipped; a panic there if `OMS_SYNC_POSTGRES` is `required`.
    pub fn of_this_process() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
        let server = SERVER.get_or_init(|| Some(Self::start(installed()?)));
        if server.is_none() {
            let is_required = std::env::var_os("OMS_SYNC_POSTGRES").is_some_and(|value| value == "required");
            assert!(!is_required, "PostgreSQL is not installed, and OMS_SYNC_POSTGRES says that it must be");
            println!("SKIPPED: PostgreSQL is not installed");
        }
        server.as_ref()
    }

    fn start(bin: PathBuf) -> Self {
        // It refuses to run as root.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
        let mut command = if is_root { Command::new("runuser") } else { Command::new("sh") };
        if is_root {
            command.args(["-u", "postgres", "--", "sh"]);
        }
        command.args(["-c", SCRIPT, "sh"]).arg(&bin).current_dir("/");
        // A group of its own, so that Ctrl-C in a terminal does not end it before it has tidied up.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut watcher = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut folder = String::new();
        BufReader::new(watcher.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        assert!(!folder.trim().is_empty(), "the PostgreSQL server did not start; what it said is above");
        Self { folder: folder.trim().into(), bin, databases: AtomicU32::new(0), _watcher: watcher }
    }

    /// A new, empty database.
    pub fn new_database(&'static self) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        TestDatabase { server: self, name }
    }

    /// Runs SQL as the server's owner; returns what it printed, values separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-U", "oms", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        let ended = command.arg("-h").arg(&self.folder).output().expect("psql");
        assert!(ended.status.success(), "{sql}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap().trim_end().to_owned()
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of its programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }
}

/// The newest PostgreSQL of the machine: the folder of its programs.
fn installed() -> Option<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<PathBuf> = versions.flatten().map(|version| version.path()).collect();
        versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
        folders.extend(versions.into_iter().rev().map(|version| version.join("bin")));
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let has = |folder: &PathBuf, program: &&str| folder.join(program).is_file();
    folders
        .into_iter()
        .find(|folder| ["initdb", "pg_ctl", "psql", "pg_dump"].iter().all(|program| has(folder, program)))
}

/// A database of a [`PostgresServer`], which is removed when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    server: &'static PostgresServer,
    name: String,
}

impl TestDatabase {
    /// Its address, as the program takes it.
    pub fn address(&self) -> String {
        format!("postgres:///{}?host={}&user=oms", self.name, self.server.folder.display())
    }

    /// Another database with the same content. Nobody may be connected to this one.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = format!("test_{}", self.server.databases.fetch_add(1, Ordering::Relaxed));
        self.server.sql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {}", self.name));
        Self { server: self.server, name: copy }
    }

    /// Puts another database's content in place of this one's. Nobody may be connected to either.
    pub fn replace_with(&self, other: &Self) {
        self.server.sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        self.server.sql("postgres", &format!("CREATE DATABASE {} TEMPLATE {}", self.name, other.name));
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL in it, as [`PostgresServer::sql`].
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }

    /// Its server.
    pub fn server(&self) -> &'static PostgresServer {
        self.server
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.server.sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

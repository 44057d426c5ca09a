//! Real runs of the real program, each in its own folder.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sync_core::protocol::PasswordHash;
use tempfile::TempDir;
use tokio::net::TcpSocket;

const PROGRAM: &str = env!("CARGO_BIN_EXE_oms-sync");
/// The password of every site here.
pub(crate) const PASSWORD: &str = "quietly-humming-fridge-42";
/// A password inside an address.
pub(crate) const IN_ADDRESS: &str = "open-sesame";
/// The hardware id of the site's machine.
pub(crate) const HARDWARE_ID: &str = "machine-f3c1a7-of-the-clinic";

/// Secrets that must not leave the program: those of a site, and the token made of them.
#[track_caller]
pub(crate) fn assert_no_secret(text: &str) {
    let hash = PasswordHash::of_password(PASSWORD);
    // As the sites of the tests are called: the content of `Authorization`.
    let token = |site: &str| STANDARD.encode(format!("{site}:{}", hash.expose()));
    let upper = hash.expose().to_uppercase();
    let tokens = [token("clinic"), token("remote")];
    for secret in [PASSWORD, IN_ADDRESS, hash.expose(), &upper, HARDWARE_ID, &tokens[0], &tokens[1], "$argon2"] {
        assert!(!text.contains(secret), "{secret:?} is in: {text}");
    }
}

/// The output of one run of the program.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit status; `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Said {
    /// Waits for the end of a run and takes its output.
    pub(crate) fn by(child: Child) -> Self {
        Self::of(child.wait_with_output().expect("the program ends"))
    }

    /// Takes the output of a run. It must not contain any secret.
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let said = Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert_no_secret(&said.out);
        assert_no_secret(&said.err);
        said
    }

    /// Demands an exit status.
    #[track_caller]
    pub(crate) fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        self
    }

    /// Its one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The error document, which must be complete; returns its code and class.
    #[track_caller]
    pub(crate) fn error(&self) -> (String, String) {
        let document = self.json();
        let error = document["error"].as_object().unwrap_or_else(|| panic!("no error: {self:?}"));
        let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("no {key}: {self:?}")).to_owned();
        assert!(!text("message").is_empty() && !text("advice").is_empty(), "{self:?}");
        assert!(error["causes"].is_array(), "{self:?}");
        (text("code"), text("class"))
    }
}

/// A folder with databases and a password file.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    /// A new one; the password is in `pw`, a wrong one in `wrong`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("pw"), format!("{PASSWORD}\n")).expect("a password file");
        std::fs::write(folder.path().join("wrong"), "something else\n").expect("a password file");
        Self { folder }
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program in the folder, without input, until it ends.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().expect("the program runs"))
    }

    /// The same with more in its environment.
    pub(crate) fn run_with(&self, env: &[(&str, &str)], args: &[&str]) -> Said {
        Said::of(self.command(args).envs(env.iter().copied()).output().expect("the program runs"))
    }

    /// Runs the program with this input.
    pub(crate) fn feed(&self, args: &[&str], input: &str) -> Said {
        let mut child = self.start(self.command(args).stdin(Stdio::piped()));
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("input is taken");
        Said::by(child)
    }

    /// Starts the program and sends it an interrupt after this time.
    pub(crate) fn interrupt(&self, args: &[&str], after: Duration) -> Said {
        let child = self.spawn(args);
        std::thread::sleep(after);
        interrupt(&child);
        Said::by(child)
    }

    /// Starts the program and lets it run; the caller waits for its end.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.start(&mut self.command(args))
    }

    /// Runs the program with closed output from the beginning; returns its exit status.
    pub(crate) fn unread(&self, args: &[&str]) -> Option<i32> {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.command(args).stdout(writer).stderr(Stdio::null()).status().expect("the program runs").code()
    }

    /// Starts a central server with one site, `clinic`, and sets that up in this folder's database; gives the id of its store too.
    pub(crate) fn serve_a_clinic(&self) -> (Server, String) {
        self.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
        let add = ["--db", "central.sqlite", "--json", "store", "add", "Clinic", "--code", "C", "--site", "clinic"];
        let store = self.run(&add).ends(0).json()["store_id"].as_str().expect("an id").to_owned();
        let server = self.serve("central.sqlite");
        let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
        self.run(&[&["init", "--json", "--legacy-url", &server.address][..], &from].concat()).ends(0);
        (server, store)
    }

    /// Starts `serve` over a database on a free port.
    pub(crate) fn serve(&self, db: &str) -> Server {
        self.serve_with(db, &[])
    }

    /// The same with more flags.
    pub(crate) fn serve_with(&self, db: &str, flags: &[&str]) -> Server {
        self.serve_in(&[], db, flags)
    }

    /// The same with these variables in its environment.
    pub(crate) fn serve_in(&self, environment: &[(&str, &str)], db: &str, flags: &[&str]) -> Server {
        let args = [&["--db", db, "serve", "--json", "--listen", "127.0.0.1:0"], flags].concat();
        let mut child = self.start(self.command(&args).envs(environment.iter().copied()));
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("its first line");
        if line.is_empty() {
            panic!("the server did not start: {:?}", Said::by(child));
        }
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let address = said["listening"].as_str().unwrap_or_else(|| panic!("the server did not start: {said}"));
        let address = format!("http://{address}");
        Server { child: Some(child), address, admin: said["admin"].as_str().map(str::to_owned) }
    }

    fn start(&self, command: &mut Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(Path::new(self.folder.path())).stdin(Stdio::null());
        for name in ["OMS_SYNC_DB", "OMS_SYNC_PASSWORD", "NO_COLOR", "COLUMNS"] {
            command.env_remove(name);
        }
        // The tests use this machine's own id.
        command.env("OMS_SYNC_HARDWARE_ID", HARDWARE_ID);
        command
    }
}

/// Holds a port on which nobody listens any more: connections are refused, and no other test's server gets it.
pub(crate) fn hold_port(address: SocketAddr) -> TcpSocket {
    let began = Instant::now();
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Connections that have just ended do not matter; one that listens does.
        socket.set_reuseaddr(true).expect("an option");
        match socket.bind(address) {
            Ok(()) => return socket,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A running central server.
pub(crate) struct Server {
    child: Option<Child>,
    /// Its address.
    pub(crate) address: String,
    /// Host and port of the administrator's listener, if there is one.
    pub(crate) admin: Option<String>,
}

impl Server {
    /// Interrupts it and waits until it has ended.
    pub(crate) fn stop(mut self) -> Said {
        let child = self.child.take().expect("it runs");
        interrupt(&child);
        Said::by(child)
    }

    /// Interrupts it, waits until it has ended, and holds its port.
    pub(crate) fn stop_for_good(self) -> TcpSocket {
        let address = self.socket_address();
        self.stop().ends(0);
        hold_port(address)
    }

    /// Its address for a socket.
    pub(crate) fn socket_address(&self) -> SocketAddr {
        self.address.trim_start_matches("http://").parse().expect("an address")
    }

    /// Asks it to end, as a service manager does, and does not wait: until [`Self::ended`] it may still write to its database.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal, such as `-HUP`.
    pub(crate) fn signal(&self, which: &str) {
        send_signal(self.id(), which);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> Said {
        Said::by(self.child.take().expect("it runs"))
    }

    /// The process it runs in.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Kills it with SIGKILL at any point; false if it had ended by itself.
    pub(crate) fn kill(mut self) -> bool {
        kill(&mut self.child.take().expect("it runs"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Kills a process with SIGKILL at any point; false if it had ended by itself before.
pub(crate) fn kill(child: &mut Child) -> bool {
    child.kill().expect("it is ours to kill");
    let status = child.wait().expect("it ends");
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

fn interrupt(child: &Child) {
    signal(child, "-INT");
}

/// Sends a signal to a process, such as `-TERM`.
pub(crate) fn signal(child: &Child, which: &str) {
    send_signal(child.id(), which);
}

fn send_signal(process: u32, which: &str) {
    let sent = Command::new("kill").args([which, &process.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

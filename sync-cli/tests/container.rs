//! The container file, as far as that goes without a container: its paths are there, its user may do what it needs, and what it starts, checks
//! and stops with works with the tested program. No image is built.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The instructions of the container file, in order: the word and the rest, of the stage that builds and of the one that runs.
struct Containerfile {
    build: Vec<(String, String)>,
    run: Vec<(String, String)>,
}

impl Containerfile {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("packaging/Containerfile")).expect("the container file");
        let joined =
            text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        let mut stages: Vec<Vec<(String, String)>> = Vec::new();
        for line in joined.lines().filter(|line| !line.trim().is_empty()) {
            let (word, rest) = line.split_once(' ').expect("an instruction with something behind it");
            if word == "FROM" {
                stages.push(Vec::new());
            }
            stages.last_mut().expect("it begins with FROM").push((word.to_owned(), rest.trim().to_owned()));
        }
        let [build, run] = stages.try_into().expect("two stages");
        Self { build, run }
    }

    /// The only instruction of this word in the stage that runs.
    fn one(&self, word: &str) -> &str {
        let found: Vec<_> = self.run.iter().filter(|(of, _)| of == word).collect();
        let [(_, rest)] = found[..] else { panic!("{word}: {found:?}") };
        rest
    }

    /// A command in the form of a list.
    fn command(text: &str) -> Vec<String> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

#[test]
fn what_it_copies_and_names_is_there() {
    let file = Containerfile::read();
    let all = |word: &'static str| file.build.iter().filter(move |(of, _)| of == word).map(|(_, rest)| rest.as_str());
    assert_eq!(all("COPY").collect::<Vec<_>>(), [". ."], "the whole repository is built");
    // What the build needs is not kept out of it.
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).expect("what is left out");
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let manifest: toml::Table =
        std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace").parse().expect("a manifest");
    let members = manifest["workspace"]["members"].as_array().expect("members").iter();
    let members = members.map(|member| member.as_str().expect("text").to_owned());
    for needed in members.chain(["Cargo.toml".to_owned(), "Cargo.lock".to_owned()]) {
        assert!(root().join(&needed).exists(), "{needed}");
        let is_ignored = ignored.iter().any(|out| needed == *out || needed.starts_with(&format!("{out}/")));
        assert!(!is_ignored, "{needed} is left out");
    }
    // The program that is built, and that is copied out of it.
    let built = all("RUN").find(|run| run.starts_with("cargo ")).expect("a build");
    assert!(built.contains("--release") && built.contains("--locked") && built.contains("-p sync-cli"), "{built}");
    let folder = all("WORKDIR").next().expect("a folder");
    let copied: Vec<&str> = file.one("COPY").split(' ').collect();
    let from = format!("{folder}/target/release/oms-sync");
    assert_eq!(copied, ["--from=build", &from, "/usr/bin/oms-sync"]);
    assert_eq!(Path::new(env!("CARGO_BIN_EXE_oms-sync")).file_name().expect("a name"), "oms-sync");
    assert!(file.build[0].1.ends_with(" AS build"), "{:?}", file.build[0]);
    assert_eq!(Containerfile::command(file.one("ENTRYPOINT")), ["/usr/bin/oms-sync"]);
    // The user owns the volume, in which the database is; the health check uses a program that is installed.
    let (made, user, volume) = (file.one("RUN"), file.one("USER"), file.one("VOLUME"));
    assert!(made.contains(&format!("useradd --system --uid {user} ")), "{made}");
    assert!(made.contains(&format!("install -d -m 0700 -o oms-sync -g oms-sync {volume}")), "{made}");
    let health = health_check(&file);
    assert!(made.contains(&format!("ca-certificates {}", health[0])), "{made}");
    let port = file.one("EXPOSE");
    assert!(health.iter().any(|word| word.contains(&format!("127.0.0.1:{port}/"))), "{health:?}");
    assert!(Containerfile::command(file.one("CMD")).contains(&format!("0.0.0.0:{port}")));
    let variables = variables(&file);
    assert!(variables["OMS_SYNC_DB"].starts_with(&format!("{volume}/")), "{variables:?}");
}

fn health_check(file: &Containerfile) -> Vec<String> {
    Containerfile::command(file.one("HEALTHCHECK").split_once("CMD ").expect("a command").1)
}

fn variables(file: &Containerfile) -> BTreeMap<&str, &str> {
    file.one("ENV").split(' ').map(|pair| pair.split_once('=').expect("a variable")).collect()
}

/// A command as the user of the container, where this is allowed; else as the user of the test.
fn as_user(program: &Path, user: &str, is_root: bool) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "--no-new-privs"])
        .arg(program);
    command
}

/// The volume is a folder here, and the port a free one.
#[test]
fn what_it_starts_serves_as_its_user_answers_its_health_check_and_ends_at_its_signal() {
    let file = Containerfile::read();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("others may enter");
    let (program, volume) = (folder.path().join("oms-sync"), folder.path().join("data"));
    std::fs::copy(env!("CARGO_BIN_EXE_oms-sync"), &program).expect("a copy");
    std::fs::create_dir(&volume).expect("the volume");
    std::fs::set_permissions(&volume, PermissionsExt::from_mode(0o700)).expect("of its user alone");
    let user = file.one("USER");
    let number: u32 = user.parse().expect("a number, because Kubernetes takes no name");
    let is_root =
        std::fs::metadata("/proc/self").map(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0).unwrap_or(false);
    if is_root {
        std::os::unix::fs::chown(&volume, Some(number), Some(number)).expect("it owns the volume");
    } else {
        eprintln!("SKIPPED in part: only root can start it as the user {user}");
    }
    let in_folder = |text: &str| text.replace(file.one("VOLUME"), volume.to_str().expect("text"));
    let args: Vec<String> = Containerfile::command(file.one("CMD"));
    let free_port = format!(":{}", file.one("EXPOSE"));
    let args: Vec<String> = args.iter().map(|arg| arg.replace(&free_port, ":0")).collect();
    let start = |args: &[String]| {
        let mut command = as_user(&program, user, is_root);
        command.args(args).env_clear().current_dir("/");
        variables(&file).iter().for_each(|(name, value)| _ = command.env(name, in_folder(value)));
        command
    };
    let mut server = Ended(start(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let mut first = String::new();
    BufReader::new(server.0.stdout.take().expect("a pipe")).read_line(&mut first).expect("its first line");
    let port = first.trim().rsplit(':').next().expect("a port").to_owned();
    assert!(first.starts_with("listening on http://0.0.0.0:") && port != "0", "{first}");

    let health =
        health_check(&file).iter().map(|word| word.replace(&free_port, &format!(":{port}"))).collect::<Vec<_>>();
    match as_user(Path::new(&health[0]), user, is_root).args(&health[1..]).output() {
        Ok(said) if said.status.success() || is_installed(&health[0]) => {
            assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("\"ok\":true"), "{said:?}");
        }
        _ => eprintln!("SKIPPED in part: there is no {} here", health[0]),
    }
    // As docs/installing.md has it: another command beside the running server.
    let list: Vec<String> = ["site", "list"].map(str::to_owned).to_vec();
    assert!(start(&list).output().expect("it runs").status.success());

    let signal = file.one("STOPSIGNAL").strip_prefix("SIG").expect("a signal");
    let sent =
        Command::new("kill").args([&format!("-{signal}"), &server.0.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(server.0.wait().expect("it ends").code(), Some(0));
    assert!(volume.join("central.sqlite").exists(), "everything is in the volume");
    // Files of the container's root, or of the folder it starts in, would be lost with it.
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

/// Ends it at the end of the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

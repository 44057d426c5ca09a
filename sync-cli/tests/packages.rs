//! The Debian package, built of the tested program, and installed into a folder of its own. Where there is no Debian, the tests
//! say that they are skipped.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// The same, which must succeed.
#[track_caller]
fn done(command: &mut Command) -> String {
    let (is_well, text) = run(command);
    assert!(is_well, "{command:?}: {text}");
    text
}

/// The package, built once for all tests.
fn package() -> Option<&'static Path> {
    static BUILT: LazyLock<Option<(tempfile::TempDir, PathBuf)>> = LazyLock::new(build);
    BUILT.as_ref().map(|(_, path)| path.as_path())
}

fn build() -> Option<(tempfile::TempDir, PathBuf)> {
    if !Command::new("dpkg-deb").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no dpkg-deb here");
        return None;
    }
    let out = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_oms-sync");
    let mut build = Command::new(root().join("packaging/build-deb.sh"));
    let built = done(build.args(["--program", program, "--out"]).arg(out.path()));
    let path = PathBuf::from(built.lines().last().expect("its path"));
    Some((out, path))
}

#[test]
fn the_package_installs_the_program_its_services_and_its_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(package) = package() else { return };
    let info = done(Command::new("dpkg-deb").arg("--info").arg(package));
    assert!(info.contains(&format!("Version: {}", env!("CARGO_PKG_VERSION"))), "{info}");
    let installed = folder.path().join("installed");
    done(Command::new("dpkg-deb").arg("-x").arg(package).arg(&installed));
    let program = installed.join("usr/bin/oms-sync");
    assert!(done(Command::new(&program).arg("--version")).contains(env!("CARGO_PKG_VERSION")));
    let bytes = program.metadata().expect("the program").len();
    assert!(bytes < 60_000_000, "it is stripped: {bytes}");
    for file in [
        "usr/share/man/man1/oms-sync.1.gz",
        "usr/share/man/man1/oms-sync-serve.1.gz",
        "usr/share/bash-completion/completions/oms-sync",
        "usr/share/doc/oms-sync/LICENSE-MIT",
    ] {
        assert!(installed.join(file).is_file(), "{file}");
    }
    for unit in ["oms-sync-central", "oms-sync-site"] {
        let text =
            std::fs::read_to_string(installed.join(format!("usr/lib/systemd/system/{unit}.service"))).expect(unit);
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("what it starts");
        // The flags that the package gives to the service are flags of the program.
        let flags = std::fs::read_to_string(installed.join(format!("etc/default/{unit}"))).expect(unit);
        let flags = flags.lines().filter(|line| !line.starts_with('#')).find_map(|line| line.split_once('='));
        let flags = flags.expect("flags").1.trim_matches('"').to_owned();
        let command = line.split_whitespace().nth(1).expect("a command");
        let mut args: Vec<&str> = vec![command];
        args.extend(flags.split_whitespace());
        let missing = folder.path().join("no.sqlite");
        let (_, said) = run(Command::new(&program).arg("--db").arg(&missing).args(&args));
        assert!(said.contains("no_database"), "{unit}: {said}");
        assert!(text.contains("\nRestart=always\n") && text.contains("\n[Install]\n"), "{unit}");
        // Only those of which a person has to act at this service; docs/installing.md says so too. No status that passes by itself,
        // such as that of a locked database.
        assert!(text.contains("\nRestartPreventExitStatus=2 3\n"), "{unit}");
    }
}

/// A folder in place of the system, in which `dpkg` installs.
struct System(PathBuf);

impl System {
    /// `None` without the rights of root, which installing needs.
    fn in_folder(folder: &Path) -> Option<Self> {
        if done(Command::new("id").arg("-u")).trim() != "0" {
            eprintln!("SKIPPED: installing needs root");
            return None;
        }
        let system = Self(folder.join("system"));
        for part in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
            std::fs::create_dir_all(system.path(part)).expect("a folder");
        }
        for list in ["status", "available"] {
            std::fs::write(system.path("var/lib/dpkg").join(list), "").expect("a file");
        }
        Some(system)
    }

    fn path(&self, part: &str) -> PathBuf {
        self.0.join(part)
    }

    fn dpkg(&self, args: &[&str]) -> String {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", self.0.display())).arg("--force-depends").arg("--force-script-chrootless");
        done(command.args(args))
    }

    /// The installed version.
    fn query(&self) -> String {
        let lists = format!("--admindir={}", self.path("var/lib/dpkg").display());
        done(Command::new("dpkg-query").args([&lists, "-W", "-f", "${Version}", "oms-sync"]))
    }
}

/// As `dpkg` does it, in a folder in place of the system. This needs the rights of root.
#[test]
fn the_package_is_installed_upgraded_and_removed_and_the_databases_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(package) = package() else { return };
    let Some(system) = System::in_folder(folder.path()) else { return };
    let file = package.to_str().expect("text");
    system.dpkg(&["-i", file]);
    let database = system.path("var/lib/oms-sync/central.sqlite");
    std::fs::write(&database, "kept").expect("the folder of the databases");
    let defaults = system.path("etc/default/oms-sync-central");
    std::fs::write(&defaults, "SERVE_FLAGS=\"--listen 127.0.0.1:9000\"\n").expect("the flags");
    system.dpkg(&["--force-confold", "-i", file]);
    assert!(std::fs::read_to_string(&defaults).expect("the flags").contains("9000"), "an upgrade keeps them");
    system.dpkg(&["-r", "oms-sync"]);
    assert!(!system.path("usr/bin/oms-sync").exists());
    system.dpkg(&["-P", "oms-sync"]);
    assert!(!defaults.exists());
    assert_eq!(std::fs::read_to_string(&database).expect("the database"), "kept");
}

/// The same package with another version, and a page by which its files are known.
fn of_version(package: &Path, version: &str, folder: &Path) -> PathBuf {
    let (parts, file) = (folder.join(format!("parts-{version}")), folder.join(format!("oms-sync_{version}.deb")));
    done(Command::new("dpkg-deb").arg("-R").arg(package).arg(&parts));
    let control = parts.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).expect("the control file");
    let own = format!("Version: {}", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&own), "{text}");
    std::fs::write(&control, text.replace(&own, &format!("Version: {version}"))).expect("written");
    std::fs::write(parts.join("usr/share/doc/oms-sync/README.md"), version).expect("written");
    done(Command::new("dpkg-deb").args(["-Zgzip", "--root-owner-group", "--build"]).arg(&parts).arg(&file));
    file
}

/// The steps of docs/installing.md, with two packages: back up, upgrade, compare, go back, restore. Services are not started, since there is
/// no systemd in a folder.
#[test]
fn an_older_version_is_upgraded_and_comes_back_with_its_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(newer) = package() else { return };
    let Some(system) = System::in_folder(folder.path()) else { return };
    let older = of_version(newer, "0.0.9", folder.path());
    let newer = newer.to_str().expect("text");
    let version = || system.query();
    let page = || std::fs::read_to_string(system.path("usr/share/doc/oms-sync/README.md")).expect("the page");
    let (database, backups) = (system.path("var/lib/oms-sync/central.sqlite"), system.path("var/backups/oms-sync"));
    let password = folder.path().join("pw");
    std::fs::write(&password, "secret").expect("written");
    let program = |args: &[&str]| {
        let mut program = Command::new(system.path("usr/bin/oms-sync"));
        program.env_remove("OMS_SYNC_DB").arg("--db").arg(&database);
        run(program.args(args))
    };
    let well = |args: &[&str]| {
        let (is_well, text) = program(args);
        assert!(is_well, "{args:?}: {text}");
        text
    };
    let add = |name: &str| well(&["site", "add", name, "--password-file", password.to_str().expect("text")]);

    system.dpkg(&["-i", older.to_str().expect("text")]);
    assert_eq!((version().as_str(), page().as_str()), ("0.0.9", "0.0.9"));
    let flags = system.path("etc/default/oms-sync-central");
    std::fs::write(&flags, "SERVE_FLAGS=\"--listen 127.0.0.1:9000\"\n").expect("the flags");
    add("clinic");
    well(&["backup", backups.to_str().expect("text")]);
    let mut entries = std::fs::read_dir(&backups).expect("the folder").map(|entry| entry.expect("readable").path());
    let backup = entries.find(|path| path.is_dir()).expect("a backup");
    let backup = backup.to_str().expect("text");

    // An upgrade keeps flags that were changed, and asks nothing.
    system.dpkg(&["--force-confold", "-i", newer]);
    assert_eq!(version(), env!("CARGO_PKG_VERSION"));
    assert_ne!(page(), "0.0.9", "the files are those of the newer package");
    assert!(well(&["site", "list"]).contains("clinic"), "the newer version goes on with the database");
    add("depot");
    let compared = well(&["restore", backup]);
    assert!(compared.contains("depot"), "it lists what only this server had: {compared}");
    // As a newer version with another schema leaves it.
    let file = rusqlite::Connection::open(&database).expect("the database");
    let schema: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    file.pragma_update(None, "user_version", schema + 1).expect("written");
    drop(file);

    let said = system.dpkg(&["--force-confold", "-i", older.to_str().expect("text")]);
    assert!(said.contains("downgrading"), "{said}");
    assert_eq!((version().as_str(), page().as_str()), ("0.0.9", "0.0.9"));
    let (is_well, refused) = program(&["site", "list"]);
    assert!(!is_well && refused.contains("newer"), "an older version refuses the database of a newer one: {refused}");
    well(&["restore", backup, "--yes"]);
    let sites = well(&["site", "list"]);
    assert!(sites.contains("clinic") && !sites.contains("depot"), "{sites}");
    assert!(std::fs::read_to_string(&flags).expect("the flags").contains("9000"), "the way back keeps them too");
}

/// The services for Windows start the program with flags that it has.
#[test]
fn the_services_for_windows_have_flags_of_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["oms-sync-site", "oms-sync-central"] {
        let text = std::fs::read_to_string(root().join(format!("packaging/windows/{name}.xml"))).expect(name);
        let part =
            |tag: &str| text.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once('<')).expect(tag).0;
        assert_eq!(part("executable"), r"%BASE%\oms-sync.exe", "{name}");
        let args = part("arguments").replace(r"C:\ProgramData\oms-sync", folder.path().to_str().expect("text"));
        let (_, said) = run(Command::new(env!("CARGO_BIN_EXE_oms-sync")).args(args.split_whitespace()));
        assert!(said.contains("no_database"), "{name}: {said}");
    }
}

/// systemd reads each unit without a word, with the tested program in its place.
#[test]
fn systemd_finds_no_fault_in_the_units() {
    if !Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no systemd-analyze here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let verified = |unit: &str, text: &str| {
        let path = folder.path().join(unit);
        std::fs::write(&path, text).expect("a unit");
        run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(path))
    };
    for unit in ["oms-sync-central.service", "oms-sync-site.service"] {
        let text = std::fs::read_to_string(root().join("packaging/systemd").join(unit)).expect("the unit");
        let text = text.replace("/usr/bin/oms-sync", env!("CARGO_BIN_EXE_oms-sync"));
        assert_eq!(verified(unit, &text), (true, String::new()), "{unit}");
        let (_, said) = verified(unit, &text.replace("[Service]", "[Service]\nRestartt=always"));
        assert!(said.contains("Restartt"), "a fault would be seen: {said}");
    }
}

//! Databases that are encrypted with a key of the administrator's, in real runs of the program. Most of it needs the feature `sqlcipher`.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::os::unix::fs::PermissionsExt as _;

use self::support::{Desk, Said};

/// Writes a file with a key and these permissions.
fn key(desk: &Desk, name: &str, content: &str, mode: u32) {
    std::fs::write(desk.path(name), content).expect("written");
    std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(mode)).expect("set");
}

/// The code and the message of the error that a run ended with.
#[track_caller]
fn refused(said: &Said) -> (String, String) {
    let (code, _) = said.error();
    (code, said.json()["error"]["message"].as_str().expect("a message").to_owned())
}

#[cfg(not(feature = "sqlcipher"))]
#[test]
fn a_program_without_encryption_says_so_instead_of_writing_a_database_that_all_can_read() {
    let desk = Desk::new();
    key(&desk, "key", "two people know it\n", 0o600);
    let add = ["--json", "--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"];
    let by_file = desk.run_with(&[("OMS_SYNC_DB_KEY_FILE", "key")], &add).ends(2);
    let by_flag = desk.run(&[&add[..], &["--db-key-file", "key"]].concat()).ends(2);
    let by_value = desk.run_with(&[("OMS_SYNC_DB_KEY", "two people know it")], &add).ends(2);
    for said in [by_file, by_flag, by_value, desk.run(&["--json", "rekey", "--new-key-file", "key"]).ends(2)] {
        let (code, message) = refused(&said);
        assert_eq!(code, "bad_input");
        assert!(message.contains("built with the feature sqlcipher"), "{message}");
    }
    assert!(!desk.path("central.sqlite").exists());
}

#[cfg(feature = "sqlcipher")]
mod with_encryption {
    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    /// A desk with a central server whose database has the key in `key`, with a store and a site.
    fn desk() -> Desk {
        let desk = Desk::new();
        key(&desk, "key", &format!("{KEY}\n"), 0o600);
        key(&desk, "other", "two people know it", 0o400);
        run(&desk, "key", "site add clinic --password-file pw").ends(0);
        run(&desk, "key", "store add Clinic --code C --site clinic --id STORE_1").ends(0);
        desk
    }

    /// Runs a command on central's database with the key in a file.
    fn run(desk: &Desk, key_file: &str, command: &str) -> Said {
        let mut args = vec!["--db", "central.sqlite", "--db-key-file", key_file];
        args.extend(command.split(' '));
        desk.run(&args)
    }

    /// True if SQLite's own beginning is that of a file.
    fn is_open_to_all(desk: &Desk, name: &str) -> bool {
        std::fs::read(desk.path(name)).expect("a database").starts_with(b"SQLite format 3")
    }

    #[test]
    fn an_encrypted_database_opens_with_its_key_alone_and_says_what_is_wrong() {
        let desk = desk();
        assert!(!is_open_to_all(&desk, "central.sqlite"));
        let by_value = desk.run_with(&[("OMS_SYNC_DB_KEY", KEY)], &["--db", "central.sqlite", "site", "list"]).ends(0);
        assert!(by_value.out.contains("clinic"));
        // The file counts before the variable.
        let both = [("OMS_SYNC_DB_KEY", KEY), ("OMS_SYNC_DB_KEY_FILE", "other")];
        let wrong = desk.run_with(&both, &["--json", "--db", "central.sqlite", "status"]).ends(3);
        assert_eq!(wrong.error(), ("database_key_refused".to_owned(), "configure".to_owned()));
        assert!(wrong.json()["error"]["advice"].as_str().expect("an advice").contains("--db-key-file"));
        let none = desk.run(&["--json", "--db", "central.sqlite", "status"]).ends(6);
        assert_eq!(refused(&none).0, "not_a_database");
        assert!(none.json()["error"]["advice"].as_str().expect("an advice").contains("--db-key-file"));
        // A file that is not encrypted is not taken for one that is.
        desk.run(&["--db", "plain.sqlite", "site", "add", "x", "--password-file", "pw"]).ends(0);
        let plain = desk.run(&["--json", "--db", "plain.sqlite", "--db-key-file", "key", "status"]).ends(3);
        assert_eq!(refused(&plain).0, "database_not_encrypted");
        for said in [by_value, wrong, none, plain] {
            assert!(!said.out.contains(KEY) && !said.err.contains(KEY), "{said:?}");
        }
    }

    #[test]
    fn a_file_with_a_key_is_its_owners_alone_and_holds_one_line() {
        let desk = desk();
        let fifo = std::process::Command::new("mkfifo").arg(desk.path("pipe")).status().expect("mkfifo runs");
        assert!(fifo.success());
        key(&desk, "open", KEY, 0o640);
        key(&desk, "empty", "\n", 0o600);
        key(&desk, "lines", &format!("{KEY}\nand more\n"), 0o600);
        key(&desk, "long", &"x".repeat(5000), 0o600);
        for (file, says) in [
            ("open", "chmod 600"),
            ("empty", "holds no key"),
            ("lines", "more than one line"),
            ("long", "too long"),
            ("pipe", "no ordinary file"),
            ("/dev/zero", "no ordinary file"),
            ("missing", "missing"),
        ] {
            let said = run(&desk, file, "status --json").ends(2);
            let (code, message) = refused(&said);
            assert!(code == "bad_input" && message.contains(says), "{file}: {message}");
        }
    }

    #[test]
    fn a_key_is_changed_and_a_database_is_encrypted_for_the_first_time() {
        let desk = desk();
        run(&desk, "key", "rekey --new-key-file other").ends(0);
        run(&desk, "key", "status").ends(3);
        assert!(run(&desk, "other", "site list").ends(0).out.contains("clinic"));
        desk.run(&["--db", "plain.sqlite", "site", "add", "ward", "--password-file", "pw"]).ends(0);
        assert!(is_open_to_all(&desk, "plain.sqlite"));
        let said = desk.run(&["--db", "plain.sqlite", "rekey", "--new-key-file", "key"]).ends(0);
        assert!(said.out.contains("encrypted") && said.err.contains("not encrypted"), "{said:?}");
        assert!(!is_open_to_all(&desk, "plain.sqlite"));
        let list = desk.run(&["--db", "plain.sqlite", "--db-key-file", "key", "site", "list"]).ends(0);
        assert!(list.out.contains("ward"));
        let server = desk.run(&["--db", "postgres://user@127.0.0.1:1/central", "rekey", "--new-key-file", "key"]);
        assert!(server.ends(2).err.contains("PostgreSQL"));
    }

    #[test]
    fn a_site_and_central_work_on_encrypted_databases_and_back_them_up() {
        let desk = desk();
        let class = r#"{"id":"class-1","name":"Cold chain"}"#;
        let put = ["--db", "central.sqlite", "--db-key-file", "key", "records", "put", "asset_class"];
        desk.feed(&put, class).ends(0);
        let server = desk.serve_with("central.sqlite", &["--db-key-file", "key"]);
        let site = |command: &str| {
            let mut args = vec!["--db", "site.sqlite", "--db-key-file", "other"];
            args.extend(command.split(' '));
            desk.run(&args)
        };
        site(&format!("init --legacy-url {} --site clinic --password-file pw", server.address)).ends(0);
        site("sync").ends(0);
        assert!(site("records get asset_class class-1").ends(0).out.contains("Cold chain"));
        assert!(!is_open_to_all(&desk, "site.sqlite"));
        site("doctor").ends(0);
        site("audit").ends(0);
        site("net --max-time 2s").ends(0);
        site("bundle --list").ends(0);
        // A repair copies the database before.
        site("cursor rewind pull --own --yes --reason test").ends(0);
        let backup = site("--json backup backups").ends(0).json()["backup"].as_str().expect("a folder").to_owned();
        site(&format!("check {backup}")).ends(0);
        assert_eq!(refused(&desk.run(&["--json", "check", &backup, "--db-key-file", "key"])).0, "database_key_refused");
        site(&format!("restore {backup} --yes")).ends(0);
        assert!(!is_open_to_all(&desk, "site.sqlite"));
        site("sync").ends(0);
    }
}

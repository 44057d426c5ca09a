//! `doctor`: one thing is really broken; it names the party at fault and says what to do.

mod before_set_up;
mod broken_sites;
mod device;
mod line;
mod servers;

use serde_json::Value;

pub(super) use super::front::Answer;
use super::front::{Doing, Front};
use super::support::HARDWARE_ID;
use super::{Clinic, fits, holds};

/// A clinic that reaches its legacy server and central through two fronts, under two names.
pub(super) struct Ward {
    pub(super) clinic: Clinic,
    pub(super) legacy: Front,
    pub(super) central: Front,
}

/// What is in an address and has to stay there.
const ADDRESS_PASSWORD: &str = "open-sesame";

/// The expected output of `doctor`.
struct Says {
    status: i32,
    party: &'static str,
    check: &'static str,
    code: &'static str,
    /// Words of its finding and advice.
    words: &'static [&'static str],
}

/// The expected party, exit status, deciding check and code, and words of the finding and the advice.
const fn of(
    party: &'static str,
    status: i32,
    check: &'static str,
    code: &'static str,
    words: &'static [&'static str],
) -> Says {
    Says { status, party, check, code, words }
}

impl Ward {
    pub(super) fn new() -> Self {
        let clinic = Clinic::new();
        let (legacy, central) = (Front::before(&clinic.server.address), Front::before(&clinic.server.address));
        let ward = Self { clinic, legacy, central };
        ward.legacy_at(&format!("http://127.0.0.1:{}", ward.legacy.port()));
        ward.tell_of_central();
        ward.clinic.sync(0);
        ward
    }

    /// The legacy server gives the front's address for central.
    fn tell_of_central(&self) {
        self.legacy.doing().host = Some(format!("localhost:{}", self.central.port()));
    }

    /// Undoes the changes to servers and addresses.
    pub(super) fn heal(&mut self) {
        for front in [&mut self.legacy, &mut self.central] {
            front.open_again();
            *front.doing() = Doing::default();
        }
        self.tell_of_central();
        self.legacy_at(&format!("http://127.0.0.1:{}", self.legacy.port()));
        self.central_at(&format!("http://localhost:{}", self.central.port()));
        self.at_server(&["site", "add", "clinic", "--password-file", "pw"]);
        self.at_server(&["site", "reset-hardware", "clinic"]);
        self.clinic.sync(0);
    }

    /// Something is done to the server.
    pub(super) fn at_server(&self, args: &[&str]) {
        self.clinic.desk.run(&[&["--db", "central.sqlite", "-q"], args].concat()).ends(0);
    }

    /// The site was deleted and made again, at a server that forgets a deleted one.
    pub(super) fn make_site_anew(&self) {
        let central = rusqlite::Connection::open(self.clinic.desk.path("central.sqlite")).expect("central's database");
        let anew = "UPDATE sync_site SET uuid = 'ANOTHER' WHERE name = 'clinic'";
        assert_eq!(central.execute(anew, ()).expect("SQL"), 1);
    }

    /// Another machine signs in as this site.
    fn take_over(&self, db: &str) {
        self.at_server(&["site", "reset-hardware", "clinic"]);
        let other = HARDWARE_ID.replace("machine", "another");
        let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", &other];
        let address = &self.clinic.server.address;
        self.clinic.desk.run(&[&["--db", db, "init", "--legacy-url", address][..], &from].concat()).ends(0);
    }

    /// Sets the site's address of central.
    fn central_at(&self, url: &str) {
        self.allow_http();
        self.clinic.damage(&format!(
            "UPDATE sync_state SET value = '{url}' WHERE key IN ('central_url', 'central_url_confirmed', \
             'central_url_answered')"
        ));
    }

    /// As if the site had been set up with `--allow-http`.
    fn allow_http(&self) {
        self.clinic.damage("UPDATE sync_state SET value = '0' WHERE key = 'https_only'");
    }

    /// Sets the site's address of the legacy server.
    fn legacy_at(&self, url: &str) {
        self.allow_http();
        self.clinic.damage(&format!("UPDATE sync_state SET value = '{url}' WHERE key = 'legacy_url'"));
    }

    /// All files of the site's folder.
    pub(super) fn files(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let names = std::fs::read_dir(self.clinic.desk.path("")).expect("a folder");
        let mut all: Vec<_> = names
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_string_lossy().contains("oms-sync.sqlite") && path.is_file())
            .map(|path| (path.clone(), std::fs::read(path).expect("a file")))
            .collect();
        all.sort();
        all
    }

    /// Runs `doctor`, for people and for programs.
    #[track_caller]
    fn doctor(&self, what: &str, says: &Says) -> Value {
        self.doctor_with(&[], what, says)
    }

    #[track_caller]
    fn doctor_with(&self, env: &[(&str, &str)], what: &str, says: &Says) -> Value {
        self.doctor_asked(env, &[], what, says)
    }

    #[track_caller]
    fn doctor_asked(&self, env: &[(&str, &str)], options: &[&str], what: &str, says: &Says) -> Value {
        let before = self.files();
        let ran = self.clinic.desk.run_with(env, &[&["doctor", "--json"], options].concat());
        let said = self.clinic.desk.run_with(env, &[&["doctor", "-v"], options].concat());
        assert!(!format!("{ran:?}{said:?}").contains(ADDRESS_PASSWORD), "{what}: a secret was printed");
        assert_eq!((ran.status, said.status), (Some(says.status), Some(says.status)), "{what}: {ran:?}");
        let found = ran.json();
        let is = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let code = found["finding"]["code"].as_str().unwrap_or_default();
        assert_eq!(
            (is("party").as_str(), is("check").as_str(), code),
            (says.party, says.check, says.code),
            "{what}: {found:#}"
        );
        let end = fits(&said).split_once("\n\n").unwrap_or_else(|| panic!("{what}: {said:?}")).0.to_owned();
        let begins = match (code, found["outcome"] == "fault" || says.party == "record") {
            ("", _) => "No problem found. ",
            (_, true) => "The problem is with ",
            (_, false) => "No fault found, but check ",
        };
        assert!(end.starts_with(begins), "{what}: {end}");
        holds(&end, says.words);
        assert!(self.files() == before, "{what}: the database has changed");
        found
    }
}

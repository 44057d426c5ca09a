//! What is wrong with a site, and whose it is: checks in order, and at the end the one at fault.
//!
//! [`examine_file`] looks at the database file; [`Site::diagnose`](crate::Site::diagnose) goes on with everything else. Nothing is
//! changed by either, here or at a server.

pub(crate) mod asked;
mod local;

use serde::Serialize;

use crate::error::{Error, ErrorClass};
use crate::text::sentences::doctor as say;
use crate::text::{Localize, Message};

#[cfg(feature = "sqlite")]
pub use local::examine_file;
pub(crate) use local::{copies, cursors_here, files, quarantine, settings};

/// Who is at fault, or has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Party {
    /// This machine: its disk, its database, its clock, or what was entered here.
    Device,
    /// What lies between: the line, name look-up, a proxy, a log-in page.
    Network,
    /// The legacy server, or what its administrator entered there.
    LegacyServer,
    /// The Open mSupply central server.
    CentralServer,
    /// A record, or a file of one.
    Record,
    /// Nobody.
    Nobody,
}

impl Party {
    /// The party as a sentence names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "this device",
            Self::Network => "the network",
            Self::LegacyServer => "the legacy server",
            Self::CentralServer => "the central server",
            Self::Record => "a record",
            Self::Nobody => "nobody",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// All is well.
    Ok,
    /// It could not be checked, because something before it failed or it does not apply.
    NotChecked,
    /// It works, but somebody should look at it.
    Warning,
    /// It is broken.
    Fault,
}

impl CheckOutcome {
    /// The outcome in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Its name, in words.
    pub name: &'static str,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What was found; of what was not checked, why.
    pub says: Message,
    /// What is wrong, if anything is.
    pub finding: Option<Finding>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable code in snake_case; that of the error, where there is one.
    pub code: &'static str,
    /// Who must act, as errors are sorted.
    #[serde(serialize_with = "class_text")]
    pub class: ErrorClass,
    /// Who is at fault.
    pub party: Party,
    /// What to do.
    pub advice: Message,
    /// The chain of causes.
    pub causes: Vec<String>,
}

fn class_text<S: serde::Serializer>(class: &ErrorClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.as_str())
}

impl Check {
    pub(crate) fn ok(name: &'static str, says: Message) -> Self {
        Self { name, outcome: CheckOutcome::Ok, says, finding: None }
    }

    pub(crate) fn not_checked(name: &'static str, why: Message) -> Self {
        Self { name, outcome: CheckOutcome::NotChecked, says: why, finding: None }
    }

    /// A fault that is an error: its code, class and advice.
    pub(crate) fn fault(name: &'static str, error: &Error, party: Party) -> Self {
        let finding = Finding {
            code: error.code(),
            class: error.class(),
            party,
            advice: Message::advice(error.code()),
            causes: error.causes(),
        };
        Self { name, outcome: CheckOutcome::Fault, says: Message::of(error), finding: Some(finding) }
    }

    /// Something that no error of its own stands for.
    pub(crate) fn found(
        name: &'static str,
        outcome: CheckOutcome,
        says: Message,
        (code, class, party): (&'static str, ErrorClass, Party),
        advice: Message,
    ) -> Self {
        debug_assert!(
            crate::error::catalogue::catalogue().iter().any(|entry| entry.code == code),
            "{code} is in the catalogue"
        );
        let finding = Finding { code, class, party, advice, causes: Vec::new() };
        Self { name, outcome, says, finding: Some(finding) }
    }

    /// The same as a warning: it works all the same.
    pub(crate) fn into_warning(self) -> Self {
        Self { outcome: CheckOutcome::Warning, ..self }
    }
}

impl Localize for Check {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.says);
        self.finding.each_message(each);
    }
}

impl Localize for Finding {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.advice);
    }
}

/// All checks, and who is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The worst of the outcomes: [`CheckOutcome::Ok`] if nothing is wrong.
    pub outcome: CheckOutcome,
    /// Who is at fault, or should act.
    pub party: Party,
    /// Of the check that decides: its name.
    pub check: Option<&'static str>,
    /// What it found.
    pub says: Message,
    /// What is wrong there, with what to do.
    pub finding: Option<Finding>,
    /// Everything that was checked, in order.
    pub checks: Vec<Check>,
}

/// The names of the checks of the database file.
pub(crate) const OF_FILE: &[&str] = &["database", "integrity", "disk space"];

/// The names of the checks of the legacy server, in their order.
pub(crate) const LEGACY: [&str; 6] =
    ["legacy name lookup", "legacy connection", "legacy TLS", "legacy server", "legacy sign-in", "legacy version"];

/// Those of central, which looks at versions first.
pub(crate) const CENTRAL: [&str; 6] = [
    "central name lookup",
    "central connection",
    "central TLS",
    "central server",
    "central version",
    "central sign-in",
];

/// The names of all checks that come after those of the database file, in their order.
pub(crate) const NAMES: &[&str] = &[
    "settings",
    "copies",
    LEGACY[0],
    LEGACY[1],
    LEGACY[2],
    LEGACY[3],
    LEGACY[4],
    LEGACY[5],
    "identity",
    "central address",
    CENTRAL[0],
    CENTRAL[1],
    CENTRAL[2],
    CENTRAL[3],
    CENTRAL[4],
    CENTRAL[5],
    "clock",
    "dispensary mode",
    "cursors",
    "quarantine",
    "files",
];

impl Diagnosis {
    /// Of the file alone: because it cannot be opened, or because no server was to be asked.
    pub fn of_file(mut checks: Vec<Check>, is_opened: bool) -> Self {
        let why = if is_opened { say::no_question } else { say::database_not_opened };
        checks.extend(NAMES.iter().map(|name| Check::not_checked(name, why())));
        Self::of(checks)
    }

    /// Names the one at fault: that of the first fault, as everything behind it may only follow from it. Where there is none,
    /// that of the first warning.
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let first = |outcome| checks.iter().find(|check| check.outcome == outcome);
        // A clock that is wrong is why a certificate is refused.
        let is_wrong_clock = |check: &&Check| {
            let by_this_device = check.finding.as_ref().is_some_and(|finding| finding.party == Party::Device);
            check.name == "clock" && check.outcome == CheckOutcome::Fault && by_this_device
        };
        let is_certificate =
            |check: &Check| check.finding.as_ref().is_some_and(|finding| finding.code == "certificate_refused");
        // A disk that is full is why a database cannot be read.
        let is_full_disk = |check: &&Check| check.name == "disk space" && check.outcome == CheckOutcome::Fault;
        let is_unread = |check: &Check| {
            check.finding.as_ref().is_some_and(|finding| matches!(finding.code, "database_failed" | "io_failed"))
        };
        let mut deciding = first(CheckOutcome::Fault).or_else(|| first(CheckOutcome::Warning));
        if deciding.is_some_and(is_unread) {
            deciding = checks.iter().find(is_full_disk).or(deciding);
        }
        if deciding.is_some_and(is_certificate) {
            deciding = checks.iter().find(is_wrong_clock).or(deciding);
        }
        Self {
            outcome: deciding.map_or(CheckOutcome::Ok, |check| check.outcome),
            party: deciding.and_then(|check| check.finding.as_ref()).map_or(Party::Nobody, |finding| finding.party),
            check: deciding.map(|check| check.name),
            says: deciding.map_or_else(say::all_well, |check| check.says.clone()),
            finding: deciding.and_then(|check| check.finding.clone()),
            checks,
        }
    }
}

impl Localize for Diagnosis {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.says);
        self.finding.each_message(each);
        self.checks.each_message(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Server;

    #[test]
    fn the_first_fault_decides_and_a_warning_only_where_there_is_none() {
        let warning = |name| Check::fault(name, &Error::NotSetUp, Party::Record).into_warning();
        let fault = |name, party| Check::fault(name, &Error::CentralUrlMissing, party);
        let of = |checks: &[Check]| {
            let found = Diagnosis::of(checks.to_vec());
            (found.outcome, found.party, found.check)
        };
        assert_eq!(of(&[Check::ok("a", say::all_well())]), (CheckOutcome::Ok, Party::Nobody, None));
        assert_eq!(
            of(&[Check::ok("a", say::all_well()), warning("b")]),
            (CheckOutcome::Warning, Party::Record, Some("b"))
        );
        let all = [warning("b"), fault("c", Party::LegacyServer), fault("d", Party::Network)];
        assert_eq!(of(&all), (CheckOutcome::Fault, Party::LegacyServer, Some("c")));
    }

    #[test]
    fn a_full_disk_is_why_a_database_cannot_be_read() {
        let failed = Check::fault("database", &Error::Database { source: "x".into() }, Party::Device);
        let full = Check::fault("disk space", &Error::DiskFull { source: "x".into() }, Party::Device);
        assert_eq!(Diagnosis::of(vec![failed.clone(), full.clone()]).check, Some("disk space"));
        assert_eq!(Diagnosis::of(vec![failed, full.into_warning()]).check, Some("database"));
    }

    #[test]
    fn a_wrong_clock_is_why_a_certificate_is_refused() {
        let url = "https://x".to_owned();
        let refused = Error::CertificateRefused { server: Server::Legacy, url, source: "expired".into() };
        let refused = Check::fault("legacy TLS", &refused, Party::LegacyServer);
        let clock = |party| {
            let code = ("clock_wrong", ErrorClass::LocalFault, party);
            Check::found("clock", CheckOutcome::Fault, say::set_clock(), code, say::set_clock())
        };
        assert_eq!(Diagnosis::of(vec![refused.clone(), clock(Party::Device)]).check, Some("clock"));
        assert_eq!(Diagnosis::of(vec![refused, clock(Party::CentralServer)]).check, Some("legacy TLS"));
    }
}

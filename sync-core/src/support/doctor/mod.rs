//! Diagnosis of a site: checks in order, and at the end the party at fault.
//!
//! [`Replica::examine`](crate::Replica::examine) checks the database file;
//! [`SiteSupport::doctor`](crate::support::SiteSupport::doctor) checks the rest. Neither changes anything, here or at a server.

mod last_sync;
mod local;
pub(crate) mod over_network;

use serde::Serialize;

use crate::alarm::CentralAlarm;
use crate::error::{Error, ErrorClass};
use crate::role::Role;
use crate::text::sentences::doctor as say;
use crate::text::{Localize, Message};

pub(crate) use last_sync::last_sync;
#[cfg(feature = "sqlite")]
pub(crate) use local::examine_file;
pub(crate) use local::{central_alarms, copies, cursors_here, files, quarantine, refused_by_central, settings};

/// The party at fault, or that has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Party {
    /// This machine: its disk, its database, its clock, or the entered settings.
    Device,
    /// The network: line, name look-up, proxy, log-in page.
    Network,
    /// The legacy server, or the entries of its administrator.
    LegacyServer,
    /// The Open mSupply central server.
    CentralServer,
    /// A record, or a file of one.
    Record,
    /// Nobody.
    Nobody,
}

impl Party {
    /// The name of the party in a sentence.
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

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
    /// The name of the outcome.
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
    /// Its name.
    pub name: &'static str,
    /// Its outcome.
    pub outcome: CheckOutcome,
    /// The finding in words, or the reason why it was not checked.
    pub says: Message,
    /// The fault, if there is one.
    pub finding: Option<Finding>,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable code in snake_case; that of the error, if there is one.
    pub code: &'static str,
    /// The class: who must act.
    #[serde(serialize_with = "class_text")]
    pub class: ErrorClass,
    /// The party at fault.
    pub party: Party,
    /// The advice.
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

    /// The check of a database that an app with a [hook](crate::ReplicaBuilder::hook) keeps, for a program without the hook; see
    /// [`Replica::is_hook_missing`](crate::Replica::is_hook_missing). A central server cannot be run by such a program, but nothing is
    /// wrong with a site that its app synchronises.
    pub fn of_missing_hook(role: Option<Role>) -> Self {
        match role {
            Some(Role::Central) => Self::fault(APP, &Error::HookMissing, Party::Device).into_warning(),
            _ => Self::ok(APP, say::app_follows()),
        }
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

    /// A fault without an error of its own.
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

    /// Makes it a warning: the site still works.
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

/// All checks, and the party at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The worst outcome: [`CheckOutcome::Ok`] if all is well.
    pub outcome: CheckOutcome,
    /// The party at fault, or that should act.
    pub party: Party,
    /// The name of the deciding check.
    pub check: Option<&'static str>,
    /// Its finding in words.
    pub says: Message,
    /// Its fault, with the advice.
    pub finding: Option<Finding>,
    /// The names of checks with a fault of another party, which does not follow from that one, and of those that found records which
    /// did not get through.
    pub also: Vec<&'static str>,
    /// All checks, in order.
    pub checks: Vec<Check>,
    /// On a central server all alarms, as its status page shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<CentralAlarm>,
}

/// The names of the checks of the database file.
pub(crate) const OF_FILE: &[&str] = &["database", "integrity", "disk space"];

/// The name of the check of an app's tables.
pub(crate) const APP: &str = "app's tables";

/// The names of the checks of the legacy server, in order.
pub(crate) const LEGACY: [&str; 6] =
    ["legacy name lookup", "legacy connection", "legacy TLS", "legacy server", "legacy sign-in", "legacy version"];

/// Those of central, which checks versions first.
pub(crate) const CENTRAL: [&str; 6] = [
    "central name lookup",
    "central connection",
    "central TLS",
    "central server",
    "central version",
    "central sign-in",
];

/// The names of all checks after those of the database file, in order.
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
    "refused by central",
    "files",
    last_sync::NAME,
    local::ALARMS,
];

impl Diagnosis {
    /// A diagnosis of the file alone: because it cannot be opened, or because no server was to be asked.
    pub fn of_file(mut checks: Vec<Check>, is_opened: bool) -> Self {
        let why = if is_opened { say::no_question } else { say::database_not_opened };
        checks.extend(NAMES.iter().map(|name| Check::not_checked(name, why())));
        Self::of(checks)
    }

    /// Finds the party at fault: that of the first fault, because later ones may follow from it. Without a fault, that
    /// of the first warning.
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let first = |outcome| checks.iter().find(|check| check.outcome == outcome);
        // A wrong clock is why a certificate is refused.
        let is_wrong_clock = |check: &&Check| {
            let by_this_device = check.finding.as_ref().is_some_and(|finding| finding.party == Party::Device);
            check.name == "clock" && check.outcome == CheckOutcome::Fault && by_this_device
        };
        let is_certificate =
            |check: &Check| check.finding.as_ref().is_some_and(|finding| finding.code == "certificate_refused");
        // A full disk is why a database cannot be read.
        let is_full_disk = |check: &&Check| check.name == "disk space" && check.outcome == CheckOutcome::Fault;
        let is_unread = |check: &Check| {
            check.finding.as_ref().is_some_and(|finding| matches!(finding.code, "database_failed" | "io_failed"))
        };
        // A warning about records does not say why a cycle failed.
        let explains = |check: &&Check| {
            check.outcome == CheckOutcome::Warning
                && !matches!(
                    check.name,
                    "disk space"
                        | "dispensary mode"
                        | "quarantine"
                        | "refused by central"
                        | "files"
                        | last_sync::NAME
                        | local::ALARMS
                )
        };
        let has_failed = |check: &&Check| {
            let is_failure = check.finding.as_ref().is_some_and(|finding| finding.code != "never_synced");
            check.name == last_sync::NAME && check.outcome == CheckOutcome::Warning && is_failure
        };
        let mut deciding = first(CheckOutcome::Fault)
            .or_else(|| checks.iter().find(explains))
            .or_else(|| checks.iter().find(has_failed))
            .or_else(|| first(CheckOutcome::Warning));
        if deciding.is_some_and(is_unread) {
            deciding = checks.iter().find(is_full_disk).or(deciding);
        }
        if deciding.is_some_and(is_certificate) {
            deciding = checks.iter().find(is_wrong_clock).or(deciding);
        }
        Self {
            also: deciding.map_or_else(Vec::new, |deciding| others(&checks, deciding)),
            outcome: deciding.map_or(CheckOutcome::Ok, |check| check.outcome),
            party: deciding.and_then(|check| check.finding.as_ref()).map_or(Party::Nobody, |finding| finding.party),
            check: deciding.map(|check| check.name),
            says: deciding.map_or_else(say::all_well, |check| check.says.clone()),
            finding: deciding.and_then(|check| check.finding.clone()),
            checks,
            alarms: Vec::new(),
        }
    }
}

/// What is to be told beside the deciding check.
fn others(checks: &[Check], deciding: &Check) -> Vec<&'static str> {
    let is_left_behind = |check: &&Check| {
        matches!(check.name, "quarantine" | "refused by central")
            && check.outcome == CheckOutcome::Warning
            && check.name != deciding.name
    };
    let left_behind = checks.iter().filter(is_left_behind).map(|check| check.name);
    other_faults(checks, deciding).into_iter().chain(left_behind).collect()
}

/// The faults at the other server, each party once. A fault of the network is one fault, whatever it keeps away.
fn other_faults(checks: &[Check], deciding: &Check) -> Vec<&'static str> {
    let party = |check: &Check| check.finding.as_ref().map(|finding| finding.party);
    let of_server = |check: &Check| (LEGACY.contains(&check.name), CENTRAL.contains(&check.name));
    if of_server(deciding) == (false, false) || party(deciding) == Some(Party::Network) {
        return Vec::new();
    }
    let mut told = vec![party(deciding), Some(Party::Network)];
    let mut is_other = |check: &&Check| {
        let is_other = check.outcome == CheckOutcome::Fault
            && of_server(check) != (false, false)
            && of_server(check) != of_server(deciding)
            && !told.contains(&party(check))
            // One server may play both parts: its fault is told once.
            && check.says != deciding.says;
        if is_other {
            told.push(party(check));
        }
        is_other
    };
    checks.iter().filter(|check| is_other(check)).map(|check| check.name).collect()
}

impl Localize for Diagnosis {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.says);
        self.finding.each_message(each);
        self.checks.each_message(each);
        self.alarms.each_message(each);
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
        let refused =
            Error::CertificateRefused { server: Server::Legacy, url, why: "x".into(), source: "expired".into() };
        let refused = Check::fault("legacy TLS", &refused, Party::LegacyServer);
        let clock = |party| {
            let code = ("clock_wrong", ErrorClass::LocalFault, party);
            Check::found("clock", CheckOutcome::Fault, say::set_clock(), code, say::set_clock())
        };
        assert_eq!(Diagnosis::of(vec![refused.clone(), clock(Party::Device)]).check, Some("clock"));
        assert_eq!(Diagnosis::of(vec![refused, clock(Party::CentralServer)]).check, Some("legacy TLS"));
    }

    #[test]
    fn the_fault_of_a_server_that_plays_both_parts_is_told_once() {
        let fault = |name, code| {
            let error = Error::Unreachable { server: Server::Central, url: "http://x".to_owned(), source: code };
            Check::fault(name, &error, Party::CentralServer)
        };
        let (legacy, central) =
            (fault("legacy connection", "refused".into()), fault("central connection", "refused".into()));
        assert_eq!(Diagnosis::of(vec![legacy.clone(), central]).also, Vec::<&str>::new());
        let other = |party| {
            let other = Check::fault("central address", &Error::CentralUrlMissing, party);
            Check { name: "central connection", ..other }
        };
        // Another fault of the same party is told with the first one.
        let same = Diagnosis::of(vec![legacy.clone(), other(Party::CentralServer)]);
        assert_eq!(same.also, Vec::<&str>::new());
        assert_eq!(Diagnosis::of(vec![legacy, other(Party::LegacyServer)]).also, ["central connection"]);
    }
}

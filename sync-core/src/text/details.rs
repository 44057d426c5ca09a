//! What the message of an error names.

use crate::error::Error;
use crate::ownership::Refusal;
use crate::text::Detail;
use crate::text::sentences::error_detail;

impl Error {
    /// What the message names, by name.
    pub(crate) fn details(&self) -> Vec<(&'static str, Detail)> {
        let mut all = Vec::new();
        let mut add = |name, value: &dyn std::fmt::Display| all.push((name, Detail::Plain(value.to_string())));
        match self {
            Self::Unreachable { server, url, .. }
            | Self::TimedOut { server, url, .. }
            | Self::CutOff { server, url, .. }
            | Self::CertificateRefused { server, url, .. } => {
                add("server", server);
                add("url", url);
            }
            Self::ServerTrouble { server, url, status, .. } => {
                add("server", server);
                add("url", url);
                add("status", status);
            }
            Self::IntegrationInProgress { server }
            | Self::IntegrationTimeout { server }
            | Self::TooManyAttempts { server } => add("server", server),
            Self::InvalidUrl { what, url, reason } => {
                add("what", what);
                add("url", &quoted(url));
                all.push(("reason", reason.clone()));
            }
            Self::UnknownSite { server, site } => {
                add("server", server);
                add("site", &quoted(site));
            }
            Self::WrongPassword { site } | Self::HardwareIdMismatch { site } | Self::SiteHasNoStore { site } => {
                add("site", &quoted(site));
            }
            Self::NotCentral { url } => add("url", url),
            Self::NotAServer { server, url, found } => {
                add("server", server);
                add("url", url);
                all.push(("found", found.clone()));
            }
            Self::ProxyUnusable { variable, url, reason } => {
                add("variable", variable);
                add("url", &quoted(url));
                all.push(("reason", reason.clone()));
            }
            Self::OtherSite { ours, theirs } => {
                add("ours", ours);
                add("theirs", theirs);
            }
            Self::WrongRole { needed, found } => {
                add("needed", needed);
                add("found", found);
            }
            Self::VersionMismatch { server, min, max, sent } => {
                add("server", server);
                add("min", min);
                add("max", max);
                add("sent", sent);
            }
            Self::LegacyVersionMismatch { sent } => add("sent", sent),
            Self::CentralTooOld { needs } => add("needs", needs),
            Self::DatabaseTooNew { found, known } => {
                add("found", found);
                add("known", known);
            }
            Self::UnreadableAnswer { server, url, detail } => {
                add("server", server);
                add("url", url);
                all.push(("detail", detail.clone()));
            }
            Self::AnswerTooLarge { server, url, bytes } => {
                add("server", server);
                add("url", url);
                add("bytes", bytes);
            }
            Self::Refused { server, status, detail } => {
                add("server", server);
                add("status", status);
                all.push(("detail", detail.clone()));
            }
            Self::PeerError { server, detail } => {
                add("server", server);
                all.push(("detail", detail.clone()));
            }
            Self::NoProgress { server, cursor } => {
                add("server", server);
                add("cursor", cursor);
            }
            Self::CursorWentBack { server, ours, theirs } => {
                add("server", server);
                add("ours", ours);
                add("theirs", theirs);
            }
            Self::PartlyAccepted { server, sent, accepted } => {
                add("server", server);
                add("sent", sent);
                add("accepted", accepted);
            }
            Self::RecordTooLarge { server, table, id, bytes } => {
                add("server", server);
                add("table", table);
                add("id", id);
                add("bytes", bytes);
            }
            Self::HostFailed { table, id, .. } => {
                add("table", table);
                add("id", id);
            }
            Self::NotADatabase { path, .. } | Self::NoDatabase { path } => add("path", path),
            Self::Io { what, source } => {
                add("what", what);
                add("source", source);
            }
            Self::DatabaseCopied { site, since } => {
                add("site", site);
                add("since", since);
            }
            Self::NoMachineId { reason } => add("reason", reason),
            Self::DatabaseReplaced { path } => add("path", path),
            Self::DatabaseHardLinked { path, names } => {
                add("path", path);
                add("names", names);
            }
            Self::DamagedState { what } => add("what", what),
            Self::NotAllowed { refusal, id } => {
                // The blank belongs to it: without an id there is none.
                let record = id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
                match refusal {
                    Refusal::OnlyAllowedOnCentral { table }
                    | Refusal::StoreNotActiveHere { table }
                    | Refusal::OwnedByRemoteSite { table }
                    | Refusal::OnlyAllowedOnLegacy { table }
                    | Refusal::WrittenElsewhere { table } => {
                        add("table", table);
                        add("record", &record);
                    }
                    Refusal::NotDeletable { table } | Refusal::NotPulled { table } => add("table", table),
                    Refusal::Removed { table, release } => {
                        add("table", table);
                        add("release", release);
                    }
                };
            }
            Self::InvalidRecord { table, id, source } => {
                add("table", table);
                add("id", id);
                all.push(("detail", source.says().into()));
            }
            Self::UnknownTable { table } => add("table", &quoted(table)),
            Self::NotFound { what, id } => {
                add("what", what);
                add("id", &quoted(id));
            }
            Self::FileTooLarge { bytes, max } => {
                add("bytes", bytes);
                add("max", max);
            }
            Self::BadInput { detail } => all.push(("detail", detail.clone())),
            Self::CycleRunning { holder } => {
                all.push(("holder", holder.map_or_else(|| "".into(), |pid| error_detail::process(pid).into())));
            }
            Self::UnknownSiteId { site } => add("site", site),
            Self::InitialisationInProgress
            | Self::SiteAuthTimeout
            | Self::CentralCannotReachLegacy
            | Self::NotSetUp
            | Self::CentralUrlMissing
            | Self::LegacyKeepsSites
            | Self::QueueNotMoving
            | Self::DatabaseBusy { .. }
            | Self::DatabaseReadOnly { .. }
            | Self::DiskFull { .. }
            | Self::Database { .. }
            | Self::Cancelled => {}
        }
        all
    }
}

/// A text that stands between quotation marks, with what would break them, or the line, escaped.
pub(crate) fn quoted(text: &str) -> String {
    let quoted = format!("{text:?}");
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}

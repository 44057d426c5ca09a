//! Who must act on an error.

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Nobody: trying again later may work.
    Retry,
    /// Whoever set this site up: an address, a password or a role is wrong.
    Configure,
    /// Whoever installs versions: one end is too old for the other.
    Upgrade,
    /// Whoever keeps the other end: it broke the protocol.
    PeerFault,
    /// Whoever keeps this machine: disk or database.
    LocalFault,
    /// Whoever gave the command: the input is wrong or not allowed.
    Input,
    /// Nobody: another cycle is at work on this database.
    Busy,
    /// Nobody: it was stopped on request.
    Cancelled,
}

impl ErrorClass {
    pub(crate) const ALL: &[Self] = &[
        Self::Retry,
        Self::Configure,
        Self::Upgrade,
        Self::PeerFault,
        Self::LocalFault,
        Self::Input,
        Self::Busy,
        Self::Cancelled,
    ];

    /// The class as it stands in `--json` output and in the sync log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Configure => "configure",
            Self::Upgrade => "upgrade",
            Self::PeerFault => "peer_fault",
            Self::LocalFault => "local_fault",
            Self::Input => "input",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
        }
    }

    /// Who must act on errors of this class, as a sentence.
    pub const fn who_must_act(self) -> &'static str {
        match self {
            Self::Retry => "Nobody: trying again later may work.",
            Self::Configure => "Whoever set this site up: an address, a password or a role is wrong.",
            Self::Upgrade => "Whoever installs versions: one end is too old for the other.",
            Self::PeerFault => "Whoever keeps the other end: it broke the protocol.",
            Self::LocalFault => "Whoever keeps this machine: disk or database.",
            Self::Input => "Whoever gave the command: the input is wrong or not allowed.",
            Self::Busy => "Nobody: another cycle is at work on this database.",
            Self::Cancelled => "Nobody: it was stopped on request.",
        }
    }
}

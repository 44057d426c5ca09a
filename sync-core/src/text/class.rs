//! Who must act on an error.

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Nobody: trying again later may work.
    Retry,
    /// The person who set this site up: an address, a password or a role is wrong.
    Configure,
    /// The person who installs versions: one end is too old for the other.
    Upgrade,
    /// The administrator of the other end: it broke the protocol.
    PeerFault,
    /// The person who keeps this machine: disk or database.
    LocalFault,
    /// The person who asked for it: the input is wrong or not allowed.
    Input,
    /// Nobody: another process is at work on this database.
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

    /// The name of the class in JSON and in the sync log.
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
            Self::Configure => "The person who set this site up: an address, a password or a role is wrong.",
            Self::Upgrade => "The person who installs versions: one end is too old for the other.",
            Self::PeerFault => "The administrator of the other end: it broke the protocol.",
            Self::LocalFault => "The person who keeps this machine: disk or database.",
            Self::Input => "The person who asked for it: the input is wrong or not allowed.",
            Self::Busy => "Nobody: another process is at work on this database.",
            Self::Cancelled => "Nobody: it was stopped on request.",
        }
    }
}

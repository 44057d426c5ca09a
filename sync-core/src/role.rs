//! The role of a database. A database learns it from the legacy server, or is made the central server of a network without
//! one, and keeps it in a setting (`storage/state/role.rs`).

/// The role of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one Open mSupply central server.
    Central,
    /// A remote site.
    Remote,
}

impl Role {
    /// `"central"` or `"remote"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Remote => "remote",
        }
    }
}

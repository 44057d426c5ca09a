//! What came of asking a server, and how far one comes towards it.

/// How far one comes towards a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reachability {
    /// Something answers.
    #[default]
    Open,
    /// Its name is not known.
    NoName,
    /// A machine is there and takes no connection.
    Refused,
    /// Nobody takes a connection.
    NoConnection,
    /// It takes a connection, and no whole answer comes.
    NoopObserver,
    /// A page comes that is not the server's.
    Page,
    /// A certificate comes that nobody vouches for.
    Untrusted,
}

/// What came of asking a server.
#[derive(Debug, Default)]
pub(crate) struct ServerContact {
    pub host: Option<String>,
    pub reach: Reachability,
    /// The proxy that leads there.
    pub(super) proxy: Option<String>,
    /// It answered what it was asked.
    pub answered: bool,
}

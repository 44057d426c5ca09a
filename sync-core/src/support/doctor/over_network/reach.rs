//! The result of asking a server, and how far a connection gets.

/// How far a connection to a server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reachability {
    /// A program answers.
    #[default]
    Open,
    /// Its name is unknown.
    NoName,
    /// The machine is there and refuses the connection.
    Refused,
    /// The connection gets no answer.
    NoConnection,
    /// It accepts the connection, but no answer comes.
    Silent,
    /// It accepts the connection, and breaks it before the answer is whole.
    CutOff,
    /// The answer is a page that is not the server's.
    Page,
    /// The answer has an untrusted certificate.
    Untrusted,
}

/// The result of asking a server.
#[derive(Debug, Default)]
pub(crate) struct ServerContact {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub reach: Reachability,
    /// The proxy on the way.
    pub(super) proxy: Option<String>,
    /// True if it answered the request.
    pub answered: bool,
}

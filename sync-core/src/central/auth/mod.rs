//! Authentication of requests: the checks of credentials, and the limit on failed sign-ins.

pub(crate) mod authenticator;
pub(crate) mod keyed_digest;
pub(crate) mod legacy;
pub(crate) mod local;
pub(crate) mod throttle;

//! Who a request comes from: the checks of credentials, and the brake on guesses.

pub(crate) mod authenticator;
pub(crate) mod keyed_digest;
pub(crate) mod legacy;
pub(crate) mod local;
pub(crate) mod throttle;

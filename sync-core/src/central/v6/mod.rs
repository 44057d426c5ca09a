//! The V6 endpoints, one file each.

pub(crate) mod body;
pub(crate) mod file_response;
pub(crate) mod files;
pub(crate) mod multipart;
pub(crate) mod pull;
pub(crate) mod push;
mod refused;
pub(crate) mod withheld;

//! Traffic captured from real servers.

//! Record types.

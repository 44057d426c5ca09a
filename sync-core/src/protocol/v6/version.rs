//! Versions of V6 (`protocol-v6` §13). A site sends one number and never negotiates; the server checks its range.
//!
//! | version | first release | came with |
//! |---|---|---|
//! | 0 (no field) | 2.0.00 | first V6 |
//! | 1 | 2.1.0 | the version field |
//! | 2 | 2.2.01 | |
//! | 3 | 2.5.0 | |
//! | 4 | 2.7.0 | patient-pull, sharing of patients |
//! | 5 | 2.9.02 | new system log types; still 5 in 2.19.00 |

use super::WireError;

/// The version a site sends.
pub const V6_VERSION: u32 = 5;
/// The lowest version central accepts.
pub const V6_VERSION_MIN: u32 = 0;
/// The highest version central accepts.
pub const V6_VERSION_MAX: u32 = 5;

/// Checks the version of a request, before its credentials.
///
/// # Errors
/// `syncVersionMismatch` with the range, from which a site learns what central speaks.
pub fn check_version(received: u32) -> Result<(), WireError> {
    if (V6_VERSION_MIN..=V6_VERSION_MAX).contains(&received) {
        Ok(())
    } else {
        Err(WireError::SyncVersionMismatch(V6_VERSION_MIN, V6_VERSION_MAX, received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_to_five() {
        for version in 0..=5 {
            assert_eq!(check_version(version), Ok(()));
        }
        for version in [6, 99, u32::MAX] {
            assert_eq!(check_version(version), Err(WireError::SyncVersionMismatch(0, 5, version)));
        }
    }
}

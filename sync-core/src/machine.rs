//! The id of this machine, by which servers recognise it: each site is bound to one machine.

use crate::error::{Error, Result};

/// The shortest id that can tell machines apart.
const BYTES_MIN: usize = 8;

/// The origin of the id of this machine.
#[derive(Clone, Default)]
pub(crate) enum Machine {
    /// From the operating system.
    #[default]
    OfSystem,
    /// From the host app.
    Given(String),
}

impl Machine {
    /// The id.
    pub(crate) fn id(&self) -> Result<String> {
        match self {
            Self::OfSystem => machine_id(),
            Self::Given(id) => Ok(id.clone()),
        }
    }
}

/// The id of this machine from its operating system, as Open mSupply sends it: the machine id of Linux, `MachineGuid`
/// of Windows, `IOPlatformUUID` of macOS. It identifies the machine, so do not show it.
///
/// # Errors
/// [`Error::NoMachineId`] if there is none, as in many containers and on phones. An app on Android passes `ANDROID_ID`
/// to [`ReplicaBuilder::machine_id`](crate::ReplicaBuilder::machine_id).
pub fn machine_id() -> Result<String> {
    let id = of_system().map_err(|reason| Error::NoMachineId { reason })?;
    let id = id.trim();
    match is_usable(id) {
        true => Ok(id.to_owned()),
        false => Err(Error::NoMachineId { reason: "what the system gives is none".to_owned() }),
    }
}

/// The image of a system that was never started has an empty id, zeros, or the word `uninitialized`.
fn is_usable(id: &str) -> bool {
    id.len() >= BYTES_MIN && id != "uninitialized" && id.bytes().any(|byte| !matches!(byte, b'0' | b'-'))
}

#[cfg(all(feature = "machine-id", not(any(target_os = "android", target_os = "ios"))))]
fn of_system() -> std::result::Result<String, String> {
    machine_uid::get().map_err(|error| error.to_string())
}

#[cfg(not(all(feature = "machine-id", not(any(target_os = "android", target_os = "ios")))))]
fn of_system() -> std::result::Result<String, String> {
    Err("the app has to pass it on this system".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_gives_may_be_no_id() {
        for none in
            ["", "short", "uninitialized", "00000000000000000000000000000000", "00000000-0000-0000-0000-000000000000"]
        {
            assert!(!is_usable(none), "{none:?}");
        }
        assert!(is_usable("7c1f0b52e9d14a6f8e3a5d21c0b9f6aa"));
        assert_eq!(Machine::Given("phone".to_owned()).id().unwrap(), "phone");
    }
}

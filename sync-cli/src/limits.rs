//! Limits of batches, from the environment. They suit most lines, and batches adapt to a line that breaks; so they are
//! not flags of each command.

use sync_core::transport::{HttpOptions, HttpTransport, Timeouts};
use sync_core::{Error, Result, SyncConfig};

use crate::sentences::input_given as given;

/// The environment variables.
pub(crate) const VARIABLES: [&str; 5] = [
    "OMS_SYNC_PULL_RECORDS",
    "OMS_SYNC_PULL_BYTES",
    "OMS_SYNC_PUSH_BYTES",
    "OMS_SYNC_LEGACY_RECORDS",
    "OMS_SYNC_ANSWER_MAX",
];

/// The limits of batches and answers from the environment.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Limits of a cycle.
    pub config: SyncConfig,
    answer_max: Option<u64>,
}

impl Limits {
    /// From the environment, with the library's defaults.
    pub(crate) fn of_environment() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |at: usize| -> Result<Option<u64>> {
            let name = VARIABLES[at];
            let Some(text) = variable(name).filter(|text| !text.trim().is_empty()) else { return Ok(None) };
            match text.trim().parse::<u64>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(Error::bad_input(given::no_number(name, format!("{text:?}")))),
            }
        };
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut config = SyncConfig::default();
        if let Some(records) = number(0)? {
            config.pull_records_max = small(records);
            config.pull_records = config.pull_records.min(config.pull_records_max);
        }
        config.pull_bytes = number(1)?.map_or(config.pull_bytes, size);
        config.push_bytes_max = number(2)?.map_or(config.push_bytes_max, size);
        config.legacy_pull_records = number(3)?.map_or(config.legacy_pull_records, small);
        Ok(Self { config, answer_max: number(4)? })
    }

    /// A transport with these limits.
    pub(crate) fn transport(&self, timeouts: &Timeouts) -> HttpTransport {
        let options = HttpOptions::default().timeouts(timeouts.clone());
        HttpTransport::with_options(&match self.answer_max {
            Some(bytes) => options.answer_max(bytes),
            None => options,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Limits> {
        Limits::read(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn each_variable_sets_its_limit() {
        assert_eq!(Limits::read(|_| None).unwrap().config, SyncConfig::default());
        let few = read("OMS_SYNC_PULL_RECORDS", "100").unwrap().config;
        assert_eq!((few.pull_records, few.pull_records_max), (100, 100));
        assert_eq!(read("OMS_SYNC_PULL_BYTES", "65536").unwrap().config.pull_bytes, 65536);
        assert_eq!(read("OMS_SYNC_PUSH_BYTES", " 65536 ").unwrap().config.push_bytes_max, 65536);
        assert_eq!(read("OMS_SYNC_LEGACY_RECORDS", "50").unwrap().config.legacy_pull_records, 50);
        assert_eq!(read("OMS_SYNC_ANSWER_MAX", "9").unwrap().answer_max, Some(9));
    }

    #[test]
    fn what_is_no_number_is_refused_by_its_name() {
        for value in ["0", "-1", "many", "1k"] {
            let error = read("OMS_SYNC_PUSH_BYTES", value).unwrap_err();
            assert_eq!(error.code(), "bad_input");
            assert!(error.to_string().contains("OMS_SYNC_PUSH_BYTES"), "{error}");
        }
        assert!(read("OMS_SYNC_PUSH_BYTES", "").is_ok());
    }
}

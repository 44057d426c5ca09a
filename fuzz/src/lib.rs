//! Gives a target of the tests to libFuzzer, with the mutator of the tests beside its own.

use std::sync::OnceLock;

pub use libfuzzer_sys;
use sync_tests::fuzz::{Mutator, Target, target};

/// A target by name.
pub fn named(name: &str) -> &'static Target {
    target(name).expect("a target of this name")
}

/// Changes an input: mostly as the tests do, with parts of the captured traffic, otherwise as libFuzzer does.
pub fn mutate(target: &Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    if seed % 4 == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let seeds = SEEDS.get_or_init(target.seeds);
    let mut mutator = Mutator::new(seed.into());
    // An input is begun anew from a seed now and then: libFuzzer starts with an empty one.
    let begin_anew = size < 4 || seed % 64 == 1;
    let made = if begin_anew { mutator.input(seeds) } else { mutator.mutate(data[..size].to_vec(), seeds) };
    let length = made.len().min(max_size);
    data[..length].copy_from_slice(&made[..length]);
    length
}

/// Makes the whole of a fuzz binary.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        use $crate::libfuzzer_sys;

        libfuzzer_sys::fuzz_target!(|data: &[u8]| ($crate::named($name).run)(data));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate($crate::named($name), data, size, max_size, seed)
        });
    };
}

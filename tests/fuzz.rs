//! The targets of `sync_tests::fuzz` for a bounded time: first what was kept of earlier runs, then the captured traffic as
//! it is, then inputs made of both, the same ones in each run.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sync_tests::fuzz::{Mutator, TARGETS, Target, target};

/// How many inputs are made for each target, instead of its own number.
const INPUTS: &str = "OMS_SYNC_FUZZ_INPUTS";
/// The seed of what is made.
const SEED: &str = "OMS_SYNC_FUZZ_SEED";
/// A file with the one input to run.
const REPLAY: &str = "OMS_SYNC_FUZZ_REPLAY";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The inputs that were kept for a target, by name.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a readable file"))).collect()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Runs one input; one that breaks a promise is kept in a file, with the command that runs it again.
fn run(target: &Target, what: &str, input: &[u8]) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) else { return };
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    fs::write(&path, input).expect("the input is kept");
    let mut escaped = input.escape_ascii().to_string();
    if escaped.len() > 3000 {
        escaped.truncate(3000);
        write!(escaped, "… ({} bytes)", input.len()).expect("text");
    }
    panic!(
        "{}: {what} breaks a promise: {}\n{escaped}\nAgain: {REPLAY}={} cargo test -p sync-tests --test suite fuzz::{}",
        target.name,
        said.unwrap_or("a panic"),
        path.display(),
        target.name
    );
}

fn fuzz(name: &str) {
    let target = target(name).expect("a target");
    if let Some(path) = std::env::var_os(REPLAY) {
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", Path::new(&path).display()));
        return (target.run)(&input);
    }
    let kept = corpus(target);
    for (path, input) in &kept {
        run(target, &path.display().to_string(), input);
    }
    let mut inputs = (target.seeds)();
    for (at, input) in inputs.iter().enumerate() {
        run(target, &format!("seed {at}"), input);
    }
    inputs.extend(kept.into_iter().map(|(_, input)| input));
    let mut mutator = Mutator::new(number(SEED, 1));
    for at in 0..number(INPUTS, target.inputs) {
        run(target, &format!("input {at}"), &mutator.input(&inputs));
    }
}

macro_rules! fuzz {
    ($($target:ident),+ $(,)?) => {
        $(#[test] fn $target() { fuzz(stringify!($target)); })+
        const TESTED: &[&str] = &[$(stringify!($target)),+];
    };
}

fuzz!(v6_answers, v5_answers, requests, record_data, gzip, database, state, uploads);

#[test]
fn every_target_has_its_test_its_binary_and_a_small_corpus() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("a readable file");
    let binaries: Vec<&str> =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\"")).collect();
    assert_eq!(binaries, names);
    let mut folders: Vec<String> = fs::read_dir(folder().join("corpus"))
        .expect("a readable folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    folders.sort();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(folders, sorted);
    let kept: Vec<usize> = TARGETS.iter().flat_map(corpus).map(|(_, input)| input.len()).collect();
    assert!(kept.iter().sum::<usize>() < 1_000_000, "the corpus has {} bytes", kept.iter().sum::<usize>());
}

//! `sim`: runs seeds of the simulator, and says which break a promise.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sync_sim::aim::Aim;
use sync_sim::run::Kind;
use sync_sim::runner::{Seed, Tally, kept, run_all};
use sync_sim::swarm::Fault;

const USAGE: &str = "\
sim [--kept] [--from SEED] [--seeds N] [--seconds T] [--sqlite] [--postgres] [--threads N] [--all] [KIND]
sim --seed SEED [--trace] [--sqlite] [--postgres] [KIND]
sim --at-once [--from SEED] [--seeds N] [--sqlite] [--bug NAME]
sim --mutations [--seeds N] [--bug NAME] [KIND]
KIND: [--legacy] [--files] [--harsh] [--aim WHAT]

Without --from, seeds begin at a number of the time of day, which is printed.
--legacy plays worlds with a legacy server behind central, --files worlds with files, --harsh
worlds as harsh as the field; all may be given. --mixed plays all kinds in turn, --aimed all
worlds that aim at something. --at-once lets real threads push to one central server.
--mutations plants each bug in the kind of world that shows it, and fails if one is not found; it needs the feature
planted-bugs. --kept runs the seeds of tests/sim/seeds.txt first. --all goes on after a broken promise, and lists each.";

#[derive(Debug, Default)]
struct Args {
    seed: Option<u64>,
    from: Option<u64>,
    seeds: Option<u64>,
    seconds: Option<u64>,
    threads: Option<usize>,
    kept: bool,
    all: bool,
    trace: bool,
    sqlite: bool,
    postgres: bool,
    mutations: bool,
    legacy: bool,
    files: bool,
    harsh: bool,
    mixed: bool,
    aimed: bool,
    aim: Option<Aim>,
    at_once: bool,
    bug: Option<String>,
}

fn parse() -> Option<Args> {
    let mut args = Args::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok());
        match word.as_str() {
            "--seed" => args.seed = Some(number()?),
            "--from" => args.from = Some(number()?),
            "--seeds" => args.seeds = Some(number()?),
            "--seconds" => args.seconds = Some(number()?),
            "--threads" => args.threads = usize::try_from(number()?).ok(),
            "--kept" => args.kept = true,
            "--all" => args.all = true,
            "--trace" => args.trace = true,
            "--sqlite" => args.sqlite = true,
            "--postgres" => args.postgres = true,
            "--mutations" => args.mutations = true,
            "--legacy" => args.legacy = true,
            "--files" => args.files = true,
            "--harsh" => args.harsh = true,
            "--mixed" => args.mixed = true,
            "--aimed" => args.aimed = true,
            "--aim" => args.aim = Some(Aim::of_word(&words.next()?)?),
            "--at-once" => args.at_once = true,
            "--bug" => args.bug = Some(words.next()?),
            _ => return None,
        }
    }
    Some(args)
}

fn main() -> ExitCode {
    let Some(args) = parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A panic of the engine is reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if args.postgres && sync_testkit::PostgresServer::of_this_process().is_none() {
        return ExitCode::SUCCESS;
    }
    if args.at_once {
        return at_once(&args);
    }
    if args.mutations {
        return mutations(threads, &args);
    }
    if let Some(number) = args.seed {
        return replay(seed_of(&args, number), args.trace);
    }
    if args.kept {
        let seeds = kept();
        let tally = run_all(threads, None, args.all, |place| seeds.get(usize::try_from(place).ok()?).copied());
        println!("{} kept seeds, {:.1} s", tally.seeds, tally.took.as_secs_f64());
        if failed(&tally, args.all) {
            return ExitCode::FAILURE;
        }
    }
    let from = args
        .from
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() * 100_000));
    let count = args.seeds.unwrap_or(if args.seconds.is_some() { u64::MAX } else { 1000 });
    let time = args.seconds.map(Duration::from_secs);
    println!("seeds from {from} on");
    let seed = |place| (place < count).then(|| seed_of(&args, from.wrapping_add(place)));
    let tally = run_all(threads, time, args.all, seed);
    show(&tally);
    if failed(&tally, args.all) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs real threads against central; the seed decides their order.
fn at_once(args: &Args) -> ExitCode {
    let (from, count) = (args.from.unwrap_or(1), args.seeds.unwrap_or(200));
    #[cfg(feature = "planted-bugs")]
    let bug = args.bug.as_ref().and_then(|name| {
        let mut all = sync_core::planted::Bug::ALL.iter();
        all.find(|bug| format!("{bug:?}") == *name).copied()
    });
    let begin = || {
        #[cfg(feature = "planted-bugs")]
        sync_core::planted::plant(bug);
    };
    for seed in from..from.saturating_add(count) {
        let broken = sync_sim::threads::run(seed, args.sqlite, &begin);
        if let Some(what) = broken.first() {
            println!("seed {seed}, after {}: {what}", seed - from + 1);
            return ExitCode::FAILURE;
        }
    }
    println!("{count} seeds, and all that was taken is there");
    ExitCode::SUCCESS
}

fn seed_of(args: &Args, number: u64) -> Seed {
    let kind = match () {
        () if args.mixed => Kind::in_turn(number),
        () if args.aimed => Aim::in_turn(number).kind(),
        () => kind_of(args),
    };
    Seed::new(number, args.sqlite).on_postgres(args.postgres).of_kind(kind)
}

fn kind_of(args: &Args) -> Kind {
    let of_aim = args.aim.map(Aim::kind).unwrap_or_default();
    Kind {
        legacy: args.legacy || of_aim.legacy,
        files: args.files || of_aim.files,
        harsh: args.harsh || of_aim.harsh,
        aim: args.aim,
    }
}

fn show(tally: &Tally) {
    let seconds = tally.took.as_secs_f64();
    println!(
        "{} seeds ({} over SQLite), {} events, {seconds:.1} s: {:.0} seeds a second",
        tally.seeds,
        tally.sqlite,
        tally.events,
        tally.seeds as f64 / seconds.max(0.001)
    );
    let faults: Vec<String> =
        Fault::ALL.iter().zip(tally.faults).map(|(fault, count)| format!("{fault:?} {count}")).collect();
    println!("faults: {}", faults.join(", "));
}

fn failed(tally: &Tally, all: bool) -> bool {
    let Some((seed, _)) = tally.broken.first_key_value() else { return false };
    if all {
        for (seed, verdict) in &tally.broken {
            println!("seed {}: {}", seed.number, verdict.violations[0]);
        }
        println!("{} seeds broke a promise", tally.broken.len());
    } else {
        replay(*seed, true);
    }
    true
}

fn replay(seed: Seed, trace: bool) -> ExitCode {
    let verdict = seed.run(trace);
    for line in &verdict.trace {
        println!("{line}");
    }
    if verdict.violations.is_empty() {
        println!("seed {}: all promises held, {} events", seed.number, verdict.events);
        return ExitCode::SUCCESS;
    }
    for violation in &verdict.violations {
        println!("seed {}: {violation}", seed.number);
    }
    println!("again: {}", seed.command());
    ExitCode::FAILURE
}

#[cfg(feature = "planted-bugs")]
fn mutations(threads: usize, args: &Args) -> ExitCode {
    let seeds_max = args.seeds.unwrap_or(2000);
    let kind = (args.legacy || args.files || args.harsh || args.aim.is_some()).then_some(kind_of(args));
    let found = sync_sim::planted::hunt(threads, seeds_max, (kind, args.bug.as_deref()), |found| {
        let flags = found.flags();
        match &found.seeds {
            Some((seeds, how)) => println!("{:?}{flags}: found in {seeds} seeds, {how}", found.bug),
            None => println!("{:?}{flags}: NOT FOUND in {seeds_max} seeds", found.bug),
        }
    });
    let missed = found.iter().filter(|found| found.seeds.is_none()).count();
    println!("{} bugs planted, {missed} not found in {seeds_max} seeds", found.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(feature = "planted-bugs"))]
fn mutations(_: usize, _: &Args) -> ExitCode {
    eprintln!("built without bugs: cargo run --release -p sync-sim --features planted-bugs -- --mutations");
    ExitCode::from(2)
}

//! `sim`: runs seeds.
fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let n: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let trace = args.next().is_some();
    let began = std::time::Instant::now();
    let mut broken = 0;
    for seed in from..from + n {
        let mut swarm = sync_sim::swarm::Swarm::of(seed);
        let w = std::env::var("W").unwrap_or_default();
        for f in sync_sim::swarm::Fault::ALL { if w.contains(&format!("{f:?}")) { swarm.without(f); } }
        let verdict = sync_sim::run::run_with(seed, swarm, sync_sim::run::Options { sqlite: false, trace });
        if trace {
            for line in &verdict.trace { println!("{line}"); }
        }
        if let Some(v) = verdict.violations.first() { broken += 1; println!("seed {seed}: {}", v.to_string().chars().take(400).collect::<String>()); }
    }
    println!("{n} seeds, {broken} broken, {:.1} s", began.elapsed().as_secs_f64());
}

//! dev
fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let n: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let trace = args.next().is_some();
    std::panic::set_hook(Box::new(|_| {}));
    let broken = std::sync::atomic::AtomicU64::new(0);
    let next = std::sync::atomic::AtomicU64::new(from);
    let sqlite = std::env::var("SQLITE").is_ok();
    let w = std::env::var("W").unwrap_or_default();
    let out = std::sync::Mutex::new(Vec::new());
    let t = std::time::Instant::now();
    std::thread::scope(|s| {
        for _ in 0..(if n == 1 { 1 } else { 2 }) {
            s.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= from + n {
                        return;
                    }
                    let mut swarm = sync_sim::swarm::Swarm::of(seed);
                    for f in sync_sim::swarm::Fault::ALL {
                        if w.contains(&format!("{f:?}")) {
                            swarm.without(f);
                        }
                    }
                    let verdict = sync_sim::run::run_with(seed, swarm, sync_sim::run::Options { sqlite, trace });
                    for line in &verdict.trace {
                        println!("{line}");
                    }
                    if let Some(v) = verdict.violations.first() {
                        broken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        out.lock().unwrap().push((seed, v.to_string()));
                    }
                }
            });
        }
    });
    let mut out = out.into_inner().unwrap();
    out.sort();
    for (seed, v) in out {
        println!("seed {seed}: {}", v.chars().take(600).collect::<String>());
    }
    println!("{n} seeds, {} broken, {:.1} s", broken.into_inner(), t.elapsed().as_secs_f64());
}

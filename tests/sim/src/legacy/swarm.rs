//! What kind of legacy half a seed makes.

use fastrand::Rng;

/// The character of the legacy half.
#[derive(Debug, Clone)]
pub struct LegacySwarm {
    /// How often of a thousand events the legacy server's staff do something besides.
    pub staff: u32,
    /// Of a hundred things that hosts write, how many are documents of the legacy server's tables.
    pub documents: u32,
    /// How often of a thousand things that the staff do it is a merge.
    pub merges: u32,
    /// How often of a thousand a reference of a record names a record that the legacy server may merge.
    pub references: u32,
    /// How often of a thousand events a fault of the legacy server is planned.
    pub faults: u32,
    /// How often of a thousand events it works slowly from then on.
    pub slow: u32,
    /// How often of a hundred things central or a site does it is a cycle of central's own.
    pub central: u32,
}

impl LegacySwarm {
    /// The legacy half of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x4c45_4741_4359);
        let quiet = rng.u32(..100) < 15;
        let mut trouble = |of: [u32; 4]| if quiet { 0 } else { of[rng.usize(..4)] };
        let (faults, slow) = (trouble([0, 50, 200, 400]), trouble([0, 0, 50, 200]));
        Self {
            staff: [100, 300, 600][rng.usize(..3)],
            documents: [10, 40, 70][rng.usize(..3)],
            merges: [0, 50, 200, 400][rng.usize(..4)],
            references: [100, 400, 800][rng.usize(..3)],
            faults,
            slow,
            central: [5, 15, 30][rng.usize(..3)],
        }
    }

    /// Whether the legacy server does all it is asked to, and at once.
    pub fn is_faultless(&self) -> bool {
        self.faults == 0 && self.slow == 0
    }
}

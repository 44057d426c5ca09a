//! What files there are in a seed's world, and what happens to them.

use fastrand::Rng;
use sync_core::files::Fetch;

/// The character of the files of a seed.
#[derive(Debug, Clone)]
pub struct FilesSwarm {
    /// How often of a thousand events a host attaches a file.
    pub attach: u32,
    /// How often of a thousand events a site sends and fetches files.
    pub runs: u32,
    /// The same of a thousand moments at which something else may happen in the midst of work.
    pub nested: u32,
    /// How often of a thousand events somebody removes or changes a file in the folder of a site.
    pub damage: u32,
    /// How often of a thousand bodies a byte comes as another one.
    pub garbled: u32,
    /// Of a thousand files at central, how many come from another program, which says no hash.
    pub foreign: u32,
    /// Of a thousand backups that are put back, how many bring the folder back too.
    pub folder_restored: u32,
    /// Of how many bytes a body comes at a time.
    pub piece: usize,
    /// The most bytes of an upload.
    pub upload_max: u64,
    /// What sites fetch by themselves.
    pub fetch: Fetch,
}

impl FilesSwarm {
    /// The files of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x46_494c_4553);
        let quiet = rng.u32(..100) < 15;
        let mut trouble = |of: [u32; 4]| if quiet { 0 } else { of[rng.usize(..4)] };
        let (damage, garbled, foreign) =
            (trouble([0, 0, 30, 100]), trouble([0, 0, 30, 200]), trouble([0, 100, 300, 600]));
        Self {
            attach: [80, 200, 400][rng.usize(..3)],
            runs: [50, 200, 400][rng.usize(..3)],
            nested: [0, 20, 100][rng.usize(..3)],
            damage,
            garbled,
            foreign,
            folder_restored: [0, 500, 1000][rng.usize(..3)],
            piece: [100, 5000, 1_000_000][rng.usize(..3)],
            upload_max: [20_000, 1_000_000, 1_000_000][rng.usize(..3)],
            fetch: [Fetch::OfRecordsHere, Fetch::OfRecordsHere, Fetch::Everything][rng.usize(..3)],
        }
    }

    /// Whether nobody touches a file but those who should, and every byte comes as it was sent.
    pub fn is_faultless(&self) -> bool {
        self.damage == 0 && self.garbled == 0
    }
}

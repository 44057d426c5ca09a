//! The worlds that aim at what people in the field do, shaped so that it happens often.

use fastrand::Rng;

use super::{Aim, only, table};
use crate::harsh::Narrow;
use crate::swarm::{Fault, Swarm};

impl Aim {
    /// Shapes a world of one of the aims that are about people, machines and releases.
    pub(super) fn shape_of_field(self, rng: &mut Rng, swarm: &mut Swarm) {
        let restores = [Fault::SiteRestored, Fault::CentralRestored];
        if self != Self::Restores {
            restores.into_iter().for_each(|fault| swarm.without(fault));
        }
        (swarm.sites, swarm.events) = (1 + rng.usize(..3), [45, 70][rng.usize(..2)]);
        match self {
            Self::Removed => (swarm.sites, swarm.stores) = (2 + rng.usize(..2), 1),
            Self::Restores => {
                restores.into_iter().for_each(|fault| swarm.set(fault, [30, 60][rng.usize(..2)]));
                (swarm.sites, swarm.cycles) = (1 + rng.usize(..2), 50);
                if let Some(harsh) = &mut swarm.harsh {
                    (harsh.several_restores, harsh.neighbour, harsh.disks) = (true, 0, 0);
                }
            }
            Self::Releases => {
                for name in ["item_variant", "vaccination", "rnr_form", "asset", "vaccine_course_dose"] {
                    swarm.tables[table(name)] = true;
                }
                swarm.set(Fault::DeliveredLate, [0, 60][rng.usize(..2)]);
                swarm.cycles = 50;
                if let Some(harsh) = &mut swarm.harsh {
                    (harsh.old, harsh.window, harsh.rises) = (true, 0, [20, 60][rng.usize(..2)]);
                    (harsh.neighbour, harsh.disks, harsh.crowd) = (0, 0, [0, 400][rng.usize(..2)]);
                }
            }
            Self::NarrowFiles => {
                if let Some(harsh) = &mut swarm.harsh {
                    let (up, down) = ([20_000, 60_000][rng.usize(..2)], [12_000, 40_000][rng.usize(..2)]);
                    harsh.narrow = Some(Narrow { up, down, is_slow: rng.bool(), ends: false });
                    (harsh.large, harsh.padding, harsh.neighbour) = (0, 0, 0);
                    harsh.rates.clear();
                }
                if let Some(files) = &mut swarm.files {
                    (files.attach, files.runs, files.upload_max) = (200, 400, 1_000_000);
                }
            }
            Self::Patients => {
                swarm.tables[table("vaccination")] = true;
                swarm.without(Fault::StoreMove);
                if let Some(legacy) = &mut swarm.legacy {
                    (legacy.merges, legacy.staff) = (0, 300);
                }
            }
            Self::Reset | Self::Machines | Self::Hardware => {
                if let Some(harsh) = &mut swarm.harsh {
                    (harsh.passwords, harsh.several_restores, harsh.neighbour) = (0, true, 0);
                    harsh.disks = if self == Self::Machines { 60 } else { 0 };
                    harsh.passwords = if self == Self::Hardware { 30 } else { 0 };
                }
            }
            Self::Late => {
                swarm.set(Fault::DeliveredLate, 150);
                swarm.set(Fault::CentralCrash, 60);
                swarm.cycles = 50;
                only(swarm, &["asset", "name_oms_fields", "preference"]);
                if let Some(harsh) = &mut swarm.harsh {
                    (harsh.keeps_late, harsh.crowd, harsh.narrow) = (true, 400, None);
                    (harsh.neighbour, harsh.disks) = (0, 0);
                }
            }
            Self::OlderSites | Self::OlderCentral => {
                for name in ["item_variant", "vaccination", "rnr_form", "asset", "campaign", "preference"] {
                    swarm.tables[table(name)] = true;
                }
                swarm.tables[table("help_document")] = true;
                swarm.tables[table("om_sync_message")] = true;
                swarm.set(Fault::StoreMove, [0, 60][rng.usize(..2)]);
                swarm.cycles = 50;
                if let Some(harsh) = &mut swarm.harsh {
                    harsh.without_restores();
                    (harsh.window, harsh.newest_gone, harsh.neighbour) = (0, false, 0);
                    (harsh.upstream, harsh.rises) = (true, [0, 20, 60][rng.usize(..3)]);
                    harsh.old_central = self == Self::OlderCentral;
                    harsh.old = self == Self::OlderSites || rng.bool();
                    harsh.stays_old = rng.bool();
                }
            }
            Self::Rates => {
                swarm.batches = ([20, 500][rng.usize(..2)], [10, 1000][rng.usize(..2)]);
                swarm.cycles = [15, 30][rng.usize(..2)];
                if let Some(harsh) = &mut swarm.harsh {
                    (harsh.narrow, harsh.neighbour, harsh.disks) = (None, 0, 0);
                    harsh.draw_rates(rng.u64(..), 100);
                    harsh.padding = [2000, 4000][rng.usize(..2)];
                }
            }
            _ => {}
        }
    }
}

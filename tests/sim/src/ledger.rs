//! The judge's ledger: every version of every record that a host wrote and the engine acknowledged, who wrote it, and the
//! version that it is on top of. Version B is on top of A if the end that wrote B held A, or a version on top of A.

use std::collections::{BTreeMap, BTreeSet};

use crate::legacy::Merges;
use crate::promises::FORGED;
use crate::rules::{self, rule_of};

/// A record: table and id.
pub type Key = (String, String);

/// Something that was written: a content, or that the record is gone.
#[derive(Debug, Clone)]
pub struct Version {
    /// Of this record.
    pub key: Key,
    /// By this end; 0 is central.
    pub by: usize,
    /// Nothing for a deletion.
    pub content: Option<String>,
    /// All versions that its writer's end had seen of the record, one on top of the other.
    pub ancestors: BTreeSet<usize>,
    /// How many answers to its pulls its writer's site had been sent.
    pub answers: u64,
    /// Whether a restore took it away: it may show up again, but nobody may demand it.
    pub is_void: bool,
}

impl Version {
    /// Whether the record is gone by this: by a deletion, or, as central keeps a patient whom a site deleted, by a mark.
    pub fn is_gone(&self) -> bool {
        let is_marked = |content: &String| rules::fields(content).contains_key("deleted_datetime");
        self.content.as_ref().is_none_or(|content| self.key.0 == "name" && is_marked(content))
    }
}

/// All that was acknowledged, and where stores were over time.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The versions, by number.
    pub versions: Vec<Version>,
    of_record: BTreeMap<Key, Vec<usize>>,
    of_content: BTreeMap<(Key, String), usize>,
    /// Versions that several ends wrote, the same to the letter.
    pub of_several: BTreeSet<usize>,
    /// For each store the sites that it was on, the last of which it is on now.
    stores: BTreeMap<String, Vec<usize>>,
    /// What a proxy said is too large, though it stood alone: site and content.
    too_large: BTreeSet<(usize, Key, Option<String>)>,
    /// What a rogue pushed with the credentials of a site.
    forged: BTreeSet<(usize, Key)>,
    /// What each site wrote last of a record, as long as no request of its held it.
    unsent: BTreeMap<(usize, Key), usize>,
    /// The ends that were restored from a backup.
    pub restored: BTreeSet<usize>,
    /// For each end that was restored, how many versions there were then.
    restored_at: BTreeMap<usize, usize>,
    /// Whether there is a legacy half: the legacy server has records of its own, and spells and merges what it gets.
    pub has_legacy: bool,
    /// What it merged.
    pub merges: Merges,
    /// Whether it is judged which version came last.
    pub judges_order: bool,
    /// When each version came to central, or was written there; and those of which that is not sure.
    came: BTreeMap<usize, u64>,
    came_unsure: BTreeSet<usize>,
    comings: u64,
    /// The push with which each version of a site came first, by its number.
    came_with: BTreeMap<usize, u64>,
    pushes: u64,
    /// How many answers to its pulls each site was sent.
    answers: BTreeMap<usize, u64>,
    /// The versions that came to central before their site was sent anything after it wrote them.
    came_unknowing: BTreeSet<usize>,
    /// How many answers a site had been sent when a store moved from it.
    left_at: BTreeMap<(String, usize), u64>,
    /// How many versions there were when each site last read everything from the beginning, its own included.
    begun_anew: BTreeMap<usize, usize>,
    /// How many versions there were when each site last asked to be initialised.
    initialised: BTreeMap<usize, usize>,
    /// When central last gave a site a version of a record that another end wrote: how many versions there were then.
    given_anothers: BTreeMap<(usize, Key), usize>,
    /// The versions that central gave back to their writers after it had given them another end's. They are central's word
    /// now: a site holds them as any other record that it was given.
    given_back: BTreeSet<usize>,
    /// The sites that were removed from central's list.
    pub removed: BTreeSet<usize>,
    /// Joins of a patient with a store that its staff made, or that sites asked it for.
    pub joins_of_staff: Vec<(String, String)>,
    /// The sites that keep an older release to the end.
    pub releases: BTreeMap<usize, rules::Release>,
}

impl Ledger {
    /// An empty book of a world with or without a legacy server.
    pub fn of_world(has_legacy: bool) -> Self {
        Self { has_legacy, ..Self::default() }
    }

    /// Notes that a store is on a site from now on.
    pub fn store_is_on(&mut self, store: &str, site: usize) {
        if let Some(from) = self.site_of(store) {
            let answers = self.answers.get(&from).copied().unwrap_or(0);
            self.left_at.insert((store.to_owned(), from), answers);
        }
        self.stores.entry(store.to_owned()).or_default().push(site);
    }

    /// Notes that a store did not come to the site that was noted last.
    pub fn store_did_not_move(&mut self, store: &str) {
        // Somebody may have been told of it; so the site stays among those that the store was on.
        if let Some(sites) = self.stores.get_mut(store).filter(|sites| sites.len() > 1) {
            sites.push(sites[sites.len() - 2]);
        }
    }

    /// Notes that a rogue pushed this record with the credentials of a site.
    pub fn was_forged(&mut self, site: usize, key: Key) {
        self.forged.insert((site, key));
    }

    /// Whether a rogue pushed this record with the credentials of a site.
    pub fn is_forged(&self, site: usize, key: &Key) -> bool {
        self.forged.contains(&(site, key.clone()))
    }

    /// Whether a content is one that a rogue pushed of a record that is, or was at some time, of a store of the site whose
    /// credentials it has, or whose parent is: that site may change it. What was refused before that may be tried again, as any
    /// edit of a site.
    pub fn is_forged_of_own(&self, key: &Key, content: &str) -> bool {
        let pushed = self.forged.iter().filter(|(_, forged)| forged == key);
        let parent = rule_of(&key.0, Some(content)).and_then(|rule| match rule.store {
            rules::StoreOf::Parent(field, table) => {
                rules::text(&rules::fields(content), field).map(|parent| (table.to_owned(), parent))
            }
            _ => None,
        });
        let was_its = |site: usize| {
            let mut stores = self.stores_ever(key);
            stores.extend(parent.iter().flat_map(|parent| self.stores_ever(parent)));
            stores.iter().flatten().any(|store| self.was_on(store, site)) || self.is_file_of(site, key)
        };
        content.contains(FORGED) && pushed.into_iter().any(|(site, _)| was_its(*site))
    }

    /// Whether a content is what a restored site wrote, but for its store, which is another one that the record was in: so
    /// central tells the site that its outdated version has left, where it never had the record in the site's store.
    pub fn is_in_another_store(&self, key: &Key, content: &str) -> bool {
        let Some(rules::StoreOf::Field(field)) = rule_of(&key.0, Some(content)).map(|rule| rule.store) else {
            return false;
        };
        let without_store = |content: &str| {
            let mut fields = rules::fields(content);
            fields.remove(field);
            fields
        };
        let store = rules::text(&rules::fields(content), field);
        let is_it = |version: &Version| {
            let theirs = version.content.as_deref().filter(|_| self.restored.contains(&version.by));
            theirs.is_some_and(|theirs| without_store(theirs) == without_store(content))
        };
        self.stores_ever(key).contains(&store) && self.of(key).any(|(_, version)| is_it(version))
    }

    /// Whether a record is the reference of a file whose record was ever of a store of this site.
    pub fn is_file_of(&self, site: usize, key: &Key) -> bool {
        let mut records = self.of(key).filter(|_| key.0 == "sync_file_reference").filter_map(|(_, version)| {
            let content = rules::fields(version.content.as_deref()?);
            rules::text(&content, "table_name").zip(rules::text(&content, "record_id"))
        });
        records.any(|record| self.stores_ever(&record).iter().flatten().any(|store| self.was_on(store, site)))
    }

    /// Notes that a site was told that this record alone is too large.
    pub fn was_too_large(&mut self, site: usize, key: Key, content: Option<String>) {
        self.too_large.insert((site, key, content));
    }

    /// Whether a site was told that a record alone is too large. It pushes the record again after a day.
    pub fn has_too_large(&self, site: usize) -> bool {
        self.too_large.iter().any(|(by, ..)| *by == site)
    }

    /// Whether a site was told that this record alone is too large, as it was or as the legacy server's merges made it.
    pub fn is_too_large(&self, site: usize, key: &Key, content: Option<&str>) -> bool {
        let mut of_record = self.too_large.iter().filter(|(by, of, _)| *by == site && of == key);
        of_record.any(|(_, _, called)| self.is_same(&key.0, called.as_deref(), content))
    }

    /// Notes a write that was acknowledged; `held` is what the end held before.
    pub fn wrote(&mut self, by: usize, key: Key, held: Option<&str>, content: Option<String>) -> usize {
        let before = held.and_then(|held| self.version(&key, held));
        if let Some(known) = content.as_deref().and_then(|content| self.version(&key, content)) {
            // The same text again is the same version, unless the record comes back to what it was long ago, or to what this end
            // wrote before it was restored.
            let was_before = |before: usize| self.versions[before].ancestors.contains(&known);
            let wrote_both = |before: usize| before != known && self.versions[known].by == by;
            let comes_back = before.is_some_and(|before| was_before(before) || wrote_both(before));
            if !comes_back {
                if self.versions[known].by != by {
                    self.of_several.insert(known);
                }
                return known;
            }
        }
        let mut ancestors = BTreeSet::new();
        let parents: Vec<usize> = match held {
            Some(_) => before.into_iter().collect(),
            // Nothing there: on top of the deletions that were made here, at least.
            None => self.of(&key).filter(|(_, v)| v.by == by && v.content.is_none()).map(|(n, _)| n).collect(),
        };
        for parent in parents {
            ancestors.extend(self.versions[parent].ancestors.iter().copied());
            ancestors.insert(parent);
        }
        let number = self.versions.len();
        if let Some(content) = &content {
            // A site of an older release writes over what it got in an older spelling, and both are looked up as one.
            let today = rules::spelled_as_today(&key.0, content).unwrap_or_else(|| content.clone());
            self.of_content.insert((key.clone(), today), number);
        }
        self.of_record.entry(key.clone()).or_default().push(number);
        if by > 0 {
            self.unsent.insert((by, key.clone()), number);
        }
        let answers = self.answers.get(&by).copied().unwrap_or(0);
        self.versions.push(Version { key, by, content, ancestors, answers, is_void: false });
        if by == 0 {
            self.came(number, true);
        }
        number
    }

    /// Notes that a request of a site held this.
    pub fn was_sent(&mut self, site: usize, key: Key, content: Option<&str>) {
        let place = (site, key);
        let is_it = |number: &usize| self.is_same(&place.1.0, self.versions[*number].content.as_deref(), content);
        if self.unsent.get(&place).is_some_and(is_it) {
            self.unsent.remove(&place);
        }
    }

    /// What a site wrote last of each record and no request of its held yet. What another end wrote too, to the letter, may come
    /// back from there instead, and so may a deletion.
    pub fn unsent(&self, site: usize) -> impl Iterator<Item = &Version> {
        let deleted_both = move |version: &Version| {
            version.content.is_none()
                && self.of(&version.key).any(|(_, other)| other.by != site && other.content.is_none())
        };
        let of_site = self.unsent.iter().filter(move |((by, _), _)| *by == site).map(|(_, number)| number);
        let is_its_own = |number: &&usize| !self.of_several.contains(number);
        of_site.filter(is_its_own).map(|number| &self.versions[*number]).filter(move |version| !deleted_both(version))
    }

    /// Notes that an end was restored. A site cannot tell then what it had sent.
    pub fn was_restored(&mut self, end: usize) {
        self.restored.insert(end);
        self.restored_at.insert(end, self.versions.len());
        self.unsent.retain(|(by, _), _| *by != end);
    }

    /// Whether an end was restored after a version was written.
    pub fn was_restored_after(&self, end: usize, version: usize) -> bool {
        self.restored_at.get(&end).is_some_and(|at| version < *at)
    }

    /// Whether a version is older than a restore of its writer's site: then the site has it from its backup, or from
    /// central, which it read again.
    pub fn is_from_before_a_restore(&self, number: usize) -> bool {
        self.was_restored_after(self.versions[number].by, number)
    }

    /// After a restore of central: of a record only these versions count, none of them on top of another, except that
    /// what central holds (`here`) stays below what was written on top of it. All others are void.
    pub fn only_these_count(&mut self, key: &Key, counts: &BTreeSet<usize>, here: Option<usize>) {
        for number in self.of_record.get(key).cloned().unwrap_or_default() {
            let version = &mut self.versions[number];
            version.is_void |= !counts.contains(&number);
            if counts.contains(&number) {
                version.ancestors.retain(|ancestor| Some(*ancestor) == here || !counts.contains(ancestor));
            }
        }
    }

    /// The version of a record with this content.
    pub fn version(&self, key: &Key, content: &str) -> Option<usize> {
        if let Some(today) = rules::spelled_as_today(&key.0, content) {
            return self.version(key, &today);
        }
        let exact = self.of_content.get(&(key.clone(), content.to_owned())).copied();
        if exact.is_some() || !self.has_legacy {
            return exact;
        }
        let resolved = self.merges.resolved(&key.0, content);
        let is_it = |version: &Version| {
            version.content.as_deref().is_some_and(|content| self.merges.resolved(&key.0, content) == resolved)
        };
        self.of(key).find(|(_, version)| is_it(version)).map(|(number, _)| number)
    }

    /// Notes that a version came to central, or was written there, if it is for the first time. Where central did not say
    /// that it took it, nobody knows whether it did.
    pub fn came(&mut self, version: usize, is_sure: bool) {
        self.comings += 1;
        let (by, answers) = (self.versions[version].by, self.versions[version].answers);
        if !self.came.contains_key(&version) && self.answers.get(&by).copied().unwrap_or(0) == answers {
            self.came_unknowing.insert(version);
        }
        self.came.entry(version).or_insert(self.comings);
        self.came_with.entry(version).or_insert(self.pushes);
        if !is_sure {
            self.came_unsure.insert(version);
        }
    }

    /// Notes that a push begins: of several versions of one record in it central keeps the last.
    pub fn push_comes(&mut self) {
        self.pushes += 1;
    }

    /// Whether central may have passed over a version, because it came in one push with this later one, or never came.
    pub fn was_passed_over(&self, version: usize, later: usize) -> bool {
        let push = self.came_with.get(&version);
        let is_of_one_end = self.versions[version].by == self.versions[later].by && self.versions[version].by > 0;
        is_of_one_end && (push.is_none() || push == self.came_with.get(&later))
    }

    /// Notes that a site reads everything from the beginning: of what it wrote so far it may have nothing.
    pub fn begins_anew(&mut self, site: usize) {
        self.begun_anew.insert(site, self.versions.len());
    }

    /// Notes that a site asks to be initialised: central returns what it stores for the site, and the site's patients.
    pub fn is_initialised(&mut self, site: usize) {
        self.initialised.insert(site, self.versions.len());
    }

    /// Whether a site may have lost a version that it wrote, because it has begun anew since.
    pub fn may_be_lost(&self, site: usize, version: usize) -> bool {
        self.begun_anew.get(&site).is_some_and(|at| version < *at)
    }

    /// Notes that central gave a site a version of a record.
    pub fn was_given(&mut self, site: usize, key: Key, number: usize) {
        let place = (site, key);
        if self.versions[number].by != site {
            self.given_anothers.insert(place, self.versions.len());
        } else if self.given_anothers.get(&place).is_some_and(|at| number < *at) {
            self.given_back.insert(number);
        }
    }

    /// Whether a site had a version of its own replaced by central, and then back from there.
    pub fn came_back_from_central(&self, number: usize) -> bool {
        self.given_back.contains(&number)
    }

    /// Notes that a site was sent an answer, to a pull or of stores.
    pub fn was_answered(&mut self, site: usize) {
        *self.answers.entry(site).or_default() += 1;
    }

    /// Whether a site may have read past the move of this store without hearing of it, before it wrote a version: stores come
    /// from the legacy server, and central may answer where that server does not.
    pub fn may_have_read_past_the_move(&self, version: usize, store: &str) -> bool {
        let Version { by, answers, .. } = self.versions[version];
        self.has_legacy && self.left_at.get(&(store.to_owned(), by)).is_some_and(|at| *at < answers)
    }

    /// Whether a version came to central before its site was sent anything after it wrote it.
    pub fn came_unknowing(&self, version: usize) -> bool {
        self.came_unknowing.contains(&version)
    }

    /// When a version came to central.
    pub fn when_it_came(&self, version: usize) -> Option<u64> {
        self.came.get(&version).copied()
    }

    /// Whether it is sure that a version came to central then, and not before.
    pub fn came_for_sure(&self, version: usize) -> bool {
        !self.came_unsure.contains(&version)
    }

    /// Whether two contents are the same, but for what the legacy server merged, in whatever spelling of their keys.
    pub fn is_same(&self, table: &str, one: Option<&str>, other: Option<&str>) -> bool {
        match (one, other) {
            _ if one == other => true,
            (Some(one), Some(other)) if rules::spelled_as_today(table, one).is_some() => {
                self.is_same(table, rules::spelled_as_today(table, one).as_deref(), Some(other))
            }
            (Some(one), Some(other)) if rules::spelled_as_today(table, other).is_some() => {
                self.is_same(table, Some(one), rules::spelled_as_today(table, other).as_deref())
            }
            (Some(one), Some(other)) if self.has_legacy => {
                self.merges.resolved(table, one) == self.merges.resolved(table, other)
            }
            _ => false,
        }
    }

    /// Whether the release of a site reads a table, when all is quiet.
    pub fn reads(&self, site: usize, table: &str) -> bool {
        self.releases.get(&site).is_none_or(|release| rules::since(table) <= *release)
    }

    /// Whether the release of a site reads that a record of a table was deleted, when all is quiet.
    pub fn reads_deletion(&self, site: usize, table: &str) -> bool {
        self.releases.get(&site).is_none_or(|release| rules::deleted_since(table) <= *release)
    }

    /// Whether the records of a table go the way of the V6 promises. Where there is a legacy half, names, joins and stores
    /// go its way, and so do all tables that V6 does not have.
    pub fn is_of_v6(&self, table: &str) -> bool {
        !self.has_legacy || (!matches!(table, "name" | "name_store_join" | "store") && rule_of(table, None).is_some())
    }

    /// The versions of a record.
    pub fn of(&self, key: &Key) -> impl Iterator<Item = (usize, &Version)> {
        self.of_record.get(key).into_iter().flatten().map(|number| (*number, &self.versions[*number]))
    }

    /// All records that were ever written.
    pub fn records(&self) -> impl Iterator<Item = &Key> {
        self.of_record.keys()
    }

    /// The versions that were written on top of this one.
    pub fn on_top_of(&self, version: usize) -> impl Iterator<Item = (usize, &Version)> {
        let key = &self.versions[version].key;
        self.of(key).filter(move |(_, later)| later.ancestors.contains(&version))
    }
}

#[path = "ledger_places.rs"]
mod places;

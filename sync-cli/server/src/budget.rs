//! Budgets that all clients share: connections, memory for bodies, memory for answers, places for files. A signed-in
//! site keeps a fair share; of the others the slowest is dropped when a budget runs out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::record::SiteId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a holder counts as quick, without any progress.
const NEW: Duration = Duration::from_secs(1);
/// How long a lent share is kept before its own owner's next one can take it: long, so that an owner whose answers lie
/// has few made, and nothing for an honest one, which waits for an answer before it asks again.
const KEPT_FROM_ITS_OWNER: Duration = Duration::from_secs(30);
/// The interval at which a waiter checks by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The owner of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A client that has not signed in.
    Address(IpAddr),
    Site(SiteId),
}

/// The rank of a holder, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    Unknown,
    /// A site signed in from its address within a day.
    KnownAddress,
    SignedIn,
}

/// A limited resource.
pub(super) struct Budget {
    capacity: usize,
    /// The most that one owner may have without losing its rank.
    fair: usize,
    /// How long a signed-in holder keeps its share before others that signed in can take it.
    kept_for: Option<Duration>,
    /// A part of the capacity for the first, small share of an owner that has none.
    reserve: usize,
    state: Mutex<Holders>,
    freed: Notify,
}

#[derive(Default)]
struct Holders {
    used: usize,
    /// What is used of the reserve.
    reserve_used: usize,
    next: u64,
    holders: BTreeMap<u64, Holder>,
}

struct Holder {
    owner: Owner,
    trust: Trust,
    weight: usize,
    /// The part of its weight that is of the reserve.
    reserved: usize,
    began: Instant,
    moved: u64,
    /// The server is working for it, so it is not slow.
    is_held: bool,
    is_leaving: bool,
    leave: Arc<Notify>,
}

/// Nothing became free in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// The order of dropping: lowest rank first, then the owner with most, then the slowest, then the oldest.
type Rank = (Trust, Reverse<usize>, u64, Instant);

impl Budget {
    pub(super) fn new(capacity: usize, fair: usize, kept_for: Option<Duration>) -> Arc<Self> {
        Self::with_reserve((capacity, 0), fair, kept_for)
    }

    /// A budget with a reserve for [small first shares](Share::try_first).
    pub(super) fn with_reserve(
        (capacity, reserve): (usize, usize),
        fair: usize,
        kept_for: Option<Duration>,
    ) -> Arc<Self> {
        let (state, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { capacity, fair: fair.max(1), kept_for, reserve, state, freed })
    }

    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The free amount.
    pub(super) fn free(&self) -> usize {
        self.free_in(&self.lock())
    }

    fn free_in(&self, state: &Holders) -> usize {
        self.capacity.saturating_sub(self.reserve + state.used)
    }

    /// Adds a holder without a share. `leave` is signalled when it is dropped.
    pub(super) fn enter(self: &Arc<Self>, (owner, trust): (Owner, Trust), leave: Arc<Notify>) -> Share {
        let state = &mut *self.lock();
        let (id, began) = (state.next, Instant::now());
        state.next += 1;
        let holder =
            Holder { owner, trust, weight: 0, reserved: 0, began, moved: 0, is_held: false, is_leaving: false, leave };
        state.holders.insert(id, holder);
        Share { of: self.clone(), id }
    }

    /// Gives a holder more if there is room, or drops others to make room.
    fn try_grow(&self, id: u64, more: usize, may_displace: bool) -> bool {
        let state = &mut *self.lock();
        let (free, own_room) = (self.free_in(state), self.own_room(state, id));
        if more <= free.min(own_room) {
            state.used += more;
            if let Some(holder) = state.holders.get_mut(&id) {
                holder.weight += more;
            }
            return true;
        }
        match own_room < more {
            _ if !may_displace => {}
            true => Self::displace_own(state, id, more - own_room),
            false => self.displace(state, id, more, free),
        }
        false
    }

    /// What the owner of this holder may still take. Where shares are lent for a time it is no more than the fair share
    /// in all, or one share of any size: an owner that lets its answers lie must not have more of them made.
    fn own_room(&self, state: &Holders, id: u64) -> usize {
        let Some(asking) = state.holders.get(&id).filter(|_| self.kept_for.is_some()) else { return usize::MAX };
        let of_owner = state.holders.iter().filter(|(other, holder)| **other != id && holder.owner == asking.owner);
        match of_owner.map(|(_, holder)| holder.weight).sum() {
            0 => usize::MAX,
            others => self.fair.saturating_sub(others + asking.weight),
        }
    }

    /// Drops holders of the same owner, slowest first, that have kept their share for their time.
    fn displace_own(state: &mut Holders, id: u64, more: usize) {
        let Some(owner) = state.holders.get(&id).map(|holder| holder.owner) else { return };
        let now = Instant::now();
        let of_owner = state.holders.iter_mut().filter(|(other, holder)| **other != id && holder.owner == owner);
        let (leaving, staying): (Vec<_>, Vec<_>) =
            of_owner.map(|(_, holder)| holder).partition(|holder| holder.is_leaving);
        let mut coming: usize = leaving.iter().map(|holder| holder.weight).sum();
        let mut kept_long: Vec<&mut Holder> = staying
            .into_iter()
            .filter(|holder| !holder.is_held && now.saturating_duration_since(holder.began) > KEPT_FROM_ITS_OWNER)
            .collect();
        kept_long.sort_by_cached_key(|holder| (holder.pace(now), holder.began));
        for holder in kept_long {
            if coming >= more {
                break;
            }
            coming += holder.send_away();
        }
    }

    /// Drops holders, worst first, if those of no higher rank than this one are enough.
    fn displace(&self, state: &mut Holders, id: u64, more: usize, free: usize) {
        let mut coming = free;
        let mut shares: HashMap<Owner, usize> = HashMap::new();
        for holder in state.holders.values() {
            match holder.is_leaving {
                true => coming += holder.weight,
                false => *shares.entry(holder.owner).or_default() += holder.weight,
            }
        }
        let now = Instant::now();
        let Some(asking) = state.holders.get(&id) else { return };
        *shares.entry(asking.owner).or_default() += more;
        let own = self.rank(asking, &shares, now);
        let gives_way = |holder: &&mut Holder| !holder.is_leaving && !holder.is_held && holder.weight > 0;
        let mut worse: Vec<(Rank, &mut Holder)> = state
            .holders
            .iter_mut()
            .filter(|(other, _)| **other != id)
            .map(|(_, holder)| holder)
            .filter(gives_way)
            .map(|holder| (self.rank(holder, &shares, now), holder))
            .filter(|(rank, _)| rank.0 < Trust::SignedIn && *rank < own)
            .collect();
        if coming >= more || coming + worse.iter().map(|(_, holder)| holder.weight).sum::<usize>() < more {
            return;
        }
        worse.sort_unstable_by_key(|(rank, _)| *rank);
        // A few more than needed, if they are slow: searching all holders for each newcomer is expensive in a flood.
        let spare = self.capacity / 64;
        for (rank, holder) in worse {
            if coming >= more && (coming >= more + spare || rank.2 == u64::MAX) {
                break;
            }
            coming += holder.send_away();
        }
    }

    fn rank(&self, holder: &Holder, shares: &HashMap<Owner, usize>, now: Instant) -> Rank {
        let (share, age) =
            (shares.get(&holder.owner).copied().unwrap_or(0), now.saturating_duration_since(holder.began));
        let trust = match holder.trust {
            // An owner with more than its fair share counts as unknown until it has less.
            _ if share > self.fair => Trust::Unknown,
            Trust::SignedIn if !holder.is_held && self.kept_for.is_some_and(|kept| age > kept) => Trust::KnownAddress,
            trust => trust,
        };
        (trust, Reverse(share), holder.pace(now), holder.began)
    }
}

impl Holders {
    /// Gives a holder another weight. What is of the reserve is returned last.
    fn resize(&mut self, id: u64, weight: usize) {
        let Some(holder) = self.holders.get_mut(&id) else { return };
        let reserved = holder.reserved.min(weight);
        self.reserve_used -= holder.reserved - reserved;
        self.used = self.used - (holder.weight - holder.reserved) + (weight - reserved);
        (holder.weight, holder.reserved) = (weight, reserved);
    }
}

impl Holder {
    /// Tells it to leave; returns what that frees.
    fn send_away(&mut self) -> usize {
        self.is_leaving = true;
        self.leave.notify_one();
        self.weight
    }

    /// The bytes a second that went through, or the largest number as long as it is new.
    fn pace(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.began);
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        if age < NEW { u64::MAX } else { self.moved.saturating_mul(1000) / millis.max(1) }
    }
}

/// A holder's share; returned when dropped.
pub(super) struct Share {
    of: Arc<Budget>,
    id: u64,
}

impl Share {
    fn with(&self, change: impl FnOnce(&mut Holder)) {
        if let Some(holder) = self.of.lock().holders.get_mut(&self.id) {
            change(holder);
        }
    }

    /// Takes more, and waits for it for a short time.
    pub(super) async fn grow(&self, more: usize, patience: Duration) -> Result<(), Busy> {
        if self.of.try_grow(self.id, more, true) {
            return Ok(());
        }
        let until = Instant::now() + patience;
        let mut looks_at = Instant::now() + LOOK_AGAIN;
        while Instant::now() < until {
            let _ = timeout_at(until.min(looks_at), self.of.freed.notified()).await;
            let is_time = Instant::now() >= looks_at;
            if self.of.try_grow(self.id, more, is_time) {
                // There may be enough for another one too.
                self.of.freed.notify_one();
                return Ok(());
            }
            if is_time {
                looks_at = Instant::now() + LOOK_AGAIN;
            }
        }
        Err(Busy)
    }

    /// Takes a part of the free amount, within these bounds, if possible; returns how much.
    pub(super) fn try_part(&self, least: usize, most: usize) -> Option<usize> {
        let own_room = self.of.own_room(&self.of.lock(), self.id);
        let wanted = (self.of.free() / 8).min(own_room).clamp(least, most);
        self.of.try_grow(self.id, wanted, true).then_some(wanted)
    }

    /// Takes a small share of the reserve, for an owner that has none; returns whether it did. So an owner that needs little does not wait
    /// for slow ones.
    pub(super) fn try_first(&self, amount: usize) -> bool {
        let state = &mut *self.of.lock();
        let Some(owner) = state.holders.get(&self.id).map(|holder| holder.owner) else { return false };
        let has_any = state.holders.values().any(|holder| holder.owner == owner && holder.weight > 0);
        if has_any || state.reserve_used + amount > self.of.reserve {
            return false;
        }
        state.reserve_used += amount;
        if let Some(holder) = state.holders.get_mut(&self.id) {
            (holder.weight, holder.reserved) = (amount, amount);
        }
        true
    }

    /// Takes more if there is room. Otherwise drops others, so that a later try finds room.
    pub(super) fn try_more(&self, more: usize) -> bool {
        self.of.try_grow(self.id, more, true)
    }

    /// Sets the share to this amount, with or without room, because it is used already.
    pub(super) fn set(&self, weight: usize) {
        {
            self.of.lock().resize(self.id, weight);
        }
        self.of.freed.notify_one();
    }

    /// Returns everything above this amount.
    pub(super) fn shrink_to(&self, weight: usize) {
        let state = &mut *self.of.lock();
        if state.holders.get(&self.id).is_some_and(|holder| holder.weight > weight) {
            state.resize(self.id, weight);
        }
        self.of.freed.notify_one();
    }

    /// Records that this many bytes went through.
    pub(super) fn moved(&self, bytes: usize) {
        self.with(|holder| holder.moved = holder.moved.saturating_add(bytes as u64));
    }

    /// Records that it belongs to a site from now on.
    pub(super) fn signed_in(&self, site: SiteId) {
        self.with(|holder| (holder.owner, holder.trust) = (Owner::Site(site), Trust::SignedIn));
    }

    /// Records whether the server is working for it; when that ends, its time restarts.
    pub(super) fn hold(&self, is_held: bool) {
        self.with(|holder| {
            holder.is_held = is_held;
            holder.began = Instant::now();
        });
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        {
            let state = &mut *self.of.lock();
            state.resize(self.id, 0);
            state.holders.remove(&self.id);
        }
        self.of.freed.notify_one();
    }
}

/// Waits until a holder is dropped, or for this time.
pub(super) async fn within<T>(
    leave: &Notify,
    time: Duration,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Evicted> {
    tokio::select! {
        done = timeout(time, work) => Ok(done.ok()),
        () = leave.notified() => Err(Evicted),
    }
}

/// It was dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Evicted;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn at(last: u8) -> Owner {
        Owner::Address(IpAddr::from([192, 0, 2, last]))
    }

    struct TestHolder {
        share: Share,
        leave: Arc<Notify>,
    }

    fn enter(budget: &Arc<Budget>, who: (Owner, Trust)) -> TestHolder {
        let leave = Arc::new(Notify::new());
        TestHolder { share: budget.enter(who, leave.clone()), leave }
    }

    async fn take(budget: &Arc<Budget>, who: (Owner, Trust), weight: usize) -> TestHolder {
        let held = enter(budget, who);
        held.share.grow(weight, PATIENCE).await.expect("there is room");
        held
    }

    async fn is_told(held: &TestHolder) -> bool {
        timeout(Duration::from_millis(1), held.leave.notified()).await.is_ok()
    }

    /// Takes this much beside others; dropped ones leave. Returns the numbers of those.
    async fn displaced(
        budget: &Arc<Budget>,
        who: (Owner, Trust),
        weight: usize,
        held: &mut Vec<TestHolder>,
    ) -> Vec<usize> {
        let newcomer = enter(budget, who);
        let (mut told, mut number) = (Vec::new(), 0);
        let had_room = newcomer.share.of.try_grow(newcomer.share.id, weight, true);
        let mut at = 0;
        while at < held.len() {
            match is_told(&held[at]).await {
                true => {
                    told.push(number);
                    held.remove(at);
                }
                false => at += 1,
            }
            number += 1;
        }
        assert_eq!(had_room || newcomer.share.grow(weight, Duration::from_millis(300)).await.is_ok(), !told.is_empty());
        told
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_that_has_not_signed_in_gives_way() {
        let budget = Budget::new(40, 40, None);
        let mut held = Vec::new();
        for moved in [500, 100, 900] {
            let one = take(&budget, (at(1), Trust::Unknown), 10).await;
            one.share.moved(moved);
            held.push(one);
        }
        held.push(take(&budget, (Owner::Site(SiteId(2)), Trust::SignedIn), 10).await);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(displaced(&budget, (at(1), Trust::Unknown), 10, &mut held).await, [1]);
        held.push(take(&budget, (at(1), Trust::Unknown), 10).await);
        assert_eq!(displaced(&budget, (at(2), Trust::Unknown), 20, &mut held).await, [0, 1], "as many as are needed");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_better_is_not_displaced_and_the_greediest_address_goes_first() {
        let budget = Budget::new(40, 25, None);
        let mut held = vec![
            take(&budget, (at(1), Trust::Unknown), 10).await,
            take(&budget, (at(2), Trust::Unknown), 10).await,
            take(&budget, (at(2), Trust::Unknown), 10).await,
            take(&budget, (at(3), Trust::KnownAddress), 10).await,
        ];
        held[0].share.hold(true);
        tokio::time::advance(Duration::from_secs(10)).await;
        held[1].share.moved(10);
        held[2].share.moved(5);
        assert_eq!(displaced(&budget, (at(4), Trust::Unknown), 10, &mut held).await, [2]);
        held.push(take(&budget, (Owner::Site(SiteId(2)), Trust::SignedIn), 10).await);
        assert_eq!(displaced(&budget, (at(5), Trust::Unknown), 20, &mut held).await, [0; 0], "only one may be");
        assert_eq!(displaced(&budget, (Owner::Site(SiteId(3)), Trust::SignedIn), 20, &mut held).await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_that_takes_more_than_its_part_gives_way() {
        let budget = Budget::new(40, 10, None);
        let greedy = (Owner::Site(SiteId(2)), Trust::SignedIn);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(take(&budget, greedy, 10).await);
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        let other = (Owner::Site(SiteId(3)), Trust::SignedIn);
        assert_eq!(displaced(&budget, other, 10, &mut held).await, [0]);
        let mut fair: Vec<TestHolder> = Vec::new();
        for number in 3..4 {
            fair.push(take(&budget, (Owner::Site(SiteId(number)), Trust::SignedIn), 10).await);
        }
        assert_eq!(displaced(&budget, other, 10, &mut fair).await, [0; 0], "of others nothing is taken");
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_lent_for_a_time_the_slowest_site_gives_way_too() {
        let budget = Budget::new(20, 10, Some(Duration::from_secs(5)));
        let site = |number| (Owner::Site(SiteId(number)), Trust::SignedIn);
        let mut held = vec![take(&budget, site(2), 10).await, take(&budget, site(3), 10).await];
        held[0].share.moved(100);
        assert_eq!(displaced(&budget, site(4), 10, &mut held).await, [0; 0]);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(displaced(&budget, site(4), 10, &mut held).await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_lent_an_owner_has_its_fair_share_until_its_own_slowest_has_kept_it_for_its_time() {
        let budget = Budget::new(1000, 30, Some(Duration::from_secs(5)));
        let [reader, other] = [2, 3].map(|number| (Owner::Site(SiteId(number)), Trust::SignedIn));
        let mut held = vec![take(&budget, other, 10).await, take(&budget, reader, 20).await];
        let next = enter(&budget, reader);
        assert_eq!(next.share.try_part(5, 20), Some(10), "what is left of its share");
        held.push(next);
        tokio::time::advance(Duration::from_secs(25)).await;
        assert_eq!(enter(&budget, reader).share.try_part(5, 20), None, "though the budget is nearly empty");
        assert!(!is_told(&held[1]).await && !is_told(&held[2]).await, "both are within their time");
        held[1].share.moved(100);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(displaced(&budget, reader, 5, &mut held).await, [2], "the slower of its own, and no other site");
        assert_eq!(take(&budget, (Owner::Site(SiteId(4)), Trust::SignedIn), 500).await.share.try_part(1, 1), Some(1));
    }

    /// A site that needs little does not wait for sites that are slow to take their answers.
    #[tokio::test(start_paused = true)]
    async fn a_small_first_share_comes_from_the_reserve() {
        let budget = Budget::with_reserve((100, 10), 50, Some(Duration::from_secs(5)));
        let site = |number| (Owner::Site(SiteId(number)), Trust::SignedIn);
        let held = [take(&budget, site(2), 45).await, take(&budget, site(3), 45).await];
        assert_eq!(budget.free(), 0);
        let first = enter(&budget, site(4));
        assert_eq!(first.share.try_part(1, 8), None, "the reserve is for small ones");
        assert!(first.share.try_first(4));
        assert!(!enter(&budget, site(4)).share.try_first(4), "it has one");
        assert!(!enter(&budget, site(2)).share.try_first(4), "it has a large one");
        let second = enter(&budget, site(5));
        assert!(second.share.try_first(6));
        assert!(!enter(&budget, site(6)).share.try_first(1), "the reserve has an end");
        assert!(!second.share.try_more(1), "there is no more than that");
        second.share.set(2);
        let third = enter(&budget, site(6));
        assert!(third.share.try_first(4), "what a small answer does not need is free");
        drop((first, second, third));
        assert!(enter(&budget, site(6)).share.try_first(10));
        drop(held);
        assert_eq!(budget.free(), 90);
    }
}

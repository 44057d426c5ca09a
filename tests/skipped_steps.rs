//! A report names every step that did not run, and why.

use sync_core::site::{SkipReason, Step};
use sync_core::{NoopObserver, SyncOptions, SyncReport};
use sync_testkit::legacy_server::{Endpoint, Fault, PlannedFault, Refusal};

use crate::legacy_half::{Country, End};

fn skipped(report: &SyncReport) -> Vec<(Step, SkipReason)> {
    report.skipped.iter().map(|step| (step.name, step.reason)).collect()
}

fn cycle(end: &End, options: &SyncOptions) -> SyncReport {
    end.site.sync(options, &mut NoopObserver).expect("a cycle")
}

#[test]
fn a_first_cycle_skips_the_pushes_and_a_later_one_nothing() {
    let country = Country::new();
    let site = country.fresh("district_a");
    let not_yet = [(Step::PushV6, SkipReason::NotInitialised), (Step::Push, SkipReason::NotInitialised)];
    assert_eq!(skipped(&site.sync()), not_yet);
    assert_eq!(skipped(&site.sync()), []);
}

#[test]
fn the_central_server_skips_the_steps_of_v6() {
    let country = Country::new();
    let at_central = [(Step::PushV6, SkipReason::IsCentral), (Step::PullV6, SkipReason::IsCentral)];
    assert_eq!(skipped(&country.central.sync()), at_central);
}

#[test]
fn what_was_not_asked_for_is_skipped() {
    let country = Country::new();
    let site = country.site("district_a");
    let push_only = SyncOptions::default().push_only();
    let pulls = [Step::PullCentral, Step::PullRemote, Step::PullV6, Step::Integrate];
    assert_eq!(skipped(&cycle(&site, &push_only)), pulls.map(|step| (step, SkipReason::NotRequested)));
    let pull_only = SyncOptions::default().pull_only();
    let pushes = [Step::PushV6, Step::Push];
    assert_eq!(skipped(&cycle(&site, &pull_only)), pushes.map(|step| (step, SkipReason::NotRequested)));
    let neither = site.site.sync(&pull_only.push_only(), &mut NoopObserver).expect_err("nothing is left to do");
    assert!(neither.code() == "bad_input" && neither.to_string().contains("push_only"), "{neither}");
}

#[test]
fn without_the_legacy_server_its_steps_are_skipped() {
    let country = Country::new();
    let site = country.site("district_a");
    country.legacy.plan(PlannedFault::new(Endpoint::Site, Fault::Unheard).of_site("district_a").times(20));
    let report = site.cycle();
    let legacy = [Step::Push, Step::PullCentral, Step::PullRemote];
    assert_eq!(skipped(&report), legacy.map(|step| (step, SkipReason::LegacyUnavailable)));
}

#[test]
fn a_step_whose_predecessor_failed_is_skipped_and_a_refused_site_ends_the_cycle() {
    let country = Country::new();
    let site = country.site("district_a");
    country
        .legacy
        .plan(PlannedFault::new(Endpoint::CentralRecords, Fault::Status(400)).of_site("district_a").times(20));
    assert_eq!(skipped(&site.cycle()), [(Step::PullRemote, SkipReason::StepBeforeFailed)]);

    let refused = country.fresh("district_b");
    country
        .legacy
        .plan(PlannedFault::new(Endpoint::Site, Fault::Refuse(Refusal::SiteHasNoStore)).of_site("district_b"));
    let report = refused.cycle();
    assert_eq!(report.error.as_ref().map(sync_core::Error::code), Some("site_has_no_store"));
    let all = [Step::PushV6, Step::Push, Step::PullCentral, Step::PullRemote, Step::PullV6, Step::Integrate];
    assert_eq!(skipped(&report), all.map(|step| (step, SkipReason::CycleEnded)));
}

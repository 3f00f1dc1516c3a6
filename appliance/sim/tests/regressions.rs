//! Seeds that failed once, each with its cause.

use hawser_sim::plan::Plan;
use hawser_sim::run::run;

/// The seed does not fail in this way any more.
fn never(seed: u64, way: &str) {
    never_again(seed, &Plan::first(seed, 10, 1.0), way);
}

/// A seed of 50 branches and two hours does not fail in this way any more.
fn never_in_two_hours(seed: u64, way: &str) {
    never_again(seed, &Plan::first(seed, 50, 2.0), way);
}

/// What `--shrink` found of a seed of 50 branches and two hours does not fail any more.
fn never_of_50(seed: u64, rounds: u32, branches: &[u16], faults: &[u64]) {
    let plan = Plan::first(seed, 50, 2.0).only(rounds, branches, faults);
    never_again(seed, &plan, "");
}

fn never_again(seed: u64, plan: &Plan, way: &str) {
    let failure = run(plan, false).failure;
    let same = failure.as_ref().is_some_and(|f| f.contains(way));
    assert!(!same, "seed {seed}: {failure:?}");
}

/// Given up in the middle of a child rekey, a device was revived with two equal Child SAs: one for
/// the old pair, one for the new.
#[test]
fn a_pair_that_was_being_rekeyed_is_revived_once() {
    never(4, "Child SAs");
    never(15, "Child SAs");
}

/// A branch that had a revived SA was late given its own old IKE_AUTH's answer, and sent on that pair, which was
/// parked here and did not go on beside the revived one.
#[test]
fn a_parked_sa_goes_on_beside_one_that_the_branch_left() {
    [27, 153, 166]
        .into_iter()
        .for_each(|seed| never(seed, "not usable"));
}

/// A replayed message of an old SA brought that back instead of the younger one that the branch used.
#[test]
fn what_comes_late_for_an_old_sa_is_no_news() {
    never(67, "not usable");
}

/// The branch has an IKE SA and no pair, and cannot say so: its DELETE waits for the answer to another
/// request. Or its pair expired here while nothing came.
#[test]
fn a_branch_without_a_pair_is_given_one() {
    [2, 34, 107, 136, 151]
        .into_iter()
        .for_each(|seed| never(seed, "not usable"));
}

/// Headquarters revived a branch that came back by itself, and each deleted the other's SA.
#[test]
fn a_revived_sa_that_the_branch_answered_stays() {
    [98, 120, 189]
        .into_iter()
        .for_each(|seed| never(seed, "not usable"));
}

/// IKE_AUTH of a revival was answered, and every answer lost: what the branch sent on the pair that it had was
/// of no SA here.
#[test]
fn a_revival_that_was_answered_in_vain_is_asked_for_again() {
    [45, 245, 322]
        .into_iter()
        .for_each(|seed| never(seed, "not usable"));
}

/// An attacker passed an IKE_AUTH on from elsewhere, and headquarters answered there from then on.
#[test]
fn who_is_not_behind_a_nat_stays_where_it_began() {
    never(410, "not usable");
}

/// A revival met another branch with the same secret behind the same NAT, and was repeated every minute.
#[test]
fn a_revival_that_meets_somebody_else_ends() {
    never(2273, "not usable");
}

/// While a device was being revived another identity came for its network and got it; then the
/// revival succeeded, and both had it.
#[test]
fn a_revived_device_yields_to_who_came_meanwhile() {
    never(81, "at once");
    never(187, "at once");
}

/// A device whose pair had been made anew once lost that one too, and the wish for another was taken for fulfilled by
/// the lost one.
#[test]
fn a_lost_pair_that_was_made_anew_before_is_made_anew() {
    never_of_50(4, 7, &[35], &[4659, 5765]);
}

/// An IKE SA that had come from another shard was parked, went on, and ten minutes after it was parked its datagrams
/// were not passed on any more.
#[test]
fn what_went_on_is_not_released_later() {
    never_in_two_hours(42, "Child SAs");
}

/// What a branch had said on an SA that it had given up was held back and sent from elsewhere: that SA went on, the device
/// moved there, and the one that it used was deleted.
#[test]
fn what_was_held_back_ends_no_living_sa() {
    never_in_two_hours(58, "not usable");
}

/// The branch wanted to delete its IKE SA, and waited for an answer that was lost; everything that it was asked for it put off.
#[test]
fn a_branch_that_puts_off_everything_is_given_another_sa() {
    let plan = Plan::new(93, 50, 2.0).only(2, &[45], &[1267]);
    never_again(93, &plan, "not usable");
}

/// A revival met another branch with the same secret, and the device was believed there from then on; and a DELETE from
/// a port that was new moved nobody, so the branch was called back where it was not any more.
#[test]
fn who_meets_a_revival_of_another_is_revived_itself() {
    let plan = Plan::new(51, 10, 1.0);
    let small = plan
        .clone()
        .only(1, &[0, 1, 5, 7], &[196, 302, 309, 391, 461]);
    never_again(51, &small, "not usable");
    never_again(51, &plan, "not usable");
}

/// The branch's NAT had given it another port, and all that came from there had come before: nobody asked there.
#[test]
fn what_comes_again_from_elsewhere_leads_to_the_branch() {
    let plan = Plan::new(433, 10, 1.0).only(4, &[6, 9], &[3115, 3130]);
    never_again(433, &plan, "not usable");
}

/// A branch came back on a port that another one of the same name had had, and was taken for that one.
#[test]
fn who_comes_back_on_the_port_of_another_is_itself() {
    never_again(433, &Plan::new(433, 10, 1.0), "not usable");
    never_again(927, &Plan::new(927, 10, 1.0), "not usable");
}

/// Of two IKE SAs that stayed was chosen the one whose pair was being deleted; then neither could go.
#[test]
fn a_pair_that_is_being_deleted_does_not_keep_its_ike_sa() {
    never_again(849, &Plan::new(849, 10, 1.0), "Child SAs");
}

/// An IKE SA that had gone on beside another was given up before it was sent on, and was not sent on when it went on alone.
#[test]
fn what_goes_on_alone_is_sent_on() {
    never_again(939, &Plan::new(939, 10, 1.0), "not usable");
}

/// A revival met another branch, which gave up what it had for it, and was not called back: somebody was being called there.
#[test]
fn who_says_delete_is_called_back_where_another_is_called() {
    let plan = Plan::new(1523, 10, 1.0);
    never_again(1523, &plan, "not usable");
    let small = plan.only(2, &[1, 4, 5, 8], &[180, 371, 473, 1153, 1268, 1297]);
    never_again(1523, &small, "not usable");
}

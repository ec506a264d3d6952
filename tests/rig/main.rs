//! The bridge against a real Kamailio, with real phones' worth of calls: needs the Debian packages that `kamailio/README.md` names.
//!
//! `.ci/run` runs it, in a network of its own. By hand: `unshare --map-root-user --net sh -c 'ip link set lo up; cargo test --test rig
//! -- --ignored --test-threads 1'`.

mod kamailio;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "shared with the other stories, which use the rest")]
mod support;

use kamailio::Kamailio;

#[tokio::test]
#[ignore = "needs Kamailio and sipp: see tests/rig/kamailio/README.md"]
async fn a_call_of_the_rig_is_told_as_it_was_placed() {
    let kamailio = Kamailio::start(15_070).await;
    let truth = kamailio::place("missed", &[("RING", "300"), ("EXT", "203")]).await;
    assert_eq!(truth.len(), 1);
    assert_eq!((truth[0].kind.as_str(), truth[0].caller.as_str()), ("missed", "+447700900123"));
    assert_eq!((truth[0].rang.as_slice(), truth[0].answered_by.as_str()), (["203".to_owned()].as_slice(), "-"));
    kamailio.kill();
}

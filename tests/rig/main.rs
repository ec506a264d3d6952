//! The bridge against a real Kamailio, with real phones' worth of calls: needs the Debian packages that `kamailio/README.md` names.
//!
//! `.ci/run` runs it, in a network of its own. By hand: `unshare --map-root-user --net sh -c 'ip link set lo up; cargo test --test rig
//! -- --ignored --test-threads 1'`.

mod dialog;
mod hep;
mod kamailio;
mod stalls;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "shared with the other stories, which use the rest")]
mod support;

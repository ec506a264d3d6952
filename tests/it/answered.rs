//! Where pops come with the answer, a call that nobody answers shows nothing.

use std::collections::BTreeSet;

use ctibridge::sim::pbx::Script;

use crate::support::site::{Site, erika, short_call};
use crate::support::world::{http, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_answers_leaves_no_trace_on_a_screen() {
    let mut site = Site::new(|settings| settings.replace("[log]", "[pops]\nwhen = \"answer\"\n[log]")).await;
    site.daemon.start();
    site.daemon.ready().await;
    let screen = site.daemon.screen("101").opened().await;
    site.play(&Script::outbound("101", &erika().number).ring_outside().after(30).hangup_by_caller()).await;
    site.play(&Script::inbound(&erika(), "+493023125101").ring(&["101"]).after(30).hangup_by_caller()).await;
    site.play(&short_call(&erika())).await;
    site.tasks(3).await;
    let has_ended = || screen.events().iter().any(|event| event.data["state"] == "ended");
    wait("the end of the call", has_ended).await;
    let events: Vec<_> = screen.events().into_iter().map(|event| (event.kind, event.data)).collect();
    let calls: BTreeSet<_> = events.iter().map(|(_, card)| card["call"].as_str().unwrap()).collect();
    assert_eq!((events[0].0.as_str(), calls.len()), ("pop", 1), "{events:#?}");
    let metrics = http().get(format!("{}/metrics", site.daemon.base())).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ctibridge_pops_withdrawn_total 0"), "{metrics}");
}

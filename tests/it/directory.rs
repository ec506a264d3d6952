//! The local copy of phone numbers in a running bridge: who is shown, in which order, and with nobody to ask.

use std::time::Duration;

use ctibridge::calls::record::Extension;
use ctibridge::directory::row::{Change, Row};
use ctibridge::salesforce::RecordId;
use ctibridge::sim::pbx::player::perform;
use ctibridge::sim::pbx::script::Ids;
use ctibridge::sim::pbx::{Caller, Script};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::site::{first, text};
use crate::support::sse::Screen;
use crate::support::world::{World, http, wait};

const NUMBER: &str = "+4930231250444";
const ANNA: &str = "003xx000004TmiQAAS";
const ZOE: &str = "003xx000004TmiRAAS";

/// A contact with the number.
fn contact(id: &str, name: &str, owner: Option<RecordId>) -> Row {
    Row {
        object: "Contact".into(),
        id: RecordId::parse(id).unwrap(),
        name: name.into(),
        account: None,
        account_id: None,
        owner_id: owner,
        person_contact_id: None,
        phones: vec![("Phone".into(), NUMBER.into())],
    }
}

fn known(world: &World, rows: Vec<Row>) {
    let index = world.bridge.directory().index();
    index.apply(rows.into_iter().map(Change::Put).collect());
    index.synced(Timestamp::now());
}

async fn play(world: &World) {
    let caller = Caller::new(NUMBER, "");
    let script = Script::inbound(&caller, "+493023125101").ring(&["101", "102"]).after(30).answer("101").talk(30);
    let reel = script.hangup_by_caller().reel(Timestamp::now(), &Ids::new(1)).unwrap();
    perform(&world.asterisk, &reel, Instant::now()).await;
}

fn screen<'a>(world: &'a World, extension: &str) -> &'a Screen {
    &world.screens.iter().find(|(of, _)| of == extension).unwrap().1
}

fn names(pop: &Value) -> Vec<&str> {
    pop["matches"].as_array().unwrap().iter().map(|found| found["name"].as_str().unwrap()).collect()
}

async fn ask(world: &World, path: &str) -> Value {
    let url = format!("http://{}{path}", world.bridge.address());
    let request = http().get(url).bearer_auth(world.bridge.admin_token().expose());
    request.send().await.unwrap().json().await.unwrap()
}

/// The users of the agents, by extension.
async fn users(world: &World) -> impl Fn(&str) -> RecordId + use<> {
    wait("the users", || world.bridge.journal().owners().user(&Extension("103".into())).is_some()).await;
    let owners = world.bridge.journal().owners();
    move |extension| owners.user(&Extension(extension.into())).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_salesforce_down_from_the_start_a_caller_is_known() {
    let nobody_listens =
        |config: &mut ctibridge::bridge::Config| config.salesforce.endpoint = "http://127.0.0.1:9".into();
    let world = World::with(&json!({}), nobody_listens).await;
    known(&world, vec![contact(ANNA, "Anna", None)]);
    play(&world).await;
    let pop = first(screen(&world, "101"), "pop").await;
    assert_eq!(names(&pop.data), ["Anna"]);
    let lookup = ask(&world, "/api/v1/lookup?number=%2B4930231250444&explain=true").await;
    assert_eq!((&lookup["source"], &lookup["matches"][0]["id"]), (&json!("index"), &json!(ANNA)));
    assert!(lookup["explain"].to_string().contains("won: Phone is this number"), "{lookup}");
    let ready = ask(&world, "/readyz").await;
    assert_eq!(ready["directory"]["numbers"], 1);
    assert!(ready["directory"]["synced_at"].is_string(), "{ready}");
    world.bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equals_an_agent_sees_the_own_record_first_and_a_dial_plan_finds_its_owner() {
    let world = World::new(&json!({})).await;
    let user = users(&world).await;
    known(&world, vec![contact(ANNA, "Anna", Some(user("102"))), contact(ZOE, "Zoe", Some(user("101")))]);
    play(&world).await;
    assert_eq!(names(&first(screen(&world, "101"), "pop").await.data), ["Zoe", "Anna"]);
    assert_eq!(names(&first(screen(&world, "102"), "pop").await.data), ["Anna", "Zoe"]);
    let way = ask(&world, "/api/v1/route?number=%2B4930231250444").await;
    assert_eq!((&way["extension"], &way["match"]["name"]), (&json!("102"), &json!("Anna")));
    world.bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_not_shown_what_the_own_user_may_not_read_and_the_task_is_linked_all_the_same() {
    let contact = json!({"Contact": [{"LastName": "Muster", "Phone": "030 231250444"}]});
    let world = World::with(&contact, |config| {
        config.directory.respect_sharing = true;
        config.directory.deadline = Duration::from_secs(10);
    })
    .await;
    let user = users(&world).await;
    let id = text(&world.salesforce.rows("Contact")[0], "Id").to_owned();
    world.salesforce.set(|knobs| {
        knobs.hidden.insert(user("101").to_string(), vec![id.clone()]);
    });
    play(&world).await;
    let unknown = first(screen(&world, "101"), "pop").await.data;
    assert_eq!(names(&unknown), [""; 0]);
    assert!(!unknown.to_string().contains("Muster") && !unknown.to_string().contains(&id), "{unknown}");
    assert_eq!(names(&first(screen(&world, "102"), "pop").await.data), ["Muster"]);
    world.settled().await;
    assert_eq!(world.tasks()[0]["WhoId"], json!(id));

    for (extension, sees) in [("101", &[][..]), ("102", &["Muster"])] {
        let token = world.bridge.agents().make_token(&Extension(extension.into())).unwrap();
        let get = |path: &str| {
            let url = format!("http://{}{path}?number=%2B4930231250444", world.bridge.address());
            http().get(url).bearer_auth(token.expose()).send()
        };
        let lookup: Value = get("/api/v1/lookup").await.unwrap().json().await.unwrap();
        assert_eq!(names(&lookup), sees, "{extension}");
        let details = get("/details").await.unwrap();
        assert_eq!(details.url().as_str().contains(&id), !sees.is_empty(), "{extension}: {details:?}");
    }
    assert_eq!(names(&ask(&world, "/api/v1/lookup?number=%2B4930231250444").await), ["Muster"]);
    world.bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whom_the_agent_may_read_is_named_later_when_salesforce_says_so_late() {
    let contacts = json!({"Contact": [{"LastName": "Muster", "Phone": "030 231250444"}]});
    let world = World::with(&contacts, |config| {
        config.directory.respect_sharing = true;
        config.directory.deadline = Duration::from_millis(50);
    })
    .await;
    let _ = users(&world).await;
    wait("the first load", || world.bridge.directory().index().synced_at().is_some()).await;
    world.salesforce.set(|knobs| knobs.latency_ms = 1000);
    let script = Script::inbound(&Caller::new(NUMBER, ""), "+493023125101").ring(&["101"]).after(30).answer("101");
    let mut reel = script.talk(60_000).hangup_by_caller().reel(Timestamp::now(), &Ids::new(1)).unwrap();
    reel.cues.retain(|cue| cue.at < Duration::from_secs(10));
    perform(&world.asterisk, &reel, Instant::now()).await;
    let pop = first(screen(&world, "101"), "pop").await.data;
    assert_eq!(names(&pop), [""; 0]);
    wait("the name", || screen(&world, "101").events().iter().any(|event| event.data.to_string().contains("Muster")))
        .await;
    world.bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_an_agent_chose_comes_first_from_then_on() {
    let world = World::new(&json!({})).await;
    known(&world, vec![contact(ANNA, "Anna", None), contact(ZOE, "Zoe", None)]);
    play(&world).await;
    let call = first(screen(&world, "101"), "pop").await.data["call"].as_str().unwrap().to_owned();
    let url = format!("http://{}/api/v1/calls/{call}/notes", world.bridge.address());
    let request = http().post(url).bearer_auth(world.bridge.admin_token().expose());
    let noted = request.body(json!({"record_id": ZOE}).to_string()).send().await.unwrap();
    assert!(noted.status().is_success(), "{noted:?}");
    let lookup = ask(&world, "/api/v1/lookup?number=%2B4930231250444").await;
    assert_eq!(names(&lookup), ["Zoe", "Anna"]);
    assert!(text(lookup["matches"][0].as_object().unwrap(), "reason").ends_with("last spoken with on this number"));
    world.settled().await;
    world.bridge.stop().await;
}

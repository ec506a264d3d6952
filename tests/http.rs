//! The HTTP interface over real sockets: who may reach what, what streams carry, and what hostile peers and names get.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use ctibridge::calls::record::{AgentPart, CallKey, Direction, Extension, OpenCall, OutsideParty};
use ctibridge::calls::step::{PopState, WithdrawReason};
use ctibridge::directory::answer::{Answer, Exactness, Match, Source};
use ctibridge::http::{
    Access, CallView, ComparisonResult, DirectoryState, Fate, FeedPhase, FeedState, GrantTrouble, Handles,
    JournalEntry, JournalHandles, JournalQuery, JournalState, JournalTrouble, Note, Proxies, ROUTES, Readiness,
    SalesforceState, ask, serve,
};
use ctibridge::phone::{NumberPlan, PhoneNumber};
use ctibridge::pops::{AgentStore, Hub, Linker, Pop, Seen, UnknownCaller};
use ctibridge::salesforce::RecordId;
use ctibridge::secret::Secret;
use jiff::Timestamp;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const ADMIN: &str = "the operator's token";
const KNOWN: &str = "+4930231250444";
const TWICE: &str = "+4930231250555";
const NOBODY: &str = "+4930231250666";
const FIRST_ID: &str = "003xx000004TmiQAAS";
const SECOND_ID: &str = "001D000000IqhSLIAZ";
const OWNER: &str = "005xx000001SwiUAAS";
const STRANGER: &str = "005xx000001SwiVAAS";
const CEILING: Duration = Duration::from_secs(20);

/// A served bridge with two agents and one call of the first of them.
struct World {
    address: SocketAddr,
    client: reqwest::Client,
    hub: Hub,
    anna: String,
    ben: String,
    details_key: String,
    notes: Arc<Mutex<Vec<Note>>>,
    unknown: watch::Sender<UnknownCaller>,
    ready: watch::Sender<bool>,
    stop: CancellationToken,
    server: JoinSet<()>,
    _state: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Handles)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = tempfile::tempdir().unwrap();
        let agents = AgentStore::open(state.path(), &[]).unwrap();
        let token = |digits: &str| agents.make_token(&extension(digits)).unwrap();
        let (anna, ben) = (token("101"), token("102"));
        let details_key = agents.details_key(&extension("101")).unwrap();
        let (unknown, unknown_now) = watch::channel(UnknownCaller::NewLead);
        let (ready, ready_now) = watch::channel(true);
        let notes = Arc::new(Mutex::new(Vec::new()));
        let hub = Hub::new(Timestamp::now());
        let mut handles = Handles {
            name: "hq".into(),
            public_url: String::new(),
            admin_token: Secret::new(ADMIN),
            proxies: Proxies::default(),
            plan: NumberPlan::new("DE", "", "2-6").unwrap(),
            hub: hub.clone(),
            agents,
            linker: linker(),
            unknown: unknown_now,
            lookup: ask(|number| async move { directory(number) }),
            lookup_for: ask(|(number, _)| async move { directory(number) }),
            extension: Arc::new(|user| (user.as_str() == OWNER).then(|| Extension("101".into()))),
            explain: None,
            calls: ask(|()| async { vec![CallView::Live(Box::new(call("1", KNOWN)))] }),
            journal: journal(&notes),
            grant: ask(|_| async { Err(GrantTrouble::OtherFlow("Another flow.".into())) }),
            sync: Some(ask(|_| async {})),
            readiness: ask(move |()| {
                let ready = *ready_now.borrow();
                async move { readiness(ready) }
            }),
            metrics: ask(|()| async { "# EOF\n".to_owned() }),
        };
        change(&mut handles);
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, handles, stop.clone()));
        Self {
            address,
            client: client(),
            hub,
            anna: anna.expose().to_owned(),
            ben: ben.expose().to_owned(),
            details_key: details_key.expose().to_owned(),
            notes,
            unknown,
            ready,
            stop,
            server,
            _state: state,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, self.url(path))
    }

    async fn get(&self, path: &str, token: &str) -> Response {
        let request = self.request("GET", path).bearer_auth(token);
        request.send().await.unwrap()
    }

    async fn post_notes(&self, token: &str, body: String) -> Response {
        let request = self.request("POST", "/api/v1/calls/hq-pbx1-1/notes");
        request.bearer_auth(token).body(body).send().await.unwrap()
    }

    fn pop(&self, unique: &str, state: PopState) {
        self.hub.pop(card(&call(unique, KNOWN), state, &directory(e164(KNOWN))));
    }

    fn update(&self, unique: &str, state: PopState) {
        self.hub.update(card(&call(unique, KNOWN), state, &directory(e164(KNOWN))));
    }

    async fn stream(&self, last_event_id: Option<&str>) -> Events {
        let mut request = self.request("GET", "/api/v1/agents/101/pops").bearer_auth(&self.anna);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut events = Events { response, text: String::new() };
        assert!(events.block().await.unwrap().contains("retry:"));
        events
    }
}

/// A stream that is being read.
struct Events {
    response: Response,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Events {
    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        Some(parse(&self.block().await?))
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = timeout(CEILING, self.response.chunk()).await.unwrap();
            self.text += std::str::from_utf8(&chunk.ok()??).unwrap();
        }
    }
}

fn parse(block: &str) -> Event {
    let fields: BTreeMap<&str, &str> = block.lines().map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(fields.len(), 3, "{block}");
    Event { id: fields["id"].into(), name: fields["event"].into(), data: serde_json::from_str(fields["data"]).unwrap() }
}

fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

fn extension(digits: &str) -> Extension {
    Extension(digits.into())
}

fn e164(number: &str) -> PhoneNumber {
    PhoneNumber::E164 { e164: number.into(), extension: None }
}

fn linker() -> Linker {
    Linker::new(
        |object, id| Some(format!("https://acme.example/r/{object}/{id}/view")),
        |number| Some(format!("https://acme.example/search?q={}", number.replace('+', "%2B"))),
        |number| Some(format!("https://acme.example/new?p={}", number.replace('+', "%2B"))),
    )
}

fn contact(id: &str, name: &str) -> Match {
    Match {
        object: "Contact".into(),
        id: RecordId::parse(id).unwrap(),
        name: name.into(),
        account: Some("ACME & Sons".into()),
        account_id: None,
        owner_id: Some(RecordId::parse(if id == FIRST_ID { OWNER } else { STRANGER }).unwrap()),
        person_contact_id: None,
        field: "Phone".into(),
        exactness: Exactness::Exact,
        group: 0,
        class: 0,
        reason: "same number".into(),
    }
}

fn directory(number: PhoneNumber) -> Answer {
    let matches = match number.e164() {
        Some(KNOWN) => vec![contact(FIRST_ID, "Erika Muster")],
        Some(TWICE) => {
            vec![contact(FIRST_ID, "<script>alert(1)</script>"), contact(SECOND_ID, "Eve\r\n\u{1b}[31m\u{202e}\0")]
        }
        Some(_) | None => return Answer::unknown(number),
    };
    Answer { number, source: Source::Index, matches, complete: true }
}

fn call(unique: &str, number: &str) -> OpenCall {
    OpenCall {
        key: CallKey::new("hq", "pbx1", unique),
        feed: "pbx1".into(),
        direction: Direction::Inbound,
        party: OutsideParty { number: e164(number), name: Some("ERIKA".into()) },
        dialed: "+493023125000".into(),
        queue: Some("sales".into()),
        started: Timestamp::UNIX_EPOCH,
        answered: None,
        agents: vec![AgentPart { extension: extension("101"), rang: true, dialed: false, talk_ms: 0, last_talk: None }],
        journey: Vec::new(),
        outside_legs: Vec::new(),
        aliases: Vec::new(),
        seen: Timestamp::UNIX_EPOCH,
        voicemail: false,
    }
}

fn card(call: &OpenCall, state: PopState, answer: &Answer) -> Pop {
    let seen = Seen { call, extension: &extension("101"), state, answer, at: Timestamp::UNIX_EPOCH };
    Pop::new(seen, &linker(), UnknownCaller::NewLead)
}

fn entry() -> JournalEntry {
    JournalEntry {
        id: "7".into(),
        key: "hq-pbx1-7".into(),
        call: "hq-pbx1-7".into(),
        agent: None,
        state: Fate::Parked,
        reason: Some("no such user".into()),
        started: Timestamp::UNIX_EPOCH,
        next_try: None,
        attempts: 1,
        task: None,
        details: None,
    }
}

fn journal(notes: &Arc<Mutex<Vec<Note>>>) -> JournalHandles {
    let notes = Arc::clone(notes);
    let known = |id: String| {
        if id == "7" { Ok(entry()) } else { Err(JournalTrouble::NotFound) }
    };
    JournalHandles {
        list: ask(|query: JournalQuery| async move {
            match query.state.as_deref() {
                None | Some("parked") => Ok(vec![entry(); query.limit.min(1) as usize]),
                Some(_) => Err(JournalTrouble::Unreadable("No such state.".into())),
            }
        }),
        show: ask(move |id| async move { known(id) }),
        retry: ask(move |id| async move { known(id) }),
        reconcile: ask(move |_| async move { Ok(ComparisonResult { compared: 0, differing: Vec::new(), next: None }) }),
        drop: ask(move |id| async move { known(id).map(drop) }),
        note: ask(move |note| {
            notes.lock().unwrap().push(note);
            async { Ok(()) }
        }),
        agents_of: ask(|call: CallKey| async move {
            let known = call.as_str() == "hq-pbx1-1";
            Ok(known.then(|| vec![extension("101")]))
        }),
    }
}

fn readiness(ready: bool) -> Readiness {
    let since = Timestamp::UNIX_EPOCH;
    Readiness {
        ready,
        degraded: vec!["salesforce".into()],
        feeds: vec![FeedState { name: "pbx1".into(), state: FeedPhase::Up, since, reason: None }],
        salesforce: SalesforceState {
            state: FeedPhase::Lost,
            since,
            reason: None,
            allowance: "all",
            api_used: None,
            api_allowed: None,
            own_calls: 0,
            own_calls_over: 0,
        },
        journal: JournalState { writable: true, waiting: 0, parked: 0 },
        directory: DirectoryState {
            numbers: 2,
            synced_at: None,
            phase: "live",
            readings: 0,
            loaded: 0,
            of: 0,
            unreadable: Vec::new(),
            reason: None,
        },
    }
}

async fn detail(response: Response, status: StatusCode) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    problem["detail"].as_str().unwrap().to_owned()
}

fn location(response: &Response) -> &str {
    assert_eq!(response.status(), StatusCode::FOUND);
    response.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn health_readiness_and_page_are_for_anyone_and_safe_to_frame_nowhere() {
    let world = World::new().await;
    for path in ["/", "/page.css", "/page.js", "/healthz", "/readyz", "/api/v1/openapi.json"] {
        let response = world.request("GET", path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    world.ready.send_replace(false);
    let response = world.request("GET", "/readyz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["feeds"][0], json!({"name": "pbx1", "state": "up", "since": "1970-01-01T00:00:00Z"}));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_that_says_where_to_look() {
    let world = World::new().await;
    let response = world.get("/api/v1/nothing", ADMIN).await;
    assert!(detail(response, StatusCode::NOT_FOUND).await.contains("openapi"));
    let response = world.request("PUT", "/healthz").send().await.unwrap();
    detail(response, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn no_route_lets_in_whom_it_should_not() {
    for route in ROUTES.iter().filter(|route| route.access != Access::Anyone) {
        let world = World::new().await;
        let path = route
            .path
            .replace("{key}", "hq-pbx1-1")
            .replace("{extension}", "101")
            .replace("{id}", "7")
            .replace("{name}", "pbx1");
        let request = || world.request(route.method, &path).header("X-Forwarded-For", "203.0.113.9");
        let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
        assert_eq!(status(request()).await, StatusCode::UNAUTHORIZED, "no token: {route:?}");
        for wrong in ["wrong", "", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMDEifQ."] {
            let wrong = request().bearer_auth(wrong);
            assert_eq!(status(wrong).await, StatusCode::UNAUTHORIZED, "wrong token: {route:?}");
        }
        let basic = request().basic_auth("101", Some(&world.anna));
        assert_eq!(status(basic).await, StatusCode::UNAUTHORIZED, "basic: {route:?}");
        let other = status(request().bearer_auth(&world.ben).body("{}")).await;
        let own = status(request().bearer_auth(&world.anna).body("{}")).await;
        let admin = status(request().bearer_auth(ADMIN).body("{}")).await;
        match route.access {
            Access::Anyone => {}
            Access::Agent => assert!(!refused(own) && !refused(other), "{route:?}"),
            Access::OwnAgent => {
                assert_eq!(other, StatusCode::FORBIDDEN, "{route:?}");
                assert!(!refused(own) && !refused(admin), "{route:?}");
            }
            Access::Admin | Access::AdminOrLoopback => {
                assert_eq!(own, StatusCode::FORBIDDEN, "{route:?}");
                assert!(!refused(admin), "{route:?}");
            }
        }
    }
}

fn refused(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

#[tokio::test]
async fn metrics_need_no_token_on_this_machine() {
    let world = World::new().await;
    let response = world.request("GET", "/metrics").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_call_is_shown_to_its_agent_alone() {
    let world = World::new().await;
    let calls = async |token: &str| -> Value { world.get("/api/v1/calls", token).await.json().await.unwrap() };
    assert_eq!(calls(&world.ben).await, json!({"calls": []}));
    let shown = calls(&world.anna).await;
    assert_eq!(shown["calls"][0]["call"], "hq-pbx1-1");
    assert_eq!(shown["calls"][0]["state"], "ringing");
    let response = world.get("/api/v1/calls/hq-pbx1-9", &world.anna).await;
    detail(response, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_session_is_a_cookie_that_other_sites_cannot_use() {
    let world = World::with(|handles| handles.public_url = "https://cti.example.com".into()).await;
    let sign_in = || world.request("POST", "/session").json(&json!({"token": world.anna}));
    let response = sign_in().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let set = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["ctibridge-hq=", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let session: Value = response.json().await.unwrap();
    assert_eq!(session["extension"], "101");
    assert_eq!(session["details_key"], world.details_key);

    let cookie = set.split(';').next().unwrap().to_owned();
    let with_cookie = |method: &str, path: &str| world.request(method, path).header("Cookie", &cookie);
    let response = with_cookie("GET", "/session").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let note = || with_cookie("POST", "/api/v1/calls/hq-pbx1-1/notes").body("{}");
    for (origin, status) in [
        ("https://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        ("https://cti.example.com", StatusCode::OK),
    ] {
        let response = note().header("Origin", origin).send().await.unwrap();
        assert_eq!(response.status(), status, "{origin}");
    }
    let response = sign_in().header("Origin", "https://evil.example").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let response = with_cookie("DELETE", "/session").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn a_session_is_for_agents_and_takes_the_token_in_any_usual_way() {
    let world = World::new().await;
    let post = || world.request("POST", "/session");
    let form = post().form(&[("token", &world.anna)]).send().await.unwrap();
    let bearer = post().bearer_auth(&world.anna).send().await.unwrap();
    assert_eq!((form.status(), bearer.status()), (StatusCode::OK, StatusCode::OK));
    assert!(!bearer.headers()["set-cookie"].to_str().unwrap().contains("Secure"));
    let admin = post().bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(admin.status(), StatusCode::FORBIDDEN);
    let cookie = "ctibridge-hq=dGhlIG9wZXJhdG9yJ3MgdG9rZW4";
    let admin = world.request("GET", "/api/v1/journal").header("Cookie", cookie);
    assert_eq!(admin.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_number_is_looked_up_in_any_spelling() {
    let world = World::new().await;
    for query in ["+4930231250444", "%2B4930231250444", "030231250444", "030%20231250444&region=DE"] {
        let response = world.get(&format!("/api/v1/lookup?number={query}"), &world.anna).await;
        let found: Value = response.json().await.unwrap();
        assert_eq!(found["number"]["e164"], KNOWN, "{query}");
        assert_eq!(found["matches"][0]["id"], FIRST_ID);
        assert_eq!(found["source"], "index");
    }
    let response = world.get("/api/v1/lookup?number=030231250666", &world.anna).await;
    let found: Value = response.json().await.unwrap();
    assert_eq!(
        found,
        json!({"number": {"input": "030231250666", "e164": NOBODY, "region": "DE", "kind": "e164"}, "source": "none", "matches": [],
            "create_url": "https://acme.example/new?p=%2B4930231250666", "search_url": "https://acme.example/search?q=%2B4930231250666"})
    );
}

#[tokio::test]
async fn a_question_without_a_number_is_refused() {
    let world = World::new().await;
    for query in ["", "?number=", "?number=%20", "?number=1&region=Germany", "?number=1&number=2"] {
        let response = world.get(&format!("/api/v1/lookup{query}"), &world.anna).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    let explain = "/api/v1/lookup?number=030231250666&explain=true";
    detail(world.get(explain, &world.anna).await, StatusCode::FORBIDDEN).await;
    detail(world.get(explain, ADMIN).await, StatusCode::NOT_IMPLEMENTED).await;
}

#[tokio::test]
async fn a_dial_plan_learns_the_extension_of_the_record_s_owner() {
    let world = World::new().await;
    let way = async |number: &str| {
        let response = world.get(&format!("/api/v1/route?number={}", number.replace('+', "%2B")), ADMIN).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json::<Value>().await.unwrap()
    };
    let known = way(KNOWN).await;
    assert_eq!((&known["extension"], &known["owner"]), (&json!("101"), &json!(OWNER)));
    assert_eq!(known["match"]["id"], FIRST_ID);
    for nobody in [NOBODY, "101", "anonymous"] {
        assert_eq!(way(nobody).await, json!({"extension": null, "owner": null, "match": null}), "{nobody}");
    }
    let question = "/api/v1/route?number=030231250444";
    detail(world.get(question, &world.anna).await, StatusCode::FORBIDDEN).await;
    detail(world.get("/api/v1/route", ADMIN).await, StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn details_lead_to_the_record() {
    let world = World::new().await;
    let k = format!("k={}", world.details_key);
    let details = async |query: &str| {
        let request = world.request("GET", &format!("/details?{query}&{k}"));
        request.send().await.unwrap()
    };
    let record = format!("https://acme.example/r/Contact/{FIRST_ID}/view");
    assert_eq!(location(&details("number=+4930231250444").await), record);
    assert_eq!(location(&details("object=Contact&id=003xx000004TmiQ").await), record);
    let new_lead = "https://acme.example/new?p=%2B4930231250666";
    assert_eq!(location(&details("number=030231250666").await), new_lead);
    world.unknown.send_replace(UnknownCaller::Search);
    let search = "https://acme.example/search?q=%2B4930231250666";
    assert_eq!(location(&details("number=030231250666").await), search);
    world.unknown.send_replace(UnknownCaller::None);
    for nobody in ["number=030231250666", "number=anonymous", "number=junk"] {
        assert_eq!(details(nobody).await.status(), StatusCode::NOT_FOUND, "{nobody}");
    }
    for wrong in
        ["object=Contact", "id=1", "object=Contact&id=../x", "object=//evil.example&id=003xx000004TmiQ", "number="]
    {
        assert_eq!(details(wrong).await.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    let wrong_key = world.request("GET", "/details?number=030231250444&k=wrong");
    assert_eq!(wrong_key.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn several_records_are_a_page_on_which_names_are_text() {
    let world = World::new().await;
    let response = world.get("/details?number=030231250555", &world.anna).await;
    assert_eq!(response.status(), StatusCode::OK);
    let page = response.text().await.unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("ACME &amp; Sons"));
    assert!(page.contains(SECOND_ID) && !page.contains("<script"));
    assert!(!page.contains(['\0', '\u{1b}', '\u{202e}', '\r']));
}

#[tokio::test]
async fn a_stream_carries_pops_and_goes_on_where_it_broke_off() {
    let world = World::new().await;
    let mut stream = world.stream(None).await;
    assert_eq!(stream.response.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.response.headers()["cache-control"], "no-store");
    assert_eq!(stream.response.headers()["x-accel-buffering"], "no");
    world.pop("1", PopState::Ringing);
    let first = stream.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["call"]), ("pop", &json!("hq-pbx1-1")));
    drop(stream);

    world.update("1", PopState::Answered);
    world.pop("2", PopState::Ringing);
    let second = CallKey::new("hq", "pbx1", "2");
    assert!(world.hub.withdraw(&second, &extension("101"), WithdrawReason::AnsweredElsewhere));
    let mut stream = world.stream(Some(&first.id)).await;
    let missed = [stream.next().await, stream.next().await, stream.next().await].map(Option::unwrap);
    assert_eq!(missed.each_ref().map(|event| event.name.as_str()), ["update", "pop", "withdraw"]);
    assert_eq!(missed[0].data["state"], "answered");
    assert_eq!(missed[2].data, json!({"call": "hq-pbx1-2", "extension": "101", "reason": "answered-elsewhere"}));
}

#[tokio::test]
async fn a_new_tab_gets_the_live_cards_with_their_first_ids_and_a_lost_one_a_gap_before() {
    let world = World::new().await;
    let mut old_tab = world.stream(None).await;
    world.pop("1", PopState::Ringing);
    let first = old_tab.next().await.unwrap();
    world.update("1", PopState::Answered);
    world.pop("2", PopState::Ringing);
    world.update("2", PopState::Ended);

    let live = world.stream(None).await.next().await.unwrap();
    assert_eq!((&live.id, live.name.as_str()), (&first.id, "pop"));
    assert_eq!(live.data["state"], "answered");
    for unknown in ["1-1", "junk", "%00", "é"] {
        let mut lost = world.stream(Some(unknown)).await;
        assert_eq!(lost.next().await.unwrap().name, "gap");
        assert_eq!(lost.next().await.unwrap(), live);
    }
}

#[tokio::test]
async fn hostile_names_stay_within_their_event() {
    let world = World::new().await;
    let mut stream = world.stream(None).await;
    let mut hostile = call("1", TWICE);
    hostile.party.name = Some("x\r\n\nevent: pop\ndata: {}\0\u{1b}[2J\u{202e}<script>".into());
    hostile.dialed = "1".repeat(10_000);
    world.hub.pop(card(&hostile, PopState::Ringing, &directory(e164(TWICE))));
    let raw = stream.block().await.unwrap();
    let control = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!raw.contains(control) && raw.len() < 2000, "{raw:?}");
    let event = parse(&raw);
    assert_eq!(event.data["caller"]["name"], "x   event: pop data: {}<script>");
    assert_eq!(event.data["matches"][1]["name"], "Eve");
}

#[tokio::test]
async fn a_reader_who_stops_reading_is_told_of_the_gap() {
    let world = World::new().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(world.address).await.unwrap();
    let head =
        format!("GET /api/v1/agents/101/pops HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", world.anna);
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut large = directory(e164(TWICE));
    large.matches = vec![contact(FIRST_ID, &"n".repeat(200)); 40];
    let large = card(&call("1", KNOWN), PopState::Ringing, &large);
    for _ in 0..1500 {
        world.hub.update(large.clone());
        tokio::task::yield_now().await;
    }
    world.update("1", PopState::Answered);

    let (mut read, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let length = timeout(CEILING, slow.read(&mut chunk)).await.unwrap().unwrap();
        assert_ne!(length, 0);
        let new = read.len().saturating_sub(16);
        read.extend_from_slice(&chunk[..length]);
        if read[new..].windows(10).any(|window| window == b"\"answered\"") {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("event: gap\n"), "{} octets without a gap", text.len());
    assert!(text.matches("event: update").count() < 1500);
}

#[tokio::test]
async fn a_new_token_ends_the_old_one_and_its_streams() {
    let world = World::new().await;
    let mut stream = world.stream(None).await;
    let request = world.request("POST", "/api/v1/agents/101/token").bearer_auth(ADMIN);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let made: Value = response.json().await.unwrap();
    world.pop("1", PopState::Ringing);
    assert_eq!(stream.next().await, None);
    let old = world.get("/session", &world.anna).await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
    let new = world.get("/session", made["token"].as_str().unwrap()).await;
    assert_eq!(new.status(), StatusCode::OK);
}

#[tokio::test]
async fn streams_end_in_order_when_the_bridge_stops() {
    let mut world = World::new().await;
    let mut stream = world.stream(None).await;
    world.stop.cancel();
    assert_eq!(stream.next().await, None);
    let ended = timeout(CEILING, world.server.join_next()).await.unwrap();
    assert!(ended.unwrap().is_ok());
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn an_agent_has_a_limited_number_of_streams() {
    let world = World::new().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(world.stream(None).await);
    }
    let response = world.get("/api/v1/agents/101/pops", &world.anna).await;
    assert_eq!(response.headers()["retry-after"], "5");
    detail(response, StatusCode::TOO_MANY_REQUESTS).await;
}

#[tokio::test]
async fn notes_are_kept_and_the_chosen_record_comes_first() {
    let world = World::new().await;
    let both = directory(e164(TWICE));
    world.hub.pop(card(&call("1", TWICE), PopState::Answered, &both));
    let mut stream = world.stream(None).await;
    stream.next().await.unwrap();
    let body = json!({"disposition": " Call\nback ", "notes": "a\r\n\u{1b}b\0", "record_id": SECOND_ID});
    let response = world.post_notes(&world.anna, body.to_string()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let note = world.notes.lock().unwrap().pop().unwrap();
    assert_eq!(note.disposition.as_deref(), Some("Call back"));
    assert_eq!(note.notes.as_deref(), Some("a\nb"));
    assert_eq!(note.by, Some(extension("101")));
    let update = stream.next().await.unwrap();
    assert_eq!(update.name, "update");
    assert_eq!((&update.data["chosen"], &update.data["matches"][0]["id"]), (&json!(SECOND_ID), &json!(SECOND_ID)));
}

#[tokio::test]
async fn notes_that_cannot_be_are_refused_with_a_reason() {
    let world = World::new().await;
    for (body, status) in [
        ("junk".to_owned(), StatusCode::BAD_REQUEST),
        (json!({"note": "x"}).to_string(), StatusCode::BAD_REQUEST),
        (json!({"record_id": "x'"}).to_string(), StatusCode::BAD_REQUEST),
        (json!({"notes": "n".repeat(8193)}).to_string(), StatusCode::PAYLOAD_TOO_LARGE),
        (json!({"disposition": "d".repeat(256)}).to_string(), StatusCode::PAYLOAD_TOO_LARGE),
        ("n".repeat(65 * 1024), StatusCode::PAYLOAD_TOO_LARGE),
        ("n".repeat(1024 * 1024), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        detail(world.post_notes(&world.anna, body).await, status).await;
    }
    let unknown = world.request("POST", "/api/v1/calls/hq-pbx1-2/notes").bearer_auth(&world.anna);
    detail(unknown.body("{}").send().await.unwrap(), StatusCode::NOT_FOUND).await;
    assert!(world.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_journal_is_listed_retried_and_dropped() {
    let world = World::new().await;
    let list: Value = world.get("/api/v1/journal", ADMIN).await.json().await.unwrap();
    assert_eq!(
        list["entries"][0],
        json!({"id": "7", "key": "hq-pbx1-7", "call": "hq-pbx1-7", "agent": null, "state": "parked", "reason": "no such user",
            "started": "1970-01-01T00:00:00Z", "next_try": null, "attempts": 1, "task": null})
    );
    for (method, path, status) in [
        ("GET", "/api/v1/journal?state=parked&limit=9", StatusCode::OK),
        ("GET", "/api/v1/journal?state=lost", StatusCode::BAD_REQUEST),
        ("GET", "/api/v1/journal?limit=x", StatusCode::BAD_REQUEST),
        ("GET", "/api/v1/journal/7", StatusCode::OK),
        ("GET", "/api/v1/journal/8", StatusCode::NOT_FOUND),
        ("POST", "/api/v1/journal/7/retry", StatusCode::ACCEPTED),
        ("DELETE", "/api/v1/journal/7", StatusCode::NO_CONTENT),
    ] {
        let response = world.request(method, path).bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_down_and_agents_are_not() {
    let world = World::new().await;
    let attempt = async |token: &str| {
        let request = world.request("GET", "/api/v1/calls").bearer_auth(token);
        request.header("X-Real-IP", "203.0.113.9").send().await.unwrap()
    };
    let mut answers = Vec::new();
    for guess in 0..100 {
        answers.push(attempt(&format!("guess {guess}")).await.status());
    }
    assert_eq!(answers[0], StatusCode::UNAUTHORIZED);
    assert!(answers.contains(&StatusCode::TOO_MANY_REQUESTS));
    let response = attempt(ADMIN).await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempt(&world.anna).await.status(), StatusCode::OK);
    assert_eq!(world.get("/api/v1/calls", ADMIN).await.status(), StatusCode::OK, "this machine");
}

#[tokio::test]
async fn slow_requests_are_cut_off_and_hold_up_nobody() {
    let world = World::new().await;
    let mut slow = Vec::new();
    for beginning in [&b""[..], b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        for _ in 0..200 {
            let mut socket = TcpStream::connect(world.address).await.unwrap();
            socket.write_all(beginning).await.unwrap();
            slow.push(socket);
        }
    }
    let began = Instant::now();
    let response = world.request("GET", "/healthz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    for socket in &mut slow {
        let mut answer = Vec::new();
        let closed = timeout(CEILING, socket.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "still open after {CEILING:?}");
    }
    assert!(began.elapsed() >= Duration::from_secs(5));
}

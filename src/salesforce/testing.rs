//! A small Salesforce on a loopback socket, for the tests of this module and of the directory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{Client, Config, Environment, FlowName};
use crate::secret::Secret;

pub(crate) fn config(endpoint: &str) -> Config {
    Config {
        environment: Environment::Production,
        endpoint: endpoint.to_owned(),
        flow: FlowName::ClientCredentials,
        client_id: "key".to_owned(),
        client_secret: Secret::new("s3cret"),
        username: String::new(),
        password: Secret::default(),
        security_token: Secret::default(),
        private_key_file: String::new(),
        audience: String::new(),
        token_url: String::new(),
        authorization_url: String::new(),
        redirect_url: String::new(),
        scopes: String::new(),
        details_link: String::new(),
        api_version: "auto".to_owned(),
        request_timeout: Duration::from_secs(30),
        ca_file: String::new(),
        insecure: false,
    }
}

/// A request as the org sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub path: String,
    /// Of `q=`, decoded.
    pub question: String,
    pub body: String,
    pub headers: axum::http::HeaderMap,
}

pub(crate) type Reply = (u16, String);
type Answerer = dyn Fn(&Seen) -> Option<Reply> + Send + Sync;

/// The org: counts its token calls, knows which tokens are good, and answers the rest by a closure (`None`: 404).
pub(crate) struct Org {
    pub url: String,
    pub logins: AtomicUsize,
    pub seen: Mutex<Vec<Seen>>,
    /// Tokens below this one have ended.
    pub valid_from: AtomicUsize,
    thinks: Mutex<Duration>,
    answer: Box<Answerer>,
}

impl Org {
    pub async fn start(answer: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let org = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            logins: AtomicUsize::new(0),
            seen: Mutex::default(),
            valid_from: AtomicUsize::new(1),
            thinks: Mutex::default(),
            answer: Box::new(answer),
        });
        let app = Router::new().fallback(serve).with_state(Arc::clone(&org));
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        org
    }

    pub fn client(&self) -> Client {
        Client::new(&config(&self.url)).unwrap()
    }

    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    /// All tokens made so far end.
    pub fn end_sessions(&self) {
        self.valid_from.store(self.logins() + 1, Ordering::SeqCst);
    }

    /// From now on each search takes this long.
    pub fn think(&self, time: Duration) {
        *self.thinks.lock().unwrap() = time;
    }

    /// Requests whose path has this in it.
    pub fn requests(&self, part: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let matching = seen.iter().filter(|seen| seen.path.contains(part));
        matching.cloned().collect()
    }

    fn reply(&self, seen: &Seen) -> Reply {
        if let Some(reply) = (self.answer)(seen) {
            return reply;
        }
        match seen.path.as_str() {
            "/services/oauth2/token" => (200, self.token()),
            "/services/data" => (200, r#"[{"version":"60.0"},{"version":"68.0"}]"#.to_owned()),
            _other => {
                (404, r#"[{"message":"The requested resource does not exist","errorCode":"NOT_FOUND"}]"#.to_owned())
            }
        }
    }

    fn token(&self) -> String {
        let number = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        format!(
            r#"{{"access_token":"00Dxx!{number}","instance_url":"{}","id":"https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS","token_type":"Bearer","issued_at":"1278448832702","signature":"x"}}"#,
            self.url
        )
    }

    fn has_ended(&self, seen: &Seen) -> bool {
        let bearer = seen.headers.get(header::AUTHORIZATION);
        let Some(token) = bearer.and_then(|value| value.to_str().unwrap().rsplit('!').next()) else {
            return false;
        };
        token.parse::<usize>().unwrap() < self.valid_from.load(Ordering::SeqCst)
    }
}

async fn serve(State(org): State<Arc<Org>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let url = reqwest::Url::parse(&format!("http://x{}", head.uri)).unwrap();
    let question = url.query_pairs().find(|(name, _)| name == "q");
    let seen = Seen {
        path: head.uri.path().to_owned(),
        question: question.map_or_else(String::new, |(_, value)| value.into_owned()),
        body: String::from_utf8(body.to_vec()).unwrap(),
        headers: head.headers,
    };
    org.seen.lock().unwrap().push(seen.clone());
    if seen.path.ends_with("/search") {
        let time = *org.thinks.lock().unwrap();
        tokio::time::sleep(time).await;
    }
    let (status, text) = if org.has_ended(&seen) {
        let ended = r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#;
        (401, ended.to_owned())
    } else {
        org.reply(&seen)
    };
    let kind = if text.starts_with('<') { "text/html" } else { "application/json;charset=UTF-8" };
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, kind), (header::HeaderName::from_static("sforce-limit-info"), "api-usage=18/5000")],
        text,
    )
        .into_response()
}

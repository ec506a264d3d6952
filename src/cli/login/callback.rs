//! Where the browser comes back to: a small server on loopback that shows how the login ended.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::lifecycle::Tasks;

/// Answers that wait to be looked at. When it is full a browser waits.
const ARRIVALS: usize = 8;
/// How long a browser may take to fetch the last page.
const GOOD_BYE: Duration = Duration::from_secs(3);

/// What a browser brought.
pub(super) struct Arrival {
    pub query: String,
    page: oneshot::Sender<Page>,
}

/// What it is shown.
pub(super) enum Page {
    Done(String),
    Failed(String),
    /// It has nothing to do with this login.
    Foreign(String),
}

pub(super) struct Callback {
    arrivals: mpsc::Receiver<Arrival>,
    tasks: Tasks,
}

#[derive(Clone)]
struct Door {
    path: String,
    arrivals: mpsc::Sender<Arrival>,
}

impl Arrival {
    pub fn show(self, page: Page) {
        // A browser that has gone needs no page.
        let _ = self.page.send(page);
    }
}

impl Callback {
    pub async fn listen(redirect: &Url) -> anyhow::Result<Self> {
        let (tasks, _deaths) = Tasks::new();
        let (to_login, arrivals) = mpsc::channel(ARRIVALS);
        let door = Door { path: redirect.path().to_owned(), arrivals: to_login };
        for (number, address) in addresses(redirect)?.into_iter().enumerate() {
            let listener = match TcpListener::bind(address).await {
                Ok(listener) => listener,
                // Of the two addresses of localhost one may be missing.
                Err(_) if number > 0 => continue,
                Err(error) => bail!(
                    "cannot listen on {address} for salesforce.redirect_url: {error}; end what uses it, or run `ctibridge \
                     login --paste`"
                ),
            };
            let app = Router::new().fallback(serve).with_state(door.clone());
            let stop = tasks.stopping();
            tasks.spawn_short("callback", async move {
                let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
                if let Err(error) = served.await {
                    tracing::debug!(%error, "the callback ended");
                }
            });
        }
        Ok(Self { arrivals, tasks })
    }

    pub async fn next(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// Lets the browser have its page.
    pub async fn close(self) {
        drop(self.arrivals);
        let _ = tokio::time::timeout(GOOD_BYE, self.tasks.stop()).await;
    }
}

fn addresses(redirect: &Url) -> anyhow::Result<Vec<SocketAddr>> {
    let advice =
        "run `ctibridge login --paste`, or set salesforce.redirect_url to one such as http://localhost:8461/callback";
    let host = redirect.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = redirect.port_or_known_default().context("salesforce.redirect_url has no port")?;
    if redirect.scheme() != "http" {
        bail!("salesforce.redirect_url is not plain http, which alone can be listened on here; {advice}");
    }
    if host == "localhost" {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(both.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Ok(vec![SocketAddr::new(address, port)]),
        Ok(_) | Err(_) => bail!("salesforce.redirect_url does not lead to this machine's loopback; {advice}"),
    }
}

async fn serve(State(door): State<Door>, method: Method, uri: Uri) -> Response {
    if method != Method::GET || uri.path() != door.path {
        return page(StatusCode::NOT_FOUND, "Nothing is here.");
    }
    let (reply, answer) = oneshot::channel();
    let arrival = Arrival { query: uri.query().unwrap_or_default().to_owned(), page: reply };
    if door.arrivals.send(arrival).await.is_err() {
        return page(StatusCode::GONE, "This login has ended.");
    }
    match answer.await {
        Ok(Page::Done(told)) => page(StatusCode::OK, &format!("{told}\n\nYou may close this window.")),
        Ok(Page::Failed(why)) => {
            page(StatusCode::BAD_REQUEST, &format!("ctibridge has no access to Salesforce.\n\n{why}"))
        }
        Ok(Page::Foreign(why)) => page(StatusCode::BAD_REQUEST, &why),
        Err(_) => page(StatusCode::GONE, "This login has ended."),
    }
}

/// Plain text, so that nothing in it can be more than text; the code in the address goes nowhere.
fn page(status: StatusCode, text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{text}\n")).into_response()
}

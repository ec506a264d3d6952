//! One try at a PBX, for `check --online`: is it there, does it let us watch an extension?

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::link::{Link, LinkError};
use super::server::{BadServer, Server};
use super::subscription::{Account, Out, Subscription};
use super::{Config, Limits};
use crate::calls::record::Extension;
use crate::feeds::sip::{Message, response};

/// For all of it.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum TryError {
    #[error(transparent)]
    Server(#[from] BadServer),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0}")]
    Refused(String),
    #[error(
        "the PBX does not answer within {LIMIT:?}: check address, port and transport in `server`, and firewalls between"
    )]
    Silent,
    #[error("there is no extension to watch: name agents, or `extensions`, or a `list`")]
    Nobody,
}

/// Subscribes to the first extension, or to the list, and takes leave again; the answer is a line for the operator.
///
/// # Errors
///
/// What is wrong and what to do about it.
pub async fn try_once(config: &Config, agents: &[Extension]) -> Result<String, TryError> {
    let first = config.extensions.first().cloned().or_else(|| agents.first().map(|agent| agent.0.clone()));
    let server = Server::of(config)?;
    let mut link = Link::open(config, &server, LIMIT).await?;
    let account = Arc::new(Account {
        username: config.username.clone(),
        password: config.password.clone(),
        server,
        local: link.local().to_string(),
        limits: Limits::default(),
    });
    let now = Instant::now();
    let (mut subscription, what) = if config.list.is_empty() {
        let extension = first.ok_or(TryError::Nobody)?;
        (Subscription::to_extension(account, &extension, now), format!("extension {extension}"))
    } else {
        (Subscription::to_list(account, &config.list, now), "the list".to_owned())
    };
    timeout(LIMIT, notified(&mut subscription, &mut link)).await.map_err(|_| TryError::Silent)??;
    for out in subscription.leave(Instant::now()) {
        if let Out::Send(octets) = out {
            link.send(&octets).await?;
        }
    }
    Ok(format!("{what} can be watched"))
}

/// Until the first NOTIFY.
async fn notified(subscription: &mut Subscription, link: &mut Link) -> Result<(), TryError> {
    loop {
        let due = subscription.deadline().unwrap_or_else(|| Instant::now() + LIMIT);
        let mut out = Vec::new();
        let mut is_up = false;
        tokio::select! {
            octets = link.next() => {
                let octets = octets?;
                let Ok(message) = Message::read(&octets) else { continue };
                if message.code().is_some() {
                    out = subscription.response(&message, Instant::now());
                } else {
                    let verdict = subscription.notify(&message, Instant::now(), &mut out);
                    is_up = !matches!(verdict, super::subscription::Verdict::Refuse(_));
                    link.send(&response(&message, if is_up { 200 } else { 481 }, &[])).await?;
                }
            }
            () = sleep_until(due.into()) => out = subscription.clock(Instant::now()),
        }
        for out in out {
            match out {
                Out::Send(octets) => link.send(&octets).await?,
                Out::Lost(reason) | Out::Refused(reason) | Out::Unauthorized(reason) => {
                    return Err(TryError::Refused(reason));
                }
            }
        }
        if is_up {
            return Ok(());
        }
    }
}

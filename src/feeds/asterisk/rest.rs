//! ARI's REST resources, as far as a feed needs them: all of them are only read.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, Url};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;

use super::address::{Address, BadUrl};
use super::map::PRESENTATION;
use super::wire::{AsteriskInfo, Bridge, Channel, Variable};
use super::{Config, advice};
use crate::secret::Secret;

/// What an answer may measure, unpacked: some 100,000 channels.
const BODY_BYTES: usize = 64 << 20;
/// Asterisk closes an idle connection after 15 s (http.conf, `session_keep_alive`): do not use one that is about to close.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Address(#[from] BadUrl),
    #[error("HTTP {0}: {advice}", advice = advice::on_status(*.0))]
    Refused(u16),
    #[error("{}", advice::on_failure(.0))]
    Failed(#[source] reqwest::Error),
    #[error("the answer is longer than {BODY_BYTES} bytes")]
    TooLong,
    /// What exactly is wrong may hold caller data; the place does not.
    #[error("the answer is not what ARI says (column {column}): is `url` that of an Asterisk?", column = .0.column())]
    NotAri(serde_json::Error),
}

pub struct Rest {
    client: Client,
    address: Address,
    username: String,
    password: Secret,
}

impl Rest {
    pub fn new(config: &Config, address: Address, tls: &Arc<ClientConfig>, limit: Duration) -> Result<Self, Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(tls))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(limit)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(Error::Failed)?;
        Ok(Self { client, address, username: config.username.clone(), password: config.password.clone() })
    }

    pub async fn channels(&self) -> Result<Vec<Channel>, Error> {
        self.read(self.address.resource(&["channels"])?).await
    }

    pub async fn bridges(&self) -> Result<Vec<Bridge>, Error> {
        self.read(self.address.resource(&["bridges"])?).await
    }

    pub async fn info(&self) -> Result<AsteriskInfo, Error> {
        self.read(self.address.resource(&["asterisk", "info"])?).await
    }

    /// Whether the caller's number may be shown, in Asterisk's words: `prohib_not_screened`.
    pub async fn presentation(&self, channel: &str) -> Result<String, Error> {
        let mut url = self.address.resource(&["channels", channel, "variable"])?;
        url.query_pairs_mut().append_pair("variable", PRESENTATION);
        let variable: Variable = self.read(url).await?;
        Ok(variable.value)
    }

    async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        let request = self.client.get(url).basic_auth(&self.username, Some(self.password.expose()));
        let response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(Error::Refused(response.status().as_u16()));
        }
        serde_json::from_slice(&body(response).await?).map_err(Error::NotAri)
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BODY_BYTES {
            return Err(Error::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failed(error: reqwest::Error) -> Error {
    Error::Failed(error.without_url())
}

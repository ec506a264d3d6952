//! The running daemon, as its operator reaches it: by HTTP with the admin token.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value as Json;

use crate::secret::Secret;
use crate::settings::Settings;
use crate::telemetry::Escaped;

/// The daemon answers from memory and disk, or within its own deadline for Salesforce.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum DaemonError {
    #[error(
        "no ctibridge answers at {address}; start it (systemctl start ctibridge), or name its settings with --config"
    )]
    NotRunning { address: String },
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A daemon that may or may not run.
#[derive(Debug)]
pub(super) struct Daemon {
    address: String,
    token_file: PathBuf,
    configured: Secret,
    client: reqwest::Client,
}

impl Daemon {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            address: address(&settings.http.listen)?,
            token_file: settings.bridge.state_dir().join("admin-token"),
            configured: settings.http.admin_token.clone(),
            client: reqwest::Client::builder()
                .timeout(PATIENCE)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .context("cannot make HTTP requests")?,
        })
    }

    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Json, DaemonError> {
        self.send(Method::GET, path, query, None).await
    }

    pub(super) async fn post(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Json, DaemonError> {
        self.send(Method::POST, path, query, None).await
    }

    pub(super) async fn post_json(&self, path: &[&str], body: &impl Serialize) -> Result<Json, DaemonError> {
        let body = serde_json::to_value(body).context("this cannot be said in JSON")?;
        self.send(Method::POST, path, &[], Some(&body)).await
    }

    pub(super) async fn delete(&self, path: &[&str]) -> Result<Json, DaemonError> {
        self.send(Method::DELETE, path, &[], None).await
    }

    pub(super) async fn put(&self, path: &[&str], body: &Json) -> Result<Json, DaemonError> {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    /// How the daemon is, which it tells anybody. None: nobody answers, or it is not ctibridge.
    pub(super) async fn readiness(&self) -> Option<Json> {
        let answer = self.client.get(format!("{}/readyz", self.address)).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// Whether anything listens where the daemon would.
    pub(super) async fn is_running(&self) -> bool {
        let answer = self.client.get(format!("{}/healthz", self.address)).send().await;
        !answer.is_err_and(|error| error.is_connect())
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Json, DaemonError> {
        let url = self.url(path)?;
        let token = match self.token() {
            Ok(token) => token,
            Err(_) if !self.is_running().await => return Err(self.not_running()),
            Err(error) => return Err(error.into()),
        };
        let mut request = self.client.request(method, url).query(query).bearer_auth(token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.not_running()),
            Err(error) => {
                return Err(anyhow!(error.without_url()).context("the daemon does not answer").into());
            }
        };
        let status = response.status();
        let body = response.bytes().await.context("the daemon broke off its answer")?;
        Ok(self.read(status, &body)?)
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> anyhow::Result<Json> {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        if status.is_success() {
            return Ok(json);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            bail!(
                "the daemon at {} refused the admin token; is it the one of these settings (http.admin_token, or {})?",
                self.address,
                self.token_file.display()
            );
        }
        let said = ["detail", "title"].iter().find_map(|key| json.get(key)?.as_str());
        match said {
            Some(said) => bail!("{} (HTTP {})", Escaped(said), status.as_u16()),
            None => bail!("{} answered with HTTP {}; is it ctibridge?", self.address, status.as_u16()),
        }
    }

    fn url(&self, path: &[&str]) -> anyhow::Result<reqwest::Url> {
        let mut url = reqwest::Url::parse(&self.address).context("http.listen is no address")?;
        url.path_segments_mut()
            .map_err(|()| anyhow!("http.listen is no address"))?
            .extend(["api", "v1"].iter().chain(path));
        Ok(url)
    }

    fn token(&self) -> anyhow::Result<Secret> {
        if !self.configured.is_empty() {
            return Ok(self.configured.clone());
        }
        let file = self.token_file.display();
        let text = std::fs::read_to_string(&self.token_file).with_context(|| {
            format!("cannot read the admin token in {file}; run this as root or as the daemon's user")
        })?;
        Ok(Secret::new(text.trim_end()))
    }

    fn not_running(&self) -> DaemonError {
        DaemonError::NotRunning { address: self.address.clone() }
    }
}

/// Where to reach a daemon that listens there from the same machine.
fn address(listen: &str) -> anyhow::Result<String> {
    let (host, port) = listen.rsplit_once(':').context("http.listen is no address and port")?;
    if port == "0" {
        bail!("http.listen has port 0, so that the daemon's port cannot be known; give it a fixed one");
    }
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Ok(format!("http://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_reached_by_loopback() {
        assert_eq!(address("0.0.0.0:8460").unwrap(), "http://127.0.0.1:8460");
        assert_eq!(address("[::]:8460").unwrap(), "http://[::1]:8460");
        assert_eq!(address("cti.lan:1").unwrap(), "http://cti.lan:1");
        assert!(address("127.0.0.1:0").is_err());
    }
}

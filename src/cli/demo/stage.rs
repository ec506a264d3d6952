//! What the demo plays on: both pretend sides and a bridge between them, on loopback.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use crate::bridge::{self, Bridge};
use crate::calls::record::Extension;
use crate::cli::assemble;
use crate::feeds;
use crate::phone::NumberPlan;
use crate::secret::Secret;
use crate::settings::{DEMO, Settings};
use crate::sim::pbx::{self, Asterisk};
use crate::sim::story::Caller;
use crate::sim::{Options, Salesforce, people};

/// A free port of this machine, for nobody else to reach.
const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// The three agents of the demo.
const AGENTS: [&str; 3] = ["101", "102", "103"];
/// How many of the people in the pretend org call: the Germans among them, whose numbers are all read in this region.
const CALLERS: usize = 12;

pub struct Stage {
    asterisk: Arc<Asterisk>,
    salesforce: Arc<Salesforce>,
    bridge: Bridge,
    state_dir: PathBuf,
}

impl Stage {
    /// Builds everything. With `quietly` a taken port gives way to a free one, since nobody looks at the page.
    pub async fn build(listen: Option<SocketAddr>, quietly: bool) -> anyhow::Result<Self> {
        let salesforce = Salesforce::start(Options { seed: people::demo(), ..Options::default() })
            .await
            .context("the pretend Salesforce cannot start")?;
        let asterisk =
            Asterisk::start(LOOPBACK, pbx::Options::default()).await.context("the pretend Asterisk cannot start")?;
        let config = config(&salesforce, &asterisk, listen, quietly)?;
        let state_dir = config.state_dir.clone();
        let started = Bridge::start(config).await;
        let bridge = started.map_err(|error| {
            clear(&state_dir);
            not_started(error)
        })?;
        Ok(Self { asterisk: Arc::new(asterisk), salesforce: Arc::new(salesforce), bridge, state_dir })
    }

    pub fn asterisk(&self) -> Arc<Asterisk> {
        Arc::clone(&self.asterisk)
    }

    pub fn salesforce(&self) -> Arc<Salesforce> {
        Arc::clone(&self.salesforce)
    }

    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    pub fn agents() -> impl Iterator<Item = Extension> {
        AGENTS.into_iter().map(|extension| Extension(extension.to_owned()))
    }

    /// What the terminal shows first, with an address for each agent.
    pub fn welcome(&self) -> anyhow::Result<String> {
        let mut text = "A pretend Asterisk, a pretend Salesforce and ctibridge between them. Ctrl-C ends it.\n\
                        What an agent sees:\n"
            .to_owned();
        for agent in Self::agents() {
            let token = self.bridge.agents().make_token(&agent)?;
            let name = self.name(&agent);
            let address = self.bridge.address();
            writeln!(text, "  {name}, {agent}: http://{address}/#token={}", token.expose())?;
        }
        writeln!(text, "What Salesforce has: {}/lightning/o/Task/list", self.salesforce.url())?;
        Ok(text)
    }

    /// As the settings have it.
    pub fn name(&self, agent: &Extension) -> String {
        self.bridge.agents().name(agent).unwrap_or_default()
    }

    /// People of the pretend org who have a phone.
    pub fn callers(&self) -> Vec<Caller> {
        let people = self.salesforce.rows("Contact").into_iter().chain(self.salesforce.rows("Lead"));
        let Ok(plan) = NumberPlan::new("DE", "", "2-6") else { return Vec::new() };
        people
            .filter_map(|person| {
                let number = ["MobilePhone", "Phone"].iter().find_map(|field| person.get(*field)?.as_str())?;
                let name = person.get("Name")?.as_str()?;
                Some(Caller::new(plan.read(number).e164()?, name))
            })
            .take(CALLERS)
            .collect()
    }

    pub async fn clear(self) {
        self.bridge.stop().await;
        clear(&self.state_dir);
    }
}

/// It lies in the folder for temporary files: what cannot be removed is swept away there.
fn clear(state_dir: &Path) {
    let _ = std::fs::remove_dir_all(state_dir);
}

fn not_started(error: bridge::StartError) -> anyhow::Error {
    if let bridge::StartError::Listen { address, error } = error {
        return anyhow!(
            "cannot listen on {address}: {error}. Does a demo or a ctibridge run already? \
             Choose another address: ctibridge demo --listen 127.0.0.1:8470"
        );
    }
    error.into()
}

/// `config/demo.toml`, with the two pretend sides and a state folder of its own.
fn config(
    salesforce: &Salesforce,
    asterisk: &Asterisk,
    listen: Option<SocketAddr>,
    quietly: bool,
) -> anyhow::Result<bridge::Config> {
    let (settings, _) = Settings::from_toml(DEMO)?;
    let mut config = assemble::bridge_config(&settings)?;
    let anywhere = || quietly.then(|| LOOPBACK.to_string());
    if let Some(address) = listen.map(|address| address.to_string()).or_else(anywhere) {
        config.http.listen = address;
    }
    config.state_dir = std::env::temp_dir().join(format!("ctibridge-demo-{}", std::process::id()));
    let login = salesforce.credentials();
    config.salesforce.endpoint = salesforce.url();
    config.salesforce.client_id = login.client_id;
    config.salesforce.client_secret = Secret::new(login.client_secret);
    let pretend = pbx::Options::default();
    config.feeds = vec![feeds::Config::AsteriskAri(feeds::asterisk::Config {
        name: "pbx".to_owned(),
        url: asterisk.url(),
        username: pretend.username,
        password: Secret::new(pretend.password),
        app: "ctibridge".to_owned(),
        trunks: vec!["PJSIP/trunk".to_owned()],
        ca_file: String::new(),
        insecure: false,
    })];
    Ok(config)
}

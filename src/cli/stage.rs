//! A bridge between two pretend sides, on loopback and in one process: what the demo and a replay play on.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::bridge::{self, Bridge};
use crate::calls::record::Extension;
use crate::feeds;
use crate::secret::Secret;
use crate::sim::pbx::{self, Asterisk};
use crate::sim::{Options, Salesforce, Seed};

/// A free port of this machine, for nobody else to reach.
pub const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

pub struct Stage {
    asterisk: Arc<Asterisk>,
    salesforce: Arc<Salesforce>,
    bridge: Bridge,
    agents: Vec<Extension>,
    state_dir: PathBuf,
}

impl Stage {
    /// The bridge runs with `config`, but with a state folder of its own, on what `prepare` makes its feed, and, unless
    /// `live`, on a pretend Salesforce.
    pub async fn build(
        mut config: bridge::Config,
        seed: Seed,
        live: bool,
        prepare: impl FnOnce(&Asterisk, &mut bridge::Config),
    ) -> anyhow::Result<Self> {
        let salesforce = Salesforce::start(Options { seed, ..Options::default() })
            .await
            .context("the pretend Salesforce cannot start")?;
        let asterisk =
            Asterisk::start(LOOPBACK, pbx::Options::default()).await.context("the pretend Asterisk cannot start")?;
        if !live {
            log_in_to(&salesforce, &mut config);
        }
        prepare(&asterisk, &mut config);
        config.state_dir = std::env::temp_dir().join(format!("ctibridge-{}", std::process::id()));
        let (state_dir, agents) = (config.state_dir.clone(), extensions(&config));
        let bridge = Bridge::start(config).await.inspect_err(|_| clear(&state_dir))?;
        Ok(Self { asterisk: Arc::new(asterisk), salesforce: Arc::new(salesforce), bridge, agents, state_dir })
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

    pub fn agents(&self) -> &[Extension] {
        &self.agents
    }

    pub async fn clear(self) {
        self.bridge.stop().await;
        clear(&self.state_dir);
    }

    /// As the settings have it.
    pub fn name(&self, agent: &Extension) -> String {
        self.bridge.agents().name(agent).unwrap_or_default()
    }
}

/// It lies in the folder for temporary files: what cannot be removed is swept away there.
fn clear(state_dir: &Path) {
    let _ = std::fs::remove_dir_all(state_dir);
}

fn extensions(config: &bridge::Config) -> Vec<Extension> {
    config.agents.iter().map(|agent| Extension(agent.extension.clone())).collect()
}

fn log_in_to(salesforce: &Salesforce, config: &mut bridge::Config) {
    let login = salesforce.credentials();
    let org = &mut config.salesforce;
    org.endpoint = salesforce.url();
    org.flow = crate::salesforce::FlowName::ClientCredentials;
    org.token_url.clear();
    org.client_id = login.client_id;
    org.client_secret = Secret::new(login.client_secret);
}

/// The first feed of this kind keeps its name and its trunks; the others are left out.
pub fn listen_to(asterisk: &Asterisk, config: &mut bridge::Config) {
    let pretend = pbx::Options::default();
    let own = config.feeds.drain(..).find_map(|feed| match feed {
        feeds::Config::AsteriskAri(own) => Some(own),
        feeds::Config::Hep(_) => None,
    });
    let (name, trunks) = match own {
        Some(own) => (own.name, own.trunks),
        None => ("pbx".to_owned(), vec!["PJSIP/trunk".to_owned()]),
    };
    config.feeds = vec![feeds::Config::AsteriskAri(feeds::asterisk::Config {
        name,
        url: asterisk.url(),
        username: pretend.username,
        password: Secret::new(pretend.password),
        app: "ctibridge".to_owned(),
        trunks,
        ca_file: String::new(),
        insecure: false,
    })];
}

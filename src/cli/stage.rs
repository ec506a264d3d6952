//! A bridge between two pretend sides, on loopback and in one process: what the demo and a replay play on.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::bridge::{self, Bridge};
use crate::calls::record::Extension;
use crate::feeds;
use crate::pops::Agent;
use crate::secret::Secret;
use crate::sim::pbx::notifier::{Manners, Transport};
use crate::sim::pbx::{self, Asterisk, Notifier};
use crate::sim::{Options, Salesforce, Seed};

/// A free port of this machine, for nobody else to reach.
pub const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

pub struct Stage {
    salesforce: Arc<Salesforce>,
    bridge: Bridge,
    agents: Vec<Extension>,
    state_dir: PathBuf,
}

impl Stage {
    /// The bridge runs with `config` and its feeds, but with a state folder of its own and, unless `live`, on a pretend Salesforce.
    pub async fn build(mut config: bridge::Config, seed: Seed, live: bool) -> anyhow::Result<Self> {
        let salesforce = Salesforce::start(Options { seed, ..Options::default() })
            .await
            .context("the pretend Salesforce cannot start")?;
        if !live {
            log_in_to(&salesforce, &mut config);
        }
        config.state_dir = std::env::temp_dir().join(format!("ctibridge-{}", std::process::id()));
        let (state_dir, agents) = (config.state_dir.clone(), extensions(&config));
        let bridge = Bridge::start(config).await.inspect_err(|_| clear(&state_dir))?;
        Ok(Self { salesforce: Arc::new(salesforce), bridge, agents, state_dir })
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
        let name = self.bridge.agents().name(agent).filter(|name| !name.is_empty());
        name.unwrap_or_else(|| agent.0.clone())
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

/// A pretend Asterisk that the bridge is to listen to. The first such feed of the settings keeps its name and its trunks; the others
/// are left out.
pub async fn asterisk(config: &mut bridge::Config) -> anyhow::Result<Arc<Asterisk>> {
    let pretend = pbx::Options::default();
    let asterisk = Asterisk::start(LOOPBACK, pretend.clone()).await.context("the pretend Asterisk cannot start")?;
    let own = config.feeds.drain(..).find_map(|feed| match feed {
        feeds::Config::AsteriskAri(own) => Some(own),
        feeds::Config::SipDialog(_) | feeds::Config::Hep(_) => None,
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
    Ok(Arc::new(asterisk))
}

/// A pretend PBX that lets the bridge watch these extensions, each of which is an agent then.
pub async fn notifier(config: &mut bridge::Config, watched: Vec<String>) -> anyhow::Result<Notifier> {
    let manners = Manners::default();
    let (username, password) = (manners.username.clone(), Secret::new(manners.password.clone()));
    let notifier = Notifier::start(LOOPBACK, Transport::Tcp, manners).await.context("the pretend PBX cannot start")?;
    let own = config.feeds.drain(..).find_map(|feed| match feed {
        feeds::Config::SipDialog(own) => Some(own.name),
        feeds::Config::AsteriskAri(_) | feeds::Config::Hep(_) => None,
    });
    for extension in &watched {
        if !config.agents.iter().any(|agent| agent.extension == *extension) {
            config.agents.push(Agent { extension: extension.clone(), ..Agent::default() });
        }
    }
    config.feeds = vec![feeds::Config::SipDialog(feeds::sip_dialog::Config {
        name: own.unwrap_or_else(|| "pbx".to_owned()),
        server: notifier.uri(),
        domain: "pbx.example".to_owned(),
        username,
        password,
        extensions: watched,
        list: String::new(),
        same_pbx_as: String::new(),
        ca_file: String::new(),
        insecure: false,
    })];
    Ok(notifier)
}

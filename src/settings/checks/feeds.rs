//! Checks `[[feed]]`, by kind.

use super::rules::{Address, NAME, is_name};
use crate::feeds::{Config, asterisk, hep};
use crate::settings::Settings;
use crate::settings::findings::Findings;

pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    if settings.feeds.is_empty() && !findings.is_set("feed") {
        findings.warning("feed", "no feed: look-ups and links are served, but no call is seen");
    }
    for feed in &settings.feeds {
        let key = format!("feed.{}", feed.name());
        if !is_name(feed.name()) {
            findings.problem(&key, "the name cannot be part of a call key", NAME);
        }
        match feed {
            Config::AsteriskAri(config) => asterisk_ari(&key, config, settings, findings),
            Config::Hep(config) => mirror(&key, config, findings),
        }
    }
}

fn asterisk_ari(feed: &str, config: &asterisk::Config, settings: &Settings, findings: &mut Findings) {
    let key = |name: &str| format!("{feed}.{name}");
    let address = Address {
        key: &key("url"),
        text: &config.url,
        schemes: ["wss", "ws"],
        insecure: config.insecure,
        section: "this feed",
    };
    if address.check(findings).is_some_and(|url| !url.path().ends_with("/events")) {
        findings.problem(
            &key("url"),
            "does not end with /events",
            "an address such as \"ws://127.0.0.1:8088/ari/events\"",
        );
    }
    for (name, empty) in [
        ("username", config.username.is_empty()),
        ("password", config.password.is_empty()),
        ("app", config.app.is_empty()),
    ] {
        if empty && !findings.is_wrong(&key(name)) {
            findings.problem(&key(name), "is not set", "a value, since Asterisk asks for it");
        }
    }
    trunks(&key("trunks"), &config.trunks, settings, findings);
}

fn trunks(key: &str, trunks: &[String], settings: &Settings, findings: &mut Findings) {
    if trunks.is_empty() && !findings.is_wrong(key) {
        findings.warning(key, "no trunk: every endpoint is taken for a phone, so that no call has an outside party");
    }
    for trunk in trunks {
        if !trunk.contains('/') {
            findings.problem(key, format!("{trunk:?} is no endpoint"), "technology and name, such as \"PJSIP/trunk\"");
        }
        let owner = settings.agent_list.iter().find(|agent| agent.devices.contains(trunk));
        if let Some(agent) = owner {
            let what = format!("{trunk:?} is a device of agent {}, too", agent.extension);
            findings.problem(key, what, "each endpoint as one of them");
        }
    }
}

fn mirror(feed: &str, config: &hep::Config, findings: &mut Findings) {
    let key = |name: &str| format!("{feed}.{name}");
    let results = [config.listens().map(drop), config.allowed().map(drop), config.trunks().map(drop)];
    for bad in results.into_iter().filter_map(Result::err) {
        if !findings.is_wrong(&key(bad.key)) {
            findings.problem(&key(bad.key), bad.what, bad.expected);
        }
    }
    let listens = config.listens().unwrap_or_default();
    if listens.iter().any(|listen| listen.transport == hep::Transport::Tls) {
        for (name, empty) in
            [("tls_certificate", config.tls_certificate.is_empty()), ("tls_key", config.tls_key.is_empty())]
        {
            if empty && !findings.is_wrong(&key(name)) {
                findings.problem(&key(name), "is not set", "a PEM file, since `listen` names tls://");
            }
        }
    }
    let open = listens.iter().any(|listen| !listen.address.ip().is_loopback());
    if open && config.auth_key.is_empty() && config.allow.is_empty() {
        let text = "is not set, nor is allow: packets of other machines are thrown away";
        findings.warning(&key("auth_key"), text);
    }
    if config.trunks.is_empty() && !findings.is_wrong(&key("trunks")) {
        let text = "no trunk: every far end is taken for a phone, so that no call has an outside party";
        findings.warning(&key("trunks"), text);
    }
}

//! Checks `[[feed]]`, by kind.

use super::rules::{Address, NAME, is_name};
use crate::feeds::{Config, asterisk, hep, sip_dialog};
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
        if let Some(leader) = feed.same_pbx_as() {
            let is_leader =
                |it: &&Config| it.name() == leader && it.name() != feed.name() && it.same_pbx_as().is_none();
            if !settings.feeds.iter().any(|it| is_leader(&it)) {
                let what = format!("{leader:?} is no other feed that leads");
                findings.problem(
                    &format!("{key}.same_pbx_as"),
                    what,
                    "the name of a feed that has no `same_pbx_as` itself",
                );
            }
        }
        match feed {
            Config::AsteriskAri(config) => asterisk_ari(&key, config, settings, findings),
            Config::SipDialog(config) => sip_dialog(&key, config, settings, findings),
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

fn sip_dialog(feed: &str, config: &sip_dialog::Config, settings: &Settings, findings: &mut Findings) {
    let key = |name: &str| format!("{feed}.{name}");
    match sip_dialog::Server::of(config) {
        Err(_) => {
            let expected = "an address such as \"sip:pbx.example:5060;transport=tcp\", with udp, tcp or tls";
            findings.problem(&key("server"), "is no address of a SIP server", expected);
        }
        Ok(server) if server.transport != sip_dialog::Transport::Tls && !config.insecure && !server.is_loopback() => {
            let what = "callers travel in plain text to another machine: set transport=tls where the PBX offers it, or \
                        `insecure = true` to say that the way is safe";
            findings.warning(&key("server"), what);
        }
        Ok(_) => {}
    }
    if config.username.is_empty() && !findings.is_wrong(&key("username")) {
        findings.problem(&key("username"), "is not set", "the user of an account that may subscribe");
    }
    if !config.list.is_empty() && !(config.list.starts_with("sip:") || config.list.starts_with("sips:")) {
        findings.problem(&key("list"), "is no SIP address", "an address such as \"sip:blf-list@pbx.example\"");
    }
    let plain = |extension: &&String| extension.is_empty() || extension.contains(['@', '<', '>', ' ', ':']);
    if let Some(extension) = config.extensions.iter().find(plain) {
        findings.problem(
            &key("extensions"),
            format!("{extension:?} is no extension"),
            "the extension alone, such as \"101\"",
        );
    }
    if config.extensions.is_empty() && config.list.is_empty() && settings.agent_list.is_empty() {
        findings.warning(&key("extensions"), "no extension to watch: name agents, `extensions`, or a `list`");
    }
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

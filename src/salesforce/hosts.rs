//! Which hosts may get the credentials and the token: read from the settings, and checked again when a token names one.

use reqwest::Url;

use super::config::{Config, Environment};
use super::problem::ConfigError;

/// The Lightning hosts show pages only; the API of the same org is at the right-hand side.
const LIGHTNING: [(&str, &str); 3] = [
    (".lightning.force.com", ".my.salesforce.com"),
    (".lightning.crmforce.mil", ".my.salesforce.mil"),
    (".lightning.sfcrmapps.cn", ".my.sfcrmproducts.cn"),
];

/// What ends the name of a host of Salesforce.
const SALESFORCE: [&str; 7] = [
    ".salesforce.com",
    ".force.com",
    ".salesforce.mil",
    ".crmforce.mil",
    ".cloudforce.com",
    ".sfcrmproducts.cn",
    ".database.com",
];

/// The hosts that the settings name.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// Where tokens are asked for.
    pub token_url: Url,
    /// Where consent is asked for.
    pub authorization_url: Url,
    /// Where consent is ended.
    pub revoke_url: Url,
    /// Whom an assertion is for.
    pub audience: String,
    named: Vec<String>,
    insecure: bool,
}

impl Hosts {
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let endpoint = match config.endpoint.trim() {
            "" => None,
            text => Some(origin(&read("endpoint", text, config.insecure)?)),
        };
        let token_url = match config.token_url.trim() {
            "" => login_path(endpoint.as_ref(), config.environment, "token")?,
            text => read("token_url", text, config.insecure)?,
        };
        let authorization_url = match config.authorization_url.trim() {
            "" => login_path(endpoint.as_ref(), config.environment, "authorize")?,
            text => read("authorization_url", text, config.insecure)?,
        };
        let revoke_url = token_url.join("revoke").map_err(|_| ConfigError::Address { key: "token_url" })?;
        let audience = match config.audience.trim() {
            "" => audience(endpoint.as_ref(), config.environment).to_owned(),
            text => text.to_owned(),
        };
        let named = [endpoint.as_ref(), Some(&token_url)]
            .into_iter()
            .flatten()
            .filter_map(|url| url.host_str().map(str::to_owned))
            .collect();
        Ok(Self { token_url, authorization_url, revoke_url, audience, named, insecure: config.insecure })
    }

    /// Whether every host of the settings is this machine.
    pub fn all_loopback(&self) -> bool {
        self.named.iter().all(|host| is_loopback(host))
    }

    /// The address that a token names, when it may have the token: a host of Salesforce, or one of the settings.
    pub fn instance(&self, text: &str) -> Option<Url> {
        let url = to_api_host(Url::parse(text).ok()?);
        let host = url.host_str()?;
        let plain = !url.username().is_empty() || url.password().is_some();
        let allowed = if self.is_named(host) {
            may_be_plain(&url, self.insecure)
        } else {
            url.scheme() == "https" && url.port().is_none() && is_salesforce(host)
        };
        (allowed && !plain).then(|| origin(&url))
    }

    fn is_named(&self, host: &str) -> bool {
        self.named.iter().any(|named| named == host || (is_loopback(named) && is_loopback(host)))
    }
}

const PRODUCTION: &str = "https://login.salesforce.com";
const SANDBOX: &str = "https://test.salesforce.com";

fn login_path(endpoint: Option<&Url>, environment: Environment, last: &str) -> Result<Url, ConfigError> {
    let login = match environment {
        Environment::Production => PRODUCTION,
        Environment::Sandbox => SANDBOX,
    };
    let base = endpoint.map_or(login, Url::as_str);
    Url::parse(base)
        .and_then(|base| base.join(&format!("/services/oauth2/{last}")))
        .map_err(|_| ConfigError::Address { key: "endpoint" })
}

/// The login host of the org, whichever host the token is asked for at. The name of a sandbox's or a scratch org's My Domain tells.
fn audience(endpoint: Option<&Url>, environment: Environment) -> &'static str {
    let host = endpoint.and_then(Url::host_str).unwrap_or_default();
    let is_sandbox = [".sandbox.my.", ".scratch.my."].iter().any(|kind| host.contains(kind));
    if is_sandbox || environment == Environment::Sandbox { SANDBOX } else { PRODUCTION }
}

/// Reads an address of the settings. Without a scheme it is taken as `https`.
fn read(key: &'static str, text: &str, insecure: bool) -> Result<Url, ConfigError> {
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&text).map_err(|_| ConfigError::Address { key })?;
    let host = url.host_str().ok_or(ConfigError::Address { key })?;
    if host.ends_with(".my.salesforce-setup.com") {
        return Err(ConfigError::SetupHost { key });
    }
    if !url.username().is_empty() || !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::Address { key });
    }
    if !may_be_plain(&url, insecure) {
        return Err(ConfigError::Plain { key });
    }
    Ok(to_api_host(url))
}

fn may_be_plain(url: &Url, insecure: bool) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => insecure || url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}

fn origin(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn to_api_host(mut url: Url) -> Url {
    let api = url.host_str().and_then(|host| {
        LIGHTNING
            .iter()
            .find_map(|(lightning, api)| host.strip_suffix(lightning).map(|domain| format!("{domain}{api}")))
    });
    if let Some(api) = api {
        // A host that was valid before its end was replaced is valid after it.
        let _ = url.set_host(Some(&api));
    }
    url
}

/// The address of the org's pages: the Lightning host of a host of Salesforce; any other address as it is.
pub(super) fn to_page_host(mut url: Url) -> Url {
    let page = url.host_str().and_then(|host| {
        LIGHTNING
            .iter()
            .find_map(|(lightning, api)| host.strip_suffix(api).map(|domain| format!("{}{lightning}", lasting(domain))))
    });
    if let Some(page) = page {
        let _ = url.set_host(Some(&page));
    }
    url
}

/// Names from before 2023 have the instance in them, `acme--uat.cs12`; that of the pages never had.
fn lasting(domain: &str) -> &str {
    let is_instance = |label: &str| {
        let letters = label.trim_end_matches(|last: char| last.is_ascii_digit());
        letters.len() < label.len() && ["na", "cs", "eu", "ap", "um", "gs"].contains(&letters)
    };
    domain.rsplit_once('.').filter(|(_, last)| is_instance(last)).map_or(domain, |(domain, _)| domain)
}

/// Where one logs in; it shows no records.
pub(super) fn is_login_host(url: &Url) -> bool {
    matches!(url.host_str(), Some("login.salesforce.com" | "test.salesforce.com"))
}

/// A host of Salesforce without a My Domain: such an org has the classic pages only.
pub(super) fn is_classic_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host.ends_with(".salesforce.com") && !host.ends_with(".my.salesforce.com") || host.ends_with(".cloudforce.com")
    })
}

fn is_salesforce(host: &str) -> bool {
    SALESFORCE.iter().any(|suffix| host.ends_with(suffix))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    fn hosts(endpoint: &str) -> Result<Hosts, ConfigError> {
        Hosts::new(&config(endpoint))
    }

    #[test]
    fn the_token_is_asked_for_where_the_settings_say() {
        for (endpoint, expected) in [
            ("", "https://login.salesforce.com/services/oauth2/token"),
            ("acme.my.salesforce.com", "https://acme.my.salesforce.com/services/oauth2/token"),
            (
                "https://acme--uat.sandbox.lightning.force.com/lightning/page/home",
                "https://acme--uat.sandbox.my.salesforce.com/services/oauth2/token",
            ),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/services/oauth2/token"),
        ] {
            assert_eq!(hosts(endpoint).unwrap().token_url.as_str(), expected);
        }
        let mut sandbox = config("");
        sandbox.environment = Environment::Sandbox;
        let token_url = Hosts::new(&sandbox).unwrap().token_url;
        assert_eq!(token_url.host_str(), Some("test.salesforce.com"));
        let mut own = config("https://acme.my.salesforce.com");
        own.token_url = "https://proxy.example/token".to_owned();
        let token_url = Hosts::new(&own).unwrap().token_url;
        assert_eq!(token_url.as_str(), "https://proxy.example/token");
    }

    #[test]
    fn an_assertion_is_for_the_login_host_of_the_org() {
        let of = |endpoint| hosts(endpoint).unwrap().audience;
        assert_eq!(of("https://acme.my.salesforce.com"), PRODUCTION);
        assert_eq!(of("https://acme--uat.sandbox.my.salesforce.com"), SANDBOX);
        let mut other = config("");
        other.environment = Environment::Sandbox;
        assert_eq!(Hosts::new(&other).unwrap().audience, SANDBOX);
        other.audience = "https://acme.my.site.com".to_owned();
        assert_eq!(Hosts::new(&other).unwrap().audience, "https://acme.my.site.com");
    }

    #[test]
    fn consent_is_asked_for_and_ended_where_the_token_is() {
        let own = hosts("https://acme.lightning.force.com").unwrap();
        let base = "https://acme.my.salesforce.com/services/oauth2";
        assert_eq!(own.authorization_url.as_str(), format!("{base}/authorize"));
        assert_eq!(own.revoke_url.as_str(), format!("{base}/revoke"));
        let mut set = config("");
        set.authorization_url = "https://test.salesforce.com/services/oauth2/authorize".to_owned();
        assert_eq!(Hosts::new(&set).unwrap().authorization_url.host_str(), Some("test.salesforce.com"));
    }

    #[test]
    fn an_address_that_cannot_be_right_is_refused_by_name() {
        let refused = |endpoint| hosts(endpoint).unwrap_err().to_string();
        assert!(refused("https://acme.my.salesforce-setup.com").contains("salesforce-setup"));
        assert!(refused("http://acme.my.salesforce.com").contains("insecure"));
        assert!(refused("ftp://acme").contains("endpoint"));
        assert!(refused("https://user@acme.my.salesforce.com").contains("endpoint"));
    }

    #[test]
    fn the_token_goes_to_salesforce_or_to_a_host_of_the_settings_only() {
        let real = hosts("https://acme.my.salesforce.com").unwrap();
        let to = |text: &str| real.instance(text).map(|url| url.to_string());
        assert_eq!(
            to("https://acme--x.sandbox.my.salesforce.com/a?b").as_deref(),
            Some("https://acme--x.sandbox.my.salesforce.com/")
        );
        for wrong in [
            "https://evil.example",
            "http://acme.my.salesforce.com",
            "https://salesforce.com.evil.example",
            "https://acmesalesforce.com",
            "https://other.my.salesforce.com:8443",
            "https://user@other.my.salesforce.com",
            "http://127.0.0.1",
            "",
        ] {
            assert_eq!(to(wrong), None, "{wrong}");
        }
        let local = hosts("http://localhost:9000").unwrap();
        assert!(local.instance("http://127.0.0.1:9000").is_some());
        assert!(local.instance("https://evil.example").is_none());
    }
}

//! Checks the section `[salesforce]`.

use super::rules::{Address, duration};
use crate::salesforce::{Config, ConfigError, FlowName};
use crate::settings::findings::Findings;

pub(super) fn check(salesforce: &Config, findings: &mut Findings) {
    for (key, text) in [
        ("salesforce.endpoint", &salesforce.endpoint),
        ("salesforce.token_url", &salesforce.token_url),
        ("salesforce.authorization_url", &salesforce.authorization_url),
        ("salesforce.redirect_url", &salesforce.redirect_url),
    ] {
        address(key, text, salesforce.insecure, findings);
    }
    setup_host(salesforce, findings);
    endpoint_is_bare(salesforce, findings);
    details_link(salesforce, findings);
    api_version(&salesforce.api_version, findings);
    duration("salesforce.request_timeout", salesforce.request_timeout, 1_000..=600_000, findings);
    match salesforce.chosen_flow() {
        FlowName::JwtBearer => jwt_bearer(salesforce, findings),
        FlowName::AuthorizationCode => authorization_code(salesforce, findings),
        FlowName::Password => password(salesforce, findings),
        FlowName::ClientCredentials | FlowName::Unset => client_credentials(salesforce, findings),
    }
}

fn jwt_bearer(salesforce: &Config, findings: &mut Findings) {
    needs("client_id", salesforce.client_id.is_empty(), findings);
    needs("username", salesforce.username.is_empty(), findings);
    needs("private_key_file", salesforce.private_key_file.is_empty(), findings);
    for problem in salesforce.problems() {
        if let ConfigError::Key(error) = problem
            && !findings.is_wrong("salesforce.private_key_file")
        {
            let expected = "an RSA key in PEM, without a passphrase";
            findings.problem("salesforce.private_key_file", error.to_string(), expected);
        }
    }
}

fn authorization_code(salesforce: &Config, findings: &mut Findings) {
    needs("client_id", salesforce.client_id.is_empty(), findings);
    needs("redirect_url", salesforce.redirect_url.is_empty(), findings);
    if salesforce.problems().contains(&ConfigError::Scopes) {
        let what = "has neither refresh_token nor offline_access, without which the login ends with its first session";
        findings.problem("salesforce.scopes", what, "\"api refresh_token\", or more");
    }
}

fn password(salesforce: &Config, findings: &mut Findings) {
    needs("client_id", salesforce.client_id.is_empty(), findings);
    needs("client_secret", salesforce.client_secret.is_empty(), findings);
    needs("username", salesforce.username.is_empty(), findings);
    needs("password", salesforce.password.is_empty(), findings);
    let text = "Salesforce blocks the username-password flow in orgs made since Summer '23 and ends it on 20 February 2027; \
                move to client-credentials, jwt-bearer or authorization-code";
    findings.warning("salesforce.flow", text);
}

fn client_credentials(salesforce: &Config, findings: &mut Findings) {
    let nothing = salesforce.client_id.is_empty() && salesforce.client_secret.is_empty();
    if nothing && salesforce.flow == FlowName::Unset && salesforce.endpoint.is_empty() {
        findings.warning("salesforce", "no credentials: callers stay unknown and no call is logged");
        return;
    }
    needs("client_id", salesforce.client_id.is_empty(), findings);
    needs("client_secret", salesforce.client_secret.is_empty(), findings);
    if salesforce.endpoint.is_empty() && !findings.is_wrong("salesforce.endpoint") {
        let what = "is not set, and Salesforce answers client-credentials only there";
        findings.problem("salesforce.endpoint", what, "My Domain, such as \"https://acme.my.salesforce.com\"");
    }
}

fn needs(name: &str, missing: bool, findings: &mut Findings) {
    let key = format!("salesforce.{name}");
    if missing && !findings.is_wrong(&key) {
        findings.problem(&key, "is not set", "a value, since the flow needs it");
    }
}

fn address(key: &str, text: &str, insecure: bool, findings: &mut Findings) {
    if text.is_empty() {
        return;
    }
    let address = Address { key, text, schemes: ["https", "http"], insecure, section: "[salesforce]" };
    address.check(findings);
}

/// The host of the set-up pages is an easy mistake for My Domain.
fn setup_host(salesforce: &Config, findings: &mut Findings) {
    for problem in salesforce.problems() {
        if let ConfigError::SetupHost { key } = problem {
            let what = "names the host of the set-up pages";
            findings.problem(
                &format!("salesforce.{key}"),
                what,
                "My Domain, such as \"https://acme.my.salesforce.com\"",
            );
        }
    }
}

fn endpoint_is_bare(salesforce: &Config, findings: &mut Findings) {
    let Ok(url) = reqwest::Url::parse(&salesforce.endpoint) else {
        return;
    };
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let expected = "My Domain alone, such as \"https://acme.my.salesforce.com\"";
        findings.problem("salesforce.endpoint", "holds a path", expected);
    }
}

fn details_link(salesforce: &Config, findings: &mut Findings) {
    const KEY: &str = "salesforce.details_link";
    let link = &salesforce.details_link;
    let filled = link.replace("{object}", "Contact").replace("{id}", "003000000000001AAA");
    if filled.contains(['{', '}']) {
        findings.problem(KEY, "holds an unknown placeholder", "{object} and {id}, or none");
        return;
    }
    if link.contains("{object}") && !link.contains("{id}") {
        findings.problem(KEY, "names no record", "{id} beside {object}");
        return;
    }
    address(KEY, &filled, true, findings);
}

fn api_version(version: &str, findings: &mut Findings) {
    let number = version
        .strip_prefix('v')
        .and_then(|version| version.strip_suffix(".0"))
        .and_then(|version| version.parse().ok());
    if version != "auto" && !number.is_some_and(|number: u8| (60..=68).contains(&number)) {
        let what = format!("{version:?} is not known");
        findings.problem("salesforce.api_version", what, "\"auto\", or \"v60.0\" to \"v68.0\"");
    }
}

//! A firm with three agents, and the settings of a bridge between its phone system and its Salesforce.

use std::net::SocketAddr;
use std::path::Path;

use ctibridge::bridge;
use ctibridge::settings::Settings;
use ctibridge::sim::{Credentials, Knobs, Options, Salesforce, Seed};
use serde_json::{Value, json};

/// A pretend Salesforce in which each of these numbers is a contact's.
pub async fn salesforce(numbers: impl IntoIterator<Item = String>) -> Salesforce {
    let users: Vec<Value> = ["101", "102", "103"].into_iter().map(user).collect();
    let contacts: Vec<Value> =
        numbers.into_iter().map(|number| json!({ "LastName": format!("Party {number}"), "Phone": number })).collect();
    let seed = Seed::from_value(json!({ "User": users, "Contact": contacts })).unwrap();
    let knobs = Knobs { daily_limit: 100_000_000, ..Knobs::default() };
    Salesforce::start(Options { seed, knobs, ..Options::default() }).await.unwrap()
}

fn user(extension: &str) -> Value {
    json!({
        "Username": format!("agent{extension}@acme.example"), "LastName": format!("Agent {extension}"),
        "Email": format!("agent{extension}@acme.example"), "Extension": extension,
        "TimeZoneSidKey": "Europe/Berlin", "IsActive": true,
    })
}

pub fn config(asterisk: SocketAddr, salesforce: &str, login: &Credentials, state_dir: &Path) -> bridge::Config {
    let settings = format!(
        r#"
[bridge]
name = "hq"
default_region = "DE"
outside_prefix = "9"
state_dir = '{state_dir}'
[http]
listen = "127.0.0.1:0"
[salesforce]
endpoint = "{salesforce}"
client_id = "{id}"
client_secret = "{secret}"
[[feed]]
name = "pbx1"
kind = "asterisk-ari"
url = "ws://{asterisk}/ari/events"
username = "ctibridge"
password = "secret"
trunks = ["PJSIP/trunk", "PJSIP/trunk-berlin"]
[[agent]]
extension = "101"
devices = ["PJSIP/101", "PJSIP/101-web"]
[[agent]]
extension = "102"
[[agent]]
extension = "103"
"#,
        state_dir = state_dir.display(),
        id = login.client_id,
        secret = login.client_secret,
    );
    let (settings, _) = Settings::from_toml(&settings).unwrap();
    ctibridge::cli::bridge_config(&settings).unwrap()
}

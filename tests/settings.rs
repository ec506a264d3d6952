//! Settings as operators write them: files in folders, variables, secrets in files, and every mistake told in words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ctibridge::settings::{Environment, Problems, REFERENCE, Settings, Warning, json_schema};
use serde_json::Value as Json;
use tempfile::TempDir;

const FEED: &str = r#"
[[feed]]
name = "pbx1"
kind = "asterisk-ari"
url = "ws://127.0.0.1:8088/ari/events"
username = "ctibridge"
password = "ari-secret-Zx81"
trunks = ["PJSIP/trunk"]
"#;

const ORG: &str = r#"
[salesforce]
endpoint = "https://acme.my.salesforce.com"
client_id = "key"
client_secret = "sf-secret-Qy72"
"#;

/// A folder with a settings file and what is beside it.
struct Site {
    folder: TempDir,
    environment: Environment,
}

impl Site {
    fn new(text: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), environment: Environment::default() };
        site.file("ctibridge.toml", text);
        site
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        let variables = &mut self.environment.variables;
        variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<(Settings, Vec<Warning>), Problems> {
        let file = self.folder.path().join("ctibridge.toml");
        Settings::load_with(Some(&file), &self.environment)
    }

    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|problems| panic!("{problems}")).0
    }

    fn warnings(&self) -> Vec<String> {
        let (_, warnings) = self.load().unwrap_or_else(|problems| panic!("{problems}"));
        warnings.iter().map(|warning| self.short(&warning.to_string())).collect()
    }

    fn problems(&self) -> Vec<String> {
        let problems = self.load().expect_err("the settings should be wrong");
        problems.to_string().lines().map(|line| self.short(line)).collect()
    }

    /// Without the folder, whose name is random.
    fn short(&self, line: &str) -> String {
        line.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn the_reference_holds_every_key_of_the_schema_with_a_comment() {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    for section in json_schema()["properties"].as_object().unwrap() {
        for name in own_keys(section.0, section.1) {
            let key = name.rsplit('.').next().unwrap();
            let found = lines.iter().enumerate().any(|(at, line)| {
                let code = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
                let is_it = code.starts_with(&format!("{key} ="))
                    || code == format!("[{name}]")
                    || code == format!("[[{name}]]");
                is_it && lines[..at].iter().rev().find(|line| !line.is_empty()).unwrap().starts_with("# ")
            });
            assert!(found, "{name} is not in the reference with a comment above it");
        }
    }
}

/// The dotted keys of a section less other spellings of them.
fn own_keys(path: &str, schema: &Json) -> Vec<String> {
    let kinds = schema.pointer("/items/oneOf").and_then(Json::as_array).cloned();
    let tables = kinds.unwrap_or_else(|| vec![schema.get("items").unwrap_or(schema).clone()]);
    let mut keys = Vec::new();
    for table in &tables {
        for (name, key) in table["properties"].as_object().into_iter().flatten() {
            let description = key["description"].as_str().unwrap_or_default();
            if description.starts_with("A file that holds `") || description.starts_with("The same as `") {
                continue;
            }
            keys.push(format!("{path}.{name}"));
            keys.extend(own_keys(&format!("{path}.{name}"), key));
        }
    }
    keys
}

#[test]
fn the_reference_is_valid_as_it_stands_and_with_its_examples() {
    let (settings, warnings) = Settings::from_toml(REFERENCE).unwrap();
    assert_eq!(settings.bridge.default_region, "US");
    assert!(warnings.iter().all(|warning| !warning.text.contains("not built")), "{warnings:?}");

    let uncommented: Vec<&str> = REFERENCE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    let (settings, warnings) = Settings::from_toml(&uncommented.join("\n")).unwrap();
    assert_eq!(settings.feeds.len(), 3);
    assert_eq!(settings.agent_list.len(), 1);
    let not_started = warnings.iter().filter(|warning| warning.text.contains("not started"));
    assert_eq!(not_started.count(), 5);
}

#[test]
fn the_files_that_come_along_are_valid() {
    for entry in fs::read_dir("config").unwrap() {
        let path = entry.unwrap().path();
        if let Err(problems) = Settings::load_with(Some(&path), &Environment::default()) {
            panic!("{problems}");
        }
    }
}

#[test]
fn later_layers_win_and_keys_of_other_layers_stay() {
    let site = Site::new(&format!(
        "[bridge]\nname = 'file'\noutside_prefix = '9'\nignore_numbers = ['+49*', '+43*']\n{FEED}{ORG}"
    ));
    site.file(
        "conf.d/20-b.toml",
        "[bridge]\nname = 'b'\n[[feed]]\nname = 'pbx1'\napp = 'b'\n[[feed]]\nname = 'pbx0'\nkind = 'hep'\nlisten = ['udp://127.0.0.1:9060']",
    );
    site.file(
        "conf.d/10-a.toml",
        "[bridge]\nname = 'a'\nignore_numbers = ['+1*']\n[[feed]]\nname = 'pbx1'\napp = 'a'\nusername = 'anna'",
    );
    site.file("conf.d/30-no.toml.bak", "nonsense");
    let site = site
        .variable("CTIBRIDGE__BRIDGE__OUTSIDE_PREFIX", "00123")
        .variable("CTIBRIDGE__FEED__PBX1__TRUNKS", "PJSIP/a, PJSIP/b")
        .variable("CTIBRIDGE__POPS__OUTBOUND", "false")
        .variable("CTIBRIDGE__DIRECTORY__OBJECTS", r#"["Lead"]"#)
        .variable("CTIBRIDGE__LOG__FIELDS__Queue__c", "{{ queue }}")
        .variable("CTIBRIDGE__LOG__BATCH_WINDOW", "3s");
    let settings = site.settings();
    assert_eq!(settings.bridge.name, "b");
    assert_eq!(settings.bridge.outside_prefix, "00123");
    assert_eq!(settings.bridge.ignore_numbers, ["+1*"]);
    assert!(!settings.pops.outbound);
    assert_eq!(settings.directory.objects, ["Lead"]);
    assert_eq!(settings.log.fields["Queue__c"], "{{ queue }}");
    assert_eq!(settings.log.batch_window.as_secs(), 3);
    let [ctibridge::feeds::Config::AsteriskAri(feed), ctibridge::feeds::Config::Hep(_)] = settings.feeds.as_slice()
    else {
        panic!("{:?}", settings.feeds);
    };
    assert_eq!((feed.app.as_str(), feed.username.as_str()), ("b", "anna"));
    assert_eq!(feed.trunks, ["PJSIP/a", "PJSIP/b"]);
    assert_eq!(feed.password.expose(), "ari-secret-Zx81");
}

#[test]
fn agents_merge_by_extension_in_the_order_of_the_file() {
    let site = Site::new("[[agent]]\nextension = '102'\nname = 'Ben'\n[[agent]]\nextension = '101'\nname = 'Anna'");
    site.file("conf.d/a.toml", "[[agent]]\nextension = '101'\nsalesforce_user = 'anna@acme.example'");
    let settings = site.variable("CTIBRIDGE__AGENT__102__NAME", "Benno").settings();
    let agents: Vec<_> = settings
        .agent_list
        .iter()
        .map(|agent| (agent.extension.as_str(), agent.name.as_str(), agent.salesforce_user.as_str()))
        .collect();
    assert_eq!(agents, [("102", "Benno", ""), ("101", "Anna", "anna@acme.example")]);
}

#[test]
fn the_words_of_1stream_are_understood() {
    let site = Site::new(
        r#"
        [salesforce]
        api_key = "key"
        api_private_key_file = "private"
        crm_username = "anna@acme.example"
        crm_password = "pw"
        integration_code = "code"
        crm_details_link = "https://acme.lightning.force.com/lightning/r/{object}/{id}/view"
        "#,
    );
    site.file("private", "hush\n");
    let salesforce = site.settings().salesforce;
    assert_eq!(salesforce.client_id, "key");
    assert_eq!(salesforce.client_secret.expose(), "hush");
    assert_eq!(salesforce.username, "anna@acme.example");
    assert_eq!(salesforce.password.expose(), "pw");
    assert_eq!(salesforce.security_token.expose(), "code");
    assert!(salesforce.details_link.ends_with("{id}/view"));
}

#[test]
fn a_secret_file_is_looked_for_among_the_credentials_first() {
    let org = ORG.replace("client_secret = \"sf-secret-Qy72\"", "client_secret_file = 'sf'");
    let mut site = Site::new(&org);
    site.file("sf", "beside\r\n");
    assert_eq!(site.settings().salesforce.client_secret.expose(), "beside");
    let credential = site.file("credentials/sf", "credential");
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).unwrap();
    site.environment.credentials = Some(site.folder.path().join("credentials"));
    assert_eq!(site.settings().salesforce.client_secret.expose(), "credential");
    assert!(!site.warnings().iter().any(|warning| warning.contains("chmod")));
}

#[test]
fn a_later_layer_may_spell_a_key_otherwise() {
    let site = Site::new(ORG);
    site.file("conf.d/secret.toml", "[salesforce]\napi_private_key_file = 'other'");
    site.file("other", "other");
    assert_eq!(site.settings().salesforce.client_secret.expose(), "other");
}

#[test]
fn files_that_others_may_read_are_warned_of() {
    let site = Site::new(&format!("{ORG}[http]\nadmin_token_file = 'token'"));
    let token = site.file("token", "0123456789abcdef0123");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
    let main = site.folder.path().join("ctibridge.toml");
    fs::set_permissions(&main, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = site.warnings();
    let expected =
        "ctibridge.toml:7: http.admin_token_file: token may be read by others than its owner; do: chmod 600 token";
    assert!(warnings.iter().any(|warning| warning == expected), "{warnings:#?}");
    assert!(
        warnings.iter().any(|warning| warning.contains("holds secrets and may be read by everyone")),
        "{warnings:#?}"
    );
}

#[test]
fn state_dir_is_systemds_unless_it_is_said() {
    let mut site = Site::new("");
    assert_eq!(site.settings().bridge.state_dir(), Path::new("/var/lib/ctibridge"));
    site.environment.state = Some("/run/state".to_owned());
    assert_eq!(site.settings().bridge.state_dir(), Path::new("/run/state"));
    site.file("ctibridge.toml", "[bridge]\nstate_dir = '/srv'");
    assert_eq!(site.settings().bridge.state_dir(), Path::new("/srv"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_mistake_is_told_where_it_is() {
    let fine = format!("{FEED}{ORG}");
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
    let org = "[salesforce]\nendpoint = \"https://acme.my.salesforce.com\"\nclient_id = \"k\"\nclient_secret = \"s\"\n";
    let feed = FEED.trim_start();
    let table: &[(String, &str)] = &[
        (
            "[bridge]\nnam = 'x'".into(),
            "ctibridge.toml:2: bridge.nam: unknown key; expected `name`, the nearest known key",
        ),
        (
            "[bridge]\nregion = 'DE'".into(),
            "ctibridge.toml:2: bridge.region: unknown key; expected `default_region`, the nearest known key",
        ),
        ("[htpp]".into(), "ctibridge.toml:1: htpp: unknown key; expected `http`, the nearest known key"),
        ("[http]\nclient_id = 'x'".into(), "ctibridge.toml:2: http.client_id: unknown key; expected in [salesforce]"),
        (
            "[salesforce]\napi_kye = 'x'".into(),
            "ctibridge.toml:2: salesforce.api_kye: unknown key; expected `api_key`, the nearest known key",
        ),
        ("bridge = 'x'".into(), "ctibridge.toml:1: bridge: is a text; expected a table"),
        ("[bridge]\nname = 7".into(), "ctibridge.toml:2: bridge.name: is a whole number; expected text in quotes"),
        ("[pops]\noutbound = 'yes'".into(), "ctibridge.toml:2: pops.outbound: is a text; expected true or false"),
        (
            "[pops]\nwhen = 'rings'".into(),
            "ctibridge.toml:2: pops.when: \"rings\" is not known; expected \"ring\", \"answer\" or \"manual\"",
        ),
        (
            "[directory]\nobjects = 'Lead'".into(),
            "ctibridge.toml:2: directory.objects: is a text; expected a list, each of it text in quotes",
        ),
        (
            "[directory]\nobjects = ['Leed']".into(),
            "ctibridge.toml:2: directory.objects: \"Leed\" is not searched; expected \"Contact\", \"Lead\" or \"Account\"",
        ),
        (
            "[directory]\ndeadline = '800'".into(),
            "ctibridge.toml:2: directory.deadline: is no duration; expected a number and its unit, such as \"800ms\", \"2s\" or \"11m\"",
        ),
        ("[directory]\ndeadline = '1h'".into(), "ctibridge.toml:2: directory.deadline: is 1h; expected 50ms to 10s"),
        (
            "[[directory.object]]\nname = 'Asset__c'\nname_field = 'Name'".into(),
            "ctibridge.toml:1: directory.object[].phone_fields: is not set; expected a value for it",
        ),
        (
            "[bridge]\ndefault_region = 'XX'".into(),
            "ctibridge.toml:2: bridge.default_region: `XX` is no region; expected two letters of ISO 3166-1, such as US or DE",
        ),
        (
            "[bridge]\nextension_digits = '6-2'".into(),
            "ctibridge.toml:2: bridge.extension_digits: `6-2` is no range of digits; expected two numbers from 1 to 9, such as 2-6",
        ),
        (
            "[bridge]\nname = 'head quarters'".into(),
            "ctibridge.toml:2: bridge.name: is no name; expected 1 to 20 letters, digits, - and _",
        ),
        (
            "[bridge]\nignore_numbers = ['030555*']".into(),
            "ctibridge.toml:2: bridge.ignore_numbers: \"030555*\" is no number; expected + and digits, or an extension, with * at the end for all that begin so",
        ),
        (
            "[http]\nlisten = 'everywhere'".into(),
            "ctibridge.toml:2: http.listen: is no address and port; expected an address and port such as \"127.0.0.1:8460\"",
        ),
        (
            "[http]\ntrusted_proxies = ['10.0.0.0/33']".into(),
            "ctibridge.toml:2: http.trusted_proxies: `10.0.0.0/33` is no address; expected one such as 10.0.0.7, 10.0.0.0/8 or fd00::/8",
        ),
        (
            "[[feed]]\nname = 'm'\nkind = 'hep'\nlisten = ['127.0.0.1:9060']\ntrunks = ['192.0.2.1']".into(),
            "ctibridge.toml:4: feed.m.listen: \"127.0.0.1:9060\" is no address; expected addresses with ports such as \"udp://127.0.0.1:9060\", \"tcp://0.0.0.0:9060\" or \"tls://[::]:9061\"",
        ),
        (
            "[[feed]]\nname = 'm'\nkind = 'hep'\nlisten = ['udp://[::1]:9060']\ntrunks = ['PJSIP/trunk']".into(),
            "ctibridge.toml:5: feed.m.trunks: \"PJSIP/trunk\" is neither an address nor a domain; expected such as 192.0.2.1, 192.0.2.1:5060, [2001:db8::1]:5060 or carrier.example",
        ),
        (
            "[[feed]]\nname = 'm'\nkind = 'hep'\nlisten = ['udp://0.0.0.0:9060']\nallow = ['10.0.0.0/33']".into(),
            "ctibridge.toml:5: feed.m.allow: \"10.0.0.0/33\" is no address; expected addresses such as 10.0.0.7, 10.0.0.0/8 or fd00::/8",
        ),
        (
            "[[feed]]\nname = 'm'\nkind = 'hep'\nlisten = ['tls://0.0.0.0:9061']\ntrunks = ['a.b']".into(),
            "ctibridge.toml:1: feed.m.tls_certificate: is not set; expected a PEM file, since `listen` names tls://",
        ),
        (
            "[salesforce]\nclient_id = 'a'\napi_key = 'b'".into(),
            "ctibridge.toml:2: salesforce.client_id: is the same key as `api_key`, which is set, too; expected one of the two",
        ),
        (
            "[salesforce]\npassword = 'a'\npassword_file = 'b'".into(),
            "ctibridge.toml:3: salesforce.password_file: is the same key as `password`, which is set, too; expected one of the two",
        ),
        (
            "[salesforce]\npassword_file = 'b'".into(),
            "ctibridge.toml:2: salesforce.password_file: cannot be found at b: No such file or directory (os error 2); expected a readable file that holds the secret",
        ),
        (
            format!("{org}insecure = false\ntoken_url = 'http://login.example'"),
            "ctibridge.toml:6: salesforce.token_url: would send secrets and callers in plain text to another machine; expected https://, or `insecure = true` in [salesforce]",
        ),
        (
            format!("{org}flow = 'jwt-bearer'"),
            "ctibridge.toml:1: salesforce.private_key_file: is not set; expected a value, since the flow needs it",
        ),
        (
            format!("{org}flow = 'jwt-bearer'\nusername = 'x'\nprivate_key_file = '{keys}/ec.pem'"),
            "ctibridge.toml:7: salesforce.private_key_file: holds no RSA key but one of another kind; make one: openssl genrsa -out key.pem 2048; expected an RSA key in PEM, without a passphrase",
        ),
        (
            format!("{org}flow = 'jwt-bearer'\nusername = 'x'\nprivate_key_file = '{keys}/rsa-encrypted.pem'"),
            "ctibridge.toml:7: salesforce.private_key_file: is encrypted; write it without a passphrase: openssl rsa -in key.pem -out plain.pem; expected an RSA key in PEM, without a passphrase",
        ),
        (
            format!("{org}flow = 'authorization-code'\nscopes = 'api id'"),
            "ctibridge.toml:6: salesforce.scopes: has neither refresh_token nor offline_access, without which the login ends with its first session; expected \"api refresh_token\", or more",
        ),
        (
            format!("{org}api_version = 'v59.0'"),
            "ctibridge.toml:5: salesforce.api_version: \"v59.0\" is not known; expected \"auto\", or \"v60.0\" to \"v68.0\"",
        ),
        (
            format!("{org}details_link = 'https://x/{{record}}'"),
            "ctibridge.toml:5: salesforce.details_link: holds an unknown placeholder; expected {object} and {id}, or none",
        ),
        (
            "[salesforce]\nclient_id = 'a'\nclient_secret = 'b'".into(),
            "ctibridge.toml:1: salesforce.endpoint: is not set, and Salesforce answers client-credentials only there; expected My Domain, such as \"https://acme.my.salesforce.com\"",
        ),
        (
            "[log]\nsettle_after = 'soon'".into(),
            "ctibridge.toml:2: log.settle_after: is no duration; expected a number and its unit, such as \"800ms\", \"2s\" or \"11m\"",
        ),
        (
            "[log]\nkeep_done = '2 months'".into(),
            "ctibridge.toml:2: log.keep_done: is no duration; expected a number and its unit, such as \"800ms\", \"2s\" or \"11m\"",
        ),
        (
            "[log]\nkeep_done = '-7d'".into(),
            "ctibridge.toml:2: log.keep_done: is no duration; expected a number and its unit, such as \"800ms\", \"2s\" or \"11m\"",
        ),
        ("[log]\nkeep_done = '4000d'".into(), "ctibridge.toml:2: log.keep_done: is 96000h; expected 1h to 87600h"),
        (
            format!("{org}request_timeout = '200ms'"),
            "ctibridge.toml:5: salesforce.request_timeout: is 200ms; expected 1s to 10m",
        ),
        (
            "[log]\nsubject = '{{ caller'".into(),
            "ctibridge.toml:2: log.subject: is no template: unexpected end of input, expected end of variable block; expected a template such as \"{{ direction }} call\"",
        ),
        (
            "[salesforce]\nendpoint = 'https://acme.my.salesforce-setup.com'".into(),
            "ctibridge.toml:2: salesforce.endpoint: names the host of the set-up pages; expected My Domain, such as \"https://acme.my.salesforce.com\"",
        ),
        (
            "[log]\nsubject = '{{ coller }}'".into(),
            "ctibridge.toml:2: log.subject: `coller` is not known; there are call, direction, caller, number, name, account, dialed, queue, extension, agent, disposition, duration, started; expected a template such as \"{{ direction }} call\"",
        ),
        (
            "[log.fields]\n'Queue c' = ''".into(),
            "ctibridge.toml:2: log.fields.Queue c: is no API name of a field; expected letters, digits and _, such as \"Queue__c\"",
        ),
        (
            feed.replace("ws://127.0.0.1", "ws://10.0.0.5"),
            "ctibridge.toml:4: feed.pbx1.url: would send secrets and callers in plain text to another machine; expected wss://, or `insecure = true` in this feed",
        ),
        (
            feed.replace("/ari/events", "/ari"),
            "ctibridge.toml:4: feed.pbx1.url: does not end with /events; expected an address such as \"ws://127.0.0.1:8088/ari/events\"",
        ),
        (
            feed.replace("username", "user"),
            "ctibridge.toml:5: feed.pbx1.user: unknown key; expected `username`, the nearest known key",
        ),
        (
            feed.replace("url = \"ws://127.0.0.1:8088/ari/events\"\n", ""),
            "ctibridge.toml:1: feed.pbx1.url: is not set; expected a value, since the feed is of the kind asterisk-ari",
        ),
        (
            feed.replace("asterisk-ari", "asterisk-arj"),
            "ctibridge.toml:3: feed.pbx1.kind: \"asterisk-arj\" is no known kind; expected \"asterisk-ari\", the nearest known kind",
        ),
        (
            feed.replace("pbx1", "the one and only pbx1"),
            "ctibridge.toml:1: feed.the one and only pbx1: the name cannot be part of a call key; expected 1 to 20 letters, digits, - and _",
        ),
        (
            feed.replace("trunks = [\"PJSIP/trunk\"]", "trunks = [\"trunk\"]"),
            "ctibridge.toml:7: feed.pbx1.trunks: \"trunk\" is no endpoint; expected technology and name, such as \"PJSIP/trunk\"",
        ),
        (
            format!("{fine}{FEED}"),
            "ctibridge.toml:15: feed.pbx1: stands twice in this file; expected each feed once, by name",
        ),
        (
            "[[feed]]\nkind = 'hep'".into(),
            "ctibridge.toml:1: feed: an entry without `name`; expected `name` in each [[feed]]",
        ),
        (
            "[[agent]]\nextension = 101".into(),
            "ctibridge.toml:2: agent.extension: is a whole number; expected text in quotes",
        ),
        (
            "[[agent]]\nextension = '101'\ntoken_sha256 = 'ABC'".into(),
            "ctibridge.toml:3: agent.101.token_sha256: is no SHA-256; expected 64 digits and letters a to f",
        ),
        (
            "[[agent]]\nextension = '101'\ndevices = ['PJSIP/1']\n[[agent]]\nextension = '102'\ndevices = ['PJSIP/1']"
                .into(),
            "ctibridge.toml:6: agent.102.devices: \"PJSIP/1\" is already agent 101's; expected each device at one agent",
        ),
        ("[bridge\nname = 'x'".into(), "ctibridge.toml:1: unclosed table, expected `]`; expected TOML"),
    ];
    for (text, expected) in table {
        let problems = Site::new(text).problems();
        assert!(
            problems.iter().any(|problem| problem == expected),
            "{text}\nshould say\n{expected}\nbut says\n{problems:#?}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_order() {
    let site = Site::new("[log]\nper = 'month'\nbatch_window = 'x'\nsettle_after = 'y'\n[pops]\nwen = 1");
    site.file("conf.d/a.toml", "[bridge]\nname = 1");
    let problems = site.variable("CTIBRIDGE__HTTP__LISEN", "x").problems();
    let keys: Vec<_> = problems.iter().filter_map(|problem| problem.split(": ").nth(1)).collect();
    assert_eq!(keys, ["bridge.name", "log.per", "log.batch_window", "log.settle_after", "pops.wen", "http.lisen"]);
}

#[test]
fn variables_are_named_when_they_are_wrong() {
    let site = Site::new(FEED)
        .variable("CTIBRIDGE__POPS__OUTBOUND", "maybe")
        .variable("CTIBRIDGE__SALESFORCE__CLIENTID", "x")
        .variable("CTIBRIDGE__FEED__PBX2__PASSWORD", "x");
    assert_eq!(
        site.problems(),
        [
            "environment variable CTIBRIDGE__FEED__PBX2__PASSWORD: feed.pbx2: has no `kind`; expected \"3cx-call-control\", \"asterisk-ami\", \"asterisk-ari\", \"freeswitch-esl\", \"hep\", \"json-webhook\", \"json-websocket\" or \"sip-dialog\"",
            "environment variable CTIBRIDGE__POPS__OUTBOUND: pops.outbound: is a text; expected true or false",
            "environment variable CTIBRIDGE__SALESFORCE__CLIENTID: salesforce.clientid: unknown key; expected `client_id`, the nearest known key",
        ]
    );
}

#[test]
fn what_is_not_built_is_accepted_and_warned_of() {
    let site = Site::new(&format!(
        r#"
        [http]
        tls_certificate = "cert.pem"
        tls_key = "key.pem"
        [[pops.webhook]]
        url = "https://hooks.example.com"
        [[feed]]
        name = "yeastar"
        kind = "json-websocket"
        url = "wss://pbx.example.com"
        profile = "yeastar-p"
        anything = {{ of = ["the", "mapping"] }}
        {ORG}"#
    ));
    site.file("cert.pem", "");
    site.file("key.pem", "");
    let warnings = site.warnings().join("\n");
    for key in ["http.tls_certificate", "pops.webhook", "feed.yeastar"] {
        let line = warnings.lines().find(|line| line.contains(&format!(" {key}: ")));
        assert!(line.is_some_and(|line| line.contains("not built yet")), "{key} in\n{warnings}");
    }
    assert!(site.settings().feeds.is_empty());
    assert!(site.settings().http.tls_key.ends_with("/key.pem"));
}

#[test]
fn keys_of_the_local_copy_without_one_are_warned_of() {
    let keys = "refresh = '90s'\nlive_search = 'never'\npersist = false";
    let warnings =
        |mode: &str| Site::new(&format!("[directory]\nmode = '{mode}'\n{keys}\n{ORG}")).warnings().join("\n");
    for key in ["directory.refresh", "directory.live_search", "directory.persist"] {
        assert!(
            warnings("live").contains(&format!("{key}: has no effect with mode = \"live\"")),
            "{}",
            warnings("live")
        );
        assert!(!warnings("index").contains(key), "{}", warnings("index"));
    }
}

#[test]
fn a_file_without_a_feed_is_only_warned_of() {
    let site = Site::new(ORG);
    assert_eq!(site.warnings(), ["ctibridge.toml: feed: no feed: look-ups and links are served, but no call is seen"]);
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let problems =
        Settings::load_with(Some(Path::new("/nowhere/ctibridge.toml")), &Environment::default()).err().unwrap();
    assert_eq!(
        problems.to_string(),
        "/nowhere/ctibridge.toml: cannot be read: No such file or directory (os error 2); expected a settings file there; \
         `ctibridge config reference` prints one"
    );
}

#[test]
fn secrets_are_never_shown() {
    const SECRET: &str = "hunter2-Kx9";
    let fine = Site::new(
        &format!("{FEED}{ORG}[http]\nadmin_token = '{SECRET}'")
            .replace("ari-secret-Zx81", SECRET)
            .replace("sf-secret-Qy72", SECRET),
    );
    let (settings, warnings) = fine.load().unwrap();
    assert_eq!(settings.http.admin_token.expose(), SECRET);
    assert!(!format!("{settings:?} {settings:#?} {warnings:?}").contains(SECRET));
    let other = Site::new(FEED).settings();
    assert!(!format!("{:?}", settings.changed_keys(&other)).contains(SECRET));
    for wrong in [
        format!("[salesforce]\nclient_secret = ['{SECRET}']"),
        format!("[salesforce]\nclient_secret = '{SECRET}"),
        format!("[salesforce]\nclient_secret = {SECRET}"),
        format!("[salesforce]\nclient_secret = '{SECRET}'\nclient_secret = '{SECRET}'"),
        format!("[salesforce]\nclient_secret = {{ '{SECRET}' = 1 "),
        format!("[salesforce]\nclient_secrt = '{SECRET}'"),
        format!("[salesforce]\nclient_secret = '{SECRET}'\napi_private_key = '{SECRET}'"),
        format!("[salesforce]\nendpoint = 'https://user:{SECRET}@acme.example'"),
        format!("[[feed]]\nname = 'a'\nkind = 'asterisk-ari'\nurl = 'ws://u:{SECRET}@127.0.0.1/events'"),
        format!("[[pops.webhook]]\nurl = 7\nsecret = '{SECRET}'"),
    ] {
        let problems = Site::new(&wrong).problems();
        assert!(!problems.join("\n").contains(SECRET), "{problems:#?}");
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let problems =
        Site::new("[bridge]\n\"a\\u001b[31m\\nb\" = 1\nname = \"\\u001b]0;x\"\ndefault_region = \"\\u001b[2J\"")
            .load()
            .err()
            .unwrap();
    assert!(problems.to_string().chars().all(|char| char == '\n' || !char.is_control()), "{problems:?}");
    assert_eq!(problems.to_string().lines().count(), problems.problems.len());
}

#[test]
fn a_reload_names_what_changed_and_what_needs_a_restart() {
    let site = Site::new(&format!("{FEED}{ORG}"));
    let before = site.settings();
    assert!(before.changed_keys(&site.settings()).is_empty());
    site.file(
        "conf.d/a.toml",
        "[log]\nmissed = false\n[http]\nlisten = '127.0.0.1:9'\n[[agent]]\nextension = '101'\ndevices = ['PJSIP/1']",
    );
    let changed = before.changed_keys(&site.settings());
    assert_eq!(changed, ["agent.101.devices", "agent.101.extension", "http.listen", "log.missed"]);
    let at_once: Vec<_> = changed.iter().map(|key| Settings::applies_at_once(key)).collect();
    assert_eq!(at_once, [false, true, false, true]);
}

#[test]
fn logged_calls_are_kept_for_days_weeks_or_hours() {
    for (text, hours) in [("7d", 168), ("1w", 168), ("36h", 36), ("1d 12h", 36)] {
        let site = Site::new(&format!("{ORG}{FEED}[log]\nkeep_done = '{text}'"));
        assert_eq!(site.settings().log.keep_done, std::time::Duration::from_hours(hours), "{text}");
    }
}

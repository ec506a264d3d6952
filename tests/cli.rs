//! The command as an operator runs it: what it prints, where, and what it ends with.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value as Json;
use tempfile::TempDir;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctibridge"));
    command.args(args).env_clear();
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Settings with a state folder of their own and a port where nobody listens.
fn site(more: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ctibridge.toml");
    let state = folder.path().display();
    let text = format!("[bridge]\nstate_dir = \"{state}\"\n[http]\nlisten = \"127.0.0.1:1\"\n{more}");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    for args in [&["nonsense"][..], &[], &["run", "--colour"], &["completions", "cobol"], &["check", "--log", "loud"]] {
        let output = run(args);
        assert_eq!(code(&output), 2, "{args:?}: {}", err(&output));
    }
    for args in [&["--help"][..], &["--version"], &["help", "journal"], &["journal", "list", "--help"]] {
        assert_eq!(code(&run(args)), 0, "{args:?}");
    }
}

#[test]
fn the_settings_that_come_along_pass_the_check() {
    for entry in fs::read_dir("config").unwrap() {
        let path = entry.unwrap().path();
        let output = run(&["check", "--config", path.to_str().unwrap()]);
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(out(&output).starts_with(&format!("{}: ok", path.display())), "{}", out(&output));
    }
}

#[test]
fn wrong_settings_are_78_and_all_told() {
    let (_folder, file) = site("listn = \"x\"\n[pops]\nwhen = \"now\"");
    for args in [&["check"][..], &["run"], &["login"], &["lookup", "1"], &["journal", "list"], &["agent-token", "101"]]
    {
        let args = [args, &["--config", &file]].concat();
        let output = run(&args);
        assert_eq!(code(&output), 78, "{args:?}: {}", err(&output));
        let said = err(&output);
        let problems: Vec<_> = said.lines().filter(|line| !line.starts_with("warning: ")).collect();
        let expected = [
            format!("{file}:5: http.listn: unknown key; expected `listen`, the nearest known key"),
            format!("{file}:7: pops.when: \"now\" is not known; expected \"ring\", \"answer\" or \"manual\""),
        ];
        assert_eq!(problems, expected);
    }
}

#[test]
fn a_missing_file_is_78_with_what_to_do() {
    let output = run(&["check", "--config", "/nowhere.toml"]);
    assert_eq!(code(&output), 78);
    assert!(err(&output).contains("ctibridge config reference"), "{}", err(&output));
}

#[test]
fn variables_count_and_are_named() {
    let (_folder, file) = site("");
    let output = command(&["check", "--config", &file]).env("CTIBRIDGE__HTTP__LISTEN", "nowhere").output().unwrap();
    assert_eq!(code(&output), 78);
    assert!(err(&output).contains("environment variable CTIBRIDGE__HTTP__LISTEN: http.listen: "), "{}", err(&output));
}

#[test]
fn the_reference_is_the_file_and_the_schema_is_json() {
    let reference = out(&run(&["config", "reference"]));
    assert_eq!(reference, fs::read_to_string("config/ctibridge.toml").unwrap());
    let schema: Json = serde_json::from_str(&out(&run(&["config", "schema"]))).unwrap();
    assert_eq!(schema["properties"]["salesforce"]["properties"]["api_version"]["default"], "auto");
    assert_eq!(schema["properties"]["salesforce"]["properties"]["client_secret_file"]["type"], "string");
    assert_eq!(schema["properties"]["feed"]["items"]["oneOf"].as_array().unwrap().len(), 8);
}

#[test]
fn completions_and_man_pages_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&run(&["completions", shell])).contains("agent-token"), "{shell}");
    }
    assert!(out(&run(&["man"])).contains(".TH ctibridge"));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(&run(&["man", "--dir", folder.path().to_str().unwrap()])), 0);
    assert!(folder.path().join("ctibridge-journal-list.1").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = command(&["config", "reference"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), err(&output)), (0, String::new()));
}

#[test]
fn a_token_is_made_without_a_daemon_and_only_its_hash_is_kept() {
    let (folder, file) = site("[[agent]]\nextension = \"101\"");
    let first = run(&["agent-token", "101", "--config", &file]);
    assert_eq!(code(&first), 0, "{}", err(&first));
    let token = out(&first).trim().to_owned();
    assert!(token.len() >= 40, "{token}");
    let path = folder.path().join("agent-tokens.json");
    let kept = fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&token));
    assert_eq!(hash_of(&path, "101").len(), 64);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let second = run(&["agent-token", "101", "--config", &file]);
    assert_ne!(out(&second).trim(), token);
    assert_ne!(fs::read_to_string(&path).unwrap(), kept);
}

fn hash_of(path: &Path, extension: &str) -> String {
    let store: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    store[extension].as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_refused_where_it_would_not_count() {
    let (folder, file) = site("[agents]\nmatch_user_extension = false");
    for (extension, expected) in [("101", 1), ("10 1", 2), ("", 2)] {
        let output = run(&["agent-token", extension, "--config", &file]);
        assert_eq!(code(&output), expected, "{extension}");
    }
    fs::write(folder.path().join("agent-tokens.json"), "{").unwrap();
    let variable = ("CTIBRIDGE__AGENTS__MATCH_USER_EXTENSION", "true");
    let args = ["agent-token", "101", "--config", &file];
    let output = command(&args).env(variable.0, variable.1).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("damaged"), "{}", err(&output));
}

#[test]
fn without_a_daemon_a_look_up_asks_salesforce_itself() {
    let (_folder, file) = site("");
    let output = run(&["lookup", "+4930231250444", "--config", &file]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("Salesforce"), "{}", err(&output));
}

#[test]
fn without_a_daemon_the_journal_is_read_from_the_disk() {
    let (_folder, file) = site("");
    for (args, said) in [
        (&["journal", "list"][..], "nothing waits and nothing is parked\n"),
        (&["journal", "list", "--json", "--state", "all"], "[]\n"),
        (&["journal", "export"], ""),
    ] {
        let output = run(&[args, &["--config", &file]].concat());
        assert_eq!((code(&output), out(&output).as_str()), (0, said), "{args:?}: {}", err(&output));
    }
    let output = run(&["journal", "retry", "7", "--config", &file]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("No such entry"), "{}", err(&output));
}

/// Answers one request with this, and gives back what was asked.
fn daemon(status: &'static str, body: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).unwrap();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, asked)
}

/// Runs a command against such a daemon.
fn ask(status: &'static str, body: &'static str, args: &[&str]) -> (Output, String) {
    let (port, asked) = daemon(status, body);
    let (folder, file) = site("");
    let text = fs::read_to_string(&file).unwrap().replace("127.0.0.1:1\"", &format!("127.0.0.1:{port}\""));
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("admin-token"), "the-admin-token\n").unwrap();
    let output = run(&[args, &["--config", &file]].concat());
    (output, asked.join().unwrap())
}

#[test]
fn a_running_daemon_is_asked_with_the_admin_token() {
    let known = r#"{"number":{"e164":"+4930231250444","kind":"e164"},"source":"live","matches":[{"object":"Contact","name":"Eri\u001bka"}]}"#;
    let (output, asked) = ask("200 OK", known, &["lookup", "+49 30 231250444"]);
    assert!(asked.starts_with("GET /api/v1/lookup?number=%2B49+30+231250444 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer the-admin-token\r\n"), "{asked}");
    assert_eq!(out(&output), "+4930231250444, e164, source: live\nOBJECT   NAME\nContact  Eri\\u{1b}ka\n");

    let (output, asked) = ask("200 OK", r#"{"token":"fresh"}"#, &["agent-token", "101"]);
    assert!(asked.starts_with("POST /api/v1/agents/101/token "), "{asked}");
    assert_eq!(out(&output), "fresh\n");

    let entries = r#"{"entries":[{"id":"7","state":"parked","call":"hq-1","reason":"no","next_try":null}]}"#;
    let (output, asked) = ask("200 OK", entries, &["journal", "list"]);
    assert!(asked.starts_with("GET /api/v1/journal?state=pending&limit=100 "), "{asked}");
    assert_eq!(out(&output), "ID  STATE   CALL  REASON\n7   parked  hq-1  no\n");
    let (_, asked) = ask("200 OK", entries, &["journal", "list", "--state", "done", "--limit", "5"]);
    assert!(asked.starts_with("GET /api/v1/journal?state=done&limit=5 "), "{asked}");
    let (output, asked) = ask("200 OK", entries, &["journal", "export"]);
    assert!(asked.starts_with("GET /api/v1/journal?state=all&"), "{asked}");
    assert_eq!(out(&output).lines().count(), 1);
    let (_, asked) = ask("200 OK", r#"{"entries":[]}"#, &["journal", "retry", "--all"]);
    assert!(asked.starts_with("GET /api/v1/journal?state=parked&"), "{asked}");

    let (_, asked) = ask("204 No Content", "", &["journal", "drop", "../7"]);
    assert!(asked.starts_with("DELETE /api/v1/journal/..%2F7 "), "{asked}");
}

#[test]
fn what_the_daemon_refuses_is_told() {
    let (output, _) = ask("404 Not Found", r#"{"title":"no such entry"}"#, &["journal", "show", "9"]);
    assert_eq!((code(&output), err(&output).lines().last().unwrap()), (1, "ctibridge: no such entry (HTTP 404)"));
    let (output, _) = ask("401 Unauthorized", "", &["journal", "list"]);
    assert!(err(&output).contains("refused the admin token"), "{}", err(&output));
}

#[test]
fn login_says_that_another_flow_needs_none() {
    let (_folder, file) = site("");
    let output = run(&["login", "--config", &file]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("client-credentials takes no consent"), "{}", err(&output));
}

#[test]
fn logs_can_be_json() {
    let (_folder, file) = site("");
    let output = run(&["login", "--config", &file, "--log-format", "json"]);
    let line: Json = serde_json::from_str(err(&output).lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "WARN");
}

//! The four ways to log in, the consent and its keeping, and what is said when Salesforce refuses: against the sandbox.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ctibridge::salesforce::{Client, Config, Error};
use ctibridge::settings::Settings;
use ctibridge::sim::{Denial, Fault, FaultKind, Options, Salesforce, Seed};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// What nothing on loopback takes unless something is wrong, on a busy machine.
const SOON: Duration = Duration::from_secs(30);
const ADMIN: &str = "an-admin-token-that-only-this-test-knows";
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
const CODE: &str = "flow = 'authorization-code'";

/// A pretend Salesforce, and settings for it with a state folder.
struct Desk {
    salesforce: Salesforce,
    folder: TempDir,
    redirect: String,
    listen: String,
}

impl Desk {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let people = json!({ "Contact": [{ "LastName": "Muster", "Phone": "+49 30 23125444" }] });
        let options = Options { seed: Seed::from_value(people).unwrap(), ..Options::default() };
        let salesforce = Salesforce::start(options).await.unwrap();
        salesforce.set(|knobs| knobs.jwt_public_key = fs::read_to_string(format!("{KEYS}/rsa-public.pem")).unwrap());
        let desk = Self {
            salesforce,
            folder: tempfile::tempdir().unwrap(),
            redirect: format!("http://127.0.0.1:{}/callback", free_port()),
            listen: format!("127.0.0.1:{}", free_port()),
        };
        fs::create_dir(desk.state()).unwrap();
        desk
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn grant_file(&self) -> PathBuf {
        self.state().join("salesforce-grant")
    }

    fn refresh_token(&self) -> String {
        let grant: Value = serde_json::from_slice(&fs::read(self.grant_file()).unwrap()).unwrap();
        grant["refresh_token"].as_str().unwrap().to_owned()
    }

    /// The settings as text; `more` are keys of `[salesforce]`.
    fn toml(&self, more: &str) -> String {
        let known = self.salesforce.credentials();
        format!(
            "[bridge]\nstate_dir = '{}'\n[http]\nlisten = '{}'\nadmin_token = '{ADMIN}'\n[salesforce]\nendpoint = '{}'\n\
             client_id = '{}'\nclient_secret = '{}'\nredirect_url = '{}'\n{more}\n",
            self.state().display(),
            self.listen,
            self.salesforce.url(),
            known.client_id,
            known.client_secret,
            self.redirect,
        )
    }

    fn config(&self, more: &str) -> Config {
        Settings::from_toml(&self.toml(more)).unwrap().0.salesforce
    }

    fn client(&self, more: &str) -> Client {
        Client::with_state(&self.config(more), &self.state()).unwrap()
    }

    /// The error of a login.
    async fn refused(&self, more: &str) -> Error {
        self.client(more).users().await.unwrap_err()
    }

    fn file(&self, more: &str) -> PathBuf {
        let file = self.folder.path().join("ctibridge.toml");
        fs::write(&file, self.toml(more)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    fn command(&self, args: &[&str], more: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctibridge"));
        command.args(args).arg("--config").arg(self.file(more)).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str], more: &str) -> Output {
        let mut command = self.command(args, more);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Consents in a browser; gives the page and how the command ended.
    async fn log_in(&self) -> (String, Output) {
        let login = Process::start(self.command(&["login"], CODE));
        let (login, address) = login.line().await;
        let page = browse(&address).await;
        (page, login.end().await)
    }

    /// Which looks callers up by Salesforce's search alone.
    async fn daemon(&self) -> Process {
        let live = format!("{CODE}\n[directory]\nmode = 'live'");
        let daemon = Process::start(self.command(&["run"], &live));
        self.until("/healthz", |_| true).await;
        daemon
    }

    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + SOON;
        loop {
            let request = http().get(format!("http://{}{path}", self.listen)).bearer_auth(ADMIN);
            let mut seen = Value::Null;
            if let Ok(answer) = request.send().await {
                seen = serde_json::from_slice(&answer.bytes().await.unwrap_or_default()).unwrap_or_default();
                if holds(&seen) {
                    return seen;
                }
            }
            assert!(Instant::now() < until, "waited too long for {path}: {seen}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn salesforce_is_up(&self) {
        self.until("/readyz", |ready| ready["salesforce"]["state"] == "up").await;
    }
}

/// A running command.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// The next line that it prints.
    async fn line(mut self) -> (Self, String) {
        tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            self.out.read_line(&mut line).unwrap();
            if line.is_empty() {
                self.child.wait().unwrap();
                let mut said = String::new();
                self.err.read_to_string(&mut said).unwrap();
                panic!("nothing was printed but {said}");
            }
            (self, line.trim_end().to_owned())
        })
        .await
        .unwrap()
    }

    /// Waits until it has said this on stderr.
    async fn said(mut self, text: &'static str) -> Self {
        tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            while !line.contains(text) {
                line.clear();
                assert!(self.err.read_line(&mut line).unwrap() > 0, "it ended without a word of {text}");
            }
            self
        })
        .await
        .unwrap()
    }

    async fn end(mut self) -> Output {
        tokio::task::spawn_blocking(move || {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            self.out.read_to_end(&mut stdout).unwrap();
            self.err.read_to_end(&mut stderr).unwrap();
            Output { status: self.child.wait().unwrap(), stdout, stderr }
        })
        .await
        .unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap().local_addr().unwrap().port()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// As a browser does: it follows where it is sent, and shows what is there.
async fn browse(address: &str) -> String {
    http().get(address).send().await.unwrap().text().await.unwrap()
}

/// Where the sandbox sends a browser that opens this address, which then is not followed.
async fn sent_to(address: &str) -> String {
    let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = browser.get(address).send().await.unwrap();
    answer.headers()["location"].to_str().unwrap().to_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn denial(error: &str, description: &str) -> Denial {
    Denial { error: error.to_owned(), description: description.to_owned() }
}

fn jwt(key: &str) -> String {
    format!("flow = 'jwt-bearer'\nusername = 'integration@pretend.example'\nprivate_key_file = '{KEYS}/{key}'")
}

fn password(desk: &Desk) -> String {
    let known = desk.salesforce.credentials();
    format!(
        "flow = 'password'\nusername = '{}'\npassword = '{}'\nsecurity_token = '{}'",
        known.username, known.password, known.security_token
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_four_flows_reads_the_org() {
    let desk = Desk::new().await;
    let (_, login) = desk.log_in().await;
    assert_eq!(code(&login), 0, "{}", err(&login));
    for flow in [
        "flow = 'client-credentials'".to_owned(),
        jwt("rsa-pkcs8.pem"),
        jwt("rsa-pkcs1.pem"),
        password(&desk),
        CODE.to_owned(),
    ] {
        let client = desk.client(&flow);
        let users = client.users().await;
        assert!(users.is_ok_and(|users| !users.is_empty()), "{flow}");
        let user = client.login_user().await.unwrap();
        let name = client.username(&user).await.unwrap();
        assert_eq!(name.as_deref(), Some("integration@pretend.example"), "{flow}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_in_a_browser_is_kept_privately_and_ended_on_request() {
    let desk = Desk::new().await;
    let (page, login) = desk.log_in().await;
    assert_eq!(code(&login), 0, "{}", err(&login));
    assert!(page.contains("has granted access") && page.contains("close this window"), "{page}");
    assert!(out(&login).contains("for integration@pretend.example"), "{}", out(&login));
    assert_eq!(mode(&desk.grant_file()), 0o600);
    let token = desk.refresh_token();
    assert!(!page.contains(&token) && !out(&login).contains(&token) && !err(&login).contains(&token));
    let check = desk.run(&["check", "--online"], CODE).await;
    assert!(out(&check).contains("ok      Salesforce login: as integration@pretend.example"), "{}", out(&check));

    let client = desk.client(CODE);
    client.users().await.unwrap();
    let ended = desk.run(&["login", "--revoke"], CODE).await;
    assert_eq!((code(&ended), desk.grant_file().exists()), (0, false), "{}", err(&ended));
    let error = client.users().await.unwrap_err();
    assert!(error.to_string().contains("nobody has consented yet; run `ctibridge login`"), "{error}");
    let again = desk.run(&["login", "--revoke"], CODE).await;
    assert_eq!((code(&again), out(&again).contains("nothing is to be revoked")), (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_was_ended_in_salesforce_is_removed_here_and_one_that_cannot_be_ended_stays() {
    let mut desk = Desk::new().await;
    desk.log_in().await;
    let token = desk.refresh_token();
    desk.salesforce.stop().await;
    let unreachable = desk.run(&["login", "--revoke"], CODE).await;
    assert_eq!((code(&unreachable), desk.refresh_token()), (1, token.clone()), "{}", err(&unreachable));
    desk.salesforce.resume().await.unwrap();
    let url = format!("{}/services/oauth2/revoke", desk.salesforce.url());
    assert!(http().post(url).form(&[("token", token)]).send().await.unwrap().status().is_success());
    let ended = desk.run(&["login", "--revoke"], CODE).await;
    assert_eq!((code(&ended), desk.grant_file().exists()), (0, false));
    assert!(out(&ended).contains("did not know the consent any more"), "{}", out(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_wrong_state_is_refused_and_the_right_one_still_taken() {
    let desk = Desk::new().await;
    let login = Process::start(desk.command(&["login"], CODE));
    let (login, address) = login.line().await;
    let right = sent_to(&address).await;
    let (base, _) = right.split_once("&state=").unwrap();
    for (wrong, status) in [
        (format!("{base}&state=another"), 400),
        (base.to_owned(), 400),
        (format!("{}?error=access_denied&state=another", desk.redirect), 400),
        (desk.redirect.clone(), 400),
        (desk.redirect.replace("callback", "favicon.ico"), 404),
    ] {
        assert_eq!(http().get(&wrong).send().await.unwrap().status(), status, "{wrong}");
        assert!(!desk.grant_file().exists());
    }
    assert!(browse(&right).await.contains("has granted access"));
    assert_eq!(code(&login.end().await), 0);
    assert!(desk.grant_file().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorize_request_has_a_challenge_the_state_and_the_scopes() {
    let desk = Desk::new().await;
    let login =
        Process::start(desk.command(&["login"], &format!("{CODE}\nscopes = 'api refresh_token'\nusername = 'cti@x'")));
    let (mut login, address) = login.line().await;
    login.kill();
    let address = reqwest::Url::parse(&address).unwrap();
    let given: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let of = |name: &str| given.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    assert_eq!(address.path(), "/services/oauth2/authorize");
    assert_eq!((of("response_type"), of("code_challenge_method")), ("code", "S256"));
    assert_eq!((of("code_challenge").len(), of("scope")), (43, "api refresh_token"));
    assert_eq!((of("redirect_uri"), of("login_hint")), (desk.redirect.as_str(), "cti@x"));
    assert!(of("state").len() >= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_browser_takes_a_pasted_address() {
    let desk = Desk::new().await;
    let mut command = desk.command(&["login", "--paste"], CODE);
    let mut login = Process::start({
        command.stdin(Stdio::piped());
        command
    });
    let mut input = login.child.stdin.take().unwrap();
    let (login, address) = login.line().await;
    let right = sent_to(&address).await;
    writeln!(input, "{}?code=x&state=another", desk.redirect).unwrap();
    writeln!(input, "what?").unwrap();
    writeln!(input, "{right}").unwrap();
    let ended = login.end().await;
    assert_eq!(code(&ended), 0, "{}", err(&ended));
    assert_eq!(err(&ended).matches("not taken: ").count(), 2, "{}", err(&ended));
    desk.client(CODE).users().await.unwrap();

    let nothing = desk.run(&["login", "--paste"], CODE).await;
    assert_eq!(code(&nothing), 1);
    assert!(err(&nothing).contains("no address was pasted"), "{}", err(&nothing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_and_a_redirect_elsewhere_say_what_to_do() {
    let desk = Desk::new().await;
    let port = desk.redirect.trim_start_matches("http://127.0.0.1:").trim_end_matches("/callback").to_owned();
    let _other = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let taken = desk.run(&["login"], CODE).await;
    assert!(code(&taken) == 1 && err(&taken).contains("ctibridge login --paste"), "{}", err(&taken));
    for elsewhere in ["https://cti.acme.example/callback", "http://10.1.2.3:8461/callback"] {
        let file =
            desk.toml(CODE).replace(&desk.redirect, elsewhere).replace("[salesforce]", "[salesforce]\ninsecure = true");
        fs::write(desk.folder.path().join("other.toml"), file).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctibridge"));
        command.args(["login", "--config"]).arg(desk.folder.path().join("other.toml")).env_clear();
        let refused = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(code(&refused) == 1 && err(&refused).contains("login --paste"), "{}", err(&refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_takes_the_consent_and_uses_it() {
    let desk = Desk::new().await;
    let _daemon = desk.daemon().await;
    let ready = desk.until("/readyz", |ready| ready["salesforce"]["state"] == "lost").await;
    let reason = ready["salesforce"]["reason"].as_str().unwrap();
    assert!(reason.contains("run `ctibridge login`"), "{reason}");
    let (page, login) = desk.log_in().await;
    assert!(page.contains("the running ctibridge uses it"), "{page}");
    assert_eq!(code(&login), 0, "{}", err(&login));
    desk.salesforce_is_up().await;
    assert_eq!(mode(&desk.grant_file()), 0o600);

    let before = desk.refresh_token();
    let put = |body: Value, token: &'static str| {
        let request = http().put(format!("http://{}/api/v1/salesforce/grant", desk.listen)).bearer_auth(token);
        async move {
            let answer = request.json(&body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let (status, why) = put(json!({ "refresh_token": "5Aep861made-up" }), ADMIN).await;
    assert!(status == 422 && why.contains("run `ctibridge login`") && !why.contains("made-up"), "{status} {why}");
    assert_eq!(put(json!({ "refresh_token": before }), "nobody").await.0, 401);
    assert_eq!(put(json!({ "token": "x" }), ADMIN).await.0, 400);
    assert_eq!(desk.refresh_token(), before, "what is refused changes nothing");
    desk.salesforce.revoke_sessions();
    let (status, body) = put(json!({ "refresh_token": before }), ADMIN).await;
    assert!(status == 200 && body.contains("\"user\":\"005"), "{status} {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_another_flow_says_that_it_takes_no_consent() {
    let desk = Desk::new().await;
    let _daemon = Process::start(desk.command(&["run"], "flow = 'client-credentials'"));
    desk.until("/healthz", |_| true).await;
    let (_, login) = desk.log_in().await;
    assert_eq!(code(&login), 0, "{}", err(&login));
    assert!(err(&login).contains("client-credentials takes no consent"), "{}", err(&login));
    assert!(out(&login).contains("Restart ctibridge to use it"), "{}", out(&login));
    assert!(desk.grant_file().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_right_after_a_refresh_does_not_lose_the_consent() {
    let desk = Desk::new().await;
    desk.salesforce.set(|knobs| knobs.rotate_refresh_tokens = true);
    let (_, login) = desk.log_in().await;
    assert_eq!(code(&login), 0, "{}", err(&login));
    let mut daemon = desk.daemon().await;
    desk.salesforce_is_up().await;
    for round in 1_u64..=5 {
        let before = desk.refresh_token();
        // The look-up finds its session ended, refreshes, and is killed where it first uses the new access token.
        desk.salesforce.fail_next(Fault::new(FaultKind::SessionExpired).on("search"));
        desk.salesforce.fail_next(Fault::new(FaultKind::Hang).on("search").for_ms(60_000));
        let url = format!("http://{}/api/v1/lookup?number=%2B493023125{round:03}", desk.listen);
        let mut asked = JoinSet::new();
        asked.spawn(http().get(url).bearer_auth(ADMIN).send());
        let until = Instant::now() + SOON;
        while desk.salesforce.faults().get(&FaultKind::Hang).copied().unwrap_or_default() < round {
            assert!(Instant::now() < until, "the new access token was not used");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        daemon.kill();
        asked.abort_all();
        assert_ne!(desk.refresh_token(), before, "the new refresh token is on disk before the access token is used");
        daemon = desk.daemon().await;
        desk.salesforce_is_up().await;
    }
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refresh_is_under_way_whoever_asks() {
    let desk = Desk::new().await;
    desk.log_in().await;
    desk.salesforce.set(|knobs| knobs.rotate_refresh_tokens = true);
    // Two clients are two processes: they share nothing but the state folder.
    let (one, other) = (desk.client(CODE), desk.client(CODE));
    for _ in 0..5 {
        desk.salesforce.revoke_sessions();
        let before = tokens(&desk).await;
        let all = (0..50).flat_map(|_| [&one, &other]).map(Client::users);
        let failed: Vec<_> = join_all(all).await.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(tokens(&desk).await - before, 2, "one for each process");
    }
}

/// Requests for tokens so far.
async fn tokens(desk: &Desk) -> u64 {
    let state = http().get(format!("{}/sandbox/state", desk.salesforce.url())).send().await.unwrap();
    state.json::<Value>().await.unwrap()["tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_written_does_not_cost_the_consent() {
    let desk = Desk::new().await;
    desk.log_in().await;
    desk.salesforce.set(|knobs| knobs.rotate_refresh_tokens = true);
    let client = desk.client(CODE);
    client.users().await.unwrap();
    let before = desk.refresh_token();
    // Even root cannot write here: a folder stands where the new file goes.
    let blocked = desk.state().join("salesforce-grant.new");
    fs::create_dir_all(blocked.join("x")).unwrap();
    desk.salesforce.revoke_sessions();
    let asked = tokens(&desk).await;
    let error = client.users().await.unwrap_err().to_string();
    assert!(error.contains("salesforce-grant cannot be used"), "{error}");
    assert_eq!((tokens(&desk).await, desk.refresh_token()), (asked, before), "the refresh token is not spent");
    fs::remove_dir_all(blocked).unwrap();
    client.users().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_or_foreign_consent_says_to_log_in_again() {
    let desk = Desk::new().await;
    desk.log_in().await;
    let whole = fs::read(desk.grant_file()).unwrap();
    fs::write(desk.grant_file(), &whole[..whole.len() / 2]).unwrap();
    let check = desk.run(&["check", "--online"], CODE).await;
    assert_eq!(code(&check), 1);
    assert!(out(&check).contains("cannot be read; run `ctibridge login` again"), "{}", out(&check));
    fs::write(desk.grant_file(), &whole).unwrap();
    let foreign = desk.refused(&format!("{CODE}\ntoken_url = '{}/other/token'", desk.salesforce.url())).await;
    assert!(foreign.to_string().contains("run `ctibridge login` again"), "{foreign}");
    let (_, again) = desk.log_in().await;
    assert_eq!(code(&again), 0);
    desk.client(CODE).users().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_do_and_where() {
    let desk = Desk::new().await;
    for (error, description, says, setup) in [
        ("invalid_client_id", "client identifier invalid", "less than 20 minutes", "Consumer|OAuth Settings"),
        ("invalid_client", "invalid client credentials", "`client_secret` does not belong", "OAuth Settings"),
        ("invalid_client_credentials", "", "`client_secret` does not belong", "OAuth Settings"),
        ("invalid_client", "app must be installed into org", "must be installed", "Connected Apps OAuth Usage"),
        ("invalid_grant", "request not supported on this domain", "My Domain, https://", "My Domain"),
        ("invalid_grant", "no client credentials user enabled", "set Run As", "Policies"),
        ("invalid_grant", "user hasn't approved this consumer", "pre-authorized", "Policies"),
        ("invalid_grant", "ip restricted", "address of this machine", "Login IP Ranges"),
        ("invalid_grant", "inactive organization", "org is not active", "Company Information"),
        ("inactive_org", "", "org is not active", "Company Information"),
        ("invalid_grant", "inactive user", "user is not active", "Users"),
        ("inactive_user", "user is inactive", "user is not active", "Users"),
        ("invalid_grant", "audience is invalid", "https://test.salesforce.com", ""),
        ("invalid_grant", "invalid assertion", "certificate in the app is not that of", "OAuth Settings"),
        ("invalid_grant", "assertion expired", "clock of this machine", ""),
        ("invalid_grant", "expired access/refresh token", "run `ctibridge login`", "Connected Apps OAuth Usage"),
        ("invalid_grant", "expired authorization code", "took too long", ""),
        ("invalid_grant", "authentication failure", "security token", "OAuth and OpenID Connect Settings"),
        ("invalid_grant", "authentication failure", "20 February 2027", "Network Access"),
        ("invalid_request", "missing required code challenge", "PKCE", "OAuth Settings"),
        ("invalid_request", "invalid code verifier", "another login", ""),
        ("redirect_uri_mismatch", "redirect_uri must match configuration", "callback URLs", "OAuth Settings"),
        ("access_denied", "end-user denied authorization", "refused in the browser", ""),
        ("unsupported_grant_type", "grant type not supported", "Flow Enablement", "OAuth Settings"),
        ("unsupported_response_type", "", "authorization code flow", "OAuth Settings"),
        ("invalid_app_access", "user is not admin approved to access this app", "may not use the app", "Policies"),
        ("invalid_scope", "the requested scope is not allowed", "`scopes` names a scope", "OAuth Settings"),
        ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "choose Unblock", "Connected Apps OAuth Usage"),
        ("OAUTH_APPROVAL_ERROR_GENERIC", "", "could not be approved", "Connected Apps OAuth Usage"),
        ("invalid_grant", "login rate exceeded", "in 15 minutes", ""),
        ("rate_limit_exceeded", "", "in 15 minutes", ""),
        ("something_new", "never seen", "login history", "Login History"),
    ] {
        desk.salesforce.set(|knobs| knobs.deny_login = Some(denial(error, description)));
        let told = desk.refused("flow = 'client-credentials'").await.to_string();
        assert!(told.starts_with(&format!("Salesforce refused the login ({error}): ")), "{told}");
        assert!(told.contains(says), "{error}, {description}: {told}");
        assert!(setup.split('|').any(|place| told.contains(place)), "{error}, {description}: {told}");
        assert!(setup.is_empty() || told.contains("(Setup: "), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_it_too() {
    let desk = Desk::new().await;
    let wrong = password(&desk).replace("security_token = '", "security_token = 'x");
    for (flow, turn, says) in [
        (String::new(), json!({ "flows": [] }), "Flow Enablement"),
        (String::new(), json!({ "no_run_as": true }), "set Run As"),
        (String::new(), json!({ "user_inactive": true }), "activate it"),
        (String::new(), json!({ "app_not_active": true }), "less than 20 minutes"),
        (password(&desk), json!({ "flows": ["client_credentials"] }), "off by default since Summer '23"),
        (wrong, json!({}), "old security token"),
        (jwt("rsa-pkcs8.pem"), json!({ "jwt_public_key": "" }), "certificate in the app"),
        (jwt("rsa-pkcs8.pem").replace("integration", "nobody"), json!({}), "has not approved the app"),
        (format!("{}\naudience = 'https://acme.example'", jwt("rsa-pkcs8.pem")), json!({}), "`audience` must be"),
    ] {
        let knobs = desk.salesforce.knobs();
        let url = format!("{}/sandbox/knobs", desk.salesforce.url());
        assert!(http().post(url).json(&turn).send().await.unwrap().status().is_success());
        let check = desk.run(&["check", "--online", "--no-wait"], &flow).await;
        assert_eq!(code(&check), 1, "{turn}");
        let told = out(&check);
        let line = told.lines().find(|line| line.starts_with("FAILED  Salesforce login: ")).unwrap();
        assert!(line.contains(says), "{turn}: {line}");
        desk.salesforce.set(|now| *now = knobs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_is_shown_why_not() {
    let desk = Desk::new().await;
    for (turn, says) in [
        (json!({ "scopes": ["api"] }), "`scopes` names a scope that the app does not have"),
        (
            json!({ "deny_login": { "error": "access_denied", "description": "end-user denied authorization" } }),
            "refused in the browser",
        ),
        (json!({ "deny_login": { "error": "OAUTH_APP_BLOCKED" } }), "choose Unblock"),
        (json!({ "flows": ["client_credentials"] }), "does not have the authorization code flow"),
    ] {
        let knobs = desk.salesforce.knobs();
        let url = format!("{}/sandbox/knobs", desk.salesforce.url());
        assert!(http().post(url).json(&turn).send().await.unwrap().status().is_success());
        let (page, login) = desk.log_in().await;
        assert!(page.contains(says), "{turn}: {page}");
        assert!(code(&login) == 1 && err(&login).contains(says), "{turn}: {}", err(&login));
        assert!(!desk.grant_file().exists());
        desk.salesforce.set(|now| *now = knobs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_safeguard_of_the_app_on_the_user_is_asked_and_may_say_no() {
    let desk = Desk::new().await;
    desk.salesforce.set(|knobs| {
        (knobs.pkce_required, knobs.rotate_refresh_tokens, knobs.consent_page) = (true, true, true);
        knobs.callbacks = vec![desk.redirect.clone()];
    });
    for (decision, says, ends) in [("deny", "refused in the browser", 1), ("allow", "has granted access", 0)] {
        let login = Process::start(desk.command(&["login"], CODE));
        let (login, address) = login.line().await;
        let asks = browse(&address).await;
        assert!(asks.contains("<li>api</li>") && asks.contains("<li>refresh_token</li>"), "{asks}");
        let action = asks.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let url = format!("{}{}", desk.salesforce.url(), action.replace("&amp;", "&"));
        let page = http().post(url).form(&[("decision", decision)]).send().await.unwrap().text().await.unwrap();
        assert!(page.contains(says), "{page}");
        assert_eq!(code(&login.end().await), ends);
    }
    desk.client(CODE).users().await.unwrap();

    desk.salesforce.set(|knobs| knobs.callbacks = vec![format!("{}/", desk.redirect)]);
    let (_login, address) = Process::start(desk.command(&["login"], CODE)).line().await;
    assert!(browse(&address).await.contains("redirect_uri_mismatch"), "the addresses differ by a stroke");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_app_is_waited_for_and_that_is_said() {
    let desk = Desk::new().await;
    desk.log_in().await;
    desk.salesforce.set(|knobs| knobs.app_not_active = true);
    for args in [&["check", "--online"][..], &["login"]] {
        let waiting = Process::start(desk.command(args, CODE));
        let waiting = waiting.said("Salesforce does not know the app").await;
        desk.salesforce.set(|knobs| knobs.app_not_active = false);
        if args.contains(&"login") {
            let (login, address) = waiting.line().await;
            browse(&address).await;
            assert_eq!(code(&login.end().await), 0);
        } else {
            let check = waiting.end().await;
            assert!(out(&check).contains("ok      Salesforce login"), "{}", out(&check));
        }
        desk.salesforce.set(|knobs| knobs.app_not_active = true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_with_the_password_flow_warns_of_its_end() {
    let desk = Desk::new().await;
    let flow = password(&desk);
    let mut daemon = Process::start(desk.command(&["run"], &flow));
    desk.until("/healthz", |_| true).await;
    daemon.child.kill().unwrap();
    let said = err(&daemon.end().await);
    assert!(said.contains("WARN") && said.contains("20 February 2027"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_all_that_it_found_as_json() {
    let desk = Desk::new().await;
    let check = desk.run(&["check", "--online", "--json"], "").await;
    let told: Value = serde_json::from_str(&out(&check)).unwrap();
    assert_eq!((code(&check), told["ok"].as_bool()), (0, Some(true)), "{told:#}");
    let lines = told["checks"].as_array().unwrap();
    let text =
        |what: &str| lines.iter().find(|line| line["what"] == what).unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text("Salesforce login").contains("as integration@pretend.example in http://127.0.0.1:"));
    assert_eq!(text("API version"), "v68.0");
    assert!(text("Contact phone fields").contains("Phone, MobilePhone"));
    assert!(text("API calls").contains(" of 150000 used in the last 24 hours, "), "{}", text("API calls"));

    let wrong = desk.run(&["check", "--json"], "api_version = 'v1.0'").await;
    let told: Value = serde_json::from_str(&out(&wrong)).unwrap();
    assert_eq!((code(&wrong), told["ok"].as_bool(), told["problems"].as_array().unwrap().len()), (78, Some(false), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_field_that_is_missing_and_the_agents_without_a_user() {
    let desk = Desk::new().await;
    let user =
        json!({ "LastName": "Anna", "Username": "anna@acme.example", "Email": "a@acme.example", "Extension": "101" });
    desk.salesforce.insert("User", &user).unwrap();
    let more = "[[directory.object]]\nname = 'Case'\nphone_fields = ['ContactPhone', 'Missing__c']\nname_field = 'Subject'\n\
                [log]\nexternal_id_field = 'Nothing__c'\n[log.fields]\nNowhere__c = 'x'\n[[agent]]\nextension = '101'\n[[agent]]\nextension = '102'";
    let check = desk.run(&["check", "--online"], more).await;
    let told = out(&check);
    assert_eq!(code(&check), 1);
    for line in [
        "FAILED  Task key: there is no field Nothing__c that the user of ctibridge can see; make it in Setup: Object Manager",
        "FAILED  agents: agent 102: no active Salesforce user has this extension; ",
        "; 101 is anna@acme.example",
        "ok      Task fields: all 12",
        "FAILED  Task templates: log.fields.Nowhere__c: the Task has no such field",
        "FAILED  Case fields: the user of ctibridge cannot see Missing__c; correct the API name in [[directory.object]]",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    let fits = more
        .replace("Nothing__c", "CTI_Call_Id__c")
        .replace(", 'Missing__c'", "")
        .replace("Nowhere__c = 'x'", "Type = 'Call'")
        .replace("'102'", "'102'\nsalesforce_user = 'integration@pretend.example'");
    let check = desk.run(&["check", "--online"], &fits).await;
    assert_eq!(code(&check), 0, "{}", out(&check));
    assert!(out(&check).contains("ok      Task key: CTI_Call_Id__c is a unique external id"), "{}", out(&check));

    desk.salesforce.set(|knobs| knobs.daily_limit = 1);
    let check = desk.run(&["check", "--online"], more).await;
    assert!(
        out(&check).contains("FAILED  API calls: the org's API calls of the last 24 hours are used up"),
        "{}",
        out(&check)
    );
}

//! Ways to log in, sessions and their end.

use ctibridge::sim::{Credentials, Options, Seed};
use serde_json::{Value, json};

use crate::desk::{Desk, text};

#[tokio::test]
async fn a_token_has_the_real_shape_and_errors_are_the_real_ones() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let good = [
        ("grant_type", "password"),
        ("client_id", known.client_id.as_str()),
        ("client_secret", known.client_secret.as_str()),
        ("username", known.username.as_str()),
    ];
    let right = format!("{}{}", known.password, known.security_token);
    let (status, token) = desk.grant(&[&good[..], &[("password", &right)]].concat()).await;
    assert_eq!(status, 200);
    assert_eq!(token["instance_url"], desk.salesforce.url());
    assert_eq!(token["token_type"], "Bearer");
    assert!(token.get("expires_in").is_none());
    assert!(text(&token, "access_token").starts_with("00D"));
    assert!(text(&token, "issued_at").parse::<u64>().is_ok());

    let wrong = |form: Vec<(&'static str, String)>| {
        let desk = &desk;
        async move {
            let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let (status, body) = desk.grant(&form).await;
            assert_eq!(status, 400);
            format!("{}: {}", text(&body, "error"), text(&body, "error_description"))
        }
    };
    let form = |grant: &str, id: &str, secret: &str| {
        [("grant_type", grant), ("client_id", id), ("client_secret", secret)]
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec()
    };
    let (id, secret) = (known.client_id.as_str(), known.client_secret.as_str());
    assert_eq!(wrong(form("client_credentials", "x", secret)).await, "invalid_client_id: client identifier invalid");
    assert_eq!(wrong(form("client_credentials", id, "x")).await, "invalid_client: invalid client credentials");
    assert_eq!(wrong(form("magic", id, secret)).await, "unsupported_grant_type: grant type not supported");
    let mut without_token = form("password", id, secret);
    without_token.push(("username", known.username.clone()));
    without_token.push(("password", known.password.clone()));
    assert_eq!(wrong(without_token).await, "invalid_grant: authentication failure");
}

#[tokio::test]
async fn client_credentials_may_come_as_basic_and_give_the_same_token_again() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let url = format!("{}/services/oauth2/token", desk.salesforce.url());
    let request = desk.client.post(url).basic_auth(known.client_id, Some(known.client_secret));
    let answer = request.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer");
    let token: Value = answer.json().await.expect("JSON");
    assert_eq!(token["access_token"], desk.token);
}

#[tokio::test]
async fn the_code_flow_checks_the_challenge_and_rotation_ends_replayed_tokens() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.set(|knobs| knobs.rotate_refresh_tokens = true);
    let known = desk.salesforce.credentials();
    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let redirect = "http://localhost:8461/callback";
    let url = format!("{}/services/oauth2/authorize", desk.salesforce.url());
    let query = [
        ("response_type", "code"),
        ("client_id", known.client_id.as_str()),
        ("redirect_uri", redirect),
        ("state", "s 1"),
        ("code_challenge", challenge),
    ];
    let answer = desk.client.get(url).query(&query).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    let (back, state) = location.split_once("&state=").expect("a state");
    assert_eq!(state, "s%201");
    let code = back.strip_prefix("http://localhost:8461/callback?code=").expect("a code");

    let client = [("client_id", known.client_id.as_str()), ("client_secret", known.client_secret.as_str())];
    let exchange =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect), ("code_verifier", verifier)];
    let (status, token) = desk.grant(&[&client[..], &exchange].concat()).await;
    assert_eq!(status, 200);
    let old = text(&token, "refresh_token").to_owned();
    let refresh = |token: String| {
        let (desk, client) = (&desk, &client);
        async move {
            let grant = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            desk.grant(&[&client[..], &grant].concat()).await
        }
    };
    let (status, newer) = refresh(old.clone()).await;
    assert_eq!(status, 200);
    assert_ne!(text(&newer, "refresh_token"), old);
    let (_, replay) = refresh(old).await;
    assert_eq!(replay["error_description"], "expired access/refresh token");
    let (status, _) = refresh(text(&newer, "refresh_token").to_owned()).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_session_that_ended_is_401_and_userinfo_differs() {
    let mut desk = Desk::open(json!({})).await;
    assert_eq!(desk.get("limits").await.0, 200);
    desk.salesforce.revoke_sessions();
    let answer = desk.get("limits").await;
    assert_eq!(answer.0, 401);
    assert_eq!(answer.1, json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]));
    let url = format!("{}/services/oauth2/userinfo", desk.salesforce.url());
    let answer = desk.client.get(&url).bearer_auth("x").send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.text().await.expect("text"), "Bad_OAuth_Token");
    desk.log_in().await;
    let answer = desk.client.get(&url).bearer_auth(&desk.token).send().await.expect("an answer");
    let info: Value = answer.json().await.expect("JSON");
    assert_eq!(info["preferred_username"], desk.salesforce.credentials().username);
}

#[tokio::test]
async fn soap_login_gives_a_session_and_ends_with_version_64() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let body = format!(
        "<env:Envelope><env:Body><n1:login xmlns:n1=\"urn:partner.soap.sforce.com\"><n1:username>{}</n1:username>\
         <n1:password>{}{}</n1:password></n1:login></env:Body></env:Envelope>",
        known.username, known.password, known.security_token
    );
    let at = |version: &str| {
        let url = format!("{}/services/Soap/u/{version}", desk.salesforce.url());
        let request = desk.client.post(url).body(body.clone());
        async move { request.send().await.expect("an answer").text().await.expect("text") }
    };
    let answer = at("59.0").await;
    let session = answer.split_once("<sessionId>").and_then(|(_, rest)| rest.split_once('<')).expect("a session").0;
    let url = format!("{}/services/data/v59.0/limits", desk.salesforce.url());
    let status = desk.client.get(url).bearer_auth(session).send().await.expect("an answer").status();
    assert_eq!(status, 200);
    assert!(at("65.0").await.contains("<sf:exceptionCode>UNSUPPORTED_API_VERSION<"));
}

/// The fixture's assertion ends at this second; the org's clock is set to shortly before it.
const ASSERTION_ENDS: i64 = 1_893_456_000;

#[tokio::test]
async fn a_signed_assertion_gives_a_token_until_it_expires() {
    let known = Credentials { client_id: "pretend-app".to_owned(), ..Credentials::generate() };
    let options = Options {
        credentials: Some(known),
        seed: Seed::from_value(json!({"User": [{"Username": "jwt@pretend.example", "LastName": "Jwt"}]}))
            .expect("a seed"),
        ..Options::default()
    };
    let desk = Desk::with(options).await;
    let now = jiff::Timestamp::now().as_second();
    desk.salesforce.set(|knobs| {
        knobs.jwt_public_key = include_str!("../fixtures/jwt-public-key.pem").to_owned();
        knobs.clock_offset_seconds = ASSERTION_ENDS - 100 - now;
    });
    let assertion = include_str!("../fixtures/jwt-assertion.txt").trim();
    let ask = |assertion: String| {
        let desk = &desk;
        async move {
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            desk.grant(&[("grant_type", grant), ("assertion", &assertion)]).await
        }
    };
    let (status, token) = ask(assertion.to_owned()).await;
    assert_eq!(status, 200, "{token}");
    assert!(token.get("refresh_token").is_none());
    let (_, forged) = ask(format!("{}AAAA", &assertion[..assertion.len() - 4])).await;
    assert_eq!(forged["error_description"], "invalid assertion");
    desk.salesforce.set(|knobs| knobs.clock_offset_seconds += 200);
    let (status, late) = ask(assertion.to_owned()).await;
    assert_eq!((status.as_u16(), text(&late, "error")), (400, "invalid_grant"));
}

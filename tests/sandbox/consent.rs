//! The authorization endpoint: the page, the scopes, the callbacks, and the answers that a test can choose.

use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::desk::{Desk, text};

const BACK: &str = "http://localhost:8461/callback";

async fn authorize(desk: &Desk, more: &[(&str, &str)]) -> Response {
    let known = desk.salesforce.credentials();
    let url = format!("{}/services/oauth2/authorize", desk.salesforce.url());
    let query = [("response_type", "code"), ("client_id", known.client_id.as_str()), ("state", "s")];
    let request = desk.client.get(url).query(&query).query(more);
    request.send().await.expect("an answer")
}

fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), 302);
    answer.headers()["location"].to_str().expect("text").to_owned()
}

#[tokio::test]
async fn the_user_is_asked_on_a_page_and_may_say_no() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.set(|knobs| knobs.consent_page = true);
    let page = authorize(&desk, &[("redirect_uri", BACK), ("scope", "api <b>")]).await;
    assert_eq!(page.status(), 302, "an unknown scope is refused before anybody is asked");
    let page = authorize(&desk, &[("redirect_uri", BACK), ("scope", "api id")]).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("text");
    assert!(page.contains("<li>api</li><li>id</li>"), "{page}");
    let (_, rest) = page.split_once("action=\"").expect("a form");
    let action = rest.split('"').next().expect("an address").replace("&amp;", "&");
    let decide = async |decision: &str| {
        let url = format!("{}{action}", desk.salesforce.url());
        location(&desk.client.post(url).form(&[("decision", decision)]).send().await.expect("an answer"))
    };
    assert!(decide("allow").await.starts_with(&format!("{BACK}?code=aPrx")));
    let no = decide("deny").await;
    assert_eq!(no, format!("{BACK}?error=access_denied&error_description=end-user%20denied%20authorization&state=s"));
}

#[tokio::test]
async fn what_the_app_does_not_have_is_refused() {
    let desk = Desk::open(json!({})).await;
    desk.salesforce.set(|knobs| {
        knobs.scopes = vec!["api".to_owned()];
        knobs.callbacks = vec![BACK.to_owned()];
    });
    let scope = location(&authorize(&desk, &[("redirect_uri", BACK), ("scope", "api refresh_token")]).await);
    assert!(scope.contains("error=invalid_scope"), "{scope}");
    let other = authorize(&desk, &[("redirect_uri", "http://localhost:1/")]).await;
    assert_eq!(other.status(), 400);
    assert_eq!(other.json::<Value>().await.expect("JSON")["error"], "redirect_uri_mismatch");
    let plain = [("redirect_uri", BACK), ("code_challenge", "x"), ("code_challenge_method", "plain")];
    assert!(location(&authorize(&desk, &plain).await).contains("error=invalid_request"));
    desk.salesforce.set(|knobs| knobs.flows = vec!["client_credentials".to_owned()]);
    assert!(location(&authorize(&desk, &[("redirect_uri", BACK)]).await).contains("error=unsupported_response_type"));

    // Without a scope that says so there is no refresh token.
    desk.salesforce.set(|knobs| knobs.flows = vec!["authorization_code".to_owned()]);
    let back = location(&authorize(&desk, &[("redirect_uri", BACK)]).await);
    let code = back.split(['=', '&']).nth(1).expect("a code");
    let known = desk.salesforce.credentials();
    let client = [("client_id", known.client_id.as_str()), ("client_secret", known.client_secret.as_str())];
    let form = [&client[..], &[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK)]].concat();
    let (status, token) = desk.grant(&form).await;
    assert_eq!((status.as_u16(), token.get("refresh_token")), (200, None));
}

#[tokio::test]
async fn scopes_are_for_the_browser_and_any_denial_can_be_chosen() {
    let desk = Desk::open(json!({})).await;
    let known = desk.salesforce.credentials();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", known.client_id.as_str()),
        ("client_secret", known.client_secret.as_str()),
    ];
    let (_, denied) = desk.grant(&[&form[..], &[("scope", "api")]].concat()).await;
    assert_eq!(text(&denied, "error_description"), "scope parameter not supported");
    let denial = json!({"deny_login": {"error": "invalid_grant", "description": "ip restricted"}});
    let url = format!("{}/sandbox/knobs", desk.salesforce.url());
    desk.client.post(url).json(&denial).send().await.expect("an answer");
    let (status, denied) = desk.grant(&form).await;
    assert_eq!(
        (status.as_u16(), denied),
        (400, json!({"error": "invalid_grant", "error_description": "ip restricted"}))
    );
    desk.salesforce.set(|knobs| knobs.deny_login = None);
    assert_eq!(desk.grant(&form).await.0, 200);
}

#[tokio::test]
async fn soap_undeletes_and_ends_its_session() {
    let desk = Desk::open(json!({"Contact": [{"Id": "003000000000001", "LastName": "A"}]})).await;
    assert!(desk.salesforce.remove("Contact", "003000000000001"));
    let call = async |client: &Client, what: &str| {
        let body = format!(
            "<e:Envelope><e:Header><SessionHeader><sessionId>{}</sessionId></SessionHeader></e:Header><e:Body>{what}\
             </e:Body></e:Envelope>",
            desk.token
        );
        let url = format!("{}/services/Soap/u/68.0", desk.salesforce.url());
        client.post(url).body(body).send().await.expect("an answer").text().await.expect("text")
    };
    let undelete = "<u:undelete><u:ids>003000000000001</u:ids><u:ids>003000000000002</u:ids></u:undelete>";
    let done = call(&desk.client, undelete).await;
    assert!(done.contains("<id>003000000000001</id><success>true</success>"), "{done}");
    assert!(done.contains("<success>false</success>"), "{done}");
    assert_eq!(desk.salesforce.rows("Contact").len(), 1);
    call(&desk.client, "<logout/>").await;
    assert_eq!(desk.get("limits").await.0, 401);
    assert!(call(&desk.client, undelete).await.contains("INVALID_SESSION_ID"));
}

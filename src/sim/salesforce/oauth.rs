//! `/services/oauth2`: tokens by grant, their end, and who a token belongs to.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    consent,
    exchange::{Answer, Ask, decode, find},
    jwt,
    rest::bearer,
    sessions::{Refresh, Session},
    world::{World, secret},
};
use crate::sim::org::{Fields, id, text};

/// `error` and `error_description`.
type Denial = (&'static str, &'static str);

/// Grant types as they are sent, and the names by which they are enabled.
const GRANTS: [(&str, &str); 5] = [
    ("client_credentials", "client_credentials"),
    ("urn:ietf:params:oauth:grant-type:jwt-bearer", "jwt_bearer"),
    ("password", "password"),
    ("refresh_token", "refresh_token"),
    ("authorization_code", "authorization_code"),
];

/// Answers a request whose path begins with `/services/oauth2`.
pub(crate) fn answer(world: &mut World, ask: &Ask, what: &str) -> Answer {
    match (ask.method.as_str(), what) {
        ("POST", "token") => token(world, ask),
        ("GET" | "POST", "authorize") => consent::answer(world, ask),
        ("GET" | "POST", "revoke") => revoke(world, ask),
        ("GET" | "POST", "userinfo") => user_info(world, ask),
        ("POST", "introspect") => introspect(world, ask),
        _ => Answer::text(404, "text/html", "<html><body>Not found</body></html>"),
    }
}

/// `/id/<org>/<user>`.
pub(crate) fn identity(world: &mut World, ask: &Ask) -> Answer {
    match signed_in(world, ask) {
        Some(user) => Answer::json(200, identity_of(world, &user)),
        None => bad_token(),
    }
}

/// `/.well-known/openid-configuration`.
pub(crate) fn discovery(world: &World) -> Answer {
    let url = &world.url;
    let at = |name: &str| format!("{url}/services/oauth2/{name}");
    Answer::json(
        200,
        json!({
            "issuer": url, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
            "revocation_endpoint": at("revoke"), "userinfo_endpoint": at("userinfo"),
            "introspection_endpoint": at("introspect"), "registration_endpoint": at("register"),
            "jwks_uri": format!("{url}/id/keys"), "scopes_supported": ["api", "refresh_token", "offline_access", "id"],
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        }),
    )
}

fn token(world: &mut World, ask: &Ask) -> Answer {
    let form = ask.form();
    world.counts.tokens += 1;
    if let Some(denial) = &world.knobs.deny_login {
        return Answer::json(400, json!({"error": denial.error, "error_description": denial.description}));
    }
    match granted(world, ask, &form) {
        Ok(token) => Answer::json(200, token).with("Cache-Control", "no-cache, no-store"),
        Err(denial) => denied(denial),
    }
}

fn granted(world: &mut World, ask: &Ask, form: &[(String, String)]) -> Result<Value, Denial> {
    let unsupported = ("unsupported_grant_type", "grant type not supported");
    let grant = find(form, "grant_type").unwrap_or_default();
    let known = GRANTS.iter().find(|(wire, _)| *wire == grant);
    let (_, flow) = known.ok_or(unsupported)?;
    if find(form, "scope").is_some() {
        return Err(("invalid_request", "scope parameter not supported"));
    }
    if *flow != "jwt_bearer" {
        check_client(world, ask, form)?;
    }
    if !world.knobs.flows.iter().any(|enabled| enabled == flow) {
        // A blocked password flow looks like a wrong password.
        let denial = ("invalid_grant", "authentication failure");
        return Err(if *flow == "password" { denial } else { unsupported });
    }
    if world.knobs.user_inactive {
        return Err(("inactive_user", "user is inactive"));
    }
    match *flow {
        "client_credentials" if world.knobs.no_run_as => Err(("invalid_grant", "no client credentials user enabled")),
        "client_credentials" => Ok(same_token(world, &world.login_user.clone(), flow)),
        "jwt_bearer" => {
            let assertion = find(form, "assertion").unwrap_or_default();
            let user = jwt::user(world, assertion).map_err(|why| ("invalid_grant", why))?;
            Ok(same_token(world, &user, flow))
        }
        "password" => password(world, form),
        "refresh_token" => refresh(world, form),
        _ => exchange_code(world, form),
    }
}

/// The client's id and secret, in the form or as HTTP Basic.
fn check_client(world: &World, ask: &Ask, form: &[(String, String)]) -> Result<(), Denial> {
    let basic = basic(ask);
    let (id, given) = match &basic {
        Some((id, secret)) => (id.as_str(), secret.as_str()),
        None => (find(form, "client_id").unwrap_or_default(), find(form, "client_secret").unwrap_or_default()),
    };
    if world.knobs.app_not_active || id != world.credentials.client_id {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    if given != world.credentials.client_secret {
        return Err(("invalid_client", "invalid client credentials"));
    }
    Ok(())
}

fn basic(ask: &Ask) -> Option<(String, String)> {
    let header = ask.header("authorization")?;
    let (scheme, text) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decode(id, true), decode(secret, true)))
}

/// The same token again as long as it lives, as real orgs do.
fn same_token(world: &mut World, user: &str, grant: &str) -> Value {
    let known = world.sessions.same(user, grant, world.now(), world.session_ttl());
    let token = known.unwrap_or_else(|| new_session(world, user, grant, None));
    response(world, user, &token, None)
}

fn password(world: &mut World, form: &[(String, String)]) -> Result<Value, Denial> {
    let user =
        check_password(world, find(form, "username").unwrap_or_default(), find(form, "password").unwrap_or_default())
            .ok_or(("invalid_grant", "authentication failure"))?;
    let token = new_session(world, &user, "password", None);
    Ok(response(world, &user, &token, None))
}

/// The login user, if the password is right; the security token follows it directly.
pub(crate) fn check_password(world: &World, username: &str, password: &str) -> Option<String> {
    let known = &world.credentials;
    let right = format!("{}{}", known.password, known.security_token);
    let fits = username.eq_ignore_ascii_case(&known.username) && password == right;
    fits.then(|| world.login_user.clone())
}

fn refresh(world: &mut World, form: &[(String, String)]) -> Result<Value, Denial> {
    let expired = ("invalid_grant", "expired access/refresh token");
    let old = find(form, "refresh_token").unwrap_or_default().to_owned();
    let known = world.sessions.refresh.get(&old).cloned().ok_or(expired)?;
    if let Some(newer) = known.replaced_by {
        // A token that was used already may be stolen: its successor ends too.
        world.sessions.revoke(&newer);
        world.sessions.revoke(&old);
        return Err(expired);
    }
    if !world.knobs.rotate_refresh_tokens {
        let token = new_session(world, &known.user, "refresh_token", Some(&old));
        return Ok(response(world, &known.user, &token, None));
    }
    let newer = new_refresh(world, &known.user);
    if let Some(state) = world.sessions.refresh.get_mut(&old) {
        state.replaced_by = Some(newer.clone());
    }
    let token = new_session(world, &known.user, "refresh_token", Some(&newer));
    Ok(response(world, &known.user, &token, Some(&newer)))
}

fn exchange_code(world: &mut World, form: &[(String, String)]) -> Result<Value, Denial> {
    let code = find(form, "code").unwrap_or_default();
    let code = world.sessions.codes.remove(code);
    let code = code.ok_or(("invalid_grant", "invalid authorization code"))?;
    if find(form, "redirect_uri") != Some(code.redirect_uri.as_str()) {
        return Err(("redirect_uri_mismatch", "redirect_uri must match configuration"));
    }
    if let Some(challenge) = &code.challenge {
        let verifier = find(form, "code_verifier");
        let verifier = verifier.ok_or(("invalid_grant", "invalid code verifier"))?;
        if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != *challenge {
            return Err(("invalid_request", "invalid code verifier"));
        }
    }
    let newer = code.offline.then(|| new_refresh(world, &code.user));
    let token = new_session(world, &code.user, "authorization_code", newer.as_deref());
    Ok(response(world, &code.user, &token, newer.as_deref()))
}

fn revoke(world: &mut World, ask: &Ask) -> Answer {
    let form = ask.form();
    let token = find(&form, "token").unwrap_or_default();
    if world.sessions.revoke(token) {
        return Answer::empty(200);
    }
    denied(("invalid_token", "invalid token"))
}

fn introspect(world: &mut World, ask: &Ask) -> Answer {
    let form = ask.form();
    if let Err(denial) = check_client(world, ask, &form) {
        return denied(denial);
    }
    let token = find(&form, "token").unwrap_or_default();
    let ttl = world.session_ttl();
    let Some(session) = world.sessions.live.get(token) else {
        return Answer::json(200, json!({"active": false}));
    };
    let from = session.last_used.as_second();
    Answer::json(
        200,
        json!({
            "active": true, "scope": "api refresh_token", "client_id": world.credentials.client_id,
            "username": world.credentials.username, "sub": identity_url(world, &session.user),
            "token_type": "access_token", "iat": from, "nbf": from, "exp": from + ttl.as_secs(),
        }),
    )
}

fn user_info(world: &mut World, ask: &Ask) -> Answer {
    let Some(user) = signed_in(world, ask) else {
        return bad_token();
    };
    let mut info = identity_of(world, &user);
    let row = user_row(world, &user);
    if let Some(map) = info.as_object_mut() {
        map.insert("sub".to_owned(), identity_url(world, &user).into());
        for (claim, field) in [
            ("preferred_username", "Username"),
            ("name", "Name"),
            ("given_name", "FirstName"),
            ("family_name", "LastName"),
            ("zoneinfo", "TimeZoneSidKey"),
        ] {
            map.insert(claim.to_owned(), row.get(field).cloned().unwrap_or_default());
        }
    }
    Answer::json(200, info)
}

/// The user of the token in the header, or in `oauth_token` where a client puts it.
fn signed_in(world: &mut World, ask: &Ask) -> Option<String> {
    let token = bearer(ask).or_else(|| ask.parameter("oauth_token"))?.to_owned();
    let (now, ttl) = (world.now(), world.session_ttl());
    world.sessions.user(&token, now, ttl)
}

/// Not JSON and not 401, unlike everywhere else.
fn bad_token() -> Answer {
    Answer::text(403, "text/html", "Bad_OAuth_Token")
}

fn identity_of(world: &World, user: &str) -> Value {
    let row = user_row(world, user);
    let field = |name: &str| row.get(name).cloned().unwrap_or_default();
    let url = &world.url;
    json!({
        "id": identity_url(world, user), "asserted_user": true, "user_id": user,
        "organization_id": world.org.organization(), "username": field("Username"),
        "display_name": field("Name"), "email": field("Email"), "first_name": field("FirstName"),
        "last_name": field("LastName"), "timezone": field("TimeZoneSidKey"), "active": true,
        "user_type": "STANDARD", "language": "en_US", "locale": field("LocaleSidKey"),
        "nick_name": field("Alias"), "status": {"created_date": null, "body": null},
        "photos": {"picture": format!("{url}/profilephoto/005/F"), "thumbnail": format!("{url}/profilephoto/005/T")},
        "urls": {
            "enterprise": format!("{url}/services/Soap/c/{{version}}/{}", world.org.organization()),
            "partner": format!("{url}/services/Soap/u/{{version}}/{}", world.org.organization()),
            "recent": format!("{url}/services/data/v{{version}}/recent/"),
            "rest": format!("{url}/services/data/v{{version}}/"),
            "sobjects": format!("{url}/services/data/v{{version}}/sobjects/"),
            "search": format!("{url}/services/data/v{{version}}/search/"),
            "query": format!("{url}/services/data/v{{version}}/query/"),
            "profile": format!("{url}/{user}"),
        },
    })
}

fn user_row(world: &World, user: &str) -> Fields {
    let row = world.org.row("User", user);
    row.map(|row| (*row.fields).clone()).unwrap_or_default()
}

/// Where a user's identity is told.
pub(crate) fn identity_url(world: &World, user: &str) -> String {
    format!("{}/id/{}/{user}", world.url, world.org.organization())
}

/// Makes a session and answers its token: the organization's id, `!`, and what nobody reads.
pub(crate) fn new_session(world: &mut World, user: &str, grant: &str, refresh: Option<&str>) -> String {
    let org = world.org.organization();
    let token = format!("{}!AQ{}", id::short(&org), secret(90));
    let session = Session {
        user: user.to_owned(),
        grant: grant.to_owned(),
        last_used: world.now(),
        refresh: refresh.map(str::to_owned),
    };
    world.sessions.live.insert(token.clone(), session);
    token
}

fn new_refresh(world: &mut World, user: &str) -> String {
    let token = format!("5Aep861{}", secret(80));
    let state = Refresh { user: user.to_owned(), replaced_by: None };
    world.sessions.refresh.insert(token.clone(), state);
    token
}

/// The token response; it has no `expires_in`.
fn response(world: &World, user: &str, token: &str, refresh: Option<&str>) -> Value {
    let id = identity_url(world, user);
    let issued = world.now().as_millisecond().to_string();
    let signature = hmac(&world.credentials.client_secret, &format!("{id}{issued}"));
    let mut response = json!({
        "access_token": token, "signature": signature, "instance_url": world.url, "id": id,
        "token_type": "Bearer", "issued_at": issued, "scope": "api",
    });
    if let (Some(refresh), Some(map)) = (refresh, response.as_object_mut()) {
        map.insert("refresh_token".to_owned(), refresh.into());
        map.insert("scope".to_owned(), "refresh_token api".into());
    }
    response
}

/// HMAC-SHA256 in base64 (RFC 2104).
fn hmac(key: &str, message: &str) -> String {
    let mut block = [0_u8; 64];
    let hashed = Sha256::digest(key);
    let key: &[u8] = if key.len() > 64 { &hashed } else { key.as_bytes() };
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    STANDARD.encode(outer)
}

fn denied((error, description): Denial) -> Answer {
    Answer::json(400, json!({"error": error, "error_description": description}))
}

/// The user's Username, for the SOAP answer.
pub(crate) fn username(world: &World, user: &str) -> String {
    text(&user_row(world, user), "Username").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_a_real_hmac() {
        // RFC 4231, test case 2.
        let signature = hmac("Jefe", "what do ya want for nothing?");
        assert_eq!(signature, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    }
}

//! `authorize`: who asks for a code, whether the app may have what it asks for, and the page on which the user agrees.

use serde_json::json;

use super::{
    exchange::{Answer, Ask, encode, find},
    sessions::Code,
    soap::escape,
    world::{World, secret},
};

/// Scopes that give a refresh token; `full` gives none.
const OFFLINE: [&str; 2] = ["refresh_token", "offline_access"];

/// Answers the browser: sends it back with a code or an error, or shows the page first.
pub(crate) fn answer(world: &mut World, ask: &Ask) -> Answer {
    let given = |name: &str| ask.parameter(name).unwrap_or_default();
    let redirect = given("redirect_uri");
    if world.knobs.app_not_active || given("client_id") != world.credentials.client_id {
        return refused("invalid_client_id", "client identifier invalid");
    }
    let registered = &world.knobs.callbacks;
    if !redirect.starts_with("http") || !(registered.is_empty() || registered.iter().any(|known| known == redirect)) {
        return refused("redirect_uri_mismatch", "redirect_uri must match configuration");
    }
    let back = |query: String| {
        let sign = if redirect.contains('?') { '&' } else { '?' };
        let state = ask.parameter("state").map(|state| format!("&state={}", encode(state)));
        Answer::empty(302).with("Location", format!("{redirect}{sign}{query}{}", state.unwrap_or_default()))
    };
    if let Some(denial) = &world.knobs.deny_login {
        let (error, description) = (encode(&denial.error), encode(&denial.description));
        return back(format!("error={error}&error_description={description}"));
    }
    if let Err((error, why)) = may(world, ask) {
        return back(format!("error={error}&error_description={}", encode(why)));
    }
    let asks_first =
        world.knobs.consent_page || ask.parameter("prompt").is_some_and(|prompt| prompt.contains("consent"));
    let form = ask.form();
    match (ask.method.as_str(), find(&form, "decision")) {
        ("GET", _) if asks_first => page(world, ask),
        ("POST", Some("deny")) => {
            back(format!("error=access_denied&error_description={}", encode("end-user denied authorization")))
        }
        _ => back(format!("code={}", code(world, ask, redirect))),
    }
}

/// Whether a code may be given at all.
fn may(world: &World, ask: &Ask) -> Result<(), (&'static str, &'static str)> {
    if ask.parameter("response_type") != Some("code") {
        return Err(("unsupported_response_type", "response type not supported"));
    }
    if !world.knobs.flows.iter().any(|flow| flow == "authorization_code") {
        return Err(("unsupported_response_type", "authorization code flow is not enabled"));
    }
    if ask.parameter("code_challenge").is_none() && world.knobs.pkce_required {
        return Err(("invalid_request", "missing required code challenge"));
    }
    if ask.parameter("code_challenge_method").is_some_and(|method| method != "S256") {
        return Err(("invalid_request", "code challenge method must be S256"));
    }
    let allowed = |scope: &str| world.knobs.scopes.iter().any(|known| known == scope);
    if !scopes(ask).all(allowed) {
        return Err(("invalid_scope", "the requested scope is not allowed"));
    }
    Ok(())
}

fn code(world: &mut World, ask: &Ask, redirect: &str) -> String {
    // Without a scope all of the app's are meant.
    let asked: Vec<String> = scopes(ask).map(str::to_owned).collect();
    let granted = if asked.is_empty() { world.knobs.scopes.clone() } else { asked };
    let code = Code {
        user: world.login_user.clone(),
        redirect_uri: redirect.to_owned(),
        challenge: ask.parameter("code_challenge").map(str::to_owned),
        offline: granted.iter().any(|scope| OFFLINE.contains(&scope.as_str())),
    };
    let name = format!("aPrx{}", secret(40));
    world.sessions.codes.insert(name.clone(), code);
    name
}

fn scopes(ask: &Ask) -> impl Iterator<Item = &str> {
    ask.parameter("scope").unwrap_or_default().split_whitespace()
}

/// The page that asks the user; both buttons send the same request again with the decision.
fn page(world: &World, ask: &Ask) -> Answer {
    let asked: Vec<String> = scopes(ask).map(|scope| format!("<li>{}</li>", escape(scope))).collect();
    let title = "Allow access?";
    Answer::text(
        200,
        "text/html; charset=utf-8",
        format!(
            "<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\
             <p>The app asks for access to the pretend Salesforce as {user}:</p><ul>{scopes}</ul>\
             <form method=post action=\"/services/oauth2/authorize?{query}\">\
             <button name=decision value=allow>Allow</button> <button name=decision value=deny>Deny</button></form>",
            user = escape(&world.credentials.username),
            scopes = asked.concat(),
            query = again(ask),
        ),
    )
}

/// The request's parameters for the form's address, so that an answer needs nothing but the button.
fn again(ask: &Ask) -> String {
    let pairs = ask.query.iter().filter(|(name, _)| name != "prompt" && name != "decision");
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&amp;")
}

fn refused(error: &str, description: &str) -> Answer {
    Answer::json(400, json!({"error": error, "error_description": description}))
}

//! `/services/data`: the version gate, the session, the daily limit, and which resource answers.

use serde_json::{Value, json};

use super::{
    batch, collections, composite,
    exchange::{Answer, Ask, Body},
    jobs, limits, oauth, query, recent, search, sobjects, upsert,
    world::World,
};
use crate::sim::org::Refusal;

/// The oldest and the newest API version that are served.
const VERSIONS: std::ops::RangeInclusive<u32> = 31..=68;

/// Who asks, and in which version.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) version: u32,
    /// Rows that look like duplicates are wanted all the same.
    pub(crate) allow_save: bool,
    /// Records that make a new one a duplicate are shown with all their fields.
    pub(crate) record_details: bool,
}

impl Caller {
    /// The path that the version's resources begin with.
    pub(crate) fn base(&self) -> String {
        format!("/services/data/v{}.0", self.version)
    }
}

/// Answers a request whose path begins with `/services/data`.
pub(crate) fn answer(world: &mut World, ask: &Ask) -> Answer {
    let path = ask.path();
    let Some((version, rest)) = path.get(2..).and_then(<[&str]>::split_first) else {
        return Answer::json(200, versions());
    };
    match admitted(world, ask, version) {
        Ok(caller) => {
            let is_batch = rest == ["composite", "batch"];
            world.counts.api_calls += u64::from(!is_batch);
            let answer = resource(world, &caller, ask, rest);
            with_usage(world, answer)
        }
        Err(refusal) => Answer::refusal(&refusal),
    }
}

/// Answers a request of an admitted caller; also a subrequest, which is not counted by itself.
pub(crate) fn resource(world: &mut World, caller: &Caller, ask: &Ask, rest: &[&str]) -> Answer {
    let answer = dispatch(world, caller, ask, rest);
    let mut answer = answer.unwrap_or_else(|refusal| Answer::refusal(&refusal));
    if let Body::Json(value) = &mut answer.body {
        complete_urls(value, &caller.base());
    }
    answer
}

fn dispatch(world: &mut World, caller: &Caller, ask: &Ask, rest: &[&str]) -> Result<Answer, Refusal> {
    match (ask.method.as_str(), rest) {
        ("GET", []) => Ok(Answer::json(200, resources(world, caller))),
        ("GET", ["limits"]) => Ok(limits::answer(world)),
        ("GET", ["recent"]) => recent::answer(world, ask),
        ("GET", ["query"]) => query::first_page(world, caller, ask, false),
        ("GET", ["queryAll"]) => query::first_page(world, caller, ask, true),
        ("GET", ["query" | "queryAll", locator]) => query::next_page(world, caller, locator),
        ("GET", ["search"]) => search::sosl(world, caller, ask),
        ("GET" | "POST", ["parameterizedSearch"]) => search::parameterized(world, caller, ask),
        ("POST", ["composite"]) => composite::answer(world, caller, ask),
        ("POST", ["composite", "batch"]) => batch::answer(world, caller, ask),
        (_, ["composite", "sobjects", rest @ ..]) => collections::answer(world, caller, ask, rest),
        (_, ["sobjects", object, field, value]) => upsert::answer(world, caller, ask, (object, field, value)),
        (_, ["jobs", kind, rest @ ..]) => jobs::answer(world, caller, ask, kind, rest),
        (_, ["sobjects", rest @ ..]) => sobjects::answer(world, caller, ask, rest),
        ("GET", _) => Err(Refusal::not_found()),
        (_, ["query" | "queryAll" | "search" | "limits" | "composite", ..]) => Err(not_allowed(&ask.method)),
        _ => Err(Refusal::not_found()),
    }
}

/// What a method that a resource does not have gets.
pub(crate) fn not_allowed(method: &str) -> Refusal {
    let message = format!("HTTP Method '{method}' not allowed. Allowed are GET,HEAD,POST,PATCH,DELETE");
    Refusal::new("METHOD_NOT_ALLOWED", message)
}

/// What a request without a live session gets.
pub(crate) fn no_session() -> Refusal {
    Refusal::new("INVALID_SESSION_ID", "Session expired or invalid")
}

/// What a request over the daily limit gets.
pub(crate) fn over_limit() -> Refusal {
    Refusal::new("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
}

/// The access token of a request.
pub(crate) fn bearer(ask: &Ask) -> Option<&str> {
    let header = ask.header("authorization")?;
    let (scheme, token) = header.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
    known.then(|| token.trim())
}

fn admitted(world: &mut World, ask: &Ask, version: &str) -> Result<Caller, Refusal> {
    let version = version
        .strip_prefix('v')
        .and_then(|version| version.strip_suffix(".0"))
        .and_then(|version| version.parse::<u32>().ok())
        .ok_or_else(Refusal::not_found)?;
    if version < *VERSIONS.start() {
        return Err(Refusal::new(
            "UNSUPPORTED_API_VERSION",
            "The requested API version is retired and no longer available.",
        ));
    }
    if !VERSIONS.contains(&version) {
        return Err(Refusal::not_found());
    }
    let (now, ttl) = (world.now(), world.session_ttl());
    let token = bearer(ask).ok_or_else(no_session)?;
    let user = world.sessions.user(token, now, ttl).ok_or_else(no_session)?;
    if world.counts.api_calls >= world.knobs.daily_limit {
        return Err(over_limit());
    }
    let duplicates = ask.header("sforce-duplicate-rule-header").unwrap_or_default();
    let duplicates = duplicates.replace(' ', "").to_ascii_lowercase();
    let (allow_save, record_details) =
        (duplicates.contains("allowsave=true"), duplicates.contains("includerecorddetails=true"));
    Ok(Caller { user, version, allow_save, record_details })
}

fn with_usage(world: &World, answer: Answer) -> Answer {
    let (used, limit) = (world.counts.api_calls, world.knobs.daily_limit);
    answer.with("Sforce-Limit-Info", format!("api-usage={used}/{limit}"))
}

fn versions() -> Value {
    let versions = VERSIONS.map(|version| {
        json!({
            "label": label(version), "url": format!("/services/data/v{version}.0"),
            "version": format!("{version}.0"),
        })
    });
    versions.collect::<Vec<_>>().into()
}

/// Three releases a year; v60 was Spring '24, and a Winter release carries the year that follows.
fn label(version: u32) -> String {
    let since = i64::from(version) - 60;
    let (season, ahead) = match since.rem_euclid(3) {
        0 => ("Spring", 0),
        1 => ("Summer", 0),
        _ => ("Winter", 1),
    };
    format!("{season} '{}", 24 + since.div_euclid(3) + ahead)
}

fn resources(world: &World, caller: &Caller) -> Value {
    let base = caller.base();
    let names =
        ["composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "recent", "search", "sobjects"];
    let entries = names.map(|name| (name.to_owned(), Value::from(format!("{base}/{name}"))));
    let identity = ("identity".to_owned(), oauth::identity_url(world, &caller.user).into());
    Value::Object(entries.into_iter().chain([identity]).collect())
}

/// Puts the version into the URLs of records, which the org knows without it.
fn complete_urls(value: &mut Value, base: &str) {
    if let Some(list) = value.as_array_mut() {
        for value in list {
            complete_urls(value, base);
        }
    } else if let Some(map) = value.as_object_mut() {
        for (name, value) in map {
            let url = (name == "url").then(|| value.as_str()).flatten();
            match url.filter(|url| url.starts_with("/sobjects/")) {
                Some(url) => *value = format!("{base}{url}").into(),
                None => complete_urls(value, base),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_as_salesforce_names_them() {
        assert_eq!(label(68), "Winter '27");
        assert_eq!(label(66), "Spring '26");
        assert_eq!(label(60), "Spring '24");
        assert_eq!(label(59), "Winter '24");
    }
}

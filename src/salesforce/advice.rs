//! What an operator can do about a refused login, by the error and the description of the token endpoint.

use std::time::Duration;

use super::error::LoginRefusal;

/// How long the login is left alone after too many of them.
const RATE_WAIT: Duration = Duration::from_mins(15);

/// What one kind of refusal means.
struct Row {
    /// Error code; empty: any.
    code: &'static str,
    /// A part of its description in lower case; empty: any.
    part: &'static str,
    says: &'static str,
    /// Where in Salesforce's Setup; empty: nowhere.
    setup: &'static str,
    then: Then,
}

/// When the same login may succeed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Mended,
    /// By itself, once Salesforce knows the app.
    Active,
    /// After a while, if no more logins are tried.
    Rested,
}

const fn row(code: &'static str, part: &'static str, says: &'static str, setup: &'static str) -> Row {
    Row { code, part, says, setup, then: Then::Mended }
}

const APP: &str = "External Client App Manager, the app, Settings, OAuth Settings";
const POLICIES: &str = "External Client App Manager, the app, Policies, OAuth Policies";
const USAGE: &str = "Connected Apps OAuth Usage";
const NOT_ACTIVE: &str = "`client_id` is not the consumer key of an app of this org, or the app was made less than 20 minutes ago and is not \
                          active yet";
const TOO_MANY: &str = "too many logins in a short time; the next one is tried in 15 minutes";
const BLOCKED_USER: &str = "the user is not active or is locked; activate it or set another one";
const WRONG_SECRET: &str = "`client_secret` does not belong to `client_id`; copy the consumer secret anew";

/// The first that fits counts.
const TABLE: [Row; 31] = [
    Row { then: Then::Rested, ..row("", "login rate exceeded", TOO_MANY, "") },
    Row { then: Then::Rested, ..row("rate_limit_exceeded", "", TOO_MANY, "") },
    Row { then: Then::Active, ..row("invalid_client_id", "", NOT_ACTIVE, APP) },
    Row { then: Then::Active, ..row("", "client identifier invalid", NOT_ACTIVE, APP) },
    row("invalid_client", "app must be installed", "the app must be installed in the org; choose Install", USAGE),
    row("invalid_client", "", WRONG_SECRET, APP),
    row("invalid_client_credentials", "", WRONG_SECRET, APP),
    row(
        "",
        "request not supported on this domain",
        "this flow works on the org's own host only; set `endpoint` to its My Domain, https://….my.salesforce.com",
        "My Domain",
    ),
    row(
        "",
        "no client credentials user enabled",
        "the app has no user to run as; tick the client credentials flow in its policies and set Run As",
        POLICIES,
    ),
    row(
        "",
        "hasn't approved this consumer",
        "the user has not approved the app; set its policy to pre-authorized users and assign a permission set to it",
        POLICIES,
    ),
    row(
        "",
        "ip restricted",
        "the login comes from an address that is not allowed; add the address of this machine to the user's profile, or \
         relax the IP restriction of the app",
        "Profiles, the user's profile, Login IP Ranges",
    ),
    row("", "inactive organization", "the org is not active; ask its administrator", "Company Information"),
    row("inactive_org", "", "the org is not active; ask its administrator", "Company Information"),
    row("", "inactive user", BLOCKED_USER, "Users"),
    row("inactive_user", "", BLOCKED_USER, "Users"),
    row(
        "",
        "audience",
        "`audience` must be the login host: https://login.salesforce.com, for a sandbox https://test.salesforce.com; \
         empty, it is chosen by `environment`",
        "",
    ),
    row(
        "",
        "invalid assertion",
        "the signature does not fit: the certificate in the app is not that of `private_key_file`; or the clock of this \
         machine is wrong",
        APP,
    ),
    row("", "assertion", "the assertion has expired on arrival: the clock of this machine is wrong", ""),
    row(
        "",
        "expired access/refresh token",
        "the consent has expired, was revoked, or its token was used by another program; run `ctibridge login`",
        USAGE,
    ),
    row(
        "",
        "code challenge",
        "the app wants PKCE, and the request came without it; does `authorization_url` lead through something that \
         drops what ctibridge sends?",
        APP,
    ),
    row("", "code verifier", "the answer belongs to another login; run `ctibridge login` again", ""),
    row(
        "invalid_grant",
        "authorization code",
        "the consent took too long or was used twice; run `ctibridge login` again",
        "",
    ),
    row(
        "redirect_uri_mismatch",
        "",
        "`redirect_url` is not among the callback URLs of the app; add it there, letter by letter",
        APP,
    ),
    row("access_denied", "", "the consent was refused in the browser; run `ctibridge login` again and allow it", ""),
    row(
        "invalid_grant",
        "authentication failure",
        "one of four: wrong username or password; missing or old security token; an address outside the trusted IP range; \
         or the username-password flow is off in this org (off by default since Summer '23, gone on 20 February 2027)",
        "OAuth and OpenID Connect Settings; Network Access",
    ),
    row(
        "unsupported_grant_type",
        "",
        "the flow is not switched on in the app; tick it under Flow Enablement, or choose another `flow`",
        APP,
    ),
    row("unsupported_response_type", "", "the app does not have the authorization code flow; tick it", APP),
    row(
        "invalid_app_access",
        "",
        "the user may not use the app; add the user's profile or permission set to the app's policies",
        POLICIES,
    ),
    row(
        "invalid_scope",
        "",
        "`scopes` names a scope that the app does not have; add it to the app (api, refresh_token), or take it out",
        APP,
    ),
    row("oauth_app_blocked", "", "the org's administrator has blocked the app; choose Unblock", USAGE),
    row(
        "oauth_approval_error_generic",
        "",
        "the app could not be approved; install it in the org, or give the user Approve Uninstalled Connected Apps",
        USAGE,
    ),
];

const UNKNOWN: Row =
    row("", "", "the app or its settings do not fit; the login history of the user says why", "Login History");

/// What the token endpoint said, with what to do about it.
pub(super) fn refusal(code: &str, description: &str) -> LoginRefusal {
    let (lower_code, lower) = (code.to_ascii_lowercase(), description.to_ascii_lowercase());
    let fits = |row: &&Row| (row.code.is_empty() || row.code == lower_code) && lower.contains(row.part);
    let row = TABLE.iter().find(fits).unwrap_or(&UNKNOWN);
    LoginRefusal {
        code: plain(code),
        advice: row.says,
        setup: row.setup,
        description: description.to_owned(),
        wait: (row.then == Then::Rested).then_some(RATE_WAIT),
        may_become_active: row.then == Then::Active,
    }
}

/// The token endpoint answered, but not as one.
pub(super) fn not_a_token_endpoint() -> LoginRefusal {
    LoginRefusal {
        code: "no token".to_owned(),
        advice: "the answer is not that of a token endpoint; check `endpoint` or `token_url`",
        setup: "My Domain",
        description: String::new(),
        wait: None,
        may_become_active: false,
    }
}

/// A code as it may stand in a log: whatever else a foreign server put there is left out.
fn plain(code: &str) -> String {
    code.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::error::{Error, Retry};
    use super::super::testing::{Org, Seen};
    use super::*;

    fn told(code: &str, description: &str) -> String {
        Error::Login(refusal(code, description)).to_string()
    }

    #[test]
    fn every_row_can_be_reached() {
        for wanted in &TABLE {
            let found = refusal(wanted.code, wanted.part);
            assert_eq!(found.advice, wanted.says, "{} {}", wanted.code, wanted.part);
        }
        assert!(told("server_error", "whatever").contains("login history"));
    }

    #[tokio::test]
    async fn each_row_is_told_by_the_login_that_is_refused_so() {
        for row in &TABLE {
            let code = if row.code.is_empty() { "invalid_grant" } else { row.code };
            let body = serde_json::json!({ "error": code, "error_description": row.part }).to_string();
            let refuse = move |seen: &Seen| seen.path.ends_with("/oauth2/token").then(|| (400, body.clone()));
            let org = Org::start(refuse).await;
            let told = org.client().users().await.unwrap_err().to_string();
            let setup = if row.setup.is_empty() { String::new() } else { format!(" (Setup: {})", row.setup) };
            assert_eq!(told, format!("Salesforce refused the login ({code}): {}{setup}", row.says));
        }
    }

    #[test]
    fn what_a_foreign_server_says_is_not_repeated() {
        let text = told("<b>x\u{1b}[31m", "secret of a person");
        assert!(text.starts_with("Salesforce refused the login (bx31m): "), "{text}");
        assert!(!text.contains("person"), "{text}");
    }

    #[test]
    fn only_too_many_logins_are_tried_again_by_themselves() {
        let rate = Error::Login(refusal("invalid_grant", "login rate exceeded"));
        assert_eq!(rate.retry(), Retry::After(RATE_WAIT));
        let wrong = Error::Login(refusal("invalid_grant", "authentication failure"));
        assert_eq!(wrong.retry(), Retry::WhenMended);
    }
}

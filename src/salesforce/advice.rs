//! What an operator can do about a refused login, by the error and the description of the token endpoint.

use std::time::Duration;

use super::error::LoginRefusal;

/// How long the login is left alone after too many of them.
const RATE_WAIT: Duration = Duration::from_mins(15);

/// Error code (empty: any), a part of its description in lower case (empty: any), what to do. The first that fits counts.
const TABLE: [(&str, &str, &str); 24] = [
    ("", "login rate exceeded", "too many logins in a short time; the next one is tried in 15 minutes"),
    ("rate_limit_exceeded", "", "too many logins in a short time; the next one is tried in 15 minutes"),
    (
        "invalid_client_id",
        "",
        "`client_id` is not the consumer key of an app, or the app was made less than 20 minutes ago and is not active yet",
    ),
    (
        "invalid_client",
        "app must be installed",
        "the app must be installed in the org: Setup, Connected Apps OAuth Usage, Install",
    ),
    ("invalid_client", "", "`client_secret` does not belong to `client_id`; copy the consumer secret anew"),
    ("invalid_client_credentials", "", "`client_secret` does not belong to `client_id`; copy the consumer secret anew"),
    (
        "",
        "request not supported on this domain",
        "this flow works on the org's own host only; set `endpoint` to its My Domain, https://….my.salesforce.com",
    ),
    (
        "",
        "no client credentials user enabled",
        "the app has no user to run as; set Run As in the client credentials flow of the app's policies",
    ),
    (
        "",
        "hasn't approved this consumer",
        "the user has not approved the app; set its policy to pre-authorized users and assign a permission set",
    ),
    ("", "ip restricted", "the login comes from an address that the user's profile or the app does not allow"),
    ("", "inactive organization", "the org is not active; ask its administrator"),
    ("inactive_org", "", "the org is not active; ask its administrator"),
    ("", "inactive user", "the user is not active; activate it or set another one"),
    ("inactive_user", "", "the user is not active; activate it or set another one"),
    ("", "audience", "`audience` must be the login host: https://login.salesforce.com or https://test.salesforce.com"),
    ("", "expired access/refresh token", "the consent has expired or was revoked; run `ctibridge login`"),
    ("", "authorization code", "the consent took too long or was used twice; run `ctibridge login` again"),
    (
        "invalid_grant",
        "authentication failure",
        "one of four: wrong username or password; missing or old security token; an address outside the trusted IP range; \
         or the username-password flow is off in this org (its default since 2023: Setup, OAuth and OpenID Connect Settings)",
    ),
    (
        "unsupported_grant_type",
        "",
        "the flow is not switched on in the app; tick it in the app's OAuth settings or choose another `flow`",
    ),
    (
        "invalid_app_access",
        "",
        "the user may not use the app; add the user's profile or permission set to the app's policies",
    ),
    ("invalid_scope", "", "a scope is asked for that the app does not have; the app needs `api` and `refresh_token`"),
    (
        "oauth_app_blocked",
        "",
        "the org's administrator has blocked the app: Setup, Connected Apps OAuth Usage, Unblock",
    ),
    (
        "oauth_approval_error_generic",
        "",
        "the app could not be approved; install it in the org or give the user the right to approve it",
    ),
    ("invalid_grant", "", "the credentials were not accepted; the user's Login History in Setup says why"),
];

const UNKNOWN: &str = "the app or its settings do not fit; the user's Login History in Setup says why";

/// What the token endpoint said, with what to do about it.
pub(super) fn refusal(code: &str, description: &str) -> LoginRefusal {
    let (lower_code, lower) = (code.to_ascii_lowercase(), description.to_ascii_lowercase());
    let advice = TABLE
        .iter()
        .find(|(error, part, _)| (error.is_empty() || *error == lower_code) && lower.contains(part))
        .map_or(UNKNOWN, |(_, _, advice)| advice);
    let rate = lower_code == "rate_limit_exceeded" || lower.contains("login rate exceeded");
    LoginRefusal { code: plain(code), advice, description: description.to_owned(), wait: rate.then_some(RATE_WAIT) }
}

/// The token endpoint answered, but not as one.
pub(super) fn not_a_token_endpoint() -> LoginRefusal {
    LoginRefusal {
        code: "no token".to_owned(),
        advice: "the answer is not that of a token endpoint; check `endpoint` or `token_url`",
        description: String::new(),
        wait: None,
    }
}

/// A code as it may stand in a log: whatever else a foreign server put there is left out.
fn plain(code: &str) -> String {
    code.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::error::{Error, Retry};
    use super::*;

    fn told(code: &str, description: &str) -> String {
        Error::Login(refusal(code, description)).to_string()
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, description, hint) in [
            ("invalid_grant", "authentication failure", "security token"),
            ("invalid_grant", "authentication failure - Invalid Password", "IP range"),
            ("invalid_client_id", "client identifier invalid", "20 minutes"),
            ("invalid_client", "invalid client credentials", "client_secret"),
            ("invalid_grant", "request not supported on this domain", "My Domain"),
            ("invalid_grant", "no client credentials user enabled", "Run As"),
            ("inactive_user", "user is inactive", "not active"),
            ("unsupported_grant_type", "grant type not supported", "switched on"),
            ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "blocked"),
            ("invalid_grant", "ip restricted", "address"),
            ("server_error", "whatever", "Login History"),
        ] {
            let text = told(code, description);
            assert!(text.contains(hint), "{code}: {text}");
            assert!(text.contains(code), "{text}");
        }
    }

    #[test]
    fn only_too_many_logins_are_tried_again_by_themselves() {
        let rate = Error::Login(refusal("invalid_grant", "login rate exceeded"));
        assert_eq!(rate.retry(), Retry::After(RATE_WAIT));
        let wrong = Error::Login(refusal("invalid_grant", "authentication failure"));
        assert_eq!(wrong.retry(), Retry::WhenMended);
    }
}

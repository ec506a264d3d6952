//! Consent in a browser: the address to open, what the browser brings back, and its end.

use jiff::Timestamp;
use oauth2::{
    AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
};
use reqwest::Url;
use tokio::time::Instant;

use super::Login;
use super::exchange::{exchange, look, refused, submit, told};
use crate::salesforce::advice;
use crate::salesforce::error::Error;
use crate::salesforce::grant::{GrantError, Kept};
use crate::salesforce::problem::ConfigError;
use crate::salesforce::spent::CallKind;
use crate::secret::Secret;

/// One try at a consent.
pub struct Consent {
    /// To be opened in a browser.
    pub address: Url,
    /// Where the browser is sent with the answer.
    pub redirect: Url,
    state: Secret,
    verifier: PkceCodeVerifier,
}

impl std::fmt::Debug for Consent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consent")
    }
}

/// Why what a browser brought back is no consent.
#[derive(Debug, thiserror::Error)]
pub enum NoConsent {
    /// Not the answer to this login: it may be an old tab, or somebody's trick.
    #[error("this is not the answer to this login (its `state` differs); open the address that this login printed")]
    Foreign,
    #[error("there is neither a code nor an error in it; expected the whole address that the browser was sent to")]
    Empty,
    #[error(transparent)]
    Refused(#[from] Error),
}

impl Consent {
    /// The code of an answer: `query` is what follows the question mark of the address that the browser was sent to.
    ///
    /// # Errors
    /// When it belongs to another login, or says no.
    pub fn code(&self, query: &str) -> Result<Secret, NoConsent> {
        let mut answer = self.redirect.clone();
        answer.set_query(Some(query));
        let given = |name: &str| answer.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        if given("code").is_none() && given("error").is_none() {
            return Err(NoConsent::Empty);
        }
        if !given("state").is_some_and(|state| self.state.is(&state)) {
            return Err(NoConsent::Foreign);
        }
        match (given("error"), given("code")) {
            (Some(error), _) => {
                let refusal = advice::refusal(&error, &given("error_description").unwrap_or_default());
                Err(Error::Login(refusal).into())
            }
            (None, Some(code)) => Ok(Secret::new(code)),
            (None, None) => Err(NoConsent::Empty),
        }
    }
}

impl Login {
    /// Begins a consent. Asks nothing.
    pub fn consent(&self) -> Result<Consent, Error> {
        let code = self.code()?;
        let redirect = Url::parse(&code.redirect_url).map_err(|_| ConfigError::Address { key: "redirect_url" })?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let app = self.app.clone().set_auth_uri(AuthUrl::from_url(self.hosts.authorization_url.clone()));
        // As it is written: Salesforce compares it letter by letter.
        let written = RedirectUrl::new(code.redirect_url.clone());
        let written = written.map_err(|_| ConfigError::Address { key: "redirect_url" })?;
        let app = app.set_redirect_uri(written);
        let mut request = app
            .authorize_url(CsrfToken::new_random)
            .set_pkce_challenge(challenge)
            // Whoever is logged in already in that browser is seldom the user to work as.
            .add_extra_param("prompt", "login");
        if !code.login_hint.is_empty() {
            request = request.add_extra_param("login_hint", code.login_hint.clone());
        }
        let scopes = code.scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned()));
        let (address, state) = request.add_scopes(scopes).url();
        Ok(Consent { address, redirect, state: Secret::new(state.secret()), verifier })
    }

    /// Whether the login host knows the app. For one that it does not know it shows a page and sends no browser back.
    pub async fn is_known(&self, consent: &Consent) -> Result<(), Error> {
        let response = look(&self.http, consent.address.clone()).await?;
        let page = String::from_utf8_lossy(response.body());
        if response.status().is_client_error() && page.contains("invalid_client_id") {
            return Err(Error::Login(advice::refusal("invalid_client_id", "")));
        }
        Ok(())
    }

    /// Exchanges the code for a refresh token. Keeps nothing.
    pub async fn redeem(&self, consent: &Consent, code: &Secret) -> Result<Secret, Error> {
        let flow = self.code()?;
        let redirect = RedirectUrl::new(flow.redirect_url.clone());
        let redirect = redirect.map_err(|_| ConfigError::Address { key: "redirect_url" })?;
        let send = |request| exchange(self.http.clone(), request);
        self.purse.spend(CallKind::Login, Instant::now());
        let verifier = PkceCodeVerifier::new(consent.verifier.secret().clone());
        let answer = self
            .app
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(verifier)
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .request_async(&send)
            .await
            .map_err(told)?;
        let refresh_token = answer.refresh_token().ok_or(GrantError::NoRefreshToken)?;
        Ok(Secret::new(refresh_token.secret()))
    }

    /// Takes a new refresh token, if Salesforce takes it: what was kept before stays otherwise.
    pub async fn adopt(&self, refresh_token: &Secret) -> Result<super::Grant, Error> {
        let code = self.code()?;
        let held = self.hold(code).await?;
        self.purse.spend(CallKind::Login, Instant::now());
        let grant = self.spend(code, &held, refresh_token).await?;
        code.saved();
        Ok(grant)
    }

    /// Keeps a refresh token that Salesforce has just given, without asking anything.
    pub async fn keep(&self, refresh_token: Secret) -> Result<(), Error> {
        let code = self.code()?;
        let held = self.hold(code).await?;
        held.write(&Kept { refresh_token, used_at: Timestamp::now() }).await?;
        code.saved();
        Ok(())
    }

    /// Ends the consent at Salesforce, then here. False: there was none at Salesforce any more.
    pub async fn revoke(&self) -> Result<bool, Error> {
        let code = self.code()?;
        let held = self.hold(code).await?;
        let kept = match code.unsaved() {
            Some(kept) => kept,
            None => held.read()?,
        };
        let form = [("token", kept.refresh_token.expose())];
        let response = submit(&self.http, self.hosts.revoke_url.clone(), &form).await?;
        let known = response.status().is_success();
        if !known && !says_unknown(response.body()) {
            return Err(refused(response.body()));
        }
        held.remove()?;
        code.saved();
        Ok(known)
    }
}

/// It was revoked in Salesforce's own pages, or has expired.
fn says_unknown(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| matches!(body.get("error").and_then(serde_json::Value::as_str), Some("invalid_token")))
}

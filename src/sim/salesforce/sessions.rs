//! Access tokens, refresh tokens and authorization codes.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// A login that is alive.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// The grant that made it: some grants answer the same token again.
    pub(crate) grant: String,
    pub(crate) last_used: Timestamp,
    /// The refresh token it came from.
    pub(crate) refresh: Option<String>,
}

/// A refresh token's state.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) user: String,
    /// Set when rotation replaced it: whoever shows it again loses the newer one too.
    pub(crate) replaced_by: Option<String>,
}

/// An authorization code that was not exchanged yet.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) user: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) offline: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) live: HashMap<String, Session>,
    pub(crate) refresh: HashMap<String, Refresh>,
    pub(crate) codes: HashMap<String, Code>,
}

impl Sessions {
    /// The user of a token that is alive; use renews it.
    pub(crate) fn user(&mut self, token: &str, now: Timestamp, ttl: SignedDuration) -> Option<String> {
        let session = self.live.get_mut(token)?;
        if now.duration_since(session.last_used) >= ttl {
            self.live.remove(token);
            return None;
        }
        session.last_used = now;
        Some(session.user.clone())
    }

    /// A live token of this user and grant.
    pub(crate) fn same(&self, user: &str, grant: &str, now: Timestamp, ttl: SignedDuration) -> Option<String> {
        let found = self.live.iter().find(|(_, session)| {
            session.user == user && session.grant == grant && now.duration_since(session.last_used) < ttl
        });
        found.map(|(token, _)| token.clone())
    }

    /// Ends an access token, or a refresh token and the access tokens that came from it.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let was_refresh = self.refresh.remove(token).is_some();
        if was_refresh {
            self.live.retain(|_, session| session.refresh.as_deref() != Some(token));
        }
        self.live.remove(token).is_some() || was_refresh
    }
}

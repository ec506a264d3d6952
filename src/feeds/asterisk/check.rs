//! One try at an Asterisk, for `check --online`: is it there, does it let us in?

use super::address::{Address, BadUrl};
use super::connection::trust;
use super::rest::{self, Rest};
use super::{Config, Limits};
use crate::feeds::tls;

#[derive(Debug, thiserror::Error)]
pub enum TryError {
    #[error(transparent)]
    Address(#[from] BadUrl),
    #[error(transparent)]
    Tls(#[from] tls::SetupError),
    #[error("Asterisk cannot be asked by REST: {0}")]
    Rest(#[from] rest::Error),
}

/// Asks the Asterisk who it is and what lives on it; the answer is a line for the operator.
///
/// # Errors
///
/// What is wrong and what to do about it. That the event socket would open is not tried.
pub async fn try_once(config: &Config) -> Result<String, TryError> {
    let address = Address::of(config)?;
    let tls = trust(config, &address)?;
    let rest = Rest::new(config, address, &tls, Limits::default().rest)?;
    let version = rest.info().await?.system.version;
    let channels = rest.channels().await?.len();
    Ok(format!("Asterisk {version}, {channels} channels up"))
}

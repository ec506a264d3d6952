//! `ctibridge login`: consent in a browser.

use anyhow::bail;

use super::Context;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(_args: &Args, context: &Context) -> anyhow::Result<()> {
    let _settings = context.settings_with_warnings()?;
    bail!(
        "login is not built yet; use the flow client-credentials, with client_id and client_secret in [salesforce], \
         which needs no login"
    )
}

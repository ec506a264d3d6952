//! `ctibridge login`: consent in a browser, and its end.

mod callback;
mod paste;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use self::callback::{Callback, Page};
use super::active::until_known;
use super::daemon::{Daemon, DaemonError};
use super::{Context, output};
use crate::salesforce::{Client, Consent, Error, GrantError, NoConsent};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::telemetry::Escaped;

/// A code lives about this long, and nobody looks at a terminal for longer.
const PATIENCE: Duration = Duration::from_mins(15);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// For a machine without a browser: open the address elsewhere, and paste the one that the browser ends at
    #[arg(long, conflicts_with = "revoke")]
    paste: bool,
    /// End the consent, at Salesforce and here
    #[arg(long)]
    revoke: bool,
    /// Do not wait for an app that Salesforce does not know yet
    #[arg(long)]
    no_wait: bool,
}

/// Who keeps the consent.
enum Keeper {
    Daemon(Daemon),
    /// No daemon runs: it is written here, and the daemon reads it when it starts.
    Folder,
}

struct Login<'a> {
    client: Client,
    consent: Consent,
    keeper: Keeper,
    settings: &'a Settings,
    wait: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let settings = context.settings_with_warnings()?;
    let folder = settings.bridge.state_dir();
    let client = Client::with_state(&settings.salesforce, folder)?;
    if args.revoke {
        return revoke(&client).await;
    }
    let consent = client.consent().map_err(in_words)?;
    let keeper = keeper(&settings, folder).await?;
    let login = Login { client, consent, keeper, settings: &settings, wait: !args.no_wait };
    until_known(login.wait, || login.client.is_known(&login.consent)).await?;
    let told = if args.paste { login.by_paste().await? } else { login.by_callback().await? };
    output::print(&told)?;
    Ok(())
}

impl Login<'_> {
    async fn by_callback(&self) -> anyhow::Result<String> {
        let mut callback = Callback::listen(&self.consent.redirect).await?;
        self.tell_address()?;
        let outcome = tokio::time::timeout(PATIENCE, self.answered(&mut callback)).await;
        callback.close().await;
        outcome.context("nobody has consented within 15 minutes; run `ctibridge login` again")?
    }

    /// The first answer that belongs to this login counts; others are shown why they do not.
    async fn answered(&self, callback: &mut Callback) -> anyhow::Result<String> {
        loop {
            let arrival = callback.next().await.context("the callback is closed")?;
            let code = match self.consent.code(&arrival.query) {
                Ok(code) => code,
                Err(why @ (NoConsent::Foreign | NoConsent::Empty)) => {
                    output::complain(&format!("an answer was not taken: {why}"));
                    arrival.show(Page::Foreign(why.to_string()));
                    continue;
                }
                Err(NoConsent::Refused(why)) => {
                    arrival.show(Page::Failed(why.to_string()));
                    return Err(why.into());
                }
            };
            let outcome = self.finish(&code).await;
            arrival.show(match &outcome {
                Ok(told) => Page::Done(told.clone()),
                Err(why) => Page::Failed(format!("{why:#}")),
            });
            return outcome;
        }
    }

    async fn by_paste(&self) -> anyhow::Result<String> {
        self.tell_address()?;
        loop {
            let Some(answer) = paste::read().await? else {
                bail!("no address was pasted; run `ctibridge login --paste` again");
            };
            match self.consent.code(&answer) {
                Ok(code) => return self.finish(&code).await,
                Err(NoConsent::Refused(why)) => return Err(why.into()),
                Err(why @ (NoConsent::Foreign | NoConsent::Empty)) => output::complain(&format!("not taken: {why}")),
            }
        }
    }

    fn tell_address(&self) -> anyhow::Result<()> {
        output::complain(
            "Open this address in a browser, log in as the user that ctibridge is to work as, and allow it:",
        );
        output::print(self.consent.address.as_str())?;
        Ok(())
    }

    /// From the code to a consent that is kept.
    async fn finish(&self, code: &Secret) -> anyhow::Result<String> {
        let refresh_token = until_known(self.wait, || self.client.redeem(&self.consent, code)).await?;
        if let Keeper::Daemon(daemon) = &self.keeper {
            let body = json!({ "refresh_token": refresh_token.expose() });
            match daemon.put(&["salesforce", "grant"], &body).await {
                Ok(_) => return Ok("Salesforce has granted access, and the running ctibridge uses it.".to_owned()),
                Err(why) => output::complain(&format!("the running ctibridge did not take it: {why}")),
            }
        }
        self.client.keep(refresh_token).await.context("Salesforce has granted access, but it cannot be kept")?;
        let kept = "Salesforce has granted access; it is kept in the state folder";
        Ok(match &self.keeper {
            Keeper::Daemon(_) => format!("{kept}. Restart ctibridge to use it."),
            Keeper::Folder => {
                self.client.login_again().await.context("it is kept in the state folder, but does not work")?;
                let user = self.user().await.unwrap_or_default();
                let folder = self.settings.bridge.state_dir().display().to_string();
                format!("{kept}, {}{user}.", Escaped(&folder))
            }
        })
    }

    /// Whom the consent is for, when Salesforce says so.
    async fn user(&self) -> Option<String> {
        let user = self.client.login_user().await.ok()?;
        let name = self.client.username(&user).await.ok()??;
        Some(format!(", for {}", Escaped(&name)))
    }
}

/// Found before anybody is sent to a browser: a consent that cannot be kept is lost.
async fn keeper(settings: &Settings, folder: &Path) -> anyhow::Result<Keeper> {
    let daemon = Daemon::new(settings)?;
    match daemon.get(&["journal"], &[("limit", "1")]).await {
        Ok(_) => Ok(Keeper::Daemon(daemon)),
        Err(DaemonError::Other(error)) => Err(error),
        Err(DaemonError::NotRunning { .. }) if folder.is_dir() => Ok(Keeper::Folder),
        Err(DaemonError::NotRunning { .. }) => {
            let folder = folder.display().to_string();
            bail!("the state folder {} is not there; start ctibridge once, or make it", Escaped(&folder));
        }
    }
}

async fn revoke(client: &Client) -> anyhow::Result<()> {
    let told = match client.revoke().await {
        Ok(true) => "The consent is ended at Salesforce and removed here.",
        Ok(false) => "Salesforce did not know the consent any more; it is removed here.",
        Err(Error::Grant(GrantError::None)) => "There is no consent here, so nothing is to be revoked.",
        Err(error) => return Err(anyhow::Error::new(error).context("the consent is not ended")),
    };
    output::print(told)?;
    Ok(())
}

fn in_words(error: Error) -> anyhow::Error {
    match error {
        Error::Grant(GrantError::OtherFlow { .. }) => {
            anyhow::anyhow!("{error}. This flow needs no login; `ctibridge check --online` tries it")
        }
        error => error.into(),
    }
}

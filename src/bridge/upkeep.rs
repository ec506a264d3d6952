//! The part that keeps the local copy of the phone numbers as the org is.

use super::{Config, StartError};
use crate::directory::sync::{Status, Stored, Sync};
use crate::directory::{Directory, Mode};
use crate::journal::Journal;
use crate::lifecycle::Tasks;
use crate::salesforce::{Client, Error};

/// In the state folder.
const FILE: &str = "directory.index";

/// With the index of the last life in the directory, where there is one. `None`: the settings want no copy.
pub async fn keeper(config: &Config, client: &Client, directory: &Directory) -> Option<Sync> {
    if config.directory.mode == Mode::Live {
        return None;
    }
    let (file, index) = (config.state_dir.join(FILE), directory.index().clone());
    let (settings, salesforce) = (config.directory.clone(), &config.salesforce);
    let endpoint = match salesforce.endpoint.as_str() {
        "" => format!("{:?}", salesforce.environment),
        endpoint => endpoint.to_owned(),
    };
    let open = move || {
        if !settings.persist {
            return Stored::in_memory(&file, index, &endpoint);
        }
        let custom = settings.custom_objects.iter().map(|object| object.name.as_str());
        let objects: Vec<&str> = settings.objects.iter().map(String::as_str).chain(custom).collect();
        Stored::open(&file, index, &endpoint, &objects)
    };
    let Ok(stored) = tokio::task::spawn_blocking(open).await else {
        tracing::error!("the index on disk cannot be opened; Salesforce is asked each time");
        return None;
    };
    Some(Sync::new(client.clone(), config.directory.clone(), stored))
}

/// Who is who by the copy that the last bridge has saved, as the next one will find it. Takes nothing and writes nothing.
pub async fn saved(config: &Config, client: &Client) -> Directory {
    let directory = Directory::new(client.clone(), config.site.plan.clone(), config.directory.clone());
    if config.directory.persist {
        drop(keeper(config, client, &directory).await);
    }
    directory
}

/// The local copy while no bridge runs: holds the state folder for as long as it is there.
pub struct LocalCopy {
    keeper: Sync,
    directory: Directory,
    _journal: Journal,
    disk: Tasks,
}

impl LocalCopy {
    /// Takes the state folder and opens what is on disk. `None`: the settings want no copy.
    ///
    /// # Errors
    /// When a bridge runs on this folder, or the settings cannot be worked with.
    pub async fn take(config: &Config) -> Result<Option<Self>, StartError> {
        let (disk, _deaths) = Tasks::new();
        let journal = Journal::open(&config.state_dir, &disk).await?;
        let client = Client::with_state(&config.salesforce, &config.consent_dir)?;
        let directory = Directory::new(client.clone(), config.site.plan.clone(), config.directory.clone());
        let keeper = keeper(config, &client, &directory).await;
        Ok(keeper.map(|keeper| Self { keeper, directory, _journal: journal, disk }))
    }

    /// See [`Sync::bring_up_to_date`].
    ///
    /// # Errors
    /// When Salesforce does not answer, or refuses.
    pub async fn bring_up_to_date(&mut self, compare: bool, told: impl Fn(&Status)) -> Result<(), Error> {
        let outcome = self.keeper.bring_up_to_date(compare, told).await;
        self.disk.stop().await;
        outcome
    }

    #[must_use]
    pub fn unreadable(&self) -> Vec<(String, String)> {
        self.keeper.handle().status().unreadable
    }

    #[must_use]
    pub fn numbers(&self) -> u64 {
        self.directory.index().stats().numbers
    }
}

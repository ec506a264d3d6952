//! What the bridge hands over to be served.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;

use super::calls::CallView;
use super::directory::SyncWish;
use super::grant::{GrantTrouble, Granted};
use super::health::Readiness;
use super::journal::{Comparison, ComparisonResult, JournalEntry, JournalQuery, JournalTrouble};
use super::notes::Note;
use super::peer::Proxies;
use crate::calls::record::{CallKey, Extension};
use crate::directory::answer::Answer;
use crate::phone::{NumberPlan, PhoneNumber};
use crate::pops::{AgentStore, Hub, Linker, UnknownCaller};
use crate::salesforce::RecordId;
use crate::secret::Secret;

/// A question that another part of the program answers.
pub type Ask<Q, A> = Arc<dyn Fn(Q) -> BoxFuture<'static, A> + Send + Sync>;

/// The extension of a user of Salesforce, which is known or not: nobody is asked.
pub type ExtensionOf = Arc<dyn Fn(&RecordId) -> Option<Extension> + Send + Sync>;

/// Makes an [`Ask`] of an async closure.
pub fn ask<Q, A, F>(answer: impl Fn(Q) -> F + Send + Sync + 'static) -> Ask<Q, A>
where
    F: Future<Output = A> + Send + 'static,
{
    Arc::new(move |question| Box::pin(answer(question)))
}

/// Everything that is served.
#[derive(Clone)]
pub struct Handles {
    /// The bridge's name; sets its cookie apart from those of other instances on the host.
    pub name: String,
    /// What browsers reach it by; with `https` the cookie is for TLS only. May be empty.
    pub public_url: String,
    pub admin_token: Secret,
    pub proxies: Proxies,
    /// How `number` is read.
    pub plan: NumberPlan,
    pub hub: Hub,
    pub agents: AgentStore,
    pub linker: Linker,
    /// What is offered for an unknown caller, as the settings say now.
    pub unknown: watch::Receiver<UnknownCaller>,
    pub lookup: Ask<PhoneNumber, Answer>,
    /// As `lookup`, with what the agent may see of it.
    pub lookup_for: Ask<(PhoneNumber, Extension), Answer>,
    /// The extension of a user of Salesforce, as far as the users are known.
    pub extension: ExtensionOf,
    /// How an answer came about, for operators: an object, or an array of lines. None: not built.
    pub explain: Option<Ask<Answer, Value>>,
    /// Live and recent calls, newest first.
    pub calls: Ask<(), Vec<CallView>>,
    pub journal: JournalHandles,
    /// Takes a refresh token.
    pub grant: Ask<Secret, Result<Granted, GrantTrouble>>,
    /// Brings the local copy up to date soon. None: there is none.
    pub sync: Option<Ask<SyncWish, ()>>,
    pub readiness: Ask<(), Readiness>,
    /// In the text format of Prometheus.
    pub metrics: Ask<(), String>,
}

/// The calls on disk.
#[derive(Clone)]
pub struct JournalHandles {
    pub list: Ask<JournalQuery, Result<Vec<JournalEntry>, JournalTrouble>>,
    pub show: Ask<String, Result<JournalEntry, JournalTrouble>>,
    /// Puts an entry back into the queue; gives it as it then is.
    pub retry: Ask<String, Result<JournalEntry, JournalTrouble>>,
    pub drop: Ask<String, Result<(), JournalTrouble>>,
    /// Holds entries against Salesforce and mends what is missing.
    pub reconcile: Ask<Comparison, Result<ComparisonResult, JournalTrouble>>,
    /// Keeps what an agent wrote; on disk when it answers.
    pub note: Ask<Note, Result<(), JournalTrouble>>,
    /// Who has to do with the call, open or finished; none: there is no such call.
    pub agents_of: Ask<CallKey, Result<Option<Vec<Extension>>, JournalTrouble>>,
}

//! One question to Salesforce: who has this number?

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::answer::Match;
use super::config::Config;
use super::rank;
use super::shape::Shape;
use crate::phone::{NumberPlan, PhoneNumber};
use crate::salesforce::{Client, Error, Found, Sosl};

/// How many look-ups are with Salesforce at once; more wait their turn.
const AT_ONCE: usize = 10;
/// The most rows of one search.
const MAX_ROWS: u32 = 1000;
/// How long the fields of an object that could not be described are taken for the usual ones.
const ASSUMED: Duration = Duration::from_mins(5);

/// Asks, and knows what to ask for.
pub(super) struct Live {
    client: Client,
    plan: NumberPlan,
    config: Config,
    turns: Semaphore,
    known: Mutex<Option<Known>>,
}

/// The fields of the org, learned once.
#[derive(Clone)]
struct Known {
    shapes: Arc<Vec<Shape>>,
    /// Objects among them that could not be described.
    assumed: Vec<String>,
    until: Option<Instant>,
}

impl Known {
    fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Live {
    pub fn new(client: Client, plan: NumberPlan, config: Config) -> Self {
        Self { client, plan, config, turns: Semaphore::new(AT_ONCE), known: Mutex::default() }
    }

    /// Learns the fields of the org, if that was not done yet.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.known().await.map(drop)
    }

    /// The matches, best first.
    pub async fn ask(&self, number: &PhoneNumber) -> Result<Vec<Match>, Error> {
        if !self.client.allowance().permits_lookups() {
            return Err(Error::Spared);
        }
        // It is never closed; if it were, nobody would have to wait.
        let _turn = self.turns.acquire().await.ok();
        let known = self.known().await?;
        let (shapes, found) = self.search(known, number).await?;
        let matches = rank::ranked(rank::candidates(&self.plan, number, &shapes, &found));
        tracing::debug!(found = found.len(), matches = matches.len(), "looked up a number in Salesforce");
        Ok(matches)
    }

    /// When the org refuses an object whose fields were only assumed, the others are searched without it.
    async fn search(&self, known: Known, number: &PhoneNumber) -> Result<(Arc<Vec<Shape>>, Vec<Found>), Error> {
        let refusal = match self.find(&known.shapes, number).await {
            Ok(found) => return Ok((known.shapes, found)),
            Err(error) => error,
        };
        if !matches!(refusal.code(), Some("INVALID_FIELD" | "INVALID_TYPE")) {
            return Err(refusal);
        }
        *self.known.lock().await = None;
        let sure = known.without_assumed();
        if known.assumed.is_empty() || sure.shapes.is_empty() {
            return Err(refusal);
        }
        let found = self.find(&sure.shapes, number).await?;
        *self.known.lock().await = Some(sure.clone());
        Ok((sure.shapes, found))
    }

    async fn find(&self, shapes: &[Shape], number: &PhoneNumber) -> Result<Vec<Found>, Error> {
        if shapes.is_empty() {
            return Ok(Vec::new());
        }
        let mut search = Sosl::phones(&number.search_terms(), MAX_ROWS)?;
        for shape in shapes {
            search = search.returning(shape.returning()?);
        }
        self.client.search(&search).await
    }

    async fn known(&self) -> Result<Known, Error> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.is_good()) {
            return Ok(known.clone());
        }
        let learned = self.learn().await?;
        Ok(known.insert(learned).clone())
    }

    async fn learn(&self) -> Result<Known, Error> {
        let customs = &self.config.custom_objects;
        let names = self.config.objects.iter().chain(customs.iter().map(|object| &object.name));
        let descriptions = join_all(names.clone().map(|object| self.client.describe(object))).await;
        let (mut shapes, mut assumed) = (Vec::new(), Vec::new());
        for (object, fields) in names.zip(descriptions) {
            let custom = customs.iter().find(|custom| custom.name == *object);
            match fields {
                Ok(fields) => shapes.extend(match custom {
                    Some(custom) => Shape::custom_described(custom, &fields),
                    None => Shape::described(object, &fields),
                }),
                Err(Error::Refused(_) | Error::Garbage { .. } | Error::TooLarge { .. }) => {
                    tracing::debug!(object, "cannot be described; its usual fields are searched");
                    shapes.extend(custom.map_or_else(|| Shape::standard(object), |custom| Some(Shape::custom(custom))));
                    assumed.push(object.clone());
                }
                Err(error) => return Err(error),
            }
        }
        if assumed.iter().any(|object| object == "Account") {
            shapes.iter_mut().for_each(Shape::leave_account_names);
        }
        Ok(Known { shapes: Arc::new(shapes), until: (!assumed.is_empty()).then(|| Instant::now() + ASSUMED), assumed })
    }
}

impl Known {
    fn without_assumed(&self) -> Self {
        let shapes = self.shapes.iter().filter(|shape| !self.assumed.contains(&shape.object));
        Self { shapes: Arc::new(shapes.cloned().collect()), assumed: Vec::new(), until: Some(Instant::now() + ASSUMED) }
    }
}

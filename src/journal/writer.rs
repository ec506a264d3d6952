//! The one task that writes to the calls on disk: takes all that waits, one transaction, one fsync, then says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Counts;
use super::op::{Op, Outcome, coalesce};
use super::store::{Failure, Store};

/// Changes that may wait for the files ahead, and as many behind those for the writer. When both are full, the disk is slower than the
/// calls come, and whoever has one more waits for room; or the disk is full and [`HELD`] as well, and what is more is lost.
pub(super) const QUEUE: usize = 2_048;

/// Changes that the writer keeps in memory while they cannot be written; when it is full, the queue fills.
const HELD: usize = 10_000;

/// Changes in one transaction: as many as a commit may take without delaying the next by more than some ten milliseconds.
const BATCH: usize = 512;

/// A transaction is not put off for longer, whatever the last one took.
const LONGEST_GATHERING: Duration = Duration::from_millis(2);

/// Between two tries to write while the disk is full.
const DISK_FULL_WAIT: Duration = Duration::from_millis(500);

/// A change and who waits for it to be safe.
#[derive(Debug)]
pub(super) struct Job {
    pub op: Op,
    /// Of the last change that was written ahead when this came; 0 before it got there.
    pub number: u64,
    pub reply: Option<oneshot::Sender<Outcome>>,
}

/// What becomes one transaction.
struct Batch {
    jobs: Vec<Job>,
    /// The number of the last that is in it.
    through: u64,
}

/// What the writer lets others see.
#[derive(Clone)]
pub(super) struct Seen {
    pub writable: Arc<AtomicBool>,
    pub counts: watch::Sender<Counts>,
    /// There may be something new for the sender.
    pub news: Arc<Notify>,
    /// The number of the last change on disk.
    pub committed: Arc<AtomicU64>,
    /// Changes that there was no room for, neither on the disk nor in memory.
    pub lost: Arc<AtomicU64>,
}

impl Seen {
    /// One more is lost; the first is told.
    pub fn lose(&self) {
        if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                "the disk of the journal is full and so is the memory for calls; calls are lost from now on"
            );
        }
    }
}

/// Runs until nothing more can come. Ends earlier only when the disk can no longer be trusted, or is full after `stop`.
pub(super) async fn run(mut store: Store, mut queue: mpsc::Receiver<Job>, seen: Seen, stop: CancellationToken) {
    let mut last = Last { answered: 0, took: Duration::ZERO };
    while let Some(first) = queue.recv().await {
        let mut batch = Batch { through: first.number, jobs: vec![first] };
        batch.gather(&mut queue, &last).await;
        let (waiters, began) = (batch.waiters(), Instant::now());
        if write(&mut store, batch, &mut queue, &seen, &stop).await.is_err() {
            return;
        }
        last = Last { answered: waiters, took: began.elapsed() };
    }
    store.close().await;
}

/// The last transaction: how many waited for it, and how long.
struct Last {
    answered: usize,
    took: Duration,
}

impl Batch {
    /// Takes what there is. Who was answered a moment ago may have more: they are waited for, a part of the time that a transaction
    /// takes, so that one is made for all of them and not a first one for some.
    async fn gather(&mut self, queue: &mut mpsc::Receiver<Job>, last: &Last) {
        self.fill(queue, BATCH);
        let until = Instant::now() + (last.took / 2).min(LONGEST_GATHERING);
        while self.waiters() < last.answered && self.jobs.len() < BATCH {
            let Ok(Some(job)) = timeout_at(until, queue.recv()).await else {
                return;
            };
            self.take(job);
            self.fill(queue, BATCH);
        }
    }

    fn waiters(&self) -> usize {
        self.jobs.iter().filter(|job| job.reply.is_some()).count()
    }

    fn take(&mut self, job: Job) {
        self.through = job.number;
        coalesce(&mut self.jobs, job);
    }

    fn fill(&mut self, queue: &mut mpsc::Receiver<Job>, limit: usize) {
        while self.jobs.len() < limit {
            let Ok(job) = queue.try_recv() else {
                return;
            };
            self.take(job);
        }
    }
}

/// Tries until the batch is safe.
///
/// A full disk is waited for, with what comes in held as well; after any other failure nothing may be written any more,
/// because what the disk holds is unknown.
async fn write(
    store: &mut Store,
    mut batch: Batch,
    queue: &mut mpsc::Receiver<Job>,
    seen: &Seen,
    stop: &CancellationToken,
) -> Result<(), ()> {
    loop {
        match store.commit(batch.jobs.iter().map(|job| &job.op), batch.through).await {
            Ok((outcomes, counts)) => {
                if !seen.writable.swap(true, Ordering::Relaxed) {
                    let lost = seen.lost.swap(0, Ordering::Relaxed);
                    tracing::info!(lost, "the journal can be written again");
                }
                seen.committed.store(batch.through, Ordering::Relaxed);
                seen.counts.send_replace(counts);
                if batch.jobs.iter().any(|job| job.op.is_news()) {
                    seen.news.notify_one();
                }
                answer(batch.jobs, outcomes);
                return Ok(());
            }
            Err(Failure::Full) => {
                if seen.writable.swap(false, Ordering::Relaxed) {
                    tracing::error!("the disk of the journal is full; calls are kept in memory");
                }
                if stop.is_cancelled() {
                    tracing::error!(changes = batch.jobs.len(), "the disk of the journal is full: changes are lost");
                    return Err(());
                }
                tokio::time::sleep(DISK_FULL_WAIT).await;
                batch.fill(queue, HELD);
            }
            Err(Failure::Broken(detail)) => {
                seen.writable.store(false, Ordering::Relaxed);
                tracing::error!(%detail, "the journal cannot be written");
                return Err(());
            }
        }
    }
}

fn answer(batch: Vec<Job>, outcomes: Vec<Outcome>) {
    for (job, outcome) in batch.into_iter().zip(outcomes) {
        if let Some(reply) = job.reply {
            // Whoever asked may have gone; the change is made all the same.
            let _ = reply.send(outcome);
        }
    }
}

//! The one task that writes to the calls on disk: takes all that waits, one transaction, one fsync, then says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Counts;
use super::op::{Op, Outcome, coalesce};
use super::store::{Failure, Store};

/// Changes that may wait for the writer. When it is full, whoever has one more waits for room: it fills only when the disk
/// is slower than the calls come, and behind [`HELD`] when the disk is full.
pub(super) const QUEUE: usize = 2_048;

/// Changes that the writer keeps in memory while they cannot be written; when it is full, the queue fills.
const HELD: usize = 10_000;

/// Changes in one transaction: as many as a commit may take without delaying the next by more than some ten milliseconds.
const BATCH: usize = 512;

/// Between two tries to write while the disk is full.
const DISK_FULL_WAIT: Duration = Duration::from_millis(500);

/// A change and who waits for it to be safe.
#[derive(Debug)]
pub(super) struct Job {
    pub op: Op,
    pub reply: Option<oneshot::Sender<Outcome>>,
}

/// What the writer lets others see.
#[derive(Clone)]
pub(super) struct Seen {
    pub writable: Arc<AtomicBool>,
    pub counts: watch::Sender<Counts>,
    /// There may be something new for the sender.
    pub news: Arc<Notify>,
}

/// Runs until `stop`, and then until the queue is empty. Ends earlier only when the disk can no longer be trusted.
pub(super) async fn run(mut store: Store, mut queue: mpsc::Receiver<Job>, seen: Seen, stop: CancellationToken) {
    loop {
        let first = tokio::select! {
            biased;
            job = queue.recv() => job,
            () = stop.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        };
        let Some(first) = first else {
            break;
        };
        let mut batch = vec![first];
        fill(&mut batch, &mut queue, BATCH);
        if write(&mut store, batch, &mut queue, &seen, &stop).await.is_err() {
            return;
        }
    }
    store.close().await;
}

fn fill(batch: &mut Vec<Job>, queue: &mut mpsc::Receiver<Job>, limit: usize) {
    while batch.len() < limit {
        let Ok(job) = queue.try_recv() else {
            return;
        };
        coalesce(batch, job);
    }
}

/// Tries until the batch is safe.
///
/// A full disk is waited for, with what comes in held as well; after any other failure nothing may be written any more,
/// because what the disk holds is unknown.
async fn write(
    store: &mut Store,
    mut batch: Vec<Job>,
    queue: &mut mpsc::Receiver<Job>,
    seen: &Seen,
    stop: &CancellationToken,
) -> Result<(), ()> {
    loop {
        match store.commit(batch.iter().map(|job| &job.op)).await {
            Ok((outcomes, counts)) => {
                if !seen.writable.swap(true, Ordering::Relaxed) {
                    tracing::info!("the journal can be written again");
                }
                seen.counts.send_replace(counts);
                if batch.iter().any(|job| job.op.is_news()) {
                    seen.news.notify_one();
                }
                answer(batch, outcomes);
                return Ok(());
            }
            Err(Failure::Full) => {
                if seen.writable.swap(false, Ordering::Relaxed) {
                    tracing::error!("the disk of the journal is full; calls are kept in memory");
                }
                if stop.is_cancelled() {
                    tracing::error!(changes = batch.len(), "the disk of the journal is full: changes are lost");
                    return Err(());
                }
                tokio::time::sleep(DISK_FULL_WAIT).await;
                fill(&mut batch, queue, HELD);
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

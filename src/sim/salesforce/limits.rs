//! `limits`: what is left of the day's allowance.

use serde_json::json;

use super::{exchange::Answer, world::World};

/// Bulk query jobs a day.
const QUERY_JOBS: u64 = 10_000;

/// `GET limits`.
pub(crate) fn answer(world: &World) -> Answer {
    let max = world.knobs.daily_limit;
    let left = max.saturating_sub(world.counts.api_calls);
    Answer::json(
        200,
        json!({
            "DailyApiRequests": {"Max": max, "Remaining": left},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DailyBulkV2QueryJobs": {"Max": QUERY_JOBS, "Remaining": QUERY_JOBS.saturating_sub(world.jobs.queries)},
            "DailyDeliveredPlatformEvents": {"Max": 25_000, "Remaining": 25_000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "FileStorageMB": {"Max": 10_240, "Remaining": 10_000},
            "HourlyTimeBasedWorkflow": {"Max": 1_000, "Remaining": 1_000},
            "DataStorageMB": {"Max": 10_240, "Remaining": 10_000},
        }),
    )
}

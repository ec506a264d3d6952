//! `limits`: what is left of the day's allowance.

use serde_json::json;

use super::{exchange::Answer, world::World};

/// `GET limits`.
pub(crate) fn answer(world: &World) -> Answer {
    let max = world.knobs.daily_limit;
    let left = max.saturating_sub(world.counts.api_calls);
    Answer::json(
        200,
        json!({
            "DailyApiRequests": {"Max": max, "Remaining": left},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyDeliveredPlatformEvents": {"Max": 25_000, "Remaining": 25_000},
            "DataStorageMB": {"Max": 10_240, "Remaining": 10_000},
        }),
    )
}

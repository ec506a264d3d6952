//! What the kernel says of this process: its time on the processors.

use std::time::Duration;

/// `USER_HZ` of Linux: the ticks that `/proc` counts in.
const TICKS_PER_SECOND: u32 = 100;

/// Runs it and tells the time that this process was on the processors meanwhile.
pub fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let began = cpu();
    let result = run();
    (result, cpu().saturating_sub(began))
}

/// Time of all threads so far, in user space and in the kernel (proc(5), `/proc/pid/stat` fields 14 and 15).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name in the second field may hold anything, blanks included.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u32 = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum();
    Duration::from_secs(1) * ticks / TICKS_PER_SECOND
}

//! What the bridge holds in memory while frames of no use and calls without end go through it: it is to stay where it is.

#[path = "support/drive.rs"]
mod drive;
#[path = "support/far.rs"]
mod far;
#[path = "support/pbx.rs"]
mod pbx;
#[path = "support/site.rs"]
mod site;
#[path = "support/tape.rs"]
mod tape;

use drive::{CHUNK, Drive};
use far::Ask;

/// Chunks of each round.
const CHUNKS: usize = 25;
const ROUNDS: usize = 5;

fn main() {
    if far::be_far_side() {
        return;
    }
    let mut drive = Drive::start(20, true);
    println!("{:<44}{:>10}", "", "MiB held");
    for round in 1..=ROUNDS {
        let frames = drive.play(Ask::Play { frames: CHUNK }, CHUNKS);
        print(&format!("{} frames of recorded calls", round * frames));
    }
    let frames = drive.play(Ask::PlayUnknown { frames: CHUNK }, CHUNKS);
    print(&format!("and {frames} of types that nobody knows"));
    drive.stop();
}

fn print(name: &str) {
    println!("{name:<44}{:>10.1}", held());
}

/// `VmRSS` of this process (proc(5)).
fn held() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

//! How far something is, as a bar on a terminal or as a line now and then.

use std::io::{self, IsTerminal as _, Write as _};

const WIDTH: u64 = 30;

/// On stderr, drawn over itself.
pub(super) struct Bar {
    on_terminal: bool,
    last: String,
}

impl Bar {
    pub fn new() -> Self {
        Self { on_terminal: io::stderr().is_terminal(), last: String::new() }
    }

    /// `done` of `all`; a bar is drawn when it has changed. What is not a terminal gets a line for each tenth.
    pub fn show(&mut self, what: &str, done: u64, all: u64) {
        let text = drawn(what, done, all);
        let key = if self.on_terminal { text.clone() } else { format!("{what} {}", tenths(done, all)) };
        if key == self.last {
            return;
        }
        self.last = key;
        let mut err = io::stderr().lock();
        // A bar that cannot be drawn is not missed.
        let _ = if self.on_terminal { write!(err, "\r{text}\x1b[K") } else { writeln!(err, "{text}") };
        let _ = err.flush();
    }

    /// What comes next begins on a line of its own.
    pub fn end(&mut self) {
        if self.on_terminal && !self.last.is_empty() {
            let _ = writeln!(io::stderr());
        }
        self.last.clear();
    }
}

fn tenths(done: u64, all: u64) -> u64 {
    (done.min(all) * 10).checked_div(all).unwrap_or(0)
}

/// `loading [######........] 52000 of 100000`
pub(super) fn drawn(what: &str, done: u64, all: u64) -> String {
    let full = (done.min(all) * WIDTH).checked_div(all).unwrap_or(0);
    let hashes = "#".repeat(usize::try_from(full).unwrap_or(0));
    let dots = ".".repeat(usize::try_from(WIDTH - full).unwrap_or(0));
    format!("{what} [{hashes}{dots}] {done} of {all}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(drawn("loading", 50, 100), "loading [###############...............] 50 of 100");
        assert!(drawn("loading", 0, 0).contains("[.............................."));
        assert!(drawn("loading", 200, 100).contains("[##############################]"));
    }
}

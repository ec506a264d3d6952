//! What the org's allowance of API calls still lets the bridge do: the less is left, the more it keeps for the Tasks.

/// What may be asked of Salesforce, most generous first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    All,
    /// Polls come less often: see [`Allowance::stretch`].
    FewerPolls,
    /// No polls; callers are looked up and Tasks are written.
    NoPolls,
    /// Tasks only.
    TasksOnly,
}

impl Allowance {
    /// By the calls of the last 24 hours: those used, and those allowed to the org.
    #[must_use]
    pub fn of(used: u64, allowed: u64) -> Self {
        let reached = |percent: u64| used.saturating_mul(100) >= allowed.saturating_mul(percent);
        match () {
            () if reached(97) => Self::TasksOnly,
            () if reached(90) => Self::NoPolls,
            () if reached(70) => Self::FewerPolls,
            () => Self::All,
        }
    }

    /// How many times longer than usual to wait between two polls. `None`: no poll.
    #[must_use]
    pub fn stretch(self) -> Option<u32> {
        match self {
            Self::All => Some(1),
            Self::FewerPolls => Some(4),
            Self::NoPolls | Self::TasksOnly => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_is_left_the_less_is_asked() {
        let at = |used| Allowance::of(used, 100_000);
        assert_eq!([at(69_999), at(70_000), at(90_000), at(97_000)], {
            use Allowance::{All, FewerPolls, NoPolls, TasksOnly};
            [All, FewerPolls, NoPolls, TasksOnly]
        });
        assert_eq!(at(200_000), Allowance::TasksOnly);
        assert!(at(89_999).stretch() > at(0).stretch());
        assert_eq!(at(95_000).stretch(), None);
    }
}

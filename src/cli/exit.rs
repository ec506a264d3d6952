//! What the process ends with: 0 done, 1 failed, 2 wrong usage, 78 wrong settings.

use std::io::ErrorKind;
use std::process::ExitCode;

use super::output;
use crate::settings::Problems;

/// `EX_CONFIG` of sysexits.h; the unit does not restart on it.
const WRONG_SETTINGS: u8 = 78;
const WRONG_USAGE: u8 = 2;

/// The settings are wrong, and it has been told.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used")]
pub(super) struct SettingsAreWrong;

/// Tells the error, if there is one.
pub(super) fn code_of(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    if let Some(problems) = error.downcast_ref::<Problems>() {
        output::complain(&problems.to_string());
        return ExitCode::from(WRONG_SETTINGS);
    }
    if error.is::<SettingsAreWrong>() {
        return ExitCode::from(WRONG_SETTINGS);
    }
    if reader_is_gone(&error) {
        return ExitCode::SUCCESS;
    }
    output::complain(&format!("ctibridge: {error:#}"));
    ExitCode::FAILURE
}

/// Prints help and version, or what is wrong with the usage.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS }
}

/// `ctibridge config reference | head` is no failure.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

//! `ctibridge config`: the annotated settings file and its JSON Schema.

use super::output;
use crate::settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Every key with its default and a line on it
    Reference,
    /// The JSON Schema of a settings file, for editors
    Schema,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match args.what {
        What::Reference => output::print(settings::REFERENCE)?,
        What::Schema => output::print_json(&settings::json_schema())?,
    }
    Ok(())
}

//! `ctibridge lookup`: who is it, as the daemon would answer.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::daemon::{Daemon, DaemonError};
use super::table::{sheet, table};
use super::{Context, assemble, output};
use crate::bridge::{self, explain, linker};
use crate::directory::answer::Answer;
use crate::pops::MatchView;
use crate::salesforce::Client;
use crate::settings::Settings;
use crate::telemetry::Escaped;

/// Nobody's phone rings while an operator waits.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// In any spelling; national ones are read in `bridge.default_region`
    #[arg(allow_hyphen_values = true)]
    number: String,
    /// The daemon's answer as JSON
    #[arg(long)]
    json: bool,
    /// Also how the number was read and why each candidate won or lost
    #[arg(long)]
    explain: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let settings = context.settings()?;
    let mut query = vec![("number", args.number.as_str())];
    if args.explain {
        query.push(("explain", "true"));
    }
    let answer = match Daemon::new(&settings)?.get(&["lookup"], &query).await {
        Err(DaemonError::NotRunning { .. }) => without_daemon(args, &settings).await?,
        answered => answered?,
    };
    if args.json {
        output::print_json(&answer)?;
    } else {
        output::print(&text(&answer))?;
    }
    Ok(())
}

/// As the daemon would answer, had it just started and all the time it needs.
async fn without_daemon(args: &Args, settings: &Settings) -> anyhow::Result<Json> {
    let config = assemble::bridge_config(settings)?;
    let plan = &config.site.plan;
    let number = plan.read(&args.number);
    let client = Client::with_state(&config.salesforce, &config.consent_dir)?;
    let answer = if bridge::ignores(&config, &number) {
        Answer::unknown(number.clone())
    } else {
        bridge::saved(&config, &client).await.find_surely(&number, PATIENCE).await?
    };
    let linker = linker(&settings.salesforce.details_link, client.instance_url().as_deref());
    let mut json = json!({
        "number": { "input": args.number, "e164": number.e164(), "region": plan.region(), "kind": number.kind() },
        "source": answer.source,
        "matches": MatchView::all(&answer, &linker),
        "create_url": number.e164().and_then(|number| linker.new_lead(number)),
        "search_url": number.e164().and_then(|number| linker.search(number)),
    });
    if let (true, Some(object)) = (args.explain, json.as_object_mut()) {
        object.insert("explain".to_owned(), explain(&answer, &linker, settings.pops.unknown).into());
    }
    Ok(json)
}

fn text(answer: &Json) -> String {
    let word = |pointer: &str| answer.pointer(pointer).and_then(Json::as_str).map(Escaped);
    let number = word("/number/e164").or(word("/number/input")).map_or("-".to_owned(), |number| number.to_string());
    let kind = word("/number/kind").map_or(String::new(), |kind| format!(", {kind}"));
    let source = word("/source").map_or(String::new(), |source| format!(", source: {source}"));
    let mut text = format!("{number}{kind}{source}\n");
    match answer.get("matches").and_then(Json::as_array).map(Vec::as_slice) {
        None | Some([]) if answer.pointer("/number/kind").and_then(Json::as_str) == Some("internal") => {
            text.push_str("one of our own extensions, which is not looked up\n");
        }
        None | Some([]) => text.push_str("nobody known\n"),
        Some(matches) => text.push_str(&table(&["object", "name", "account", "field", "reason", "id", "url"], matches)),
    }
    if let Some(explained) = answer.get("explain") {
        text.push('\n');
        text.push_str(&explanation(explained));
    }
    text
}

/// Lines, or an object's keys.
fn explanation(explained: &Json) -> String {
    let Some(lines) = explained.as_array() else {
        return sheet(explained);
    };
    let mut text = String::new();
    for line in lines {
        let line = line.as_str().map_or_else(|| line.to_string(), str::to_owned);
        text.push_str(&Escaped(&line).to_string());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn matches_are_a_table_and_nobody_is_said() {
        let known = json!({
            "number": {"input": "030 231250444", "e164": "+4930231250444", "kind": "e164"}, "source": "live",
            "matches": [{"object": "Contact", "id": "003", "name": "Erika", "account": null, "reason": "exact"}],
        });
        assert_eq!(
            text(&known),
            "+4930231250444, e164, source: live\nOBJECT   NAME   REASON  ID\nContact  Erika  exact   003\n"
        );
        assert_eq!(text(&json!({"number": {"input": "1"}, "matches": []})), "1\nnobody known\n");
    }
}

//! The answer of a consent, pasted.

use std::io;

use anyhow::Context as _;

use crate::cli::output;

/// What follows the question mark of the address that was pasted. None: the input has ended.
pub(super) async fn read() -> anyhow::Result<Option<String>> {
    output::complain("The browser ends at an address that it cannot show. Paste that address here, and press Enter:");
    let line = tokio::task::spawn_blocking(|| io::stdin().lines().next().transpose());
    let line = line.await.context("the input cannot be read")?.context("the input cannot be read")?;
    Ok(line.map(|line| query(&line).to_owned()))
}

fn query(pasted: &str) -> &str {
    let pasted = pasted.trim().trim_matches(['"', '\'']);
    let query = pasted.split_once('?').map_or(pasted, |(_, query)| query);
    query.split('#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_or_without_what_is_around_it() {
        let expected = "code=aPrx%3D%3D&state=s+1";
        for pasted in [
            "http://localhost:8461/callback?code=aPrx%3D%3D&state=s+1",
            " \"http://localhost:8461/callback?code=aPrx%3D%3D&state=s+1#\" ",
            "code=aPrx%3D%3D&state=s+1",
        ] {
            assert_eq!(query(pasted), expected, "{pasted}");
        }
        assert_eq!(query(""), "");
    }
}

//! The few pages that are made here and not by the script: a choice of records, and a word why there is none.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::pops::MatchView;

/// Several records have the number: the agent chooses.
pub(super) fn choice(matches: &[MatchView]) -> Response {
    let items: String = matches.iter().map(item).collect();
    page("Who is it?", &format!("<p>Several records have this number.</p><ul class=\"choice\">{items}</ul>"))
}

/// Nothing to go to.
pub(super) fn nothing(why: &str) -> Response {
    let page = page("Nobody found", &format!("<p>{}</p>", escape(why)));
    (StatusCode::NOT_FOUND, page).into_response()
}

fn item(candidate: &MatchView) -> String {
    let account = candidate.account.as_deref().map(|account| format!(", {}", escape(account))).unwrap_or_default();
    format!(
        "<li><a href=\"{}\">{}</a> <span>{}{account}</span></li>",
        escape(&candidate.url),
        escape(&candidate.name),
        escape(&candidate.object),
    )
}

fn page(title: &str, content: &str) -> Response {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/page.css\"></head><body><main class=\"plain\"><h1>{title}</h1>{content}</main></body></html>"
    ))
    .into_response()
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_stays_text() {
        assert_eq!(
            escape("<script>alert(\"a\" & 'b')</script>"),
            "&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;"
        );
    }
}

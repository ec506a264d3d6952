//! Addresses of the org's pages: a record, a search, a new lead.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::hosts::to_page_host;
use super::id::RecordId;

/// Makes links. Without a base (nothing set, and no login yet) there are none.
#[derive(Debug, Clone)]
pub struct Links {
    base: Option<String>,
    template: Option<String>,
}

impl Links {
    /// `details_link`: a base address, or a template with `{object}` and `{id}`; empty: the org's own address.
    pub fn new(details_link: &str, instance_url: Option<&str>) -> Self {
        let details_link = details_link.trim();
        let own = instance_url.and_then(page_base);
        if details_link.contains("{id}") {
            return Self { base: own.or_else(|| origin(details_link)), template: Some(details_link.to_owned()) };
        }
        Self { base: page_base(details_link).or(own), template: None }
    }

    /// The page of a record.
    #[must_use]
    pub fn record(&self, object: &str, id: &RecordId) -> Option<String> {
        let object = object
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            .then_some(object)
            .filter(|object| !object.is_empty());
        if let Some(template) = &self.template {
            let link = template.replace("{object}", object.unwrap_or_default());
            return Some(link.replace("{id}", id.as_str()));
        }
        let base = self.base.as_deref()?;
        Some(match object {
            Some(object) => format!("{base}/lightning/r/{object}/{id}/view"),
            None => format!("{base}/lightning/r/{id}/view"),
        })
    }

    /// The org's search for a run of digits.
    pub fn search(&self, digits: &str) -> Option<String> {
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let page = serde_json::json!({
            "componentDef": "forceSearch:searchPageDesktop",
            "attributes": {
                "term": digits,
                "scopeMap": { "type": "TOP_RESULTS" },
                "groupId": "DEFAULT",
            },
            "state": {},
        });
        let page = STANDARD.encode(page.to_string());
        Some(format!("{}/one/one.app#{page}", self.base.as_deref()?))
    }

    /// The form for a new lead, with the number filled in.
    #[must_use]
    pub fn new_lead(&self, e164: &str) -> Option<String> {
        let base = self.base.as_deref()?;
        let phone = encoded(e164);
        Some(format!("{base}/lightning/o/Lead/new?defaultFieldValues=Phone={phone}"))
    }
}

/// An address without its last slash, on the host that shows pages.
fn page_base(text: &str) -> Option<String> {
    let mut url = web(text)?;
    url.set_query(None);
    url.set_fragment(None);
    Some(to_page_host(url).as_str().trim_end_matches('/').to_owned())
}

fn origin(template: &str) -> Option<String> {
    let url = web(&template.replace(['{', '}'], ""))?;
    page_base(&url.origin().ascii_serialization())
}

fn web(text: &str) -> Option<Url> {
    let text = if text.contains("://") || text.is_empty() { text.to_owned() } else { format!("https://{text}") };
    Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// RFC 3986 section 2.1: everything but unreserved characters.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(links: &Links) -> Option<String> {
        links.record("Contact", &RecordId::parse("003xx000004TmiQ").unwrap())
    }

    #[test]
    fn a_record_is_shown_on_the_lightning_host() {
        for (details_link, instance, expected) in [
            (
                "",
                Some("https://acme--uat.sandbox.my.salesforce.com"),
                "https://acme--uat.sandbox.lightning.force.com/lightning/r/Contact/003xx000004TmiQAAS/view",
            ),
            (
                "https://acme.my.salesforce.com/",
                None,
                "https://acme.lightning.force.com/lightning/r/Contact/003xx000004TmiQAAS/view",
            ),
            ("", Some("http://127.0.0.1:9000"), "http://127.0.0.1:9000/lightning/r/Contact/003xx000004TmiQAAS/view"),
            (
                "https://crm.example/open?type={object}&id={id}",
                None,
                "https://crm.example/open?type=Contact&id=003xx000004TmiQAAS",
            ),
        ] {
            let links = Links::new(details_link, instance);
            assert_eq!(contact(&links).as_deref(), Some(expected));
        }
        assert_eq!(contact(&Links::new("", None)), None);
        assert_eq!(contact(&Links::new("javascript:alert(1)", None)), None);
    }

    #[test]
    fn a_search_and_a_new_lead_carry_the_number() {
        let links = Links::new("", Some("https://acme.my.salesforce.com"));
        assert_eq!(
            links.new_lead("+14155551212").unwrap(),
            "https://acme.lightning.force.com/lightning/o/Lead/new?defaultFieldValues=Phone=%2B14155551212"
        );
        let search = links.search("+1 415 555-1212").unwrap();
        let (page, state) = search.split_once('#').unwrap();
        assert_eq!(page, "https://acme.lightning.force.com/one/one.app");
        let state = String::from_utf8(STANDARD.decode(state).unwrap()).unwrap();
        assert!(state.contains(r#""term":"14155551212""#), "{state}");
    }

    #[test]
    fn a_template_has_a_base_for_the_other_links() {
        let links = Links::new("https://crm.example/open/{object}/{id}", None);
        assert!(links.new_lead("+1").unwrap().starts_with("https://crm.example/lightning"));
    }
}

//! Addresses of the org's pages: a record, a search, a new lead.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::hosts::{is_classic_host, is_login_host, to_page_host};
use super::id::RecordId;

/// Makes links. Without a base (nothing set, and no login yet) there are none.
#[derive(Debug, Clone)]
pub struct Links {
    base: Option<Base>,
    template: Option<String>,
}

/// Where the org's pages are.
#[derive(Debug, Clone)]
struct Base {
    /// Without its last slash.
    address: String,
    /// The pages of before Lightning. Those who have Lightning are sent on from a record's page.
    classic: bool,
}

impl Links {
    /// `details_link`: a base address, or a template with `{object}` and `{id}`; empty: the org's own address.
    ///
    /// A base on a host without a My Domain, or a template that ends in `/{id}`, asks for the classic pages.
    pub fn new(details_link: &str, instance_url: Option<&str>) -> Self {
        let details_link = details_link.trim();
        let own = instance_url.and_then(page_base);
        if details_link.contains("{id}") {
            let classic = path_of(details_link) == "{id}";
            let base = if classic { origin(details_link).or(own) } else { own.or_else(|| origin(details_link)) };
            let base = base.map(|base| Base { classic: classic || base.classic, ..base });
            return Self { base, template: Some(details_link.to_owned()) };
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
        let Base { address, classic } = self.base.as_ref()?;
        Some(match object {
            _any if *classic => format!("{address}/{id}"),
            Some(object) => format!("{address}/lightning/r/{object}/{id}/view"),
            None => format!("{address}/lightning/r/{id}/view"),
        })
    }

    /// The org's search for a run of digits.
    pub fn search(&self, digits: &str) -> Option<String> {
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let Base { address, classic } = self.base.as_ref()?;
        if *classic {
            return Some(format!("{address}/_ui/search/ui/UnifiedSearchResults?str={digits}"));
        }
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
        Some(format!("{address}/one/one.app#{page}"))
    }

    /// The form for a new lead, with the number filled in.
    #[must_use]
    pub fn new_lead(&self, e164: &str) -> Option<String> {
        let Base { address, classic } = self.base.as_ref()?;
        let phone = encoded(e164);
        Some(if *classic {
            // `lea8` is what the form calls the field Phone.
            format!("{address}/00Q/e?lea8={phone}")
        } else {
            format!("{address}/lightning/o/Lead/new?defaultFieldValues=Phone={phone}")
        })
    }
}

/// The host that shows the org's pages; none for one where one only logs in.
fn page_base(text: &str) -> Option<Base> {
    let mut url = web(text).filter(|url| !is_login_host(url))?;
    url.set_query(None);
    url.set_fragment(None);
    let classic = is_classic_host(&url);
    Some(Base { address: to_page_host(url).as_str().trim_end_matches('/').to_owned(), classic })
}

/// The host that a template names, as it names it.
fn origin(template: &str) -> Option<Base> {
    let url = web(&template.replace(['{', '}'], "")).filter(|url| !is_login_host(url))?;
    if path_of(template) == "{id}" {
        return Some(Base { address: url.origin().ascii_serialization(), classic: true });
    }
    page_base(&url.origin().ascii_serialization())
}

/// What stands behind the host.
fn path_of(template: &str) -> &str {
    let rest = template.split_once("://").map_or(template, |(_, rest)| rest);
    rest.split_once('/').map_or("", |(_, path)| path)
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
    fn pages_of_every_kind_of_org_are_on_its_lightning_host() {
        for (instance, pages) in [
            ("https://acme.my.salesforce.com", "https://acme.lightning.force.com"),
            ("https://acme--uat.sandbox.my.salesforce.com", "https://acme--uat.sandbox.lightning.force.com"),
            ("https://acme--uat.cs12.my.salesforce.com", "https://acme--uat.lightning.force.com"),
            ("https://acme-dev-ed.develop.my.salesforce.com", "https://acme-dev-ed.develop.lightning.force.com"),
            ("https://acme-dev-ed.my.salesforce.com", "https://acme-dev-ed.lightning.force.com"),
            ("https://x.scratch.my.salesforce.com", "https://x.scratch.lightning.force.com"),
            ("https://acme.my.salesforce.mil", "https://acme.lightning.crmforce.mil"),
            ("https://acme.my.sfcrmproducts.cn", "https://acme.lightning.sfcrmapps.cn"),
        ] {
            let links = Links::new("", Some(instance));
            assert_eq!(contact(&links), Some(format!("{pages}/lightning/r/Contact/003xx000004TmiQAAS/view")));
            assert!(links.search("1").unwrap().starts_with(&format!("{pages}/one/one.app#")));
            assert!(links.new_lead("+1").unwrap().starts_with(&format!("{pages}/lightning/o/Lead/new?")));
        }
    }

    #[test]
    fn classic_pages_are_had_by_a_classic_host_or_by_a_template_that_ends_in_the_id() {
        let own = Some("https://acme.my.salesforce.com");
        for (details_link, base) in [
            ("https://na35.salesforce.com", "https://na35.salesforce.com"),
            ("cs42.salesforce.com/", "https://cs42.salesforce.com"),
            ("https://acme.cloudforce.com", "https://acme.cloudforce.com"),
            ("https://acme.my.salesforce.com/{id}", "https://acme.my.salesforce.com"),
        ] {
            let links = Links::new(details_link, own);
            assert_eq!(contact(&links), Some(format!("{base}/003xx000004TmiQAAS")));
            let search = format!("{base}/_ui/search/ui/UnifiedSearchResults?str=14155551212");
            assert_eq!(links.search("+14155551212"), Some(search));
            assert_eq!(links.new_lead("+14155551212"), Some(format!("{base}/00Q/e?lea8=%2B14155551212")));
        }
    }

    #[test]
    fn a_host_where_one_logs_in_shows_no_record() {
        for login in ["https://login.salesforce.com", "https://test.salesforce.com/"] {
            assert_eq!(contact(&Links::new("", Some(login))), None);
            let links = Links::new(login, Some("https://acme.my.salesforce.com"));
            assert!(contact(&links).unwrap().starts_with("https://acme.lightning.force.com/"));
        }
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

//! Where an Asterisk is: the address of its events and, derived from it, of its REST resources.

use reqwest::Url;

use super::Config;

#[derive(Debug, thiserror::Error)]
#[error("`url` must be like ws://127.0.0.1:8088/ari/events, with ws or wss")]
pub struct BadUrl;

#[derive(Debug, Clone)]
pub struct Address {
    /// The websocket, with the application's name and all events asked for.
    pub events: Url,
    /// `http://127.0.0.1:8088/ari`
    pub rest: Url,
    pub secure: bool,
}

impl Address {
    pub fn of(config: &Config) -> Result<Self, BadUrl> {
        let url = Url::parse(&config.url).map_err(|_| BadUrl)?;
        let (scheme, secure) = match url.scheme() {
            "ws" => ("http", false),
            "wss" => ("https", true),
            _ => return Err(BadUrl),
        };
        Ok(Self { rest: rest(&url, scheme)?, events: events(url, &config.app), secure })
    }

    /// The address of a REST resource, its parts percent-encoded.
    pub fn resource(&self, parts: &[&str]) -> Result<Url, BadUrl> {
        let mut url = self.rest.clone();
        url.path_segments_mut().map_err(|()| BadUrl)?.extend(parts);
        Ok(url)
    }
}

fn events(mut url: Url, app: &str) -> Url {
    url.query_pairs_mut().append_pair("app", app).append_pair("subscribeAll", "true");
    url
}

fn rest(url: &Url, scheme: &str) -> Result<Url, BadUrl> {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/events").ok_or(BadUrl)?.to_owned();
    let mut rest = url.clone();
    rest.set_scheme(scheme).map_err(|()| BadUrl)?;
    rest.set_path(&path);
    rest.set_query(None);
    rest.set_fragment(None);
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config {
            name: "pbx1".to_owned(),
            url: url.to_owned(),
            username: "cti".to_owned(),
            password: crate::secret::Secret::new("secret"),
            app: "my app".to_owned(),
            trunks: Vec::new(),
            ca_file: String::new(),
            insecure: false,
        }
    }

    #[test]
    fn rest_is_beside_the_events() {
        let address = Address::of(&config("wss://pbx.example:8089/x/ari/events")).unwrap();
        assert_eq!(address.events.as_str(), "wss://pbx.example:8089/x/ari/events?app=my+app&subscribeAll=true");
        assert_eq!(address.rest.as_str(), "https://pbx.example:8089/x/ari");
        assert!(address.secure);
    }

    #[test]
    fn the_parts_of_a_resource_are_encoded() {
        let address = Address::of(&config("ws://127.0.0.1:8088/ari/events/")).unwrap();
        let url = address.resource(&["channels", "../x/y?z", "variable"]).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8088/ari/channels/..%2Fx%2Fy%3Fz/variable");
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in ["http://127.0.0.1/ari/events", "ws://127.0.0.1/ari", "127.0.0.1:8088", ""] {
            assert!(Address::of(&config(url)).is_err(), "{url}");
        }
    }
}

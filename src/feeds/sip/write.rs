//! Messages of our own, built with `rsip`: subscriptions, and responses to what was read.

use rsip::common::uri::{Auth, Domain, HostWithPort, Port, Scheme as RsipScheme, param};
use rsip::headers::untyped::{self, UntypedHeader as _};
use rsip::{Header, Headers, Method, Param, StatusCode, Version};

use super::message::Message;
use super::name::Name;
use super::uri::{Scheme, Uri};

/// A URI as it stands in our requests. `None` where it is not one of SIP's.
#[must_use]
pub fn uri(text: &str) -> Option<rsip::Uri> {
    let uri = Uri::read(text)?;
    let scheme = match uri.scheme {
        Scheme::Sip => RsipScheme::Sip,
        Scheme::Sips => RsipScheme::Sips,
        Scheme::Tel | Scheme::Other(_) => return None,
    };
    let host = if uri.host.contains(':') { format!("[{}]", uri.host) } else { uri.host.to_owned() };
    let params = uri.params.iter().map(|(name, value)| {
        let value = (!value.is_empty()).then(|| param::OtherParamValue::new(value));
        Param::Other(param::OtherParam::new(name), value)
    });
    Some(rsip::Uri {
        scheme: Some(scheme),
        auth: (!uri.user.is_empty()).then(|| Auth { user: uri.user.to_owned(), password: None }),
        host_with_port: HostWithPort { host: Domain::from(host).into(), port: uri.port.map(Port::from) },
        params: params.collect(),
        headers: Vec::new(),
    })
}

/// A SUBSCRIBE. Of header fields that `rsip` has no type for, the name is written as given.
#[must_use]
pub fn subscribe(uri: rsip::Uri, fields: &[(&str, String)]) -> Vec<u8> {
    let mut headers: Vec<Header> = fields.iter().map(|(name, value)| header(name, value)).collect();
    headers.push(untyped::ContentLength::new("0").into());
    let method = Method::Subscribe;
    let request =
        rsip::Request { method, uri, version: Version::V2, headers: Headers::from(headers), body: Vec::new() };
    request.to_string().into_bytes()
}

/// The response to a request that was read: it goes back the way that the request came (RFC 3261 8.2.6.2).
#[must_use]
pub fn response(to: &Message<'_>, code: u16, more: &[(&str, String)]) -> Vec<u8> {
    let mut headers: Vec<Header> = Vec::new();
    for name in [Name::Via, Name::RecordRoute, Name::From, Name::To, Name::CallId, Name::CSeq] {
        headers.extend(to.lines(name).map(|line| header(name.long(), line)));
    }
    headers.extend(more.iter().map(|(name, value)| header(name, value)));
    headers.push(untyped::ContentLength::new("0").into());
    let status_code = StatusCode::from(code);
    let response =
        rsip::Response { status_code, version: Version::V2, headers: Headers::from(headers), body: Vec::new() };
    response.to_string().into_bytes()
}

fn header(name: &str, value: &str) -> Header {
    // What others wrote goes back to them as one line.
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    match name {
        "Via" => untyped::Via::new(value).into(),
        "Record-Route" => untyped::RecordRoute::new(value).into(),
        "Route" => untyped::Route::new(value).into(),
        "From" => untyped::From::new(value).into(),
        "To" => untyped::To::new(value).into(),
        "Call-ID" => untyped::CallId::new(value).into(),
        "CSeq" => untyped::CSeq::new(value).into(),
        "Contact" => untyped::Contact::new(value).into(),
        "Max-Forwards" => untyped::MaxForwards::new(value).into(),
        "User-Agent" => untyped::UserAgent::new(value).into(),
        "Event" => untyped::Event::new(value).into(),
        "Accept" => untyped::Accept::new(value).into(),
        "Supported" => untyped::Supported::new(value).into(),
        "Expires" => untyped::Expires::new(value).into(),
        "Allow" => untyped::Allow::new(value).into(),
        "Authorization" => untyped::Authorization::new(value).into(),
        "Proxy-Authorization" => untyped::ProxyAuthorization::new(value).into(),
        _ => Header::Other(name.to_owned(), value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back() {
        let target = uri("<sip:201@[2001:db8::1]:5062;transport=tcp;lr>").unwrap();
        assert_eq!(target.to_string(), "sip:201@[2001:db8::1]:5062;transport=tcp;lr");
        let bytes = subscribe(target, &[("Call-ID", "x".into()), ("CSeq", "1 SUBSCRIBE".into())]);
        let read = Message::read(&bytes).unwrap();
        assert_eq!((read.method(), read.call_id()), (Some("SUBSCRIBE"), Some("x")));
        assert_eq!(read.request_uri().unwrap().host, "2001:db8::1");
    }

    #[test]
    fn a_response_goes_back_the_way_of_its_request_and_adds_no_line_to_it() {
        let bytes = b"NOTIFY sip:x SIP/2.0\nv: SIP/2.0/UDP a;branch=1\nv: SIP/2.0/UDP b\nf: <sip:f>;tag=2\nt: <sip:t>\ni: i\rX: y\nCSeq: 4 NOTIFY\n\n";
        let text = String::from_utf8(response(&Message::read(bytes).unwrap(), 481, &[])).unwrap();
        assert!(text.starts_with("SIP/2.0 481 "), "{text}");
        assert_eq!(text.matches("\r\nVia: ").count(), 2, "{text}");
        assert!(text.contains("\r\nCall-ID: iX: y\r\n"), "{text}");
    }
}

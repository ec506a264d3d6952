//! SOAP `login()`, which common clients still use, and `logout()`.

use super::{
    exchange::{Answer, Ask},
    oauth::{check_password, new_session, username},
    world::World,
};

/// The last version with `login()`.
const LAST: u32 = 64;

/// Answers `/services/Soap/u/<version>`.
pub(crate) fn answer(world: &mut World, ask: &Ask, version: &str) -> Answer {
    let body = String::from_utf8_lossy(&ask.body).into_owned();
    if body.contains("logout") {
        return envelope(200, "<logoutResponse/>");
    }
    let number = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if number.is_none_or(|number| number > LAST) {
        return fault("UNSUPPORTED_API_VERSION", "login() is not available in this API version");
    }
    let enabled = world.knobs.flows.iter().any(|flow| flow == "soap");
    let (name, password) = (element(&body, "username"), element(&body, "password"));
    match check_password(world, &name, &password).filter(|_| enabled) {
        Some(user) => signed_in(world, &user, version),
        None => {
            fault("INVALID_LOGIN", "INVALID_LOGIN: Invalid username, password, security token; or user locked out.")
        }
    }
}

fn signed_in(world: &mut World, user: &str, version: &str) -> Answer {
    let session = new_session(world, user, "soap", None);
    let (url, org) = (&world.url, world.org.organization());
    let server = format!("{url}/services/Soap/u/{version}/{org}");
    let seconds = world.knobs.session_ttl_seconds;
    let name = escape(&username(world, user));
    envelope(
        200,
        &format!(
            "<loginResponse><result><metadataServerUrl>{url}/services/Soap/m/{version}/{org}</metadataServerUrl>\
             <passwordExpired>false</passwordExpired><sandbox>true</sandbox><serverUrl>{server}</serverUrl>\
             <sessionId>{session}</sessionId><userId>{user}</userId><userInfo><organizationId>{org}</organizationId>\
             <sessionSecondsValid>{seconds}</sessionSecondsValid><userId>{user}</userId>\
             <userName>{name}</userName></userInfo></result></loginResponse>"
        ),
    )
}

fn fault(code: &str, message: &str) -> Answer {
    envelope(
        500,
        &format!(
            "<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{message}</faultstring><detail>\
             <sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode>\
             <sf:exceptionMessage>{message}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
        ),
    )
}

fn envelope(status: u16, inner: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns=\"urn:partner.soap.sforce.com\" xmlns:sf=\"urn:fault.partner.soap.sforce.com\">\
         <soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>"
    );
    Answer::text(status, "text/xml;charset=UTF-8", text)
}

/// The text of the first element of this name, whatever its prefix.
fn element(body: &str, name: &str) -> String {
    let open = format!("{name}>");
    let text = body.split_once(&open).map_or("", |(_, rest)| rest);
    let text = text.split_once("</").map_or("", |(text, _)| text);
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Text for XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

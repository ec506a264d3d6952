//! SOAP `login()`, which common clients still use, `logout()`, `undelete()` and `getUserInfo()`.

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
    let session = element(&body, "sessionId");
    if body.contains("logout") {
        world.sessions.live.remove(&session);
        return envelope(200, "<logoutResponse/>");
    }
    if !session.is_empty() {
        let (now, ttl) = (world.now(), world.session_ttl());
        return match world.sessions.user(&session, now, ttl) {
            Some(user) => with_session(world, &body, &user),
            None => fault("INVALID_SESSION_ID", "INVALID_SESSION_ID: Invalid Session ID found in SessionHeader"),
        };
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

/// What a session may ask by SOAP.
fn with_session(world: &mut World, body: &str, user: &str) -> Answer {
    world.counts.api_calls += 1;
    if body.contains("getUserInfo") {
        let (org, name) = (world.org.organization(), escape(&username(world, user)));
        return envelope(
            200,
            &format!(
                "<getUserInfoResponse><result><organizationId>{org}</organizationId><userId>{user}</userId>\
                 <userName>{name}</userName></result></getUserInfoResponse>"
            ),
        );
    }
    if !body.contains("undelete") {
        return fault("UNSUPPORTED_CALL", "This call is not offered here: login, logout, undelete and getUserInfo are");
    }
    let writer = world.writer(user);
    let results = elements(body, "ids").into_iter().map(|id| match world.org.undelete(&id, &writer) {
        Ok(()) => format!("<result><id>{id}</id><success>true</success></result>"),
        Err(refusal) => format!(
            "<result><errors><message>{}</message><statusCode>{}</statusCode></errors><success>false</success></result>",
            escape(&refusal.message),
            refusal.code
        ),
    });
    envelope(200, &format!("<undeleteResponse>{}</undeleteResponse>", results.collect::<String>()))
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
    elements(body, name).into_iter().next().unwrap_or_default()
}

/// The texts of all elements of this name.
fn elements(body: &str, name: &str) -> Vec<String> {
    let opens = |tag: &str| {
        let tag = tag.split_once(' ').map_or(tag, |(tag, _attributes)| tag);
        tag.rsplit(':').next() == Some(name)
    };
    let tags = body.split('<').filter_map(|part| part.split_once('>'));
    tags.filter(|(tag, _)| !tag.starts_with('/') && opens(tag)).map(|(_, text)| unescaped(text)).collect()
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Text for XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

//! The parts of a `multipart/related` body (RFC 2046 5.1, RFC 4662 5): a resource list's notification.

/// More parts than extensions that one list holds.
const MAX_PARTS: usize = 2048;

/// One part: its content type, lower-case and without parameters, and its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub kind: String,
    pub body: &'a [u8],
}

/// The `boundary` of a content type.
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (_, params) = content_type.split_once(';')?;
    let boundary = crate::feeds::sip::Params(params).get("boundary")?;
    (!boundary.is_empty() && boundary.len() <= 70).then_some(boundary)
}

/// `application/dialog-info+xml`, whatever parameters and case it comes with.
#[must_use]
pub fn kind(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The parts between the boundaries. What is before the first and behind the last is passed over.
#[must_use]
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut rest = after_mark(body, mark.as_bytes());
    while let Some(now) = rest.filter(|now| !now.starts_with(b"--") && parts.len() < MAX_PARTS) {
        let end = find(now, mark.as_bytes()).unwrap_or(now.len());
        parts.extend(part(now.get(..end).unwrap_or_default()));
        rest = after_mark(now, mark.as_bytes());
    }
    parts
}

fn after_mark<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    text.get(find(text, mark)? + mark.len()..)
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

fn part(text: &[u8]) -> Option<Part<'_>> {
    let text = text.strip_prefix(b"\r\n").or_else(|| text.strip_prefix(b"\n")).unwrap_or(text);
    let (head, body) = match find(text, b"\r\n\r\n").map(|at| (at, 4)).or_else(|| find(text, b"\n\n").map(|at| (at, 2)))
    {
        Some((at, gap)) => (text.get(..at)?, text.get(at + gap..)?),
        None => return None,
    };
    let head = String::from_utf8_lossy(head);
    let kind = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("Content-Type").then(|| kind(value)))?;
    Some(Part { kind, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_between_the_boundaries() {
        let content_type = r#"Multipart/Related; type="application/rlmi+xml"; boundary="50UBfW7L""#;
        let boundary = boundary(content_type).unwrap();
        let body = b"preamble\r\n--50UBfW7L\r\nContent-ID: <a>\r\ncontent-type: application/rlmi+xml;charset=\"UTF-8\"\r\n\r\n<list/>\r\n--50UBfW7L\nContent-Type: Application/Dialog-Info+XML\n\n<dialog-info/>\n--50UBfW7L--\r\nepilogue";
        let found = parts(body, boundary);
        let kinds: Vec<_> = found.iter().map(|part| (part.kind.as_str(), part.body)).collect();
        assert_eq!(
            kinds,
            [
                ("application/rlmi+xml", b"<list/>\r\n".as_slice()),
                ("application/dialog-info+xml", b"<dialog-info/>\n".as_slice()),
            ]
        );
        assert_eq!(kind(content_type), "multipart/related");
    }

    #[test]
    fn a_body_without_its_boundary_has_no_parts() {
        assert!(parts(b"<dialog-info/>", "x").is_empty());
        assert!(parts(b"--x\r\nno header", "x").is_empty());
        assert_eq!(boundary("multipart/related"), None);
    }
}

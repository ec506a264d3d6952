//! The JWT bearer grant: checks an assertion's signature and claims as Salesforce does.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{
    SignatureScheme,
    crypto::ring::default_provider,
    pki_types::{SubjectPublicKeyInfoDer, pem::PemObject},
};
use serde_json::Value;

use super::world::World;
use crate::sim::org::{flag, text};

/// Audiences that stand for the login hosts.
const HOSTS: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];
/// An assertion may end at most this many seconds from now: three minutes, and what clocks may differ by.
const LONGEST: i64 = 185;

/// The user whom the assertion speaks for, or the description of `invalid_grant`.
pub(crate) fn user(world: &World, assertion: &str) -> Result<String, &'static str> {
    let invalid = "invalid assertion";
    let (signed, signature) = assertion.rsplit_once('.').ok_or(invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(invalid)?;
    let (header, claims) = (part(header).ok_or(invalid)?, part(claims).ok_or(invalid)?);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid)?;
    let known = header.get("alg").and_then(Value::as_str) == Some("RS256");
    if !known || !is_signed(&world.knobs.jwt_public_key, signed.as_bytes(), &signature) {
        return Err(invalid);
    }
    check_claims(world, &claims)?;
    let name = claims.get("prn").or_else(|| claims.get("sub"));
    let name = name.and_then(Value::as_str).unwrap_or_default();
    user_named(world, name).ok_or("user hasn't approved this consumer")
}

fn check_claims(world: &World, claims: &Value) -> Result<(), &'static str> {
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if claim("iss") != world.credentials.client_id {
        return Err("client identifier invalid");
    }
    let audience = claim("aud").trim_end_matches('/');
    if !HOSTS.contains(&audience) && audience != world.url {
        return Err("audience is invalid");
    }
    // Some clients send the number as a text.
    let expiry = claims.get("exp").and_then(Value::as_i64);
    let expiry = expiry.or_else(|| claim("exp").parse().ok());
    let left = expiry.ok_or("invalid assertion")? - world.now().as_second();
    match left {
        i64::MIN..=0 => Err("expired authorization code"),
        1..=LONGEST => Ok(()),
        _ => Err("invalid assertion"),
    }
}

fn user_named(world: &World, name: &str) -> Option<String> {
    let user = world.org.rows("User").find(|row| {
        let known = text(&row.fields, "Username");
        flag(&row.fields, "IsActive") && known.is_some_and(|known| known.eq_ignore_ascii_case(name))
    });
    text(&user?.fields, "Id").map(str::to_owned)
}

fn part(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn is_signed(pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()) else {
        return false;
    };
    let Some(key) = bit_string(&key) else {
        return false;
    };
    let mapping = default_provider().signature_verification_algorithms.mapping;
    let rsa = mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256);
    rsa.into_iter()
        .flat_map(|(_, algorithms)| *algorithms)
        .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

/// The key inside a `SubjectPublicKeyInfo`: a sequence of the algorithm and a bit string (RFC 5280, 4.1).
fn bit_string(der: &[u8]) -> Option<&[u8]> {
    let (whole, _) = element(der)?;
    let (_algorithm, rest) = element(whole)?;
    let (bits, _) = element(rest)?;
    // The first octet says how many bits of the last are unused: none.
    bits.strip_prefix(&[0])
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let length = length.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
    rest.split_at_checked(length)
}

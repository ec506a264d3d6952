//! One packet of HEP, version 3: chunks in any order, each with its vendor, type and length (HEP3 Network Protocol Specification, revision 37).

use std::borrow::Cow;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use jiff::Timestamp;

/// What a packet may measure: its length field has two octets.
pub const MAX_BYTES: usize = 65_535;
/// What a compressed payload may unpack to.
const MAX_UNPACKED: u64 = 65_535;
/// Identifier and length.
pub const HEAD: usize = 6;
const ID: &[u8] = b"HEP3";
/// Chunks of the specification itself; those of other vendors are passed over.
const GENERIC: u16 = 0;
const SIP: u8 = 1;

/// Why octets are no packet that is read. Says nothing of what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BadPacket {
    #[error("HEP version {0} is not read; have the sender use version 3 (Kamailio: siptrace's hep_version)")]
    OldVersion(u8),
    #[error("it is not HEP; does something else send to this port?")]
    NotHep,
    #[error("it is cut short, or a length in it is wrong")]
    Length,
    #[error("an address or the time stamp is missing in it")]
    Incomplete,
    #[error("its compressed payload cannot be unpacked, or is too long")]
    Compressed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    pub at: Timestamp,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub payload: Payload<'a>,
    /// Empty where there is none.
    pub key: &'a [u8],
    /// What the sender says belongs together; empty where it says nothing.
    pub correlation: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    Sip(Cow<'a, [u8]>),
    /// RTCP, logs and the like, of which no call is made.
    Other(u8),
}

/// The chunks that are used, as they were found.
#[derive(Default)]
struct Chunks<'a> {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: u16,
    destination_port: u16,
    seconds: Option<u32>,
    micros: u32,
    protocol: u8,
    key: &'a [u8],
    correlation: &'a [u8],
    payload: &'a [u8],
    compressed: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a packet that fills a datagram or a frame; what follows its length is not looked at.
    ///
    /// # Errors
    /// Why it is not read.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadPacket> {
        let length = length(bytes)?.ok_or(BadPacket::Length)?;
        let mut rest = bytes.get(HEAD..length).ok_or(BadPacket::Length)?;
        let mut chunks = Chunks::default();
        while !rest.is_empty() {
            let (vendor, kind, length) = head(rest).ok_or(BadPacket::Length)?;
            let body = rest.get(HEAD..length).ok_or(BadPacket::Length)?;
            if vendor == GENERIC {
                chunks.take(kind, body);
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        chunks.packet()
    }
}

/// How long the packet is that begins here; `None`: more octets are needed to tell.
///
/// # Errors
/// When no packet begins here.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, BadPacket> {
    let begins = bytes.iter().zip(ID).all(|(byte, id)| byte == id);
    match bytes.first() {
        _ if begins => {}
        Some(version @ (1 | 2)) => return Err(BadPacket::OldVersion(*version)),
        Some(_) | None => return Err(BadPacket::NotHep),
    }
    let Some(length) = bytes.get(ID.len()..HEAD).and_then(u16_of) else {
        return Ok(None);
    };
    if usize::from(length) < HEAD { Err(BadPacket::Length) } else { Ok(Some(length.into())) }
}

/// Vendor, type and length of a chunk.
fn head(chunk: &[u8]) -> Option<(u16, u16, usize)> {
    let length = usize::from(chunk.get(4..6).and_then(u16_of)?);
    let head = (chunk.get(..2).and_then(u16_of)?, chunk.get(2..4).and_then(u16_of)?, length);
    (length >= HEAD).then_some(head)
}

fn u16_of(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_be_bytes)
}

fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

fn v4(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into())
}

fn v6(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).to_canonical())
}

impl<'a> Chunks<'a> {
    fn take(&mut self, kind: u16, body: &'a [u8]) {
        match kind {
            0x03 => self.source = v4(body),
            0x04 => self.destination = v4(body),
            0x05 => self.source = v6(body),
            0x06 => self.destination = v6(body),
            0x07 => self.source_port = u16_of(body).unwrap_or_default(),
            0x08 => self.destination_port = u16_of(body).unwrap_or_default(),
            0x09 => self.seconds = u32_of(body),
            0x0a => self.micros = u32_of(body).unwrap_or_default(),
            0x0b => self.protocol = body.first().copied().unwrap_or_default(),
            0x0e => self.key = body,
            0x0f => self.payload = body,
            0x10 => self.compressed = Some(body),
            0x11 => self.correlation = body,
            _ => {}
        }
    }

    fn packet(self) -> Result<Packet<'a>, BadPacket> {
        let (Some(source), Some(destination), Some(seconds)) = (self.source, self.destination, self.seconds) else {
            return Err(BadPacket::Incomplete);
        };
        let micros = i64::from(seconds) * 1_000_000 + i64::from(self.micros);
        let payload = match self.compressed {
            _ if self.protocol != SIP => Payload::Other(self.protocol),
            Some(compressed) => Payload::Sip(Cow::Owned(unpack(compressed)?)),
            None => Payload::Sip(Cow::Borrowed(self.payload)),
        };
        Ok(Packet {
            at: Timestamp::from_microsecond(micros).map_err(|_| BadPacket::Incomplete)?,
            source: SocketAddr::new(source, self.source_port),
            destination: SocketAddr::new(destination, self.destination_port),
            payload,
            key: self.key,
            correlation: self.correlation,
        })
    }
}

/// The specification says no more than "gzip/inflate": gzip, zlib and bare deflate are told apart by how they begin.
fn unpack(compressed: &[u8]) -> Result<Vec<u8>, BadPacket> {
    let unpacked = match compressed {
        [0x1f, 0x8b, ..] => unpack_with(GzDecoder::new(compressed)),
        [0x78, ..] => unpack_with(ZlibDecoder::new(compressed)),
        _ => unpack_with(DeflateDecoder::new(compressed)),
    };
    unpacked.ok_or(BadPacket::Compressed)
}

fn unpack_with(decoder: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = decoder.take(MAX_UNPACKED + 1).read_to_end(&mut bytes).ok()?;
    (u64::try_from(read).ok()? <= MAX_UNPACKED).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn chunk(vendor: u16, kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + HEAD).unwrap();
        [&vendor.to_be_bytes(), &kind.to_be_bytes(), &length.to_be_bytes(), body].concat()
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = chunks.concat();
        let length = u16::try_from(body.len() + HEAD).unwrap();
        [ID, &length.to_be_bytes(), &body].concat()
    }

    fn usual() -> Vec<Vec<u8>> {
        vec![
            chunk(0, 1, &[2]),
            chunk(0, 2, &[17]),
            chunk(0, 3, &[127, 0, 0, 1]),
            chunk(0, 4, &[10, 0, 0, 2]),
            chunk(0, 7, &5060_u16.to_be_bytes()),
            chunk(0, 8, &5061_u16.to_be_bytes()),
            chunk(0, 9, &1_700_000_000_u32.to_be_bytes()),
            chunk(0, 10, &250_000_u32.to_be_bytes()),
            chunk(0, 11, &[1]),
            chunk(0, 14, b"key"),
            chunk(0, 15, b"OPTIONS"),
        ]
    }

    #[test]
    fn chunks_are_read_in_any_order_and_strange_ones_are_skipped() {
        let mut chunks = usual();
        chunks.reverse();
        chunks.insert(3, chunk(0, 0x7777, b"new"));
        chunks.insert(5, chunk(0x30, 15, b"of another vendor"));
        let bytes = packet(&chunks);
        let read = Packet::read(&bytes).unwrap();
        assert_eq!(read.source, "127.0.0.1:5060".parse().unwrap());
        assert_eq!(read.destination, "10.0.0.2:5061".parse().unwrap());
        assert_eq!(read.at.as_millisecond(), 1_700_000_000_250);
        assert_eq!((read.key, &read.payload), (b"key".as_slice(), &Payload::Sip(b"OPTIONS".into())));
    }

    #[test]
    fn addresses_of_version_6_are_read() {
        let mut chunks = usual();
        chunks[2] = chunk(0, 5, &"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        chunks[3] = chunk(0, 6, &"::ffff:10.0.0.9".parse::<Ipv6Addr>().unwrap().octets());
        let bytes = packet(&chunks);
        let read = Packet::read(&bytes).unwrap();
        assert_eq!(read.source, "[2001:db8::1]:5060".parse().unwrap());
        assert_eq!(read.destination, "10.0.0.9:5061".parse().unwrap());
    }

    #[test]
    fn a_compressed_payload_is_unpacked_up_to_a_limit() {
        fn gzip(bytes: &[u8]) -> Vec<u8> {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        fn zlib(bytes: &[u8]) -> Vec<u8> {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        fn bare(bytes: &[u8]) -> Vec<u8> {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        for pack in [gzip, zlib, bare] {
            let mut chunks = usual();
            chunks[10] = chunk(0, 16, &pack(b"OPTIONS"));
            assert_eq!(Packet::read(&packet(&chunks)).unwrap().payload, Payload::Sip(b"OPTIONS".into()));
            // Ten megabytes of nothing, which is ten kilobytes on the wire.
            chunks[10] = chunk(0, 16, &pack(&vec![0; 10 << 20]));
            assert_eq!(Packet::read(&packet(&chunks)), Err(BadPacket::Compressed));
        }
    }

    #[test]
    fn other_payloads_are_told_and_not_read() {
        let mut chunks = usual();
        chunks[8] = chunk(0, 11, &[5]);
        assert_eq!(Packet::read(&packet(&chunks)).unwrap().payload, Payload::Other(5));
    }

    #[test]
    fn what_is_no_packet_is_refused_with_a_reason() {
        let whole = packet(&usual());
        for cut in 6..whole.len() {
            assert_eq!(Packet::read(&whole[..cut]), Err(BadPacket::Length), "{cut}");
        }
        assert_eq!(Packet::read(b"\x02\x10\x02\x11"), Err(BadPacket::OldVersion(2)));
        assert_eq!(Packet::read(b"\x01\x10\x02\x11"), Err(BadPacket::OldVersion(1)));
        assert_eq!(Packet::read(b"OPTIONS sip:x SIP/2.0\r\n\r\n"), Err(BadPacket::NotHep));
        assert_eq!(Packet::read(b"HEP3\0\x05"), Err(BadPacket::Length));
        assert_eq!(Packet::read(b""), Err(BadPacket::Length));
        assert_eq!(Packet::read(&packet(&usual()[..6])), Err(BadPacket::Incomplete));
        let mut endless = whole.clone();
        endless[10..12].copy_from_slice(&[0, 0]);
        assert_eq!(Packet::read(&endless), Err(BadPacket::Length));
    }
}

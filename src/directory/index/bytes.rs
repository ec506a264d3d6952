//! Lengths and texts as bytes, in cards and in the snapshot.

pub(super) fn put_text(into: &mut Vec<u8>, text: &[u8]) {
    put_length(into, u32::try_from(text.len()).unwrap_or(u32::MAX));
    into.extend(text);
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
#[expect(clippy::cast_possible_truncation, reason = "the seven lowest bits are meant")]
pub(super) fn put_length(into: &mut Vec<u8>, mut length: u32) {
    while length >= 1 << 7 {
        into.push(length as u8 & 0x7f | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
}

/// What is not read yet. Each read is `None` when there is too little.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a>(pub &'a [u8]);

impl<'a> Rest<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub fn length(&mut self) -> Option<u32> {
        let mut length = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            length |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(length);
            }
        }
        None
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.length()? as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.to_vec()).ok()
    }
}

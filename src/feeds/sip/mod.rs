//! SIP as it comes from other people's machines: a reader that takes what a strict one would refuse, and never fails on a header
//! that nobody asks for.
//!
//! Nothing is copied that need not be: a [`Message`] borrows from the octets it was read from. Rules are those of RFC 3261; where this
//! reader is more tolerant, the place says so.

mod address;
mod fields;
mod message;
mod name;
mod stream;
mod uri;
mod write;

pub use address::NameAddr;
pub use fields::{CSeq, Params, Via, split_outside};
pub use message::{Essentials, MAX_BYTES, Message, StartLine, Unfit, Unreadable};
pub use name::Name;
pub use stream::{BadStream, Frames};
pub use uri::{Scheme, Uri};
pub use write::{response, subscribe, uri as target};

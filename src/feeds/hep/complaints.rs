//! What is wrong with what comes, told once and then only counted, so that a flood does not fill the log.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::packet::BadPacket;
use crate::feeds::status::StatusHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Complaint {
    #[error("packets come from an address that may not send; name it in `allow`, or set `auth_key`")]
    Stranger,
    #[error(
        "packets come with no key or a wrong one; compare `auth_key` with the sender's (Kamailio: siptrace's auth_key, Asterisk: capture_password)"
    )]
    WrongKey,
    #[error("more connections than are taken")]
    TooManyConnections,
    #[error("a TLS handshake failed; does the sender speak TLS, and does it trust `tls_certificate`?")]
    Handshake,
    #[error("a packet is not read: {0}")]
    Bad(BadPacket),
    #[error("the SIP in a packet is not read")]
    Sip,
    #[error(
        "the kernel threw packets away before they could be read; let it keep more (sysctl net.core.rmem_max=8388608), and look what else this machine does"
    )]
    Unread,
}

pub struct Complaints {
    told: Mutex<BTreeSet<Complaint>>,
    status: StatusHandle,
}

impl Complaints {
    pub fn new(status: StatusHandle) -> Self {
        Self { told: Mutex::default(), status }
    }

    pub fn count(&self, complaint: Complaint) {
        match complaint {
            Complaint::Stranger | Complaint::TooManyConnections | Complaint::Handshake | Complaint::Unread => {
                self.status.count_unread(1);
            }
            Complaint::WrongKey => self.status.count_dropped(),
            Complaint::Bad(_) | Complaint::Sip => self.status.count_bad(),
        }
        self.tell(complaint);
    }

    /// So many were thrown away by the kernel.
    pub fn count_unread(&self, packets: u64) {
        if packets > 0 {
            self.status.count_unread(packets);
            self.tell(Complaint::Unread);
        }
    }

    fn tell(&self, complaint: Complaint) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(complaint) {
            tracing::warn!(problem = %complaint, "more of the kind are only counted");
        }
    }
}

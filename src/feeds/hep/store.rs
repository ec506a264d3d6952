//! Packets that wait to be read: bounded, so that a flood costs packets and not the machine.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::feeds::status::StatusHandle;

/// Packets that may wait; the next ones are dropped and counted.
const WAITING_PACKETS: usize = 65_536;
/// The same in bytes, since packets differ in size.
const WAITING_BYTES: usize = 64 << 20;

/// What the sockets tell, in the order in which it happened.
pub enum Told {
    Packet(Raw),
    /// A connection ended; `lost`: and more would have come.
    Disconnected {
        connection: u64,
        lost: bool,
    },
}

/// One packet as it came; as long as it lives it takes room in the store.
pub struct Raw {
    pub bytes: Box<[u8]>,
    pub arrived: Instant,
    /// By which connection; `None`: in a datagram.
    pub connection: Option<u64>,
    #[expect(dead_code, reason = "given back when the packet is dropped")]
    room: OwnedSemaphorePermit,
}

#[derive(Clone)]
pub struct Store {
    out: mpsc::Sender<Told>,
    room: Arc<Semaphore>,
    status: StatusHandle,
}

impl Store {
    pub fn new(status: StatusHandle) -> (Self, mpsc::Receiver<Told>) {
        let (out, packets) = mpsc::channel(WAITING_PACKETS);
        (Self { out, room: Arc::new(Semaphore::new(WAITING_BYTES)), status }, packets)
    }

    /// Keeps a packet, or drops it when too much waits. Never waits.
    pub fn keep(&self, bytes: &[u8], connection: Option<u64>) {
        self.status.count_frame();
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(size) else {
            return self.overrun();
        };
        let raw = Raw { bytes: bytes.into(), arrived: Instant::now(), connection, room };
        if self.out.try_send(Told::Packet(raw)).is_err() {
            self.overrun();
        }
    }

    /// That a connection has ended, behind all packets that it brought.
    pub async fn disconnected(&self, connection: u64, lost: bool) {
        // Without a reader the feed is about to be opened anew.
        let _ = self.out.send(Told::Disconnected { connection, lost }).await;
    }

    fn overrun(&self) {
        self.status.count_overrun();
        self.status.count_dropped();
    }
}

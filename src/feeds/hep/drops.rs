//! Datagrams that the kernel threw away because nobody read them in time.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];
/// Columns of these tables, split at blanks.
const INODE: usize = 9;
const DROPS: usize = 12;

/// The kernel's count for one socket, as far as it tells.
pub struct Drops {
    inode: u64,
    known: u64,
}

impl Drops {
    /// `None` where the kernel has no such tables.
    pub fn of(socket: &UdpSocket) -> Option<Self> {
        let inode = fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?.ino();
        Some(Self { inode, known: 0 })
    }

    /// How many since the last time.
    pub fn since_last(&mut self) -> u64 {
        let tables = TABLES.into_iter().filter_map(|table| fs::read_to_string(table).ok());
        let Some(all) = tables.into_iter().find_map(|table| count(&table, self.inode)) else {
            return 0;
        };
        all.saturating_sub(std::mem::replace(&mut self.known, all))
    }
}

fn count(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |column: usize| columns.get(column)?.parse::<u64>().ok();
        (number(INODE)? == inode).then(|| number(DROPS))?
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_a_socket_had_no_room_for_is_told_once() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut drops = Drops::of(&socket).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..20_000 {
            sender.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let (mut buffer, mut read) = ([0; 1000], 0);
        while socket.recv(&mut buffer).is_ok() {
            read += 1;
        }
        assert!(read < 20_000, "the buffer is larger than this test thinks");
        assert_eq!(drops.since_last(), 20_000 - read);
        assert_eq!(drops.since_last(), 0);
    }
}

//! The bridge as a whole, against a pretend Asterisk and a pretend Salesforce on real sockets.

mod calls;
mod daemon;
mod directory;
mod disk;
mod faults;
mod gap;
mod kill;
mod recordings;
mod restart;
mod support;

//! The bridge as a whole, against a pretend Asterisk and a pretend Salesforce on real sockets.

mod calls;
mod daemon;
mod dialogs;
mod faults;
mod gap;
mod hep;
mod kill;
mod recordings;
mod restart;
mod support;
mod twins;
mod watching;

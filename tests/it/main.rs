//! The bridge as a whole, against a pretend Asterisk and a pretend Salesforce on real sockets.

mod calls;
mod clock;
mod compare;
mod daemon;
mod faults;
mod fields;
mod gap;
mod kill;
mod mend;
mod outage;
mod recordings;
mod restart;
mod support;

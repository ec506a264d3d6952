//! The bridge as a whole, against a pretend Asterisk and a pretend Salesforce on real sockets.

mod allowance;
mod answered;
mod calls;
mod clock;
mod compare;
mod daemon;
mod dialogs;
mod directory;
mod disk;
mod faults;
mod fields;
mod gap;
mod handoffs;
mod hep;
mod kill;
mod knobs;
mod mend;
mod outage;
mod recordings;
mod restart;
mod secrecy;
mod support;
mod twins;
mod watching;

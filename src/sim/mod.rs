//! The far side for real: a pretend Salesforce and a pretend PBX on real sockets. Imports nothing of ours.

pub mod pbx;
pub mod story;

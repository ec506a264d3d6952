//! The `ctibridge` command.

fn main() {}

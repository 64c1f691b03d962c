//! hasses.

fn main() {}

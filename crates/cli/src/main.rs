//! The program pyrograph.
fn main() {}

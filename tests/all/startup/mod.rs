//! Starting, failing to start, and what is left behind, with the real program.

mod asking;
mod files;
mod leaving;
mod process;
mod program;
mod rights;

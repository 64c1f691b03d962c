//! Gives the program the day it was compiled, in the form the status text has always shown.

use std::env;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

fn main() {
    // Reproducible builds fix the day: https://reproducible-builds.org/specs/source-date-epoch/
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=actors");
    let fixed = env::var("SOURCE_DATE_EPOCH").ok();
    let fixed = fixed.and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
    let day: DateTime<Utc> = fixed.unwrap_or_else(|| SystemTime::now().into());
    // As C compilers write `__DATE__`.
    println!(
        "cargo::rustc-env=HASSES_COMPILED={}",
        day.format("%b %e %Y")
    );
}

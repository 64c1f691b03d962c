//! What an attacker may try, each refused with the right status. Beside it stand the tests of what
//! each door is for: `publish_http`, `control_secret`.
mod browser;
mod bystander;
mod control;
mod fairness;
mod memory;
mod turns;

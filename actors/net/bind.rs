//! Binding

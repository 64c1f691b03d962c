//! Faults that the simulation must find. Each is put in by its test alone, one at a time; a program has none.

/// A fault that bus code of this kind has had, or nearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A node that ended long ago is still waited for: a gap for all, without need.
    RemembersTheDead,
    /// What was marked as written stays so though it was refused: later messages are never written.
    StaysWritten,
    /// As many nodes as before are enough, whichever they are.
    CountsNodes,
    /// A node that comes back counts as one that is back.
    CountsComers,
    /// A node that starts does not wait for others that come back.
    StartsAtOnce,
    /// Nodes that are alone have the same ids.
    SharesIds,
    /// An entry that was added twice is delivered twice.
    TakesCopies,
    /// What was acknowledged and does not come back is not missed.
    TrustsAcknowledgements,
    /// A node that comes back reads on without adding what the log has lost.
    RestoresNothing,
    /// Who was alone and had another order than the others marks no gap.
    HidesItsOrder,
}

#[cfg(test)]
thread_local! {
    pub(super) static PUT_IN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is put in.
#[cfg(test)]
pub(super) fn is_in(mutant: Mutant) -> bool {
    PUT_IN.get() == Some(mutant)
}

/// Whether this fault is put in.
#[cfg(not(test))]
pub(super) const fn is_in(_: Mutant) -> bool {
    false
}

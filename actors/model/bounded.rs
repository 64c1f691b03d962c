//! The newest of something, within bounds.

use std::collections::VecDeque;
use std::ops::Deref;

/// What an item counts for against a bound in bytes.
pub trait Cost {
    /// Its bytes; 0 where only the number of items is bounded.
    fn cost(&self) -> usize {
        0
    }
}

/// Items in their order, the oldest first, and the bytes of all together. Whoever puts one in lets the
/// oldest go that are beyond the bounds.
#[derive(Debug)]
pub struct Bounded<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T> Bounded<T> {
    /// Without items.
    pub const fn new() -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The bytes of all items.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<T: Cost> Bounded<T> {
    /// Puts in the newest.
    pub fn push(&mut self, item: T) {
        self.bytes += item.cost();
        self.items.push_back(item);
    }

    /// Takes out the oldest.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.cost();
        Some(item)
    }

    /// Takes out the oldest if there are more items than `count`, or more bytes than `bytes`.
    pub fn pop_beyond(&mut self, count: usize, bytes: usize) -> Option<T> {
        if self.items.len() > count || self.bytes > bytes {
            self.pop()
        } else {
            None
        }
    }
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self::new()
    }
}

// To look at only: what changes the items goes by the methods above, so that the sum is right.
impl<T> Deref for Bounded<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.items
    }
}

impl<T: Cost> Extend<T> for Bounded<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<T> IntoIterator for Bounded<T> {
    type Item = T;
    type IntoIter = std::collections::vec_deque::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Cost for &str {
        fn cost(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn the_oldest_go_beyond_either_bound() {
        let mut items = Bounded::new();
        items.extend(["abc", "de", "f"]);
        assert_eq!((items.len(), items.bytes()), (3, 6));
        assert_eq!(items.pop_beyond(3, 6), None);
        assert_eq!(items.pop_beyond(3, 5), Some("abc"));
        assert_eq!(items.pop_beyond(1, 5), Some("de"));
        assert_eq!((items.front(), items.bytes()), (Some(&"f"), 1));
        assert_eq!((items.pop(), items.pop()), (Some("f"), None));
        assert_eq!(items.pop_beyond(0, 0), None);
    }
}

//! A binary heap of small numbers, each of which knows its place in it, so that one whose rank has
//! changed, or that goes, is found at once.

/// What ranks the numbers, and where each notes its place.
pub(super) trait Ranking {
    /// Whether `a` stands before `b`.
    fn precedes(&self, a: u32, b: u32) -> bool;
    /// Where an item notes its place.
    fn place(&mut self, item: u32) -> &mut u32;
}

/// The place of an item that is in no heap.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The heap. Every call takes the same ranking.
#[derive(Debug, Default)]
pub(super) struct Heap {
    items: Vec<u32>,
}

impl Heap {
    /// The item that precedes all others.
    pub(super) fn first(&self) -> Option<u32> {
        self.items.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Takes an item in that is not there.
    pub(super) fn push(&mut self, item: u32, ranking: &mut impl Ranking) {
        let place = self.items.len();
        self.items.push(item);
        *ranking.place(item) = place as u32;
        self.rise(place, ranking);
    }

    /// Takes an item out, if it is there.
    pub(super) fn remove(&mut self, item: u32, ranking: &mut impl Ranking) {
        let place = std::mem::replace(ranking.place(item), NOWHERE);
        if place == NOWHERE {
            return;
        }
        let place = place as usize;
        self.items.swap_remove(place);
        if let Some(moved) = self.items.get(place) {
            *ranking.place(*moved) = place as u32;
            self.settle(place, ranking);
        }
        if self.items.len() < self.items.capacity() / 4 {
            self.items.shrink_to(self.items.len() * 2);
        }
    }

    /// Brings an item to its place after its rank has changed.
    pub(super) fn update(&mut self, item: u32, ranking: &mut impl Ranking) {
        let place = *ranking.place(item);
        // One alone, and one that precedes all others as before, stays.
        if place != NOWHERE && self.items.len() > 1 {
            self.settle(place as usize, ranking);
        }
    }

    fn settle(&mut self, place: usize, ranking: &mut impl Ranking) {
        if self.rise(place, ranking) == place {
            self.sink(place, ranking);
        }
    }

    fn rise(&mut self, mut place: usize, ranking: &mut impl Ranking) -> usize {
        let item = self.items[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if !ranking.precedes(item, self.items[parent]) {
                break;
            }
            self.put(place, self.items[parent], ranking);
            place = parent;
        }
        self.put(place, item, ranking);
        place
    }

    fn sink(&mut self, mut place: usize, ranking: &mut impl Ranking) {
        let item = self.items[place];
        loop {
            let left = 2 * place + 1;
            let Some(&first) = self.items.get(left) else {
                break;
            };
            let child = match self.items.get(left + 1) {
                Some(&second) if ranking.precedes(second, first) => left + 1,
                _ => left,
            };
            if !ranking.precedes(self.items[child], item) {
                break;
            }
            self.put(place, self.items[child], ranking);
            place = child;
        }
        self.put(place, item, ranking);
    }

    fn put(&mut self, place: usize, item: u32, ranking: &mut impl Ranking) {
        self.items[place] = item;
        *ranking.place(item) = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Ranks {
        ranks: Vec<u8>,
        places: Vec<u32>,
    }

    impl Ranking for Ranks {
        fn precedes(&self, a: u32, b: u32) -> bool {
            self.ranks[a as usize] < self.ranks[b as usize]
        }
        fn place(&mut self, item: u32) -> &mut u32 {
            &mut self.places[item as usize]
        }
    }

    proptest! {
        #[test]
        fn the_first_is_the_least_whatever_was_done(
            steps in proptest::collection::vec((0..16u32, 0..3u8, any::<u8>()), 0..200),
        ) {
            let mut ranks = Ranks { ranks: vec![0; 16], places: vec![NOWHERE; 16] };
            let mut heap = Heap::default();
            for (item, step, rank) in steps {
                let there = ranks.places[item as usize] != NOWHERE;
                match step {
                    0 if there => {
                        ranks.ranks[item as usize] = rank;
                        heap.update(item, &mut ranks);
                    }
                    0 => {
                        ranks.ranks[item as usize] = rank;
                        heap.push(item, &mut ranks);
                    }
                    1 => heap.remove(item, &mut ranks),
                    _ => {}
                }
                let items: Vec<u32> = (0..16).filter(|item| ranks.places[*item as usize] != NOWHERE).collect();
                prop_assert_eq!(items.len(), heap.len());
                let least = items.iter().map(|item| ranks.ranks[*item as usize]).min();
                prop_assert_eq!(heap.first().map(|item| ranks.ranks[item as usize]), least);
                for item in items {
                    prop_assert_eq!(heap.items[ranks.places[item as usize] as usize], item);
                }
            }
        }
    }
}

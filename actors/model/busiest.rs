//! The few names that come most often among very many, in bounded memory.

use std::collections::HashMap;

/// Names that are counted at one time.
const MOST: usize = 1024;

/// Counts names as Misra and Gries do: of `n` names counted, each has at most `n / 1025` fewer than it
/// came, so that one which comes often enough to matter is always among them.
#[derive(Debug, Default)]
pub struct Busiest {
    counts: HashMap<Box<str>, u64>,
}

impl Busiest {
    /// Counts a name.
    pub fn count(&mut self, name: &str) {
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.counts.len() < MOST {
            self.counts.insert(name.into(), 1);
        } else {
            // Takes away what at least as many calls have put in, so it costs each of them little.
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// The `most` names with the greatest counts, the greatest first.
    pub fn top(&self, most: usize) -> Vec<(String, u64)> {
        let names = self.counts.iter();
        top(names.map(|(name, count)| (&**name, *count)), most)
    }
}

/// The `most` names with the greatest numbers, the greatest first, equal ones by name.
pub fn top<'a>(names: impl Iterator<Item = (&'a str, u64)>, most: usize) -> Vec<(String, u64)> {
    let mut best: Vec<(String, u64)> = Vec::new();
    for (name, number) in names {
        let before = |(other, theirs): &(String, u64)| {
            *theirs > number || (*theirs == number && other.as_str() < name)
        };
        let place = best.partition_point(before);
        if place < most {
            best.truncate(most - 1);
            best.insert(place, (name.to_owned(), number));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    }

    #[test]
    fn the_greatest_come_first() {
        let names = [("c", 2), ("a", 2), ("d", 9), ("b", 1), ("e", 2)];
        assert_eq!(
            top(names.into_iter(), 3),
            told(&[("d", 9), ("a", 2), ("c", 2)])
        );
        assert_eq!(top(names.into_iter().take(1), 3), told(&[("c", 2)]));
    }

    #[test]
    fn what_comes_often_is_found_among_very_many() {
        let mut busiest = Busiest::default();
        for n in 0..100_000 {
            busiest.count(&format!("once {n}"));
            if n % 50 == 0 {
                busiest.count("often");
            }
            if n % 100 == 0 {
                busiest.count("less often");
            }
        }
        assert!(busiest.counts.len() <= MOST);
        let found = busiest.top(2);
        assert_eq!(found[0].0, "often");
        assert_eq!(found[1].0, "less often");
        assert!((1900..=2000).contains(&found[0].1), "{found:?}");
    }
}

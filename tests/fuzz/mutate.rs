//! Changes at random.

use fastrand::Rng;

/// Bytes that mean something to one grammar or another.
const INTERESTING: &[u8] = b"\r\n;={}[]\"\\*-:,0 \t%&/?+\0\x7f\x80\xc3\xff";
/// Lengths at which something may change: of names, of buffers, of what is refused.
const RUNS: &[usize] = &[2, 64, 65, 100, 255, 256, 1024, 1125, 4096, 8180, 8193];
/// Longer than any JSON line may be; rare, as it takes long.
const LONGEST: usize = 70_000;

/// One of the inputs, or two, with one to eight changes.
pub(crate) fn mutate(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = pick(corpus, rng).clone();
    for _ in 0..1 << rng.u8(0..4) {
        change(&mut input, corpus, rng);
    }
    input
}

fn pick<'a, T>(list: &'a [T], rng: &mut Rng) -> &'a T {
    &list[rng.usize(..list.len())]
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    match rng.u8(..9) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.u8(..8);
            }
        }
        2 | 3 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = *pick(INTERESTING, rng);
            }
        }
        4 => input.insert(at, *pick(INTERESTING, rng)),
        5 => {
            let end = (at + rng.usize(..20)).min(input.len());
            input.drain(at..end);
        }
        6 => {
            if rng.bool() {
                input.truncate(at)
            } else {
                let part = input[at..].to_vec();
                insert(input, rng, &part);
            }
        }
        7 => {
            let other = pick(corpus, rng);
            let part = &other[rng.usize(..=other.len())..];
            if rng.bool() {
                input.truncate(at)
            } else {
                input.rotate_left(at)
            }
            input.extend_from_slice(part);
        }
        _ => {
            let length = match rng.u8(..) {
                0 => LONGEST,
                _ => *pick(RUNS, rng),
            };
            let byte = if rng.bool() {
                b'a'
            } else {
                *pick(INTERESTING, rng)
            };
            insert(input, rng, &vec![byte; length]);
        }
    }
    input.truncate(2 * LONGEST);
}

fn insert(input: &mut Vec<u8>, rng: &mut Rng, part: &[u8]) {
    let at = rng.usize(..=input.len());
    input.splice(at..at, part.iter().copied());
}

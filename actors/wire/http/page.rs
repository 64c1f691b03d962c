//! Which part of the list of clients is asked for.

use super::Refused;
use super::control_api::set;
use super::query::{decoded, parameters, wrong};
use super::refused::quoted;

/// Which clients are to be listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Where the list begins (`after=`): 0, or what the answer before gave as its next page.
    pub after: u32,
    /// How many clients at most (`limit=`, 1 to [`MOST`]); none = all.
    pub limit: Option<usize>,
    /// What must be in a client's address, id, agent or tokens (`search=`), in small letters.
    pub search: Option<String>,
}

/// The most clients of a page.
pub const MOST: usize = 1000;

/// Reads the raw query of a request for the list of clients.
///
/// Errors: 400, naming the parameter.
pub(super) fn page(query: &str) -> Result<Page, Refused> {
    let (mut after, mut limit, mut search) = (None, None, None);
    for (name, value) in parameters(query) {
        match name {
            "after" => {
                let place = value.parse();
                let place = place.map_err(|_| wrong(name, value, "is not the number of a page"))?;
                set(&mut after, name, place)?;
            }
            "limit" => {
                let count = value
                    .parse()
                    .ok()
                    .filter(|count| (1..=MOST).contains(count));
                let why = format!("is not a number from 1 to {MOST}");
                set(
                    &mut limit,
                    name,
                    count.ok_or_else(|| wrong(name, value, why))?,
                )?;
            }
            "search" => set(&mut search, name, decoded(name, value)?.to_lowercase())?,
            _ => {
                return Err(Refused::new(
                    400,
                    format!(
                        "unknown parameter {}; known are after, limit and search",
                        quoted(name.as_bytes())
                    ),
                ));
            }
        }
    }
    Ok(Page {
        after: after.unwrap_or(0),
        limit,
        search: search.filter(|search| !search.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_page_of_clients() {
        assert_eq!(page(""), Ok(Page::default()));
        assert_eq!(page("search="), Ok(Page::default()));
        let expected = Page {
            after: 7,
            limit: Some(1000),
            search: Some("a b-É".to_lowercase()),
        };
        let found = page("after=7&limit=1000&search=A+b-%C3%89");
        assert_eq!(found, Ok(expected));
        for query in [
            "after=-1",
            "after=",
            "limit=0",
            "limit=1001",
            "search=%",
            "limit=1&limit=1",
            "offset=1",
        ] {
            let refused = page(query).unwrap_err();
            assert_eq!(refused.status, 400, "{query}");
            let name = query.split('=').next().unwrap();
            assert!(refused.reason.contains(name), "{refused}");
        }
    }
}

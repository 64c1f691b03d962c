//! `GET /`: the dashboard, one page that loads nothing from elsewhere and lives on `/live`.
//!
//! | file | subject |
//! | --- | --- |
//! | `page.html` | what there is |
//! | `style.css` | what it looks like, light and dark |
//! | `api.js` | requests, the control secret, small helpers |
//! | `charts.js` | the last two minutes as curves |
//! | `clients.js` | the list of clients, disconnecting |
//! | `token.js` | one token: its streams, members and events as they come |
//! | `health.js` | how the daemon is set up, what it warned of and refused |
//! | `live.js` | publishing, the log level, following `/live`: where the page begins |

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};

use crate::wire::http::Answer;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("api.js"),
    include_str!("charts.js"),
    include_str!("clients.js"),
    include_str!("token.js"),
    include_str!("health.js"),
    include_str!("live.js")
);

/// The page as it is sent, and what it may do.
struct Dashboard {
    page: String,
    policy: String,
}

static DASHBOARD: LazyLock<Dashboard> = LazyLock::new(|| Dashboard {
    page: PAGE.replace("{style}", STYLE).replace("{script}", SCRIPT),
    policy: policy(),
});

/// The page. It may run its own script and style alone, and speak to nobody else; whatever a client
/// calls itself, nothing of it can become a script (Content Security Policy Level 3, Trusted Types).
///
/// `asks`: the figures need a secret, which the page asks for before it makes a request.
pub(super) fn show(asks: bool) -> Answer {
    let page = DASHBOARD
        .page
        .replace("{asks}", if asks { "yes" } else { "no" });
    Answer::page("text/html; charset=utf-8", page)
        .with("Cache-Control", "no-cache")
        .with("Content-Security-Policy", &DASHBOARD.policy)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
}

fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_whole() {
        let page = &DASHBOARD.page;
        assert!(page.len() <= 56 * 1024, "{} bytes", page.len());
        for text in [STYLE, SCRIPT] {
            assert!(
                page.contains(&format!(">{text}</")),
                "inline, as it was hashed"
            );
            assert!(!text.contains("</"), "an end tag would end it early");
        }
        // The names of XML's vocabularies are no addresses that anything is loaded from.
        let loaded = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!loaded.contains(outside), "{outside}");
        }
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
        ] {
            assert!(!page.contains(markup), "{markup}");
        }
    }
}

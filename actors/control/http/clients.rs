//! `GET /clients`: who is connected, in portions.
//!
//! The registry gives one portion at a time, when the one before is written, so that neither it nor
//! this program's memory feels how many clients there are, or how slowly the list is read.

use std::fmt::Write;

use super::super::Publisher;
use super::super::connection::{Broken, Connection};
use super::flow::Flow;
use super::{Done, Unanswered};
use crate::messages::publisher::{self, Listed};
use crate::wire::http::page::Page;
use crate::wire::http::{Answer, Request};

/// Answers with the whole list, or with a page of it.
pub(super) async fn list(
    publisher: &Publisher,
    connection: &mut Connection,
    request: &Request,
    page: Page,
) -> Result<Done, Unanswered> {
    if let Some(limit) = page.limit {
        return Ok(one_page(publisher, page, limit).await?.into());
    }
    let flow = Flow::begin(publisher, connection, request, "application/json").await?;
    let Some(flow) = flow else {
        return Ok(Done::Flowed { goes_on: false });
    };
    flow.write("[").await?;
    let (mut next, mut first) = (Some(page.after), true);
    while let Some(from) = next {
        let Listed {
            rows,
            count,
            next: then,
        } = part(publisher, &page, from, usize::MAX).await?;
        if count > 0 {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            flow.write(&format!("{comma}{rows}")).await?;
        }
        next = then;
    }
    flow.write("]\n").await?;
    let goes_on = flow.end().await?;
    Ok(Done::Flowed { goes_on })
}

/// A page, which says in a `Link` field (RFC 8288) where the next one is, if there is one.
async fn one_page(publisher: &Publisher, page: Page, limit: usize) -> Result<Answer, Broken> {
    let (mut list, mut count, mut next) = (String::from("["), 0, Some(page.after));
    while let Some(from) = next.filter(|_| count < limit) {
        let listed = part(publisher, &page, from, limit - count).await?;
        if count > 0 && listed.count > 0 {
            list.push(',');
        }
        list += &listed.rows;
        count += listed.count;
        next = listed.next;
    }
    list += "]\n";
    let answer = Answer::json(200, list);
    Ok(match next {
        None => answer,
        Some(next) => {
            let mut target = format!("/clients?after={next}&limit={limit}");
            if let Some(search) = &page.search {
                // Every byte that is no letter or digit, so that nothing of it ends the target.
                let every = percent_encoding::NON_ALPHANUMERIC;
                let search = percent_encoding::utf8_percent_encode(search, every);
                let _ = write!(target, "&search={search}");
            }
            answer.with("Link", format_args!("<{target}>; rel=\"next\""))
        }
    })
}

async fn part(
    publisher: &Publisher,
    page: &Page,
    from: u32,
    most: usize,
) -> Result<Listed, Broken> {
    let search = page.search.as_deref().map(Into::into);
    let list = |reply| publisher::Request::List {
        from,
        search,
        most,
        reply,
    };
    Ok(publisher.sequencer.call(list).await?)
}

//! Query strings, and the page of a list that they ask for.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::error::ApiError;

const DEFAULT_PER_PAGE: usize = 25;

/// A larger number is reduced to this without an error.
const MAX_PER_PAGE: usize = 50;

/// The query string of a request, decoded, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }
}

/// The position of a page in a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    page: usize,
    per_page: usize,
    last: usize,
}

impl Page {
    pub(super) fn of(query: &Query, entries: usize) -> Result<Page, ApiError> {
        let number = |name: &str, default: usize| match query.first(name).filter(|v| !v.is_empty())
        {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|n| *n >= 1).ok_or_else(|| {
                ApiError::invalid_field(name, "Must be greater than or equal to 1.")
            }),
        };
        let page = number("page", 1)?;
        let per_page = number("per_page", DEFAULT_PER_PAGE)?.min(MAX_PER_PAGE);
        Ok(Page { page, per_page, last: entries.div_ceil(per_page).max(1) })
    }

    fn next(self) -> Option<usize> {
        (self.page < self.last).then(|| self.page + 1)
    }

    fn previous(self) -> Option<usize> {
        (self.page > 1).then(|| self.page - 1)
    }

    /// The items on this page.
    pub(super) fn select(self, items: Vec<Value>) -> Vec<Value> {
        let first = (self.page - 1).saturating_mul(self.per_page);
        items.into_iter().skip(first).take(self.per_page).collect()
    }

    /// The object `pagination` of a list with this number of entries.
    pub(super) fn json(self, total: usize) -> Value {
        json!({
            "page": self.page,
            "per_page": self.per_page,
            "previous_page": self.previous(),
            "next_page": self.next(),
            "last_page": self.last,
            "total_entries": total,
        })
    }

    /// The `Link` header; `None` if everything fits on one page.
    pub(super) fn link(self, host: &str, path: &str, query: &str) -> Option<String> {
        if self.last <= 1 && self.page == 1 {
            return None;
        }
        let others: String = query
            .split('&')
            .filter(|p| !p.is_empty() && !p.starts_with("page=") && !p.starts_with("per_page="))
            .fold(String::new(), |mut text, part| {
                text.push('&');
                text.push_str(part);
                text
            });
        let to = |page: usize, rel: &str| {
            format!(
                "<http://{host}{path}?page={page}&per_page={}{others}>; rel={rel}",
                self.per_page
            )
        };
        let links = [
            self.previous().map(|p| to(p, "prev")),
            self.next().map(|p| to(p, "next")),
            Some(to(self.last, "last")),
        ];
        Some(links.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

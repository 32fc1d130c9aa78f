//! Lists: filters, label selectors, order and pages, over the JSON objects.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::error::ApiError;
use super::page::{Page, Query};
use super::reply::Reply;
use crate::state::labels::Selector;

/// The parameters of a list.
pub(super) struct Listing {
    /// Name of the list in the answer.
    pub(super) plural: &'static str,
    /// Fields that it can be sorted by.
    pub(super) sort: &'static [&'static str],
    /// Parameters that must equal the field of the same name; several values match any of them.
    pub(super) equal: &'static [&'static str],
}

/// Answers a list request.
pub(super) fn list(
    query: &Query,
    listing: &Listing,
    mut items: Vec<Value>,
) -> Result<Reply, ApiError> {
    for name in listing.equal {
        let wanted: Vec<&str> = query.all(name).filter(|v| !v.is_empty()).collect();
        if !wanted.is_empty() {
            items.retain(|item| wanted.contains(&text_of(&item[*name]).as_str()));
        }
    }
    if let Some(text) = query.first("label_selector").filter(|t| !t.is_empty()) {
        let selector = Selector::parse(text)
            .map_err(|problem| ApiError::invalid(format!("invalid label_selector: {problem}")))?;
        items.retain(|item| {
            serde_json::from_value(item["labels"].clone())
                .is_ok_and(|labels| selector.matches(&labels))
        });
    }
    let order = query
        .all("sort")
        .filter(|t| !t.is_empty())
        .map(|text| order_by(listing, text))
        .collect::<Result<Vec<_>, _>>()?;
    items.sort_by(|a, b| {
        let by = |(field, descends): &(&str, bool)| {
            let ordering = compare(&a[*field], &b[*field]);
            if *descends { ordering.reverse() } else { ordering }
        };
        order.iter().map(by).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    });
    let page = Page::of(query, items.len())?;
    let pagination = page.json(items.len());
    let shown = page.select(items);
    let mut reply = Reply::ok(json!({listing.plural: shown, "meta": {"pagination": pagination}}));
    reply.page = Some(page);
    Ok(reply)
}

fn order_by<'a>(listing: &'a Listing, text: &str) -> Result<(&'a str, bool), ApiError> {
    let (field, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let field = listing.sort.iter().find(|f| **f == field);
    match (field, direction) {
        (Some(field), "asc") => Ok((*field, false)),
        (Some(field), "desc") => Ok((*field, true)),
        _ => Err(ApiError::invalid_field("sort", format!("Not a valid value: {text}"))),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text_of(a).cmp(&text_of(b)),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Listing = Listing { plural: "numbers", sort: &["id", "name"], equal: &["name"] };

    fn numbers(query: &str) -> Result<Reply, ApiError> {
        let number = |n: u64| {
            let labels = json!({"third": (n % 3).to_string()});
            json!({"id": n, "name": format!("n{}", n % 2), "labels": labels})
        };
        let items = (1..=60).map(number).collect();
        list(&Query::parse(query), &NUMBERS, items)
    }

    fn ids(query: &str) -> Vec<u64> {
        let body = numbers(query).unwrap().body.unwrap();
        body["numbers"].as_array().unwrap().iter().map(|n| n["id"].as_u64().unwrap()).collect()
    }

    #[test]
    fn pages_follow_each_other() {
        assert_eq!(ids(""), (1..=25).collect::<Vec<_>>());
        assert_eq!(ids("page=3"), (51..=60).collect::<Vec<_>>());
        assert_eq!(ids("per_page=80").len(), 50);
        let meta = numbers("page=9").unwrap().body.unwrap()["meta"]["pagination"].clone();
        assert_eq!(
            meta,
            json!({
                "page": 9,
                "per_page": 25,
                "previous_page": 8,
                "next_page": null,
                "last_page": 3,
                "total_entries": 60,
            })
        );
        assert!(numbers("page=0").is_err());
        assert!(numbers("page=18446744073709551615&per_page=50").is_ok());
    }

    #[test]
    fn order_and_filters_work_together() {
        assert_eq!(ids("sort=name:desc&sort=id:desc&per_page=2"), [59, 57]);
        assert_eq!(
            ids("name=n0&label_selector=third%3D0&sort=id"),
            [6, 12, 18, 24, 30, 36, 42, 48, 54, 60]
        );
        assert_eq!(ids("label_selector=third+in+(1,2),!x&per_page=1"), [1]);
        assert_eq!(numbers("sort=color").err().map(|e| e.code), Some("invalid_input"));
        assert!(
            numbers("label_selector=a,,b")
                .err()
                .is_some_and(|e| e.message.starts_with("invalid label_selector: "))
        );
    }

    #[test]
    fn links_keep_the_filters() {
        let page = numbers("page=2&name=n0&per_page=10").unwrap().page.unwrap();
        let link = page.link("h:1", "/v1/numbers", "page=2&name=n0&per_page=10").unwrap();
        assert!(
            link.starts_with(
                "<http://h:1/v1/numbers?page=1&per_page=10&name=n0>; rel=prev, \
                 <http://h:1/v1/numbers?page=3&"
            ),
            "{link}"
        );
        assert!(link.ends_with("rel=last"), "{link}");
    }
}

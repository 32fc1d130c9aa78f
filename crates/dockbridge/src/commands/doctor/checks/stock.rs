//! The ladder of the settings: whether the cloud has its server types and locations, and any of
//! them in stock.

use hetzner::Query;

use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::{Surroundings, refused};

/// A server type, with its locations and whether each has it in stock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sold {
    name: String,
    locations: Vec<(String, bool)>,
}

pub async fn server_types(around: &Surroundings) -> Found {
    let project = match around.project().await {
        Ok(project) => project,
        Err(error) => return Found::of_error(error),
    };
    let sold = match project.client.server_types().list(&Query::default()).await {
        Ok(types) => types.into_iter().map(|it| Sold {
            name: it.name,
            locations: it.locations.into_iter().map(|at| (at.name, at.available)).collect(),
        }),
        Err(error) => return Found::of_error(&refused(&error)),
    };
    let locations = project.answer.as_deref().unwrap_or_default();
    let hetzner = &around.resolved.settings.hetzner;
    judge(&hetzner.server_types, &hetzner.locations, &sold.collect::<Vec<_>>(), locations)
}

fn judge(types: &[String], locations: &[String], sold: &[Sold], known: &[String]) -> Found {
    let names: Vec<&str> = sold.iter().map(|it| it.name.as_str()).collect();
    if let Some(unknown) = types.iter().find(|name| !names.contains(&name.as_str())) {
        return Found::broken(format!(
            "there is no server type {unknown:?}; the cloud sells {}",
            names.join(", ")
        ))
        .cure("change `hetzner.server_types`");
    }
    if let Some(unknown) = locations.iter().find(|name| !known.contains(name)) {
        return Found::broken(format!(
            "there is no location {unknown:?}; the cloud has {}",
            known.join(", ")
        ))
        .cure("change `hetzner.locations`");
    }
    let in_stock: Vec<String> = locations
        .iter()
        .flat_map(|location| types.iter().map(move |name| (name, location)))
        .filter(|(name, location)| {
            let mut offers =
                sold.iter().filter(|it| it.name == **name).flat_map(|it| &it.locations);
            offers.any(|(at, available)| at == *location && *available)
        })
        .map(|(name, location)| format!("{name} in {location}"))
        .collect();
    match &in_stock[..] {
        [] => Found::hint(format!(
            "none of {} is in stock in {}",
            types.join(", "),
            locations.join(", ")
        )),
        [one] => Found::ok(format!("{one} is in stock")),
        [first, others @ ..] => {
            Found::ok(format!("{first} is in stock, and {} more", others.len()))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use api::CheckCode;
    use api::CheckState::{Broken, Hint};

    use super::*;

    /// What can be wrong.
    pub fn findings() -> Vec<(CheckCode, Found)> {
        let found = [
            judged(&["cx99"], &["fsn1"], true),
            judged(&["cx23"], &["fsn9"], true),
            judged(&["cx23", "cax11"], &["fsn1"], false),
        ];
        found.map(|found| (CheckCode::ServerTypes, found)).into()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn judged(types: &[&str], locations: &[&str], is_in_stock: bool) -> Found {
        let locations_of = |stock| vec![("fsn1".to_owned(), stock), ("hel1".to_owned(), false)];
        let sold = ["cx23", "cax11"]
            .map(|name| Sold { name: name.to_owned(), locations: locations_of(is_in_stock) });
        judge(&names(types), &names(locations), &sold, &names(&["fsn1", "hel1"]))
    }

    #[test]
    fn misspelled_names_are_broken_and_an_empty_stock_is_a_hint() {
        assert_eq!(judged(&["cx23"], &["fsn1"], true), Found::ok("cx23 in fsn1 is in stock"));
        assert_eq!(
            judged(&["cx23", "cax11"], &["fsn1", "hel1"], true),
            Found::ok("cx23 in fsn1 is in stock, and 1 more")
        );
        let found = judged(&["cx99"], &["fsn1"], true);
        assert_eq!(
            (found.state, &*found.message),
            (Broken, "there is no server type \"cx99\"; the cloud sells cx23, cax11")
        );
        let found = judged(&["cx23"], &["fsn9"], true);
        assert_eq!(
            (found.state, &*found.message),
            (Broken, "there is no location \"fsn9\"; the cloud has fsn1, hel1")
        );
        let found = judged(&["cx23", "cax11"], &["fsn1"], false);
        assert_eq!(
            (found.state, &*found.message),
            (Hint, "none of cx23, cax11 is in stock in fsn1")
        );
    }
}
